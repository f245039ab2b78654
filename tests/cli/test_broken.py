"""Every broken file of the table gives one clear error: where, what, how to mend; status 1, no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from netforge.cli import cli
from tests.cli.broken import BROKEN, NET, SOLVER, Broken


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The weights and the state of two iterations of the unbroken net."""
    import netforge

    folder = tmp_path_factory.mktemp("good")
    (folder / "net.prototxt").write_text(NET)
    (folder / "solver.prototxt").write_text(SOLVER.replace('"run"', f'"{folder}/good"'))
    solver = netforge.Solver(folder / "solver.prototxt", device="cpu")
    solver.step(2)
    weights, state = solver.snapshot()
    return {"good.caffemodel": Path(weights).read_bytes(), "good.solverstate": Path(state).read_bytes()}


def lay_out(case: Broken, folder: Path, good: dict[str, bytes]) -> None:
    contents: dict[str, str | bytes | None] = {"net.prototxt": NET, "solver.prototxt": SOLVER, **good}
    contents[case.file] = case.text
    contents.update(case.files)
    for name, content in contents.items():
        if content is None:
            (folder / name).mkdir()
        elif isinstance(content, bytes):
            (folder / name).write_bytes(content)
        elif "[:" in content[:40]:
            source, share = content.rstrip("]").split("[:")
            (folder / name).write_bytes(good[source][: int(len(good[source]) * float(share))])
        else:
            (folder / name).write_text(content)


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.id.replace(" ", "_"))
def test_broken_file(case: Broken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: dict[str, bytes]) -> None:
    lay_out(case, tmp_path, good)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETFORGE_HOME", str(tmp_path / "home"))
    result = CliRunner().invoke(cli, case.command)
    message = result.stderr
    assert result.exit_code == 1, result.output
    assert message.count("error: ") == 1
    assert "Traceback" not in result.output
    assert message.startswith(f"error: {case.place}"), message
    for word in case.words:
        assert word in message, message
    assert len(message.splitlines()) == 1
    assert len(message) < 600


def test_ids_are_unique_and_many() -> None:
    ids = [case.id for case in BROKEN]
    assert len(set(ids)) == len(ids) >= 35


def test_the_unbroken_files_are_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["check", "net.prototxt", "solver.prototxt"])
    assert result.exit_code == 0, result.output
    assert result.output.count("ok  ") == 2
