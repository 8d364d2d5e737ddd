"""
Live candles of one stream process: the running bars of all symbols, built from the raw bids of the quote bus.

Changed bars are sent a few times a second, each as it stands; a slow client gets the latest state of each
bar. History is read over REST. Lives on the event loop; knows neither Redis nor the database.
"""

from collections.abc import Iterable, Mapping

from apps.market.domain.candles import INTERVALS_MS, Bar, Bucket, CandleBuilder
from apps.market.domain.quotes import Quote
from apps.trading.consumers.connection import Connection
from apps.trading.consumers.frames import json_frame
from rtx.kernel.money import text

INTERVALS = tuple(INTERVALS_MS)

Topic = tuple[str, str]


def candle_frame(bucket: Bucket, bar: Bar) -> bytes:
    """Return the frame of one bar; `t` is its opening in milliseconds since the epoch."""
    return json_frame(
        {
            "ch": "candles",
            "symbol": bucket.symbol,
            "interval": bucket.interval,
            "t": bucket.opened_ms,
            "open": text(bar.open),
            "high": text(bar.high),
            "low": text(bar.low),
            "close": text(bar.close),
            "ticks": bar.ticks,
        }
    )


class CandleFeed:
    """Builds running bars and sends those that changed to whoever subscribes to them."""

    def __init__(self) -> None:
        self._builder = CandleBuilder()
        self._early: list[Quote] | None = []
        self._members: dict[Topic, dict[Connection, None]] = {}

    def resume(self, minutes: Mapping[str, list[tuple[int, Bar]]]) -> None:
        """
        Start from the day's stored minutes, symbol -> `(opened_ms, bar)` in time order, then take quotes.
        """
        for symbol, bars in minutes.items():
            self._builder.resume(symbol, bars)
        early, self._early = self._early or [], None
        self.publish(early)

    def publish(self, batch: Iterable[Quote]) -> None:
        """Take a tick batch in; what comes before `resume` waits for it."""
        if self._early is not None:
            self._early.extend(batch)
            return
        for quote in batch:
            self._builder.add(quote.symbol, quote.bid, quote.time_ms)

    def subscribe(self, connection: Connection, *, symbol: str, interval: str) -> None:
        """Add a socket to a symbol's candles and send the running bar."""
        self._members.setdefault((symbol, interval), {})[connection] = None
        running = self._builder.running(symbol, interval)
        if running is not None:
            opened, bar = running
            connection.send(candle_frame(Bucket(symbol, interval, opened), bar))

    def unsubscribe(
        self, connection: Connection, *, symbol: str | None = None, interval: str | None = None
    ) -> None:
        """Remove a socket from the candles that match; None matches all."""
        for topic in list(self._members):
            if (symbol is None or topic[0] == symbol) and (interval is None or topic[1] == interval):
                members = self._members[topic]
                members.pop(connection, None)
                if not members:
                    del self._members[topic]
        connection.forget_latest(lambda key: isinstance(key, Bucket) and not self._wants(connection, key))

    def leave(self, connection: Connection) -> None:
        """Forget a socket."""
        self.unsubscribe(connection)

    def flush(self) -> None:
        """Send every bar that changed since the last call. Called a few times a second."""
        changed = self._builder.drain()
        for bucket, bar in changed.items():
            members = self._members.get((bucket.symbol, bucket.interval))
            if members:
                frame = candle_frame(bucket, bar)
                for connection in members:
                    connection.push_latest(bucket, frame)

    def _wants(self, connection: Connection, bucket: Bucket) -> bool:
        return connection in self._members.get((bucket.symbol, bucket.interval), ())
