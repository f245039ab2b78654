"""A small net and solver on the disk, for tests of commands."""

from __future__ import annotations

from pathlib import Path

from tests.cli.broken import NET, SOLVER


def write_files(folder: Path, *, solver: str = SOLVER, net: str = NET) -> None:
    """Lay net.prototxt and solver.prototxt into `folder`."""
    (folder / "net.prototxt").write_text(net)
    (folder / "solver.prototxt").write_text(solver)
