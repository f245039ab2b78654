"""Imports go one way through the package: each part may import only what stands before it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "netforge"
ORDER = [
    {"errors"},
    {"atomic"},
    {"registry"},
    {"schema"},
    {"device"},
    {"blob"},
    {"filler"},
    {"data"},
    {"layers"},
    {"net"},
    {"snapshot"},
    {"solver"},
    {"metric"},
    {"recognition"},
    {"sklearn"},
    {"inspect"},
    {"testing"},
    {"cli"},
    {"reference"},
]
RANK = {part: rank for rank, parts in enumerate(ORDER) for part in parts}
LATE_CALLS = {("net", "snapshot"), ("net", "inspect"), ("solver", "inspect")}
"""Net.save and Net.copy_from, and what notebooks show: thin calls, imported when used."""


def part_of(module: str) -> str | None:
    """The part of the package that a dotted module name belongs to."""
    names = module.split(".")
    return names[1] if len(names) > 1 and names[0] == "netforge" else None


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= (
                {f"{node.module}.{alias.name}" for alias in node.names} if node.module == "netforge" else {node.module}
            )
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    relative = path.relative_to(PACKAGE)
    part = relative.parts[0].removesuffix(".py")
    if part in ("__init__", "__main__"):
        return
    assert part in RANK, f"{relative} belongs to no part that this test knows"
    for module in imports(path):
        other = part_of(module)
        if other is None or other == part or (part, other) in LATE_CALLS or other.startswith("__"):
            continue
        assert RANK[other] < RANK[part], f"{relative} imports {module}, which comes later in the order"


def test_import_is_light() -> None:
    """Importing the package must not load what only some commands need."""
    code = "import sys, netforge; print(sorted({m.partition('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for heavy in ("sklearn", "h5py", "lmdb", "PIL", "rich", "click", "cupy", "torch"):
        assert f"'{heavy}'" not in loaded
