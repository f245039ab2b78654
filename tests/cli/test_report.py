"""`netforge report`, `netforge compare`, and the page that `netforge train` writes at its end."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from netforge.cli import cli
from tests.inspect.logs import END, START, write_log


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


def train(*arguments: str) -> Path:
    """Train, and give the page that was written."""
    result = run("train", "--solver", "solver.prototxt", "--device", "cpu", *arguments)
    assert result.exit_code == 0, result.output
    facts = dict(line.split(": ", 1) for line in result.stdout.splitlines() if line.startswith(("report: ", "log: ")))
    assert facts["report"] == facts["log"].replace(".log.jsonl", ".report.html")
    return Path(facts["report"])


def test_train_writes_a_report_and_its_command(folder: Path) -> None:
    page = train("--set", "base_lr=0.1").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and "Embedding map" in page
    log = next(folder.glob("*.log.jsonl"))
    start = json.loads(log.read_text(encoding="utf-8").splitlines()[0])
    assert shlex.join(start["command"]) == ("netforge train --solver=solver.prototxt --set=base_lr=0.1 --device=cpu")
    assert start["folder"] == str(folder)
    assert list(start["nets"]) == ["net.prototxt"] or next(iter(start["nets"])).endswith("net.prototxt")


def test_without_a_report(folder: Path) -> None:
    result = run("train", "--solver", "solver.prototxt", "--no-report", "--device", "cpu")
    assert result.exit_code == 0
    assert "report" not in result.stdout
    assert not list(folder.glob("*.html"))


def test_a_report_that_fails_does_not_fail_training(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> str:
        raise RuntimeError("no page today")

    monkeypatch.setattr("netforge.inspect.report.report_page", broken)
    result = run("train", "--solver", "solver.prototxt", "--device", "cpu")
    assert result.exit_code == 0
    assert "note: the report could not be written: no page today" in result.stderr
    assert list(folder.glob("*.caffemodel"))


def test_report_and_compare(folder: Path) -> None:
    train("--set", "snapshot_prefix=one", "--seed", "3")
    train("--set", "snapshot_prefix=two", "--set", "base_lr=0.25")
    result = run("report", "one", "-o", "page.html", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("report: page.html (")
    assert "Layers" in Path("page.html").read_text(encoding="utf-8")
    result = run("compare", "one", "two", "-o", "both.html")
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.stdout.splitlines()]
    assert next(row for row in rows if row[:2] == ["solver", "base_lr"])[-1] == "0.25"
    assert Path("both.html").is_file()
    assert run("compare", "one").exit_code == 2
    assert "Did you mean" in run("report", "onee").stderr
    assert "does not exist" in run("report", "one", "-o", "none/page.html").stderr


def test_plugins_of_a_run_are_imported_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netforge.registry._loaded_plugins", set())
    monkeypatch.delitem(sys.modules, "layers_of_a_run", raising=False)
    home = tmp_path / "home"
    home.mkdir()
    (home / "layers_of_a_run.py").write_text("imported = True\n", encoding="utf-8")
    start = {**START, "folder": str(home), "command": [*START["command"], "--plugin=layers_of_a_run"]}
    log = write_log(tmp_path / "net.20260101-000000.log.jsonl", start, END)
    result = run("report", str(log), "-o", str(tmp_path / "page.html"), "--quick")
    assert result.exit_code == 0, result.output
    assert f'note: plugin "layers_of_a_run" of net.20260101-000000 was imported from {home}' in result.stderr
    assert sys.modules.pop("layers_of_a_run").imported
    assert "<dd>layers_of_a_run</dd>" in (tmp_path / "page.html").read_text(encoding="utf-8")

    other = write_log(tmp_path / "other.20260101-000000.log.jsonl", {**START, "plugins": ["gone_layers"]}, END)
    result = run("compare", str(log), str(other))
    assert result.exit_code == 0, result.output
    assert 'of other.20260101-000000: plugin "gone_layers" cannot be imported' in result.stderr
    result = run("report", str(other), "-o", str(tmp_path / "page.html"))
    assert result.exit_code == 0, result.output
    assert "Not shown: plugin &quot;gone_layers&quot; cannot be imported" in (tmp_path / "page.html").read_text("utf-8")
