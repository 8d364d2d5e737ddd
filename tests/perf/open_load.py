"""
Open-loop load: requests leave at fixed times, whatever the server does, and latency counts from those
times.

So a slow answer makes the following ones late instead of rare (no coordinated omission). Runs as its own
process (`python -m tests.perf.open_load`): reads one JSON object from its input, prints one. Orders,
positions and liveness over keep-alive HTTP, quotes over a WebSocket. It imports nothing of RTX.
"""

import asyncio
import json
import sys
import time
from collections import Counter, deque
from typing import Any, cast

import uvloop

from tests.perf.order_load import FILLED, HOST, SIDES, masked, whole_frames

DRAIN_S = 10.0
QUOTES_MARK = b'{"ch":"quotes"'


class Connection(asyncio.Protocol):
    """One keep-alive HTTP connection that carries one request at a time."""

    def __init__(self, stream: "Stream", number: int) -> None:
        self.stream = stream
        self.number = number
        self.sent = 0
        self.due_at = 0.0
        self.buffer = bytearray()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection that ends early is an error of the measurement."""
        if not self.stream.is_over:
            self.stream.problems["connection lost"] += 1

    def send(self, due_at: float) -> None:
        """Send a request that was due at an instant."""
        self.due_at = due_at
        self.sent += 1
        assert self.transport is not None
        self.transport.write(self.stream.request(self))

    def data_received(self, data: bytes) -> None:
        """Take an answer once it is whole."""
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        at = self.buffer[:end].lower().find(b"content-length: ")
        if at < 0:
            is_whole = self.buffer.endswith(b"0\r\n\r\n")  # the last chunk
        else:
            stop = self.buffer.find(b"\r", at)
            is_whole = len(self.buffer) >= end + 4 + int(self.buffer[at + 16 : stop])
        if not is_whole:
            return
        is_good = self.buffer.startswith(self.stream.status, 9) and self.stream.mark in self.buffer
        if not is_good:
            self.stream.problems[bytes(self.buffer[9:12] + self.buffer[end + 4 : end + 204]).decode()] += 1
        self.buffer.clear()
        self.stream.answered(self)


class Stream:
    """Requests of one kind at one rate over a few connections."""

    def __init__(self, name: str, plan: dict[str, Any], *, port: int, tag: str) -> None:
        self.name = name
        self.rate = float(plan["per_s"])
        self.clients: list[list[Any]] = plan["clients"]
        self.port = port
        self.tag = tag
        self.status = b"201" if name == "orders" else b"200"
        self.mark = FILLED if name == "orders" else b""
        self.free: deque[Connection] = deque()
        self.late: deque[float] = deque()
        self.under_way = 0
        self.is_over = False
        self.counts_from = self.counts_to = 0.0
        self.latencies_s: list[float] = []
        self.acknowledged = 0
        self.problems: Counter[str] = Counter()

    def request(self, connection: Connection) -> bytes:
        """Return the next request of a connection."""
        login, token = self.clients[connection.number]
        if self.name == "orders":
            side = SIDES[(connection.sent + 1) % 2]
            body = (
                f'{{"account":{login},"symbol":"EURUSD","side":"{side}","volume":"0.10",'
                f'"client_order_id":"{self.tag}-{connection.number}-{connection.sent}"}}'
            )
            first = "POST /api/orders/market"
            more = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        else:
            first, more, body = ("GET /api/positions" if self.name == "positions" else "GET /health"), "", ""
        bearer = f"Authorization: Bearer {token}\r\n" if token else ""
        return f"{first} HTTP/1.1\r\nHost: {HOST}:{self.port}\r\n{bearer}{more}\r\n{body}".encode()

    def answered(self, connection: Connection) -> None:
        """Note an answer; a request that is late goes at once."""
        self.under_way -= 1
        self.acknowledged += 1
        if self.counts_from <= connection.due_at < self.counts_to:
            self.latencies_s.append(time.perf_counter() - connection.due_at)
        if self.late:
            self.under_way += 1
            connection.send(self.late.popleft())
        else:
            self.free.append(connection)

    async def connect(self) -> None:
        """Open the connections."""
        for number in range(len(self.clients)):
            connection = Connection(self, number)
            await asyncio.get_running_loop().create_connection(lambda one=connection: one, HOST, self.port)
            self.free.append(connection)

    async def run(self, *, start: float, end: float) -> None:
        """Send on schedule until the end, then wait for what is under way."""
        due_at = start
        while due_at < end:
            pause = due_at - time.perf_counter()
            if pause > 0:
                await asyncio.sleep(pause)
            if self.free:
                self.under_way += 1
                self.free.popleft().send(due_at)
            else:
                self.late.append(due_at)
            due_at += 1 / self.rate
        deadline = time.perf_counter() + DRAIN_S
        while (self.under_way or self.late) and time.perf_counter() < deadline:
            await asyncio.sleep(0.01)
        self.is_over = True
        if self.under_way or self.late:
            self.problems[f"{self.under_way + len(self.late)} not answered"] += 1


class Quotes(asyncio.Protocol):
    """A WebSocket that subscribes to all symbols and notes the age of each quote on arrival."""

    def __init__(self, *, port: int, token: str, symbols: list[str]) -> None:
        self.port = port
        self.greetings = [
            {"op": "auth", "token": token},
            {"op": "subscribe", "id": 1, "channel": "quotes", "symbols": symbols},
        ]
        self.is_open = False
        self.is_counting = False
        self.ages_ms: list[float] = []
        self.problems: Counter[str] = Counter()
        self.buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(
            (
                f"GET /ws HTTP/1.1\r\nHost: {HOST}:{self.port}\r\n"
                "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Key: cnR4LWJlbmNoLWtleS0xMg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            ).encode()
        )

    def data_received(self, data: bytes) -> None:
        """Take whole frames; the receipt is now."""
        now_ms = time.time_ns() / 1_000_000
        self.buffer += data
        if not self.is_open:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self.is_open = True
            del self.buffer[: end + 4]
            for greeting in self.greetings:
                self.transport.write(masked(json.dumps(greeting).encode()))
        for frame in whole_frames(self.buffer, self.transport):
            if frame.startswith(QUOTES_MARK):
                if self.is_counting:
                    self.ages_ms += [now_ms - quote["t"] for quote in json.loads(frame)["q"]]
            elif b'"ok":false' in frame or not frame.startswith(b"{"):
                self.problems[frame[:200].decode(errors="replace")] += 1


def percentile(values: list[float], share: float) -> float:
    """Return the value that this share of all values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


async def run(plan: dict[str, Any]) -> dict[str, Any]:
    """Connect, send for a warm-up and the measured time, and report per stream."""
    streams = [
        Stream(name, given, port=plan["web_port"], tag=plan["tag"]) for name, given in plan["streams"].items()
    ]
    quotes = Quotes(
        port=plan["stream_port"], token=plan["quotes"]["token"], symbols=plan["quotes"]["symbols"]
    )
    loop = asyncio.get_running_loop()
    await loop.create_connection(lambda: quotes, HOST, plan["stream_port"])
    for stream in streams:
        await stream.connect()
    start = time.perf_counter() + 0.5
    measured, end = start + plan["warmup_s"], start + plan["warmup_s"] + plan["seconds"]
    for stream in streams:
        stream.counts_from, stream.counts_to = measured, end
    loop.call_later(measured - time.perf_counter(), setattr, quotes, "is_counting", True)
    loop.call_later(end - time.perf_counter(), setattr, quotes, "is_counting", False)
    await asyncio.gather(*(stream.run(start=start, end=end) for stream in streams))
    report: dict[str, Any] = {
        stream.name: {
            "count": len(stream.latencies_s),
            "acknowledged": stream.acknowledged,
            "p50_ms": percentile(stream.latencies_s, 0.5) * 1000,
            "p99_ms": percentile(stream.latencies_s, 0.99) * 1000,
            "max_ms": max(stream.latencies_s, default=0.0) * 1000,
            "problems": dict(stream.problems.most_common(5)),
        }
        for stream in streams
    }
    report["ticks"] = {
        "count": len(quotes.ages_ms),
        "p50_ms": percentile(quotes.ages_ms, 0.5),
        "p99_ms": percentile(quotes.ages_ms, 0.99),
        "max_ms": max(quotes.ages_ms, default=0.0),
        "problems": dict(quotes.problems.most_common(5)),
    }
    return report


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(json.load(sys.stdin)))))
