"""
The broker's WebSocket: prices, candles, the account's journal and orders over one connection that comes back
by itself.

A broken connection is opened again after a random, growing pause; subscriptions are made anew, and the
account's journal goes on after the last event that was seen: no gap, no repeat. A request that lost its
answer is repeated with the same id, so that nothing happens twice.
"""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from decimal import Decimal
from types import TracebackType
from typing import Any, Self, TypeAlias

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidURI, WebSocketException

from rtx_client import errors
from rtx_client.models import Bar, Event, Order, Quote
from rtx_client.values import from_ms, new_id, text_of

log = logging.getLogger(__name__)

LOGIN_ENDED = frozenset({4401, 4403, 4410})
TOO_MANY_REQUESTS = 4429
TOO_MANY_PAUSE_S = 5.0
WAITING_MAX = 10_000
LOGINS_REFUSED_MAX = 2
FAULTS_MAX = 5  # of the broker, before a subscription that meets one each time is given up
AGAIN = (errors.ConnectionLost, errors.Busy, errors.OutcomeUnknown, errors.Unavailable, errors.RateLimited)

Message: TypeAlias = Quote | Event | Bar
Key: TypeAlias = tuple[str, ...]


class RtxStream:
    """
    One user's stream. `ticket` brings a fresh ticket, such as `RtxClient.ws_ticket` (called in a thread).

    Iterate over it for quotes, bars and journal events. A slow reader gets the latest quote of each symbol
    and every event; while 10,000 messages wait, nothing more is read.
    """

    def __init__(
        self,
        url: str,
        ticket: Callable[[], str],
        *,
        pause_s: float = 0.25,
        pause_max_s: float = 15.0,
        timeout_s: float = 15.0,
        attempts: int = 4,
    ) -> None:
        self._url = url
        self._ticket = ticket
        self._pause_s = pause_s
        self._pause_max_s = pause_max_s
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._socket: ClientConnection | None = None
        self._connected = asyncio.Event()
        self._messages: asyncio.Queue[Event | Key | errors.RtxError] = asyncio.Queue(WAITING_MAX)
        self._aside: list[errors.RtxError] = []  # told while the queue was full
        self._latest: dict[Key, Quote | Bar] = {}
        self._was_alive = False
        self._waiting: dict[int, tuple[asyncio.Future[Any], Callable[[Any], None]]] = {}
        self._accounts: dict[int, int | None] = {}
        self._others: dict[str, dict[str, Any]] = {}
        self._numbers = self._faults = 0
        self._runner: asyncio.Task[None] | None = None
        self._ended: errors.RtxError | None = None
        self.connections = 0

    async def __aenter__(self) -> Self:
        self._runner = asyncio.create_task(self._run(), name="rtx-stream")
        try:
            await self._ready()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection for good."""
        if self._runner is not None:
            self._runner.cancel()
            with suppress(asyncio.CancelledError):
                await self._runner
            self._runner = None

    # -- what comes

    def __aiter__(self) -> AsyncIterator[Message]:
        return self

    async def __anext__(self) -> Message:
        """
        Return the next message.

        :raises NotAuthenticated: the login behind the stream has ended.
        :raises RtxError: a subscription could not be made again after a break; the rest goes on.
        """
        if self._aside:
            raise self._aside.pop(0)
        if self._ended is not None and self._messages.empty():
            raise self._ended
        found = await self._messages.get()
        if isinstance(found, errors.RtxError):
            raise found
        return self._latest.pop(found) if isinstance(found, tuple) else found

    # -- what to receive

    async def subscribe_quotes(self, *symbols: str, account: int | None = None) -> None:
        """Receive the prices of symbols, those of the account's group."""
        fields: dict[str, Any] = {"channel": "quotes", "symbols": list(symbols)}
        await self._keep(f"quotes:{account}:{','.join(symbols)}", fields, account)

    async def subscribe_candles(self, symbol: str, interval: str, *, account: int | None = None) -> None:
        """Receive the running bar of a symbol."""
        fields: dict[str, Any] = {"channel": "candles", "symbol": symbol, "interval": interval}
        await self._keep(f"candles:{symbol}:{interval}", fields, account)

    async def subscribe_account(self, account: int, *, since: int | None = None) -> None:
        """Receive the account's journal after event `since`, or from now on; without gap or repeat."""
        self._accounts[account] = since
        try:
            await self._repeated(lambda: self._subscribe_account(account))
        except errors.RtxError:
            self._accounts.pop(account, None)
            raise

    async def _keep(self, name: str, fields: dict[str, Any], account: int | None) -> None:
        if account is not None:
            fields["account"] = account
        await self._repeated(lambda: self._ask("subscribe", fields))
        self._others[name] = fields

    # -- what to do

    async def request(self, op: str, **fields: Any) -> Any:
        """Send one request, such as `ping`, and return its answer's data."""
        return await self._repeated(lambda: self._ask(op, fields))

    async def trade(self, op: str, **data: Any) -> dict[str, Any]:
        """
        Do what REST does, such as `order.market` or `position.close`, and return the answer.

        Without a `client_order_id` one is made, so that a repeat after a lost answer happens only once.

        :raises RtxError: what the broker says instead, by its code.
        :raises TypeError: a float, which is not exact.
        """
        data.setdefault("client_order_id", new_id())
        sent = {name: text_of(value) for name, value in data.items()}
        found: dict[str, Any] = await self.request(op, data=sent)
        return found

    async def order(self, op: str, **data: Any) -> Order:
        """Do what `trade` does where the answer is an order."""
        return Order.read(await self.trade(op, **data))

    async def _repeated(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        for attempt in range(1, self._attempts + 1):
            await self._ready()
            try:
                return await ask()
            except AGAIN as error:
                if attempt == self._attempts:
                    raise
                await asyncio.sleep((error.retry_after_s or 0.0) + self._pause(attempt))
        raise AssertionError("the last attempt returns or raises")

    async def _ready(self) -> None:
        if self._ended is not None:
            raise self._ended
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._connected.wait()
        except TimeoutError:
            raise errors.ConnectionLost("the broker cannot be reached") from None
        if self._ended is not None:
            raise self._ended

    async def _ask(
        self, op: str, fields: dict[str, Any], told: Callable[[Any], None] = lambda data: None
    ) -> Any:
        """Send a request and wait for its reply; `told` sees the reply before anything that follows it."""
        socket = self._socket
        if socket is None:
            raise errors.ConnectionLost("the connection is broken")
        self._numbers += 1
        number = self._numbers
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = reply, told
        try:
            async with asyncio.timeout(self._timeout_s):
                await socket.send(json.dumps({"op": op, "id": number, **fields}))
                return await reply
        except TimeoutError:
            raise errors.OutcomeUnknown("no answer in time", code="outcome_unknown") from None
        except WebSocketException:
            raise errors.ConnectionLost("the connection broke") from None
        finally:
            self._waiting.pop(number, None)

    async def _subscribe_account(self, account: int) -> None:
        fields: dict[str, Any] = {"channel": "account", "account": account}
        since = self._accounts.get(account)
        if since is not None:
            fields["since"] = since

        def told(data: Any) -> None:
            last = self._accounts.get(account)
            if last is None or last < data["seq"]:  # events that came before the reply count
                self._accounts[account] = data["seq"]

        await self._ask("subscribe", fields, told)

    # -- the connection

    async def _run(self) -> None:
        try:
            await self._stay_connected()
        except Exception as fault:
            self._end(errors.RtxError(f"the stream failed: {fault!r}"))
            raise

    async def _stay_connected(self) -> None:
        """Connect again and again, until the login behind the stream has ended."""
        failures = refused = 0
        while True:
            code, self._was_alive = 0, False
            try:
                ticket = await asyncio.to_thread(self._ticket)
                async with connect(f"{self._url}?ticket={ticket}", open_timeout=self._timeout_s) as socket:
                    code = await self._live(socket)
            except errors.NotAuthenticated as error:
                self._end(error)
                return
            except (OSError, InvalidHandshake, errors.RtxError) as error:
                log.info("the stream broke, connecting again: %s", error)
            except InvalidURI as error:
                self._end(errors.RtxError(str(error)))
                return
            if self._was_alive:
                failures = refused = 0
            refused += code in LOGIN_ENDED
            if refused >= LOGINS_REFUSED_MAX:
                self._end(errors.NotAuthenticated(f"the stream was closed ({code})", status=401))
                return
            failures += 1
            wait = self._pause(failures)
            await asyncio.sleep(wait + (TOO_MANY_PAUSE_S if code == TOO_MANY_REQUESTS else 0.0))

    async def _live(self, socket: ClientConnection) -> int:
        """Serve one connection; return the code that it was closed with."""
        self._socket = socket
        renewal = asyncio.create_task(self._renew())
        try:
            async for text in socket:
                await self._take(json.loads(text, parse_float=Decimal))
        except WebSocketException:
            pass  # the close code tells
        finally:
            self._socket = None
            self._connected.clear()
            renewal.cancel()
            for reply, _ in self._waiting.values():
                if not reply.done():
                    reply.set_exception(errors.ConnectionLost("the connection broke before the answer"))
        return socket.close_code or 0

    async def _renew(self) -> None:
        """Make the subscriptions of the last connection again, then let requests through."""
        try:
            for account in list(self._accounts):
                try:
                    await self._subscribe_account(account)
                except errors.RtxError as error:
                    self._refused(error)
                    self._accounts.pop(account, None)
            for name, fields in list(self._others.items()):
                try:
                    await self._ask("subscribe", fields)
                except errors.RtxError as error:
                    self._refused(error)
                    self._others.pop(name, None)
            await self._ask("ping", {})
        except errors.RtxError:
            if self._socket is not None:
                await self._socket.close()
            return
        self._was_alive, self._faults = True, 0
        self.connections += 1
        self._connected.set()

    async def _take(self, message: dict[str, Any]) -> None:
        match message.get("ch"):
            case None:
                self._answered(message)
            case "quotes":
                for one in message["q"]:
                    bid, ask = Decimal(one["b"]), Decimal(one["a"])
                    quote = Quote(symbol=one["s"], bid=bid, ask=ask, time=from_ms(one["t"]))
                    await self._put_latest(("quote", quote.symbol), quote)
            case "account":
                await self._event(message)
            case "candles":
                prices = {name: Decimal(message[name]) for name in ("open", "high", "low", "close")}
                bar = Bar(
                    symbol=message["symbol"],
                    interval=message["interval"],
                    time=from_ms(message["t"]),
                    ticks=message["ticks"],
                    **prices,
                )
                await self._put_latest(("bar", bar.symbol, bar.interval, bar.time.isoformat()), bar)

    async def _put_latest(self, key: Key, value: Quote | Bar) -> None:
        """Leave a value for the reader, in place of the one with the same key that still waits."""
        is_waiting = key in self._latest
        self._latest[key] = value
        if not is_waiting:
            await self._messages.put(key)

    async def _event(self, message: dict[str, Any]) -> None:
        """Pass on the event that follows the last one; a repeat is dropped, a gap begins anew."""
        account, seq = message["account"], message["seq"]
        last = self._accounts.get(account)
        if last is None or seq <= last:
            return
        if seq > last + 1:
            raise errors.ConnectionLost(f"event {last + 1} of account {account} is missing")
        await self._messages.put(Event.read(message))
        self._accounts[account] = seq

    def _answered(self, message: dict[str, Any]) -> None:
        reply, told = self._waiting.get(message.get("id", 0), (None, None))
        if reply is None or told is None or reply.done():
            return
        if message["ok"]:
            told(message["data"])
            reply.set_result(message["data"])
            return
        error = message["error"]
        reply.set_exception(
            errors.of(error["code"])(
                error["detail"],
                code=error["code"],
                errors=error.get("errors"),
                retry_after_s=error.get("retry_after_s"),
            )
        )

    def _end(self, error: errors.RtxError) -> None:
        self._ended = error
        self._connected.set()
        with suppress(asyncio.QueueFull):  # whoever empties the queue comes to it
            self._messages.put_nowait(error)

    def _refused(self, error: errors.RtxError) -> None:
        """
        Tell the reader of a subscription that the broker makes no longer; the rest of the stream goes on.

        :raises RtxError: the error, when it says nothing about the subscription: connect again.
        """
        if isinstance(error, AGAIN):
            raise error
        if isinstance(error, errors.ServerFault) and self._faults < FAULTS_MAX:
            self._faults += 1
            raise error
        try:
            self._messages.put_nowait(error)
        except asyncio.QueueFull:
            self._aside.append(error)

    def _pause(self, attempt: int) -> float:
        """Return a random pause that grows with each attempt, so that clients do not come back together."""
        longest: float = min(self._pause_max_s, self._pause_s * 2.0**attempt)
        return random.uniform(0.1, 1.0) * longest  # noqa: S311 - no secret
