"""Serving the page of a run that goes on: to this computer alone, to read and nothing else.

The server listens on 127.0.0.1 and knows three paths: "/" (the page), "/changes?since=VERSION" (what is new, JSON) and
"/report" (the full report, made when it is asked for). No part of a request ever reaches the file system. A page of
another site can read nothing: a name that was pointed at 127.0.0.1 is refused by the Host header, what such a page asks
for is refused by Sec-Fetch-Site, and no answer may be framed or read across origins. Names of this computer are taken
with any port, for tunnels: ssh -L 9000:127.0.0.1:6446 HOST.
"""

from __future__ import annotations

import errno
import json
import os
import re
import socketserver
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from netforge.errors import DataError, NetforgeError
from netforge.inspect.live import LiveRun

ADDRESS = "127.0.0.1"
SLOW_READER_S = 20.0  # a connection that neither asks nor reads for so long is closed
PART = 1 << 16  # bytes of an answer that have so long: a slow tunnel takes its time over a whole report
METHODS = ("GET", "HEAD")

_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.IGNORECASE)
_CHANGES = re.compile(r"/changes\?since=(\d{1,15})")
_HTML, _JSON, _TEXT = "text/html; charset=utf-8", "application/json", "text/plain; charset=utf-8"
_NOTHING = "default-src 'none'; frame-ancestors 'none'"
_PAGE = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)  # the page itself names the only scripts that may run: both policies hold


class MonitorServer(ThreadingHTTPServer):
    """Answers for a LiveRun. port: 0 takes any free one, and `url` says which. Raises DataError where it is taken."""

    daemon_threads = True
    allow_reuse_address = os.name == "posix"  # elsewhere it would let two servers share a port
    request_queue_size = 64

    def __init__(self, live: LiveRun, port: int) -> None:
        self.live = live
        try:
            super().__init__((ADDRESS, port), _Handler)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            raise DataError(
                f"the port {'is taken' if taken else 'cannot be used'}: {error.strerror}",
                where=f"{ADDRESS}:{port}",
                mend=f"open http://{ADDRESS}:{port}/ if that is another monitor, else give --port 0 for any free one",
            ) from error

    def server_bind(self) -> None:
        """Take the address without asking any name server what it is called."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = ADDRESS, self.server_address[1]

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever goes away in the middle of an answer is nobody's trouble; all else is shown."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: MonitorServer
    timeout = SLOW_READER_S

    def do_GET(self) -> None:
        status, kind, text = self._answer()
        self._send(status, kind, text)

    do_HEAD = do_GET

    def _answer(self) -> tuple[HTTPStatus, str, str]:
        """Status, type and text for the request."""
        if not _HOST.fullmatch(self.headers.get("Host", "")):
            return HTTPStatus.FORBIDDEN, _TEXT, f"This page is at {self.server.url} only.\n"
        if self.path == "/":
            return HTTPStatus.OK, _HTML, self.server.live.page()
        changes = _CHANGES.fullmatch(self.path)
        if not changes and self.path != "/report":
            return HTTPStatus.NOT_FOUND, _TEXT, "There is no such page.\n"
        if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return HTTPStatus.FORBIDDEN, _TEXT, "Pages of other sites may not ask for this.\n"
        if changes:
            return HTTPStatus.OK, _JSON, json.dumps(self.server.live.changes(int(changes[1])))
        try:
            return HTTPStatus.OK, _HTML, self.server.live.report()
        except NetforgeError as error:
            return HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, f"There is no report: {error}\n"

    def _send(self, status: HTTPStatus, kind: str, text: str) -> None:
        body = text.encode("utf-8", errors="backslashreplace")
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Content-Length": len(body),
            "Content-Security-Policy": _PAGE if kind is _HTML else _NOTHING,
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(METHODS)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            for start in range(0, len(body), PART):
                self.wfile.write(body[start : start + PART])

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the parser of requests refuses; a method that has no function here is one that is not allowed."""
        status = HTTPStatus(code)
        if status is HTTPStatus.NOT_IMPLEMENTED:
            status = HTTPStatus.METHOD_NOT_ALLOWED
        self.close_connection = True
        self._send(status, _TEXT, f"{status.phrase}\n")

    def version_string(self) -> str:
        """What the Server header says."""
        return "netforge"

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not listed on the terminal."""
