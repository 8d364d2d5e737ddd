"""
Evaluates circuit breakers while this engine leads: ticks, orders of the journal, losses of the books, time.

One thread uses it (control_work.py). Ticks wait in a queue that the feed's thread fills and are taken in
order, so windows follow the quotes' own times. States are read from PostgreSQL, so a restart or another
leader goes on where they stand, and a reset by staff is followed at once.
"""

import time
from collections import Counter, deque
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import structlog

from apps.groups.selectors import terms_book, terms_version
from apps.market.domain.quotes import Quote
from apps.market.services.board import own_board
from apps.risk.domain.breakers import State, signal_of
from apps.risk.selectors import breakers as stored
from apps.risk.selectors.breakers import OrderSeen, Rule, Standing
from apps.risk.services import breakers
from apps.risk.services.breaker_gauges import (
    GAUGES,
    Gauge,
    LossGauge,
    PriceGauge,
    Reading,
    SilenceGauge,
    World,
)
from apps.risk.services.breakers import Subject
from apps.trading.domain.pricing import MarketView
from apps.trading.selectors import following
from apps.trading.selectors.following import Follower
from apps.trading.selectors.markets import conversions
from rtx.kernel import clock
from rtx.kernel.money import ZERO

TICKS_MAX = 200_000
CONTROLS_S = 0.5
WORLD_S = 5.0
LOSSES_S = 1.0
LOSSES_REST = 20  # long windows take long to add up: rest so many times as long
SEEDED_FOR_S = 60.0

log = structlog.get_logger(__name__)


class Watch:
    """All gauges and how their subjects stand; see the module."""

    def __init__(self, *, verify: Callable[[], None]) -> None:
        self._verify = verify
        self._ticks: deque[Quote] = deque(maxlen=TICKS_MAX)
        self._world = World()
        self._gauges: dict[int, Gauge] = {}
        self._standings: dict[tuple[int, str], Standing] = {}
        self._version = -1
        self._probes: dict[int, int] = {}  # state -> probes left, read with the controls
        self._read_at = self._world_at = self._losses_at = 0.0
        self._follower: Follower | None = None
        self._seeded: set[int] = set()
        self._seeded_at = 0.0
        self.counted: Counter[str] = Counter()

    def offer(self, quotes: list[Quote]) -> None:
        """Queue ticks. Quick: the feed's thread calls it."""
        self._ticks.extend(quotes)

    def begin(self) -> None:
        """Start to lead: nothing that was measured before counts but what the journal tells."""
        self._ticks.clear()
        self._gauges.clear()
        self._standings.clear()
        self._version = -1
        self._read_at = self._world_at = self._losses_at = 0.0
        self._follower = None

    def run(self) -> None:
        """Take what is new and change what must change."""
        now_ms = clock.now_ms()
        self._read_controls()
        if not self._gauges:
            self._ticks.clear()
            return
        self._read_world(now_ms)
        self._take_ticks()
        self._take_orders(now_ms)
        self._read_losses()
        for gauge in list(self._gauges.values()):
            self._evaluate(gauge, now_ms)

    def health(self) -> dict[str, int]:
        """Return how many rules are watched and how many subjects stand open."""
        states = [standing.state for standing in list(self._standings.values())]
        return {
            "rules": len(self._gauges),
            "open": states.count(State.OPEN),
            "half_open": states.count(State.HALF_OPEN),
            "queued_ticks": len(self._ticks),
            **{f"breaker_{name}": count for name, count in self.counted.items()},
        }

    # -- what is read

    def _read_controls(self) -> None:
        """Follow rules and states; a subject that was closed by staff is measured anew."""
        if time.monotonic() < self._read_at + CONTROLS_S:
            return
        version = stored.version()
        self._read_at = time.monotonic()
        self._probes.clear()
        if version == self._version:
            return
        rules = {rule.id: rule for rule in stored.rules()}
        for rule_id in [one for one, gauge in self._gauges.items() if rules.get(one) != gauge.rule]:
            del self._gauges[rule_id]
        counts_orders = False
        for rule in rules.values():
            if rule.id not in self._gauges:
                self._gauges[rule.id] = GAUGES[rule.kind](rule, self._world)
                counts_orders |= rule.kind == "reject_rate"
                self._world_at = 0.0
        if counts_orders:
            self._follower = None  # a new rule counts what its window holds already
        self._read_standings()
        self._version = version

    def _read_standings(self) -> None:
        """Read how subjects stand. One that was closed meanwhile, by whomever, is measured anew."""
        known, self._standings = self._standings, stored.standings()
        is_off = False
        for (rule_id, text), standing in self._standings.items():
            gauge = self._gauges.get(rule_id)
            if standing.state is not State.CLOSED:
                is_off |= gauge is None
                continue
            before = known.get((rule_id, text))
            if gauge is not None and before is not None and before.state is not State.CLOSED:
                gauge.clear(self._subject(gauge.rule, text))
        if is_off and breakers.close_switched_off(now=clock.now(), verify=self._verify):
            self._standings = stored.standings()

    def _read_world(self, now_ms: int) -> None:
        """Follow symbols, providers and sessions."""
        if time.monotonic() < self._world_at + WORLD_S:
            return
        version = terms_version()
        self._world.specs = terms_book(version).symbols
        self._world.providers = stored.providers()
        now = clock.from_ms(now_ms)
        is_open = {name for name, spec in self._world.specs.items() if spec.calendar.is_open(now)}
        for gauge in self._gauges.values():
            if isinstance(gauge, SilenceGauge):
                kept = gauge.open_since_ms
                gauge.open_since_ms = {name: kept.get(name, now_ms) for name in is_open}
            elif isinstance(gauge, PriceGauge):
                for name in self._world.specs.keys() - is_open:
                    gauge.close(name)
        self._world_at = time.monotonic()

    def _take_ticks(self) -> None:
        gauges = list(self._gauges.values())
        while self._ticks:
            quote = self._ticks.popleft()
            for gauge in gauges:
                gauge.tick(quote)

    def _take_orders(self, now_ms: int) -> None:
        """Follow the journal; at first, the orders that the longest window holds already are counted too."""
        gauges = [gauge for gauge in self._gauges.values() if gauge.rule.kind == "reject_rate"]
        if not gauges:
            self._follower = None
            return
        if self._follower is None:
            self._follower = Follower(following.present())
            longest = max(gauge.rule.window_ms for gauge in gauges)
            seen = stored.orders_since(clock.from_ms(now_ms - longest))
            for gauge in gauges:
                self._gauges[gauge.rule.id] = GAUGES[gauge.rule.kind](gauge.rule, self._world)
            self._seeded, self._seeded_at = {one.event_id for one in seen}, time.monotonic()
        else:
            found = [stored.order_seen(event) for event in self._follower.poll()]
            seen = [one for one in found if one is not None and one.event_id not in self._seeded]
            if self._seeded and time.monotonic() > self._seeded_at + SEEDED_FOR_S:
                self._seeded = set()
        self._count(seen)

    def _count(self, seen: list[OrderSeen]) -> None:
        unknown = {one.account_id for one in seen} - self._world.logins.keys()
        if unknown:
            self._world.logins.update(stored.logins(unknown))
        for one in seen:
            for gauge in self._gauges.values():
                gauge.order(one)

    def _read_losses(self) -> None:
        gauges = [gauge for gauge in self._gauges.values() if isinstance(gauge, LossGauge)]
        if not gauges or time.monotonic() < self._losses_at:
            return
        began = time.monotonic()
        for gauge in gauges:
            window = timedelta(milliseconds=gauge.rule.window_ms)
            gauge.values = self._losses(gauge.rule, since=clock.now() - window)
            for (rule_id, text), standing in self._standings.items():
                closed_late = standing.state is State.CLOSED and standing.since > clock.now() - window
                subject = self._subject(gauge.rule, text)
                if rule_id == gauge.rule.id and closed_late and subject in gauge.values:
                    after = self._losses(gauge.rule, since=standing.since)
                    gauge.values[subject] = after.get(subject, ZERO)
        took = time.monotonic() - began
        self._losses_at = time.monotonic() + max(LOSSES_S, took * LOSSES_REST)

    def _losses(self, rule: Rule, *, since: datetime) -> dict[Subject, Decimal]:
        """Return what the house lost per subject in the rule's currency."""
        by_symbol = rule.scope in ("symbol", "lp")
        rows = stored.losses(by_symbol=by_symbol, since=since)
        if not by_symbol:
            unknown = {int(key) for key, _, _ in rows} - self._world.logins.keys()
            self._world.logins.update(stored.logins(unknown) if unknown else {})
        market = _market()
        found: dict[Subject, Decimal] = {}
        for key, currency, amount in rows:
            symbol, account_id = (str(key), None) if by_symbol else ("", int(key))
            subject = self._world.subject(rule, symbol=symbol, account_id=account_id)
            rate = market.rate(currency, rule.currency, selling=amount < 0)
            if subject is None:
                continue
            if rate is None:
                self.counted["without_rate"] += 1
                log.warning("breaker_without_rate", breaker=rule.name, currency=currency)
                continue
            found[subject] = found.get(subject, ZERO) + amount * rate
        return found

    # -- what follows

    def _evaluate(self, gauge: Gauge, now_ms: int) -> None:
        """Send signals. They follow from the states known here: one that was changed meanwhile takes none."""
        rule, standings = gauge.rule, self._standings
        readings = {reading.subject.text: reading for reading in gauge.read(now_ms)}
        for (rule_id, text), standing in standings.items():
            if rule_id == rule.id and standing.state is not State.CLOSED and text not in readings:
                readings[text] = Reading(self._subject(rule, text), None, None)
        for text, reading in readings.items():
            stands = standings.get((rule.id, text))
            state = stands.state if stands else State.CLOSED
            value = reading.present if state is State.OPEN else reading.peak
            is_calm = value is None or value < rule.threshold
            if state is State.CLOSED and is_calm:
                continue
            now = clock.from_ms(now_ms)
            signal = signal_of(
                state,
                value=value,
                threshold=rule.threshold,
                has_cooled=stands is None or stands.cools_until is None or stands.cools_until <= now,
                resets_itself=rule.resets_itself,
                probes_left=self._probes_left(rule, stands, text) if is_calm else 1,
            )
            if signal is not None:
                after = breakers.apply(
                    rule=rule,
                    subject=reading.subject,
                    signal=signal,
                    known=state,
                    value=value,
                    now=now,
                    verify=self._verify,
                )
                self.counted[signal.value] += after is not None
                self._read_standings()
                self._read_at = 0.0

    def _probes_left(self, rule: Rule, standing: Standing | None, text: str) -> int:
        if standing is None or standing.state is not State.HALF_OPEN:
            return 1
        symbols = None
        if rule.scope == "symbol":
            symbols = frozenset({text})
        elif rule.scope == "lp":
            symbols = frozenset(name for name, lp in self._world.providers.items() if lp == text)
        if standing.id not in self._probes:
            self._probes[standing.id] = stored.probes_left(rule, standing, symbols=symbols)
        return self._probes[standing.id]

    def _subject(self, rule: Rule, text: str) -> Subject:
        """Return a subject by its name."""
        if rule.scope == "symbol":
            return Subject(text, text)
        if rule.scope == "account":
            standing = self._standings.get((rule.id, text))
            return Subject(text, None, standing.account_id if standing else None)
        return Subject(text)


def _market() -> MarketView:
    """Return a view of raw prices, for conversions of the house's own figures."""
    book = terms_book(terms_version())
    now = clock.now()
    return MarketView(
        quotes=own_board().latest,
        terms={},
        symbols=book.symbols,
        conversions=conversions(book),
        now=now,
        now_ms=int(now.timestamp() * 1000),
        version=book.version,
    )
