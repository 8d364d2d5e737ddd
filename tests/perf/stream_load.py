"""
Load for the stream: many WebSocket clients in one lean process, which also publishes the quotes it waits for.

Run as a module by the benchmarks; prints one JSON object. Real handshakes, real authentication frames,
every frame parsed and counted. Quotes are published in a closed loop: the next batch leaves when few enough
are under way, so the server is always busy and nothing piles up where it would not be seen.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast

import redis.asyncio
import uvloop

from apps.market.adapters.bus import CHANNEL, encode
from apps.market.domain.quotes import Quote

QUOTES_MARK = b'{"ch":"quotes"'
REFUSED_MARK = b'"ok":false'
LATENCY_SOCKETS = 25  # so many sockets have the age of their quotes measured
STALLED_S = 2.0

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: cnR4LWJlbmNoLWtleS0xMg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def masked(payload: bytes) -> bytes:
    """Return a client's text frame; a mask of zeros leaves the payload readable."""
    length = len(payload)
    head = bytes((0x81, 0x80 | length)) if length < 126 else bytes((0x81, 0xFE)) + length.to_bytes(2, "big")
    return head + b"\0\0\0\0" + payload


class Client(asyncio.BufferedProtocol):
    """One socket: sends its greetings after the handshake, then counts frames."""

    def __init__(self, hello: bytes, greetings: list[bytes], ages_ms: list[int] | None) -> None:
        self.quotes_frames = 0
        self.other_frames = 0
        self.is_closed = False
        self.refusal = ""
        self._hello = hello
        self._greetings = greetings
        self._ages_ms = ages_ms
        self._buffer = bytearray(262_144)
        self._view = memoryview(self._buffer)
        self._held = 0
        self._is_open = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the handshake."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._hello)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        self.is_closed = True

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend the free part of the buffer."""
        return self._view[self._held :]

    def buffer_updated(self, nbytes: int) -> None:
        """Parse and count what arrived."""
        end = self._held + nbytes
        start = 0 if self._is_open else self._handshake(end)
        if start >= 0:
            start = self._count(start, end)
            rest = end - start
            if rest and start:
                self._buffer[0:rest] = self._buffer[start:end]
            end = rest
        self._held = end

    def _handshake(self, end: int) -> int:
        head = self._buffer.find(b"\r\n\r\n", 0, end)
        if head < 0:
            return -1
        if not self._buffer.startswith(b"HTTP/1.1 101"):
            raise RuntimeError(bytes(self._buffer[:head]).decode(errors="replace"))
        self._is_open = True
        assert self._transport is not None
        self._transport.write(b"".join(map(masked, self._greetings)))
        return head + 4

    def _count(self, start: int, end: int) -> int:
        buffer = self._buffer
        while end - start >= 2:
            length, head = buffer[start + 1], 2
            if length == 126:
                if end - start < 4:
                    break
                length, head = buffer[start + 2] << 8 | buffer[start + 3], 4
            following = start + head + length
            if following > end:
                break
            if buffer.startswith(QUOTES_MARK, start + head):
                self.quotes_frames += 1
                if self._ages_ms is not None:
                    at = buffer.rfind(b'"t":', start, following) + 4
                    self._ages_ms.append(time.time_ns() // 1000 - int(buffer[at : buffer.find(b"}", at)]))
            else:
                self.other_frames += 1
                if buffer.find(REFUSED_MARK, start, following) >= 0:
                    self.refusal = bytes(buffer[start + head : following]).decode(errors="replace")
            start = following
        return start


class Load:
    """All clients, and the quotes for them."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.ages_us: list[int] = []
        self.clients: list[Client] = []
        self.symbols: list[str] = args.symbols.split(",")

    async def connect(self) -> None:
        """Open all sockets and wait until each answered its greetings."""
        greetings = [greeting.encode() for greeting in self.args.greeting]
        hello = HANDSHAKE.format(path=self.args.path, host="127.0.0.1", port=self.args.port).encode()
        loop = asyncio.get_running_loop()
        await self._server_is_up()
        for number in range(self.args.sockets):
            ages = self.ages_us if number % max(self.args.sockets // LATENCY_SOCKETS, 1) == 0 else None
            client = Client(hello, greetings, ages)
            await loop.create_connection(lambda c=client: c, "127.0.0.1", self.args.port)
            self.clients.append(client)
        wanted = max(len(greetings), 1)
        await self.until(
            lambda: all(c.other_frames >= wanted for c in self.clients), self.args.patience, "greetings"
        )
        if refusals := {client.refusal for client in self.clients if client.refusal}:
            raise RuntimeError(f"refused: {refusals}")

    async def _server_is_up(self) -> None:
        deadline = time.monotonic() + self.args.patience
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.args.port)
            except OSError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.1)
            else:
                writer.close()
                return

    async def until(self, is_so: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Wait for a condition, or say what did not happen."""
        deadline = time.monotonic() + timeout_s
        while not is_so():
            for client in self.clients:
                if client.is_closed or client.refusal:
                    raise RuntimeError(
                        f"a socket was closed or refused while waiting for {what}: {client.refusal}"
                    )
            if time.monotonic() > deadline:
                raise RuntimeError(f"timed out waiting for {what}")
            await asyncio.sleep(0.002)

    def received(self) -> int:
        """Return how many quote frames arrived in all."""
        return sum(client.quotes_frames for client in self.clients)

    def batch(self) -> list[Quote]:
        """Return one quote per symbol, stamped with the present in microseconds."""
        now_us = time.time_ns() // 1000
        return [Quote(name, Decimal("1.10001"), Decimal("1.10003"), now_us) for name in self.symbols]

    async def closed_loop(self, publish: Callable[[list[Quote]], Any], seconds: float) -> dict[str, Any]:
        """Publish whenever fewer than `window` batches are under way; return counts and ages."""
        expected = self.received()
        started, stalled = time.monotonic(), 0
        begin_frames = expected
        self.ages_us.clear()
        batches = 0
        while time.monotonic() - started < seconds:
            await publish(self.batch())
            batches += 1
            expected += len(self.clients)
            waiting_since = time.monotonic()
            while self.received() < expected - (self.args.window - 1) * len(self.clients):
                if time.monotonic() - waiting_since > STALLED_S:
                    stalled += 1
                    expected = self.received()
                    break
                await asyncio.sleep(0)
        elapsed = time.monotonic() - started
        return self._result(batches, elapsed, self.received() - begin_frames, stalled)

    async def open_loop(self, publish: Callable[[list[Quote]], Any], seconds: float) -> dict[str, Any]:
        """Publish at a fixed rate, whatever arrives."""
        begin_frames, started = self.received(), time.monotonic()
        self.ages_us.clear()
        batches = 0
        while (elapsed := time.monotonic() - started) < seconds:
            await asyncio.sleep(max(0.0, batches / self.args.rate - elapsed))
            await publish(self.batch())
            batches += 1
        await asyncio.sleep(0.1)
        return self._result(batches, time.monotonic() - started, self.received() - begin_frames, 0)

    def _result(self, batches: int, elapsed_s: float, frames: int, stalled: int) -> dict[str, Any]:
        ages = sorted(self.ages_us)
        counts = [client.quotes_frames for client in self.clients]
        return {
            "frames_per_s": frames / elapsed_s,
            "quotes_per_s": frames * len(self.symbols) / elapsed_s,
            "batches": batches,
            "frames": frames,
            "stalled": stalled,
            "uneven": max(counts) - min(counts),
            "p50_ms": ages[len(ages) // 2] / 1000 if ages else None,
            "p99_ms": ages[int(len(ages) * 0.99)] / 1000 if ages else None,
        }


async def main(args: argparse.Namespace) -> dict[str, Any]:
    """Connect, warm up, measure."""
    load = Load(args)
    await load.connect()
    publish, close = await publisher(args)
    try:
        measure = load.open_loop if args.rate else load.closed_loop
        await measure(publish, args.seconds / 4)
        return await measure(publish, args.seconds)
    finally:
        await close()


async def publisher(args: argparse.Namespace) -> tuple[Callable[[list[Quote]], Any], Callable[[], Any]]:
    """Return how quotes reach the server under test: the quote bus, or `group_send` of a channel layer."""
    if args.layer:
        from tests.perf.group_send_app import group_name, make_layer

        layer = make_layer(args.layer, args.redis)

        async def send_to_groups(quotes: list[Quote]) -> None:
            for quote in quotes:
                text = (
                    f'{{"ch":"quotes","q":[{{"s":"{quote.symbol}","b":"{quote.bid}","a":"{quote.ask}",'
                    f'"t":{quote.time_ms}}}]}}'
                )
                await layer.group_send(group_name(quote.symbol), {"type": "quote.text", "text": text})

        return send_to_groups, layer.close_pools if args.layer == "core" else layer.flush
    client = redis.asyncio.Redis.from_url(args.redis)

    async def send_to_bus(quotes: list[Quote]) -> None:
        await client.publish(CHANNEL, encode(quotes, frozenset()))

    return send_to_bus, client.aclose


def parsed(argv: list[str]) -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", default="/ws")
    parser.add_argument("--redis", required=True)
    parser.add_argument("--sockets", type=int, default=500)
    parser.add_argument("--symbols", required=True)
    parser.add_argument("--greeting", action="append", default=[])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--window", type=int, default=6)
    parser.add_argument("--rate", type=float, default=0.0, help="Batches per second; 0: closed loop.")
    parser.add_argument("--patience", type=float, default=30.0, help="Seconds to wait for the server.")
    parser.add_argument("--layer", default="", help="core or pubsub: use group_send of that channel layer.")
    return parser.parse_args(argv)


if __name__ == "__main__":
    print(json.dumps(uvloop.run(main(parsed(sys.argv[1:])))))
