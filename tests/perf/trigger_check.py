"""
What a tick that reaches nothing costs: `trigger_check_us` and `trigger_check_flatness`.

Measured is all that the trigger service does with a tick in the feed's thread: the lock, the ring of recent
ticks, the ladder. On one symbol 100,000 orders and stops wait (1,000 for the comparison); none is hit. Both
sides of the ratio run in turn (A B A B), medians are reported.
"""

import random
import time
from decimal import Decimal
from typing import Any

from tests.perf.broker import Broker, Say
from tests.perf.figures import Figure

NAMES = ("trigger_check_us", "trigger_check_flatness")
MANY, FEW = 100_000, 1_000
TICKS = 20_000
RUNS = 5
PER_ACCOUNT = 50
POINT = Decimal("0.00001")
MIDDLE = Decimal("1.10000")


def run(broker: Broker, say: Say) -> list[Figure]:
    """Arm both, then tick both in turn."""
    many, few = _armed(MANY), _armed(FEW)
    quotes = [_quote(number) for number in range(TICKS)]
    spent: dict[int, list[float]] = {MANY: [], FEW: []}
    for _ in range(RUNS):
        for size, watch in ((MANY, many), (FEW, few)):
            spent[size].append(_us_per_tick(watch, quotes))
    usual = {size: sorted(found)[RUNS // 2] for size, found in spent.items()}
    ratio = usual[MANY] / usual[FEW]
    say(f"  {usual[MANY]:.2f} us per tick with {MANY}, {usual[FEW]:.2f} us with {FEW}")
    how = f"{TICKS} ticks in each of {RUNS} runs, none hit; {FEW} waiting: {usual[FEW]:.2f} us"
    return [
        Figure("trigger_check_us", usual[MANY], "us", "<= 20", usual[MANY] <= 20, f"{MANY} waiting; {how}"),
        Figure("trigger_check_flatness", ratio, "x", "<= 1.5", ratio <= 1.5, f"{MANY} against {FEW} waiting"),
    ]


def _armed(size: int) -> Any:
    """Return a watch on which so many orders and stops wait, around the price and up to 5,000 points away."""
    from apps.market.domain.sessions import Calendar
    from apps.trading.domain.triggers import Entry, Key, Reach, Waiting
    from apps.trading.services.trigger_watch import Watch

    watch = Watch()
    watch.begin(specs={"EURUSD": _Spec(Calendar(always_open=True))}, watched={})  # type: ignore[dict-item]
    chance = random.Random(size)
    found: dict[int, dict[Key, Entry]] = {}
    for number in range(size):
        reach = chance.choice(list(Reach))
        away = POINT * chance.randint(200, 5_000)
        price = MIDDLE + away if reach.value[1] else MIDDLE - away
        key = Key(chance.choice([Waiting.ORDER, Waiting.STOP_LOSS, Waiting.TAKE_PROFIT]), number)
        entry = Entry(key, number // PER_ACCOUNT, "EURUSD", reach, price, price)
        found.setdefault(entry.account_id, {})[key] = entry
    watch.update(found)
    watch.open()
    return watch


class _Spec:
    """The part of a symbol that a watch reads."""

    def __init__(self, calendar: Any) -> None:
        self.calendar = calendar


def _quote(number: int) -> Any:
    from apps.market.domain.quotes import Quote

    bid = MIDDLE + POINT * (number * 37 % 150 - 75)
    return Quote("EURUSD", bid, bid + 10 * POINT, number)


def _us_per_tick(watch: Any, quotes: list[Any]) -> float:
    started = time.perf_counter()
    for quote in quotes:
        watch.on_ticks((quote,))
    seconds = time.perf_counter() - started
    return seconds / len(quotes) * 1e6
