"""
The quote bus over Redis: one message per tick batch, and a hash with the latest quote of every symbol.

Carries only what may be lost. A publisher never fails when Redis is away, it says so and tries again soon;
subscribers connect again by themselves and read the hash again, so nobody has to be told of a restart.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import redis
import redis.asyncio
import structlog
from django.conf import settings
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from apps.market.domain.quotes import Quote

CHANNEL = "rtx:quotes"
LATEST_KEY = "rtx:quotes:latest"
PUBLISH_TIMEOUT_S = 0.25
PUBLISH_PAUSE_S = 0.5  # after a failure nothing is tried for so long
CONNECT_TIMEOUT_S = 1.0
RECONNECT_PAUSE_S = 0.5
SILENCE_CHECK_S = 2.0  # a connection that is silent for so long is asked whether it lives
FAILURES = (redis.RedisError, OSError, asyncio.TimeoutError)

log = structlog.get_logger(__name__)


class QuoteBatch(NamedTuple):
    """Quotes in the order of arrival, and which of their symbols are simulated."""

    quotes: list[Quote]
    simulated: frozenset[str]


class _Wire(msgspec.Struct, array_like=True):
    """One quote on the wire: `["EURUSD","1.10001","1.10003",1700000000123,false]`."""

    symbol: str
    bid: Decimal
    ask: Decimal
    time_ms: int
    simulated: bool


_encoder = msgspec.json.Encoder()
_batch_decoder = msgspec.json.Decoder(list[_Wire])
_quote_decoder = msgspec.json.Decoder(_Wire)


def encode(quotes: Iterable[Quote], simulated: frozenset[str]) -> bytes:
    """Return a batch as the bytes of one message; prices are decimal text."""
    return _encoder.encode([_wire(quote, simulated) for quote in quotes])


def decode(message: bytes) -> QuoteBatch:
    """
    Return the batch of a message.

    :raises msgspec.DecodeError: the message is not one of ours.
    """
    return _batch(_batch_decoder.decode(message))


def _wire(quote: Quote, simulated: frozenset[str]) -> _Wire:
    return _Wire(quote.symbol, quote.bid, quote.ask, quote.time_ms, quote.symbol in simulated)


def _batch(wires: Iterable[_Wire]) -> QuoteBatch:
    quotes, simulated = [], set()
    for wire in wires:
        quotes.append(Quote(wire.symbol, wire.bid, wire.ask, wire.time_ms))
        if wire.simulated:
            simulated.add(wire.symbol)
    return QuoteBatch(quotes, frozenset(simulated))


class QuotePublisher:
    """The engine's side. Not for several threads at once."""

    def __init__(self, url: str | None = None) -> None:
        self._redis = redis.Redis.from_url(
            url or settings.REDIS_URL,
            socket_timeout=PUBLISH_TIMEOUT_S,
            socket_connect_timeout=PUBLISH_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._paused_until = 0.0
        self.failures = 0
        self.is_connected = False

    def publish(self, quotes: list[Quote], simulated: frozenset[str]) -> bool:
        """Send one batch and update the latest quotes in one round trip; False: Redis is away."""
        latest = {quote.symbol: _encoder.encode(_wire(quote, simulated)) for quote in quotes}
        return self._send(latest, encode(quotes, simulated))

    def restore(self, quotes: Iterable[Quote], simulated: frozenset[str]) -> bool:
        """Write the whole hash of latest quotes again, whatever Redis still has."""
        return self._send({quote.symbol: _encoder.encode(_wire(quote, simulated)) for quote in quotes}, None)

    def close(self) -> None:
        """Give the connection back."""
        self._redis.close()

    def _send(self, latest: dict[str, bytes], message: bytes | None) -> bool:
        if not latest or time.monotonic() < self._paused_until:
            return False
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                if message is not None:
                    pipe.publish(CHANNEL, message)
                pipe.hset(LATEST_KEY, mapping=latest)  # type: ignore[arg-type]
                pipe.execute()
        except FAILURES as error:
            self._paused_until = time.monotonic() + PUBLISH_PAUSE_S
            self.failures += 1
            if self.is_connected or self.failures == 1:
                log.warning("quote_bus_away", error=str(error))
            self.is_connected = False
            return False
        if not self.is_connected:
            log.info("quote_bus_connected")
        self.is_connected = True
        return True


class QuoteSubscriber:
    """
    Follows the bus in the thread of `run`: `on_latest` after each (re)connection, `on_batch` per message.

    Both are called in that thread and must be quick.
    """

    def __init__(
        self,
        *,
        on_latest: Callable[[QuoteBatch], None],
        on_batch: Callable[[QuoteBatch], None],
        url: str | None = None,
    ) -> None:
        self._url = url or settings.REDIS_URL
        self._on_latest = on_latest
        self._on_batch = on_batch
        self._stopping = threading.Event()
        self.attempted = threading.Event()

    def run(self) -> None:
        """Follow until `stop`; every failure of Redis is survived."""
        while not self._stopping.is_set():
            try:
                self._follow()
            except FAILURES as error:
                log.warning("quote_subscriber_away", error=str(error))
            finally:
                self.attempted.set()
            self._stopping.wait(RECONNECT_PAUSE_S)

    def stop(self) -> None:
        """End `run` within about a second."""
        self._stopping.set()

    def _follow(self) -> None:
        client = redis.Redis.from_url(
            self._url,
            socket_timeout=CONNECT_TIMEOUT_S,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        with client, client.pubsub(ignore_subscribe_messages=True) as feed:
            feed.subscribe(CHANNEL)
            known = self._read_latest(client)
            self.attempted.set()
            heard = time.monotonic()
            while not self._stopping.is_set():
                message = feed.get_message(timeout=0.5)
                now = time.monotonic()
                if message is not None:
                    heard = now
                    if message["type"] == "message":
                        _deliver(message["data"], self._on_batch)
                elif now - heard > SILENCE_CHECK_S:
                    heard = now
                    client.ping()
                    feed.ping()
                    known = known or self._read_latest(client)

    def _read_latest(self, client: "redis.Redis") -> bool:
        batch = _latest(client.hvals(LATEST_KEY))
        if batch.quotes:
            self._on_latest(batch)
        return bool(batch.quotes)


class AsyncQuoteSubscriber:
    """The same for an event loop (the stream process): `await run()` in a task, cancel it to stop."""

    def __init__(
        self,
        *,
        on_latest: Callable[[QuoteBatch], None],
        on_batch: Callable[[QuoteBatch], None],
        url: str | None = None,
    ) -> None:
        self._url = url or settings.REDIS_URL
        self._on_latest = on_latest
        self._on_batch = on_batch

    async def run(self) -> None:
        """Follow until cancelled; every failure of Redis is survived."""
        while True:
            try:
                await self._follow()
            except FAILURES as error:
                log.warning("quote_subscriber_away", error=str(error))
            await asyncio.sleep(RECONNECT_PAUSE_S)

    async def _follow(self) -> None:
        client = redis.asyncio.Redis.from_url(
            self._url,
            socket_timeout=CONNECT_TIMEOUT_S,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            retry=AsyncRetry(NoBackoff(), 0),
        )
        async with client, client.pubsub(ignore_subscribe_messages=True) as feed:
            await feed.subscribe(CHANNEL)
            known = await self._read_latest(client)
            heard = time.monotonic()
            while True:
                message = await feed.get_message(timeout=SILENCE_CHECK_S)
                now = time.monotonic()
                if message is not None:
                    heard = now
                    if message["type"] == "message":
                        _deliver(message["data"], self._on_batch)
                elif now - heard > SILENCE_CHECK_S:
                    heard = now
                    await client.ping()
                    await feed.ping()
                    known = known or await self._read_latest(client)

    async def _read_latest(self, client: "redis.asyncio.Redis") -> bool:
        batch = _latest(await client.hvals(LATEST_KEY))
        if batch.quotes:
            self._on_latest(batch)
        return bool(batch.quotes)


def _latest(values: Iterable[Any]) -> QuoteBatch:
    """Return the readable values of the hash; a value that is not ours is logged and left out."""
    wires = []
    for value in values:
        try:
            wires.append(_quote_decoder.decode(value))
        except msgspec.DecodeError as error:
            log.warning("quote_bus_bad_value", error=str(error))
    return _batch(wires)


def _deliver(message: bytes, on_batch: Callable[[QuoteBatch], None]) -> None:
    try:
        batch = decode(message)
    except msgspec.DecodeError as error:
        log.warning("quote_bus_bad_message", error=str(error))
        return
    on_batch(batch)
