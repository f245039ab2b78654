"""The program and its standard streams: closed ones, and ones that cannot write every character."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", f'"$0" -m netforge {command}', sys.executable],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_output_may_be_closed(folder: Path) -> None:
    result = shell("train --solver solver.prototxt >&-")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert (folder / "run_iter_4.caffemodel").is_file()


def test_errors_count_where_all_streams_are_closed(folder: Path) -> None:
    assert shell("check missing.prototxt >&- 2>&-").returncode == 1


def test_characters_that_the_encoding_lacks_are_spelt_out(folder: Path) -> None:
    (folder / "Ωmega.prototxt").write_text("junk", encoding="utf-8")
    result = shell("check Ωmega.prototxt", PYTHONIOENCODING="latin-1", PYTHONUTF8="0")
    assert result.returncode == 1
    assert r"\u03a9mega.prototxt:1:1" in result.stderr
