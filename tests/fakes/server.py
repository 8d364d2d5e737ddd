"""
The HTTP server that the fakes share: a real port on loopback, latency, and answers spoiled on purpose.

    fake = HubSpotFake()
    with serving(fake, latency_ms=20) as url:
        fake.limit = Limit(calls_max=20, window_s=10)
        fake.fail(Fault(status=429, headers={"Retry-After": "1"}), path=r"/batch/upsert$", times=2)

A provider's fake is a `Fake` with methods marked `@route`. They run one at a time under the fake's lock.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.fakes.fake import Call, Clock, Fake, Fault, Limit, Reply, Request, route

__all__ = ["Call", "Clock", "Fake", "Fault", "Limit", "Reply", "Request", "route", "serving"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: "_Server"

    def setup(self) -> None:
        super().setup()
        self.server.opened.add(self.connection)
        if self.server.stopping.is_set():
            self.connection.shutdown(socket.SHUT_RDWR)

    def finish(self) -> None:
        self.server.opened.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (OSError, ValueError):  # the caller went away
            self.close_connection = True

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=parts.path,
            query=_query(parts.query),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
            target=self.path,
        )
        if self.server.latency_ms:
            self.server.stopping.wait(self.server.latency_ms / 1000)
        fake = next((one for one in self.server.fakes if one.knows(request)), self.server.fakes[0])
        reply, fault = fake.answer(request)
        self._send(fake, reply, fault)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = _serve  # noqa: N815

    def _send(self, fake: Fake, reply: Reply | None, fault: Fault | None) -> None:
        kind = fault.kind if fault is not None else ""
        if fault is not None and kind == "timeout":
            self.server.stopping.wait(fault.hold_s)
        if reply is None or kind in ("timeout", "drop"):
            self.close_connection = True
            return
        content = b'{"results": [{"id": "1", ' if kind == "malformed" else reply.content
        self.send_response_only(200 if kind == "malformed" else reply.status)
        self.send_header("Date", formatdate(fake.clock(), usegmt=True))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if content:
            self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if kind == "truncated":
            content, self.close_connection = content[: len(content) // 2], True
        if self.command != "HEAD":
            self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _query(text: str) -> dict[str, str]:
    """Return the parameters; one that is given several times counts as a list with commas."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # they are waited for: none outlives its test
    request_queue_size = 128

    def __init__(self, port: int, fakes: list[Fake], latency_ms: float) -> None:
        self.fakes, self.latency_ms = fakes, latency_ms
        self.stopping = threading.Event()
        self.opened: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def stop(self) -> None:
        """End every connection, so that no thread outlives the test."""
        self.stopping.set()
        self.shutdown()
        for connection in list(self.opened):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()


@contextmanager
def serving(*fakes: Fake, port: int = 0, latency_ms: float = 0) -> Iterator[str]:
    """Serve fakes on one port of loopback (their paths tell them apart) and yield its address."""
    server = _Server(port, list(fakes), latency_ms)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.stop()
        thread.join()
