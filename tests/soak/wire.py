"""
How a trader's program talks to the broker: one REST connection and one WebSocket per account. Imports nothing
of RTX.
"""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

HOST = "127.0.0.1"
ANSWER_TIMEOUT_S = 30.0

# How an operation of the WebSocket is said over REST: method, path, and the field that stands in the path.
REST = {
    "order.market": ("POST", "/api/orders/market", ""),
    "order.pending": ("POST", "/api/orders/pending", ""),
    "order.modify": ("PATCH", "/api/orders/{}", "order_id"),
    "order.cancel": ("DELETE", "/api/orders/{}", "order_id"),
    "position.modify": ("PATCH", "/api/positions/{}", "position_id"),
    "position.close": ("POST", "/api/positions/{}/close", "position_id"),
    "position.close_by": ("POST", "/api/positions/close-by", ""),
    "position.close_all": ("POST", "/api/positions/close-all", ""),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request brought. `code` is the error's; empty when it was accepted."""

    code: str
    body: dict[str, Any]
    took_s: float


class Rest:
    """A keep-alive connection that sends one request at a time."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._token = token
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, op: str, data: dict[str, Any]) -> Answer:
        """
        Send one operation and wait for its answer.

        :raises ConnectionError: the connection broke; the request's fate is open.
        """
        method, path, field = REST[op]
        body = {name: value for name, value in data.items() if name != field}
        return await self.call(method, path.format(data.get(field)), body)

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        """Make one HTTP call."""
        started = time.perf_counter()
        try:
            status, found = await asyncio.wait_for(self._exchange(method, path, body), ANSWER_TIMEOUT_S)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            self.close()
            raise ConnectionError(f"{method} {path}: {error!r}") from error
        code = "" if status < 300 else str(found.get("code") or status)
        return Answer(code, found, time.perf_counter() - started)

    def close(self) -> None:
        """Give the connection up; the next request makes another."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def _exchange(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, Any]:
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(HOST, self._port)
        raw = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {HOST}:{self._port}\r\n"
            f"Authorization: Bearer {self._token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
        )
        self._writer.write(head.encode() + raw)
        headers = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in headers[1:] if ": " in line)
        answer = await self._reader.readexactly(int(fields.get("content-length", "0")))
        if fields.get("connection") == "close":
            self.close()
        return int(headers[0].split()[1]), json.loads(answer or b"null")


class Socket:
    """A WebSocket: requests with their replies, and pushes handed to `heard` as they come."""

    def __init__(self, url: str, token: str, heard: Callable[[dict[str, Any]], None]) -> None:
        self._url = url
        self._token = token
        self._heard = heard
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._connection: ClientConnection | None = None
        self._listener: asyncio.Task[None] | None = None
        self.ended = ""

    @property
    def is_open(self) -> bool:
        """Whether requests may be sent and pushes may come."""
        return self._listener is not None and not self._listener.done()

    async def open(self) -> None:
        """Connect and authenticate."""
        self._connection = await connect(self._url, max_size=None, compression=None, open_timeout=30)
        self._listener = asyncio.create_task(self._listen())
        await self.request({"op": "auth", "token": self._token})

    async def ask(self, op: str, data: dict[str, Any]) -> Answer:
        """
        Send one operation and wait for its reply.

        :raises ConnectionError: the socket ended or did not answer; the request's fate is open.
        """
        started = time.perf_counter()
        reply = await self.request({"op": op, "data": data})
        took_s = time.perf_counter() - started
        if reply["ok"]:
            return Answer("", reply["data"], took_s)
        return Answer(str(reply["error"]["code"]), reply["error"], took_s)

    async def request(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send one frame and wait for its reply."""
        assert self._connection is not None
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await self._connection.send(json.dumps({"id": number, **message}))
            return await asyncio.wait_for(future, ANSWER_TIMEOUT_S)
        except (ConnectionClosed, TimeoutError) as error:
            future.cancel()
            raise ConnectionError(f"{message['op']}: {error!r}") from error
        finally:
            self._waiting.pop(number, None)

    async def close(self) -> None:
        """End the socket."""
        if self._listener is not None:
            self._listener.cancel()
        if self._connection is not None:
            await self._connection.close()

    async def _listen(self) -> None:
        assert self._connection is not None
        try:
            async for raw in self._connection:
                message = json.loads(raw)
                if "ch" in message:
                    self._heard(message)
                    continue
                future = self._waiting.get(message.get("id"))
                if future is not None and not future.done():
                    future.set_result(message)
        except ConnectionClosed as error:
            self.ended = str(error)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionError(f"the socket ended: {self.ended}"))
