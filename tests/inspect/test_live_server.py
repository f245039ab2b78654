"""The server of the live page: three paths, two methods, this computer's own names, and nothing for other sites."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from netforge.errors import DataError
from netforge.inspect import live_server
from netforge.inspect.live import LiveRun
from netforge.inspect.live_server import MonitorServer
from tests.inspect.logs import START, display, write_log


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write_log(tmp_path / "a.20260101-000000.log.jsonl", START, display(0, 2.5))


@pytest.fixture
def server(log: Path) -> Iterator[MonitorServer]:
    with MonitorServer(LiveRun(log, refresh_s=0), 0) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def ask(server: MonitorServer, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, str]:
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer, text


def test_the_page(server: MonitorServer) -> None:
    answer, text = ask(server, "/")
    assert answer.status == 200 and text.startswith("<!doctype html>")
    assert server.url == f"http://127.0.0.1:{server.server_port}/"
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    rules = dict(rule.split(" ", 1) for rule in answer.headers["Content-Security-Policy"].split("; "))
    assert rules["default-src"] == rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["connect-src"] == "'self'"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["Server"] == "netforge"


def test_new_points_reach_the_page(server: MonitorServer, log: Path) -> None:
    answer, text = ask(server, "/changes?since=0")
    assert answer.headers["Content-Type"] == "application/json"
    found = json.loads(text)
    line = json.dumps(display(10, 1.75))
    with log.open("a", encoding="utf-8") as file:
        file.write(line[:50])
        file.flush()
        assert "Loss" not in json.loads(ask(server, f"/changes?since={found['version']}")[1])["cards"]
        file.write(line[50:] + "\n")
    assert "1.75" in json.loads(ask(server, f"/changes?since={found['version']}")[1])["cards"]["Loss"]


def test_the_report(server: MonitorServer) -> None:
    answer, text = ask(server, "/report")
    assert answer.status == 200
    assert "<h2>Diagram</h2>" in text and "connect-src &#x27;none&#x27;" in text


@pytest.mark.parametrize(
    "path",
    ["/index.html", "/?x", "/report/", "/report?x=1", "/changes", "/changes?since=-1", "/changes?since=1&x=1",
     "/changes?since=" + "9" * 99, "/../a.20260101-000000.log.jsonl", "/%2e%2e/etc/passwd", "/etc/passwd"],
)  # fmt: skip
def test_no_other_path(server: MonitorServer, path: str) -> None:
    answer, text = ask(server, path)
    assert answer.status == 404
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert "passwd" not in text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"])
def test_no_other_method(server: MonitorServer, method: str) -> None:
    answer, _ = ask(server, "/", method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_head_is_get_without_a_body(server: MonitorServer) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=30) as connection:
        connection.sendall(b"HEAD /report HTTP/1.0\r\nHost: localhost\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    assert answer.startswith("HTTP/1.0 200") and answer.endswith("\r\n\r\n")
    length = len(ask(server, "/report")[1].encode())
    assert f"Content-Length: {length}\r\n" in answer


@pytest.mark.parametrize("path", ["/", "/changes?since=0", "/report", "/nothing"])
@pytest.mark.parametrize(
    "host", ["example.org", "localhost.example.org", "127.0.0.1.example.org:80", "", "localhost:x"]
)
def test_no_other_host(server: MonitorServer, path: str, host: str) -> None:
    answer, text = ask(server, path, Host=host)
    assert answer.status == 403
    assert server.url in text and len(text) < 100


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9000", "127.0.0.1:1", "[::1]:9000"])
def test_names_of_this_computer_with_any_port(server: MonitorServer, host: str) -> None:
    assert ask(server, "/", Host=host)[0].status == 200


def test_pages_of_other_sites_get_nothing(server: MonitorServer) -> None:
    for path in ("/changes?since=0", "/report"):
        assert ask(server, path, Sec_Fetch_Site="cross-site")[0].status == 403
        assert ask(server, path, Sec_Fetch_Site="same-site")[0].status == 403
        assert ask(server, path, Sec_Fetch_Site="same-origin")[0].status == 200
    assert ask(server, "/", Sec_Fetch_Site="cross-site")[0].status == 200  # a link to the page


def test_one_who_does_not_read_holds_nobody_up(server: MonitorServer) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port)) as idle:
        idle.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        assert ask(server, "/changes?since=0")[0].status == 200
        idle.sendall(b"rubbish without end")


def test_one_who_reads_slowly_gets_all_of_it(server: MonitorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_server._Handler, "timeout", 1.0)
    monkeypatch.setattr(server.live, "report", lambda: "x" * 12_000_000)
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=30) as slow:
        slow.sendall(b"GET /report HTTP/1.0\r\nHost: localhost\r\n\r\n")
        size = 0
        while part := slow.recv(500_000, socket.MSG_WAITALL):
            size += len(part)
            time.sleep(0.1)
    assert size > 12_000_000


def test_a_fault_is_shown_and_the_next_one_is_answered(
    server: MonitorServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> str:
        raise PermissionError("nobody may read this")

    monkeypatch.setattr(server.live, "report", fail)
    with pytest.raises(ConnectionError):
        ask(server, "/report")
    assert ask(server, "/")[0].status == 200
    assert "nobody may read this" in capsys.readouterr().err


def test_a_report_that_cannot_be_made_says_why(server: MonitorServer, log: Path) -> None:
    ask(server, "/")
    log.unlink()
    answer, text = ask(server, "/report")
    assert answer.status == 503
    assert "cannot be read" in text


def test_a_port_that_is_taken(server: MonitorServer, log: Path) -> None:
    with pytest.raises(DataError, match=rf"127\.0\.0\.1:{server.server_port}: .*taken.*--port 0"):
        MonitorServer(LiveRun(log), server.server_port)
