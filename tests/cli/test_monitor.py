"""`netforge monitor`, as people type it."""

from __future__ import annotations

import threading
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

import pytest
from click.testing import CliRunner, Result

from netforge.cli import cli
from tests.inspect.logs import START, write_log


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The pages that were served: one each time, before Ctrl-C."""
    found: list[str] = []

    def one_page(self: ThreadingHTTPServer, poll_interval: float = 0.5) -> None:
        thread = threading.Thread(target=self.handle_request)
        thread.start()
        with urlopen(f"http://127.0.0.1:{self.server_address[1]}/", timeout=30) as answer:
            found.append(answer.read().decode())
        thread.join()
        raise KeyboardInterrupt

    monkeypatch.setattr(ThreadingHTTPServer, "serve_forever", one_page)
    return found


def monitor(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["monitor", "--port", "0", *arguments])


def test_a_run_is_shown_until_ctrl_c(folder: Path, pages: list[str]) -> None:
    log = write_log(folder / "runs" / "x" / "net.20260101-000000.log.jsonl", START)
    for arguments in (["runs/x/net"], [str(log)], []):
        result = monitor(*arguments)
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith("monitor: http://127.0.0.1:") and str(log.name) in result.stdout
        assert result.stderr == ""
        assert "net.20260101-000000" in pages.pop()


def test_a_run_may_be_to_come(folder: Path, pages: list[str]) -> None:
    result = monitor()
    assert result.exit_code == 0
    assert "the page waits for one" in result.stderr
    assert "Waiting for a run" in pages.pop()


def test_a_run_that_is_named_must_be_there(folder: Path, pages: list[str]) -> None:
    write_log(folder / "net.20260101-000000.log.jsonl", START)
    result = monitor("nett")
    assert result.exit_code == 1 and "Did you mean" in result.stderr
    (folder / "other.jsonl").write_text("[]\n", encoding="utf-8")
    assert "no log of a run" in monitor("other.jsonl").stderr
    assert not pages


def test_the_browser_is_opened(folder: Path, pages: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("click.launch", opened.append)
    result = monitor("--open")
    assert opened == [result.stdout.split()[1]]
