"""Every kernel does what its NumPy reference does, whatever the order of threads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from all_cases import CASES
from harness import Bench, Case

from netforge.device import kernel_source


@pytest.mark.usefixtures("needs_compiler")
@pytest.mark.parametrize("order", ["forward", "reversed"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_kernels_match_the_reference(case: Case, dtype: str, order: str) -> None:
    case.run(Bench(dtype, order))


def test_every_kernel_has_a_case() -> None:
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("*.py"))
    named = set(re.findall(r'"(\w+)"', text))
    missing = {
        name
        for name in kernel_source.kernels("float32")
        if name not in named and re.sub(r"_(forward|backward)$", "", name) not in named
    }
    assert not missing
