"""A folder with a small net and solver, as the current one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.files import write_files


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh current folder with net.prototxt and solver.prototxt."""
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path
