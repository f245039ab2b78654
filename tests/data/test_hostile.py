"""No importer trusts its input: each of the hostile ones ends in one clear error and leaves nothing behind."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from netforge.cli import cli
from netforge.data.formats import packed
from tests.data.hostile.case import Case
from tests.data.hostile.table import all_cases

CASES = all_cases()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_hostile_inputs(case: Case, tmp_path: Path, netforge_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "input").mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(packed, "ALWAYS_EXPANDED", 1 << 24)  # so that bombs can be small
    arguments = case.lay(tmp_path / "input")
    before = sorted(os.walk(tmp_path))
    done = CliRunner().invoke(cli, arguments)
    lines = done.output.splitlines()
    assert done.exit_code == 1, done.output
    assert len(lines) == 1 and lines[0].startswith("error: ") and lines[0].isprintable(), done.output
    assert len(lines[0]) < 2000 and lines[0].endswith((".", "?"))
    assert sorted(os.walk(tmp_path)) == before
    assert list(netforge_home.iterdir()) == []


def test_there_are_enough_of_them() -> None:
    assert len(CASES) > 300
