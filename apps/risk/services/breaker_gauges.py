"""
What circuit breakers measure, in memory: one gauge per rule. Single-threaded, writes nothing, reads no
clock.

A gauge names its subjects by itself. `peak` is the largest value since it was read last, so that a short
spike between two looks trips as well; `present` says whether it is over.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from apps.market.domain.quotes import Quote
from apps.market.domain.symbols import SymbolSpec
from apps.risk.domain.breakers import PriceWindow, RateWindow, silence_s
from apps.risk.selectors.breakers import MARKET_WORDS, OrderSeen, Rule
from apps.risk.services.breakers import Subject
from rtx.kernel import clock


class Reading(NamedTuple):
    """What a gauge shows for a subject; None: nothing is known."""

    subject: Subject
    peak: Decimal | None
    present: Decimal | None


@dataclass(slots=True)
class World:
    """What gauges know besides ticks and orders."""

    specs: Mapping[str, SymbolSpec] = field(default_factory=dict)
    providers: Mapping[str, str] = field(default_factory=dict)
    logins: dict[int, str] = field(default_factory=dict)

    def subject(self, rule: Rule, *, symbol: str, account_id: int | None = None) -> Subject | None:
        """Return which subject of a rule a symbol (or an account) belongs to; None: of none."""
        match rule.scope:
            case "symbol":
                return Subject(symbol, symbol) if rule.symbol in (None, symbol) else None
            case "lp":
                provider = self.providers.get(symbol)
                return Subject(provider) if provider and rule.lp in ("", provider) else None
            case "account":
                if account_id is None or rule.account_id not in (None, account_id):
                    return None
                return Subject(self.logins.get(account_id, f"#{account_id}"), None, account_id)
        return Subject()


class Gauge:
    """One rule's measure."""

    def __init__(self, rule: Rule, world: World) -> None:
        self.rule = rule
        self.world = world
        self._peaks: dict[Subject, Decimal] = {}

    def tick(self, quote: Quote) -> None:
        """Take one accepted tick."""

    def order(self, seen: OrderSeen) -> None:
        """Take one new order of the journal."""

    def read(self, now_ms: int) -> list[Reading]:
        """Return every subject's values; the peaks begin anew."""
        peaks, self._peaks = self._peaks, {}
        readings = dict.fromkeys(peaks) | dict(self._present(now_ms))
        return [
            Reading(
                subject, max((v for v in (peaks.get(subject), value) if v is not None), default=None), value
            )
            for subject, value in readings.items()
        ]

    def clear(self, subject: Subject) -> None:
        """Measure a subject anew: staff let it go on."""
        self._peaks.pop(subject, None)

    def _present(self, now_ms: int) -> Iterable[tuple[Subject, Decimal | None]]:
        return ()

    def _note(self, subject: Subject, value: Decimal | None) -> None:
        if value is not None and value > self._peaks.get(subject, Decimal(-1)):
            self._peaks[subject] = value


class SymbolGauge(Gauge):
    """A measure of symbols; an LP's or the platform's is the largest of its symbols'."""

    def __init__(self, rule: Rule, world: World) -> None:
        super().__init__(rule, world)
        self._values: dict[str, Decimal] = {}

    def _present(self, now_ms: int) -> Iterator[tuple[Subject, Decimal | None]]:
        worst: dict[Subject, Decimal] = {}
        for symbol in self._symbols():
            value, subject = self._value(symbol, now_ms), self.world.subject(self.rule, symbol=symbol)
            if subject is not None and value is not None:
                worst[subject] = max(value, worst.get(subject, value))
        yield from worst.items()

    def _symbols(self) -> Iterable[str]:
        return list(self._values)

    def _value(self, symbol: str, now_ms: int) -> Decimal | None:
        return self._values.get(symbol)


class SpreadGauge(SymbolGauge):
    """The feed's spread in points."""

    def tick(self, quote: Quote) -> None:
        """Take the spread of a tick."""
        spec = self.world.specs.get(quote.symbol)
        subject = self.world.subject(self.rule, symbol=quote.symbol)
        if spec is not None and subject is not None:
            self._values[quote.symbol] = value = (quote.ask - quote.bid) / spec.point
            self._note(subject, value)


class PriceGauge(SymbolGauge):
    """
    How far the bid moved within the window, in percent. A new session begins anew: a gap over it is none.
    """

    def __init__(self, rule: Rule, world: World) -> None:
        super().__init__(rule, world)
        self._windows: dict[str, PriceWindow] = {}

    def tick(self, quote: Quote) -> None:
        """Take the bid of a tick."""
        subject = self.world.subject(self.rule, symbol=quote.symbol)
        if subject is None:
            return
        window = self._windows.get(quote.symbol)
        if window is None:
            window = self._windows[quote.symbol] = PriceWindow(window_ms=self.rule.window_ms)
        window.add(quote.bid, at_ms=quote.time_ms)
        self._note(subject, window.move_pct(quote.time_ms))

    def clear(self, subject: Subject) -> None:
        """Begin at the next tick."""
        super().clear(subject)
        for symbol, window in self._windows.items():
            if self.world.subject(self.rule, symbol=symbol) == subject:
                window.clear()

    def close(self, symbol: str) -> None:
        """The session is over: what comes next is another day's price."""
        if symbol in self._windows:
            self._windows[symbol].clear()

    def _symbols(self) -> Iterable[str]:
        return list(self._windows)

    def _value(self, symbol: str, now_ms: int) -> Decimal | None:
        return self._windows[symbol].move_pct(now_ms)


class SilenceGauge(Gauge):
    """
    Seconds without a tick while in session, since the session opened or the watch began at the latest. An
    LP and the platform are silent when none of their symbols in session ticks.
    """

    def __init__(self, rule: Rule, world: World) -> None:
        super().__init__(rule, world)
        self.open_since_ms: dict[str, int] = {}  # symbol in session -> since when it is watched
        self._last_ms: dict[str, int] = {}
        self._cleared_ms: dict[Subject, int] = {}
        self._now_ms = 0

    def tick(self, quote: Quote) -> None:
        """Remember when a tick came."""
        self._last_ms[quote.symbol] = max(quote.time_ms, self._last_ms.get(quote.symbol, 0))

    def clear(self, subject: Subject) -> None:
        """Count from now on."""
        super().clear(subject)
        self._cleared_ms[subject] = self._now_ms

    def _present(self, now_ms: int) -> Iterator[tuple[Subject, Decimal | None]]:
        self._now_ms = now_ms
        heard: dict[Subject, int] = {}
        for symbol, since_ms in self.open_since_ms.items():
            subject = self.world.subject(self.rule, symbol=symbol)
            if subject is not None:
                last_ms = max(since_ms, self._last_ms.get(symbol, 0), self._cleared_ms.get(subject, 0))
                heard[subject] = max(last_ms, heard.get(subject, 0))
        for subject, last_ms in heard.items():
            silence = silence_s(now_ms=now_ms, last_ms=last_ms)
            if silence < self.rule.threshold or self._is_in_session(subject, now_ms):
                yield subject, silence

    def _is_in_session(self, subject: Subject, now_ms: int) -> bool:
        """Look at the calendars themselves: the session may have ended since they were read last."""
        now = clock.from_ms(now_ms)
        return any(
            self.world.subject(self.rule, symbol=symbol) == subject and spec.calendar.is_open(now)
            for symbol in self.open_since_ms
            if (spec := self.world.specs.get(symbol)) is not None
        )


class RejectGauge(Gauge):
    """
    The share of refused orders within the window, in percent. A client's own mistakes count for nobody but
    the account.

    Only subjects whose share may have moved are looked at: an order came, or one left the window.
    """

    def __init__(self, rule: Rule, world: World) -> None:
        super().__init__(rule, world)
        self._windows: dict[Subject, RateWindow] = {}
        self._counted: deque[tuple[int, Subject]] = deque()
        self._moved: set[Subject] = set()
        self._high: dict[Subject, Decimal] = {}  # at or above the threshold when looked at last

    def order(self, seen: OrderSeen) -> None:
        """Count one order."""
        if self.rule.scope != "account" and seen.refusal and seen.refusal not in MARKET_WORDS:
            return
        subject = self.world.subject(self.rule, symbol=seen.symbol, account_id=seen.account_id)
        if subject is None:
            return
        window = self._windows.get(subject)
        if window is None:
            window = self._windows[subject] = RateWindow(window_ms=self.rule.window_ms)
        at_ms = int(seen.at.timestamp() * 1000)
        window.add(at_ms=at_ms, is_refused=bool(seen.refusal))
        self._counted.append((at_ms, subject))
        self._moved.add(subject)
        self._note(subject, window.refused_pct(at_ms, observations_min=self.rule.observations_min))

    def clear(self, subject: Subject) -> None:
        """Count anew."""
        super().clear(subject)
        self._windows.pop(subject, None)
        self._high.pop(subject, None)

    def _present(self, now_ms: int) -> Iterator[tuple[Subject, Decimal | None]]:
        while self._counted and self._counted[0][0] <= now_ms - self.rule.window_ms:
            self._moved.add(self._counted.popleft()[1])
        moved, self._moved = self._moved, set()
        for subject in moved:
            self._high.pop(subject, None)
            window = self._windows.get(subject)
            if window is None:
                continue
            value = window.refused_pct(now_ms, observations_min=self.rule.observations_min)
            if window.is_empty:
                del self._windows[subject]
            if value is not None and value >= self.rule.threshold:
                self._high[subject] = value
            else:
                yield subject, value
        yield from self._high.items()


class LossGauge(Gauge):
    """What the house lost within the window: told by whoever reads the books (breaker_watch.py)."""

    def __init__(self, rule: Rule, world: World) -> None:
        super().__init__(rule, world)
        self.values: dict[Subject, Decimal] = {}

    def clear(self, subject: Subject) -> None:
        """Forget the last reading; the next counts from the reset on."""
        super().clear(subject)
        self.values.pop(subject, None)

    def _present(self, now_ms: int) -> Iterator[tuple[Subject, Decimal | None]]:
        yield from self.values.items()


GAUGES: dict[str, type[Gauge]] = {
    "price_move": PriceGauge,
    "spread": SpreadGauge,
    "tick_silence": SilenceGauge,
    "reject_rate": RejectGauge,
    "house_loss": LossGauge,
}
