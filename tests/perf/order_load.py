"""
Closed-loop load: every connection sends its next order as soon as the last one is answered.

Runs as its own lean process (`python -m tests.perf.order_load`): reads one JSON object from its input,
prints one. REST or WebSocket. Requests are written by hand and answers are searched, not parsed, so that
it takes as little of the shared cores as it can. It imports nothing of RTX.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from typing import Any, cast

import uvloop

HOST = "127.0.0.1"
ANSWER_TIMEOUT_S = 20.0
FILLED = b'"status":"filled"'
OFF_QUOTES = '"reject_reason":"off_quotes"'
TEXT, PING, PONG = 0x81, 0x89, 0x8A
SIDES = ("buy", "sell")


class Client(asyncio.Protocol):
    """One connection: alternates between buying and selling the same volume, so that its book stays small."""

    def __init__(self, load: "Load", number: int, account: int, token: str) -> None:
        self.load = load
        self.number = number
        self.account = account
        self.token = token
        self.sent = 0
        self.sent_at = 0.0
        self.is_waiting = False
        self.buffer = bytearray()
        self.transport: asyncio.Transport | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, where the protocol needs it."""
        self.transport = cast(asyncio.Transport, transport)
        self.greet()

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection that ends before its answer came is an error of the measurement."""
        if self.is_waiting or not self.ready.done():
            self.load.lost(self)

    def body(self) -> bytes:
        """Return the next order."""
        self.sent += 1
        side = SIDES[(self.sent + 1) % 2]
        return (
            f'{{"account":{self.account},"symbol":"{self.load.symbol}","side":"{side}","volume":"0.10",'
            f'"client_order_id":"{self.load.tag}-{self.number}-{self.sent}"}}'
        ).encode()

    def send(self) -> None:
        """Send the next order."""
        request = self.request()
        self.is_waiting = True
        self.sent_at = time.perf_counter()
        assert self.transport is not None
        self.transport.write(request)

    def greet(self) -> None:
        """Make the connection ready."""
        raise NotImplementedError

    def request(self) -> bytes:
        """Return the bytes of the next order."""
        raise NotImplementedError


class RestClient(Client):
    """A keep-alive HTTP connection."""

    def greet(self) -> None:
        """HTTP needs no greeting."""
        self.head = (
            f"POST {self.load.path} HTTP/1.1\r\nHost: {HOST}:{self.load.port}\r\n"
            f"Authorization: Bearer {self.token}\r\n"
            "Content-Type: application/json\r\nAccept: application/json\r\nContent-Length: "
        ).encode()
        self.ready.set_result(None)

    def request(self) -> bytes:
        """Return one POST."""
        body = self.body()
        return self.head + str(len(body)).encode() + b"\r\n\r\n" + body

    def data_received(self, data: bytes) -> None:
        """Take an answer once it is whole."""
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        at = self.buffer[:end].lower().find(b"content-length: ")
        if at < 0:
            self.load.answered(self, f"no length: {bytes(self.buffer[:80])!r}")
            return
        stop = self.buffer.find(b"\r", at)
        if len(self.buffer) < end + 4 + int(self.buffer[at + 16 : stop]):
            return
        is_filled = self.buffer.startswith(b"201", 9) and FILLED in self.buffer
        answer = bytes(self.buffer[9:12] + b" " + self.buffer[end + 4 : end + 504])
        self.buffer.clear()
        self.load.answered(self, "" if is_filled else answer.decode(errors="replace"))


class SocketClient(Client):
    """A WebSocket, authenticated by its first frame."""

    is_open = False

    def greet(self) -> None:
        """Ask for the upgrade."""
        assert self.transport is not None
        self.transport.write(
            (
                f"GET {self.load.path} HTTP/1.1\r\nHost: {HOST}:{self.load.port}\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Key: cnR4LWJlbmNoLWtleS0xMg==\r\n"
                "Sec-WebSocket-Version: 13\r\n\r\n"
            ).encode()
        )

    def request(self) -> bytes:
        """Return one `order.market` frame."""
        return masked(b'{"op":"order.market","id":1,"data":' + self.body() + b"}")

    def data_received(self, data: bytes) -> None:
        """Take whole frames."""
        self.buffer += data
        if not self.is_open:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            if not self.buffer.startswith(b"HTTP/1.1 101"):
                raise RuntimeError(bytes(self.buffer[:end]).decode(errors="replace"))
            self.is_open = True
            del self.buffer[: end + 4]
            assert self.transport is not None
            self.transport.write(masked(json.dumps({"op": "auth", "token": self.token}).encode()))
        assert self.transport is not None
        for frame in whole_frames(self.buffer, self.transport):
            self.take(frame)

    def take(self, frame: bytes) -> None:
        """Handle one frame: the answer to the greeting, or to an order; heartbeats are passed over."""
        if b'"ok":' not in frame:
            if frame.startswith(b'{"ch":'):
                return
            self.load.answered(self, f"closed: {frame[:80]!r}")
        elif not self.ready.done():
            if b'"ok":true' not in frame:
                raise RuntimeError(frame.decode(errors="replace"))
            self.ready.set_result(None)
        else:
            self.load.answered(self, "" if FILLED in frame else frame[:500].decode(errors="replace"))


def masked(payload: bytes, *, kind: int = TEXT) -> bytes:
    """Return a client's frame; a mask of zeros leaves the payload readable."""
    length = len(payload)
    size = bytes((0x80 | length,)) if length < 126 else bytes((0xFE,)) + length.to_bytes(2, "big")
    return bytes((kind,)) + size + b"\0\0\0\0" + payload


def whole_frames(buffer: bytearray, transport: asyncio.Transport) -> list[bytes]:
    """Take the payloads of all whole frames out of a buffer; pings are answered and left out."""
    frames, start = [], 0
    while len(buffer) - start >= 2:
        length, head = buffer[start + 1], 2
        if length == 126:
            length, head = int.from_bytes(buffer[start + 2 : start + 4], "big"), 4
        elif length == 127:
            length, head = int.from_bytes(buffer[start + 2 : start + 10], "big"), 10
        if len(buffer) < start + head + length:
            break
        payload = bytes(buffer[start + head : start + head + length])
        if buffer[start] == PING:
            transport.write(masked(payload, kind=PONG))
        else:
            frames.append(payload)
        start += head + length
    del buffer[:start]
    return frames


class Load:
    """All connections of one run, and what became of their orders."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.port: int = plan["port"]
        self.path: str = plan["path"]
        self.symbol: str = plan["symbol"]
        self.tag: str = plan["tag"]
        self.plan = plan
        self.acknowledged = 0
        self.problems: Counter[str] = Counter()
        self.latencies_s: list[float] = []
        self.unpriced = 0
        self.is_counting = self.was_counting = False
        self.is_stopping = False
        self.idle = asyncio.Event()
        self.waiting = 0

    def answered(self, client: Client, problem: str) -> None:
        """Note an answer and send the next order."""
        client.is_waiting = False
        if problem and not self.was_counting and OFF_QUOTES in problem:
            self.unpriced += 1  # a process that was just started may not have heard every price
        elif problem:
            self.problems[problem] += 1
        else:
            self.acknowledged += 1
            if self.is_counting:
                self.latencies_s.append(time.perf_counter() - client.sent_at)
        if self.is_stopping:
            self.waiting -= 1
            if not self.waiting:
                self.idle.set()
        else:
            client.send()

    def lost(self, client: Client) -> None:
        """Note a connection that ended in the middle."""
        if client.ready.done():
            self.is_stopping = True
            self.problems["connection lost"] += 1
            self.waiting -= 1
            if self.waiting <= 0:
                self.idle.set()
        else:
            client.ready.set_exception(RuntimeError("a connection was closed before it was ready"))

    async def run(self) -> dict[str, Any]:
        """Connect, warm up, measure, and wait for what is under way."""
        kind = RestClient if self.plan["kind"] == "rest" else SocketClient
        loop = asyncio.get_running_loop()
        clients = []
        for number, (account, token) in enumerate(self.plan["clients"]):
            client = kind(self, number, account, token)
            await loop.create_connection(lambda one=client: one, HOST, self.port)
            clients.append(client)
        await asyncio.wait_for(asyncio.gather(*(client.ready for client in clients)), 30)
        self.waiting = len(clients)
        for client in clients:
            client.send()
        await asyncio.sleep(self.plan["warmup_s"])
        self.is_counting = self.was_counting = True
        started = time.perf_counter()
        await asyncio.sleep(self.plan["seconds"])
        self.is_counting, seconds = False, time.perf_counter() - started
        orders = len(self.latencies_s)
        self.is_stopping = True
        await asyncio.wait_for(self.idle.wait(), ANSWER_TIMEOUT_S)
        ordered = sorted(self.latencies_s)
        return {
            "orders": orders,
            "per_s": orders / seconds,
            "acknowledged": self.acknowledged,
            "problems": dict(self.problems.most_common(5)),
            "p50_ms": ordered[len(ordered) // 2] * 1000 if ordered else 0.0,
            "p99_ms": ordered[int(len(ordered) * 0.99)] * 1000 if ordered else 0.0,
        }


async def _run(plan: dict[str, Any]) -> dict[str, Any]:
    return await Load(plan).run()


def main() -> None:
    """Run one plan."""
    plan = json.load(sys.stdin)
    print(json.dumps(uvloop.run(_run(plan))))


if __name__ == "__main__":
    main()
