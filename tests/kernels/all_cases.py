"""All cases of this folder, in one list. `python all_cases.py DTYPE all|small` goes through them, under a sanitizer."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    sys.path[:0] = [str(here), str(here.parent / "cudashim"), str(here.parents[1])]

import cases_arithmetic
import cases_embedding
import cases_image
import cases_loss
import cases_neuron
import cases_newest
import cases_prototypical
import cases_sequence
import cases_transform
import cases_triplet
import cases_update
from harness import CASES, Bench

__all__ = [
    "CASES",
    "cases_arithmetic",
    "cases_embedding",
    "cases_image",
    "cases_loss",
    "cases_neuron",
    "cases_newest",
    "cases_prototypical",
    "cases_sequence",
    "cases_transform",
    "cases_triplet",
    "cases_update",
]


def main() -> None:
    dtype, which = sys.argv[1:]
    for case in CASES:
        if which == "all" or case.small:
            print(case.name, flush=True)
            case.run(Bench(dtype, "forward"))


if __name__ == "__main__":
    main()
