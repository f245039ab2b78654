"""All hostile inputs, by name."""

from __future__ import annotations

from tests.data.hostile.archives import archives_cases
from tests.data.hostile.arrays import idx_cases, npz_cases
from tests.data.hostile.case import Case
from tests.data.hostile.pictures import lists_cases, pictures_cases, trees_cases
from tests.data.hostile.records import cifar_cases, lmdb_cases, voc_cases


def all_cases() -> dict[str, Case]:
    """Every case by its name."""
    cases: dict[str, Case] = {}
    for kind, made in (
        ("idx", idx_cases()),
        ("npz", npz_cases()),
        ("picture", pictures_cases()),
        ("tree", trees_cases()),
        ("archive", archives_cases()),
        ("list", lists_cases()),
        ("cifar", cifar_cases()),
        ("lmdb", lmdb_cases()),
        ("voc", voc_cases()),
    ):
        for name, case in made:
            assert f"{kind}: {name}" not in cases, name
            cases[f"{kind}: {name}"] = case
    return cases
