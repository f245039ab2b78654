"""The common checks on every built-in layer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from netforge.layers import LAYERS
from netforge.registry import origin
from netforge.schema import parse_net
from netforge.testing import CHECKS, LayerCase
from tests.layers.cases import CASES, ELSEWHERE


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_layer(check: Callable[[LayerCase], None], case: LayerCase) -> None:
    check(case)


def test_every_layer_has_a_case() -> None:
    built_in = {name for name in LAYERS if origin(LAYERS[name]).startswith("netforge.")}
    covered = {LAYERS.canonical(parse_net(f"layer {{ {case.layer} }}").layers[0].type) for case in CASES}
    assert built_in - covered == set(ELSEWHERE)


def test_names_of_cases_are_unique() -> None:
    assert len({case.id for case in CASES}) == len(CASES)
