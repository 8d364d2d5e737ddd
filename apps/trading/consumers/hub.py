"""
The quote hub of one stream process: markup once per (symbol, markup), encoding once per audience, then
plain writes.

Sockets with the same streams form one audience; one tick batch becomes one frame per audience, the same
bytes for all its members. Lives on the event loop and never waits. Knows neither Redis nor the database:
quotes and terms come in.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping

import orjson

from apps.groups.domain.terms import Terms, client_quote
from apps.market.domain.quotes import Quote
from apps.trading.consumers.connection import Connection
from apps.trading.consumers.frames import quote_part, quotes_frame

TermsOf = Callable[[int, str], Terms | None]


class QuoteStream:
    """One symbol with one markup: the latest client quote, encoded, and who wants it."""

    __slots__ = ("_name", "audiences", "part", "terms")

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.part = b""
        self.audiences: dict[Audience, None] = {}
        self._name = orjson.dumps(terms.symbol.name)

    def update(self, raw: Quote) -> None:
        """Take a raw quote over: apply the markup and encode."""
        quote = client_quote(raw=raw, terms=self.terms)
        self.part = quote_part(symbol=self._name, bid=quote.bid, ask=quote.ask, time_ms=quote.time_ms)


class Audience:
    """All sockets that subscribe to exactly the same streams."""

    __slots__ = ("members", "streams")

    def __init__(self, streams: frozenset[QuoteStream]) -> None:
        self.streams = streams
        self.members: dict[Connection, None] = {}


class QuoteHub:
    """Fans quotes out to the subscribers of this process."""

    def __init__(self, terms_of: TermsOf) -> None:
        self.terms_of = terms_of
        self.messages = 0
        self.ticks = 0
        self._board: dict[str, Quote] = {}
        self._streams: dict[Hashable, QuoteStream] = {}
        self._by_symbol: dict[str, list[QuoteStream]] = {}
        self._audiences: dict[frozenset[QuoteStream], Audience] = {}
        self._audience_of: dict[Connection, Audience] = {}
        self._wishes: dict[Connection, dict[str, int]] = {}

    # Subscribing

    def offered(self, group_id: int, symbol: str) -> bool:
        """Tell whether a group trades a symbol."""
        return self.terms_of(group_id, symbol) is not None

    def subscribe(self, connection: Connection, *, group_id: int, symbols: Iterable[str]) -> None:
        """
        Add symbols at a group's prices and send their present quotes. A symbol has one price per socket.
        """
        wishes = self._wishes.setdefault(connection, {})
        wanted = dict.fromkeys(symbols, group_id)
        wishes.update(wanted)
        self._place(connection)
        self._send_snapshot(connection, wanted)

    def regroup(self, connection: Connection, groups: Mapping[str, int]) -> None:
        """Give the subscribed symbols of a socket another group's prices: its account has moved."""
        wishes = self._wishes.get(connection, {})
        changed = {name: group for name, group in groups.items() if wishes.get(name, group) != group}
        if changed:
            self.subscribe(connection, group_id=next(iter(changed.values())), symbols=changed)

    def unsubscribe(self, connection: Connection, symbols: Iterable[str] | None = None) -> None:
        """Remove symbols, or all of them."""
        wishes = self._wishes.get(connection)
        if wishes is None:
            return
        for symbol in list(wishes) if symbols is None else symbols:
            wishes.pop(symbol, None)
        self._place(connection)

    def leave(self, connection: Connection) -> None:
        """Forget a socket."""
        if self._wishes.pop(connection, None) is not None:
            self._place(connection)

    def subscribed(self, connection: Connection) -> list[str]:
        """Return the symbols of a socket, sorted."""
        return sorted(self._wishes.get(connection, ()))

    def _send_snapshot(self, connection: Connection, symbols: Iterable[str]) -> None:
        audience = self._audience_of.get(connection)
        if audience is None:
            return
        named = set(symbols)
        streams = [s for s in audience.streams if s.part and s.terms.symbol.name in named]
        if streams:
            streams.sort(key=lambda stream: stream.terms.symbol.name)
            connection.push_quotes(quotes_frame(stream.part for stream in streams), streams)

    def _place(self, connection: Connection) -> None:
        """Move a socket to the audience that its wishes ask for."""
        old = self._audience_of.get(connection)
        streams = self._wanted(connection)
        if old is not None and old.streams == streams:
            return
        if streams:
            audience = self._audience(streams)
            audience.members[connection] = None
            self._audience_of[connection] = audience
        else:
            self._audience_of.pop(connection, None)
        if old is not None:
            connection.forget(old.streams - streams)
            del old.members[connection]
            if not old.members:
                self._discard(old)

    def _wanted(self, connection: Connection) -> frozenset[QuoteStream]:
        found = (self.terms_of(group, symbol) for symbol, group in self._wishes.get(connection, {}).items())
        return frozenset(self._stream(terms) for terms in found if terms is not None)

    def _audience(self, streams: frozenset[QuoteStream]) -> Audience:
        audience = self._audiences.get(streams)
        if audience is None:
            audience = self._audiences[streams] = Audience(streams)
            for stream in streams:
                stream.audiences[audience] = None
        return audience

    def _stream(self, terms: Terms) -> QuoteStream:
        key = (terms.symbol.name, terms.symbol.digits, *terms.profile)
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = QuoteStream(terms)
            self._by_symbol.setdefault(terms.symbol.name, []).append(stream)
            raw = self._board.get(terms.symbol.name)
            if raw is not None:
                stream.update(raw)
        return stream

    def _discard(self, audience: Audience) -> None:
        del self._audiences[audience.streams]
        for stream in audience.streams:
            stream.audiences.pop(audience, None)
            if not stream.audiences:
                terms = stream.terms
                self._streams.pop((terms.symbol.name, terms.symbol.digits, *terms.profile), None)
                self._by_symbol[terms.symbol.name].remove(stream)

    # Terms and quotes

    def reprice(self, terms_of: TermsOf) -> None:
        """Take changed terms over: every socket moves to the streams that its group's terms now name."""
        self.terms_of = terms_of
        for connection in list(self._wishes):
            before = self._audience_of.get(connection)
            self._place(connection)
            after = self._audience_of.get(connection)
            if after is not None and after is not before:
                known = before.streams if before is not None else frozenset()
                self._send_snapshot(connection, [s.terms.symbol.name for s in after.streams - known])

    def restore(self, quotes: Mapping[str, Quote]) -> None:
        """Take last quotes over for symbols that have none yet or an older one."""
        self.publish(
            quote
            for symbol, quote in quotes.items()
            if symbol not in self._board or self._board[symbol].time_ms < quote.time_ms
        )

    def publish(self, batch: Iterable[Quote]) -> None:
        """Send one tick batch to everyone it concerns: the latest quote per symbol."""
        latest = {quote.symbol: quote for quote in batch}
        self._board.update(latest)
        touched: dict[Audience, list[QuoteStream]] = {}
        for symbol, quote in latest.items():
            for stream in self._by_symbol.get(symbol, ()):
                stream.update(quote)
                for audience in stream.audiences:
                    touched.setdefault(audience, []).append(stream)
        self.ticks += len(latest)
        frames: dict[tuple[QuoteStream, ...], bytes] = {}
        for audience, streams in touched.items():
            key = tuple(streams)
            frame = frames.get(key)
            if frame is None:
                frame = frames[key] = quotes_frame([stream.part for stream in streams])
            for connection in audience.members:
                connection.push_quotes(frame, streams)
            self.messages += len(audience.members)

    def quote(self, symbol: str) -> Quote | None:
        """Return the latest raw quote of a symbol."""
        return self._board.get(symbol)
