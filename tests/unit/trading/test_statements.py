"""Statements: any period adds up, periods that follow each other chain, and a difference is never shown."""

import itertools
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.accounts.domain.ledger import BalanceKind
from apps.trading.domain.orders import Side
from apps.trading.domain.replaying import Divergence
from apps.trading.domain.statement_compiler import Compiler, Views
from apps.trading.domain.statements import (
    Cut,
    Difference,
    Period,
    PeriodInvalid,
    Statement,
    Totals,
    curve_instants,
    cuts,
)
from tests.factories import histories
from tests.factories.histories import BEGIN, History

D = Decimal
HOUR = timedelta(hours=1)
LATER = BEGIN + timedelta(days=400)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def told(history: History, period: Period, *, views: Views | None = None) -> Statement:
    """Return the statement of a period of a history; without views no price is stored."""
    times = [(event.seq, event.at) for event in history.events]
    points = cuts(times, curve_instants(period, until=LATER))
    compiler = Compiler(
        account=history.fresh(), period=period, points=points, views=views or (lambda instant, held: None)
    )
    return compiler.compile(history.events)


def prices(history: History) -> Views:
    return lambda instant, held: history.market(instant)


def sums(totals: Totals) -> list[Any]:
    return [getattr(totals, name) for name in Totals.__dataclass_fields__]


# -- periods


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        ("2014-05-08", "2014-05-08", "2014-05-08T00:00:00Z", "2014-05-09T00:00:00Z"),
        ("2014-05-08T10:00:00Z", "2014-05-08", "2014-05-08T10:00:00Z", "2014-05-09T00:00:00Z"),
        ("2014-05-08", "2014-05-08T10:00:00.5Z", "2014-05-08T00:00:00Z", "2014-05-08T10:00:00.500Z"),
        ("2014-05-08T12:00:00+02:00", "2014-05-08T11:00:00", "2014-05-08T10:00:00Z", "2014-05-08T11:00:00Z"),
        ("2024-01-01", "2024-12-31", "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"),
    ],
)
def test_a_period_is_read_from_dates_and_instants(start, end, first, last):
    assert Period.read(start, end) == Period(at(first), at(last))


@pytest.mark.parametrize(
    ("start", "end", "field"),
    [
        (None, "2014-05-08", "from"),
        ("2014-05-08", None, "to"),
        ("", "2014-05-08", "from"),
        ("yesterday", "2014-05-08", "from"),
        ("2014-05-32", "2014-06-08", "from"),
        ("20140508", "2014-05-09", "from"),
        ("2014-W19-4", "2014-05-09", "from"),
        ("1399507200", "2014-05-09", "from"),
        ("2014-05-08T10:00", "2014-05-09", "from"),
        ("2014-05-08T25:00:00Z", "2014-05-09", "from"),
        ("٢٠١٤-٠٥-٠٨", "2014-05-09", "from"),
        ("2014-05-08", "9999-12-31", "to"),
        ("0001-01-01T00:00:00+10:00", "2014-05-08", "from"),
        ("2014-05-09", "2014-05-08", "from"),
        ("2014-05-08T10:00:00Z", "2014-05-08T10:00:00Z", "from"),
        ("2014-01-01", "2015-01-02", "to"),
    ],
)
def test_a_period_that_is_none_is_refused(start, end, field):
    with pytest.raises(PeriodInvalid) as refused:
        Period.read(start, end)

    assert list(refused.value.errors) == [field]


def test_the_curve_has_full_hours_within_a_week_and_midnights_beyond():
    day = curve_instants(Period(at("2026-01-05T10:30Z"), at("2026-01-05T13:00Z")), until=LATER)
    month = curve_instants(Period(at("2026-01-05T10:30Z"), at("2026-02-04T10:30Z")), until=LATER)

    assert [f"{instant:%H:%M}" for instant in day] == ["10:30", "11:00", "12:00", "13:00"]
    assert [f"{instant:%d %H:%M}" for instant in (month[0], month[1], month[-2], month[-1])] == [
        "05 10:30",
        "06 00:00",
        "04 00:00",
        "04 10:30",
    ]
    assert len(month) == 32


def test_the_curve_ends_with_the_present():
    period = Period(at("2026-01-05T10:30Z"), at("2026-01-06T00:00Z"))

    assert curve_instants(period, until=at("2026-01-05T11:15Z")) == [
        at("2026-01-05T10:30Z"),
        at("2026-01-05T11:00Z"),
        at("2026-01-05T11:15Z"),
    ]


def test_an_event_before_an_instant_takes_all_earlier_numbers_with_it():
    minutes = [0, 5, 3, 9]  # the third was written by a machine whose clock is behind
    times = [(seq, BEGIN + timedelta(minutes=minute)) for seq, minute in enumerate(minutes, start=1)]

    found = cuts(times, [BEGIN, BEGIN + timedelta(minutes=4), BEGIN + timedelta(minutes=9), LATER])

    assert [cut.seq for cut in found] == [0, 3, 3, 4]


# -- statements


def example() -> History:
    """Deposit, buy, a night, half closed, the rest closed, another night settled, credit, withdrawal."""
    return History().run(
        [
            (3600, ("order", "EURUSD", Side.BUY, D(1))),
            (3600, ("night", -250)),
            (3600, ("quote", "EURUSD", 100, 10)),
            (0, ("close", 0, D("0.5"))),
            (3600, ("close", 0, None)),
            (3600, ("night", -100)),
            (3600, ("money", BalanceKind.CREDIT, 5_000)),
            (3600, ("money", BalanceKind.WITHDRAWAL, -10_000)),
            (3600, ("order", "EURUSD", Side.SELL, D("0.2"))),
            (0, ("pending", "GBPUSD", Side.BUY, D("0.3"))),
        ]
    )


def test_a_day_with_everything_to_the_cent():
    history = example()

    shown = told(history, Period(BEGIN, BEGIN + timedelta(days=1)), views=prices(history))

    totals = shown.totals()
    assert shown.opening.balance == 0
    assert [deal.profit for deal in shown.deals] == [D(0), D("41.50"), D("41.50"), D(0)]
    assert totals.commission == D("-7.70")  # 2.2 lots at 3.50
    assert totals.swap_charged + totals.fees_charged == D("-3.50")
    assert totals.swap == D("-3.50")
    assert shown.moved(BalanceKind.DEPOSIT) == D(20_000)
    assert shown.closing.money.balance == D("19971.80")  # 20000 + 83 - 7.70 - 3.50 - 100
    assert shown.closing.money.credit == D("50.00")
    assert [found.position.volume for found in shown.positions] == [D("0.2")]
    assert shown.closing.floating == D("-2.00")
    assert shown.closing.equity == D("20019.80")
    assert [order.symbol for order in shown.orders] == ["GBPUSD"]


def test_what_happened_before_and_after_is_not_shown():
    history = example()
    period = Period(BEGIN + 3 * HOUR, BEGIN + 5 * HOUR)

    shown = told(history, period)

    assert shown.opening.balance == D("19996.50")
    assert [deal.entry for deal in shown.deals] == ["out", "out"]
    assert shown.movements == []
    assert shown.swaps == []
    assert shown.positions == []
    assert shown.closing.money.balance == D("20073.50")


def test_before_the_account_was_opened_there_is_nothing():
    shown = told(example(), Period(BEGIN - 2 * HOUR, BEGIN))

    assert (shown.opening.balance, shown.closing.money.balance) == (D(0), D(0))
    assert shown.closing.equity == D(0)
    assert (shown.deals, shown.movements) == ([], [])


def test_without_stored_quotes_equity_is_not_known_where_a_position_is_open():
    shown = told(example(), Period(BEGIN, BEGIN + 5 * HOUR))

    known = [(point.at - BEGIN) // HOUR for point in shown.curve if point.equity is not None]
    assert known == [0, 1, 5]
    assert shown.positions == []


@pytest.mark.parametrize("change", [{"client": D("0.01")}, {"credit": D("-0.01")}])
def test_a_ledger_that_says_something_else_is_never_shown(change):
    history = example()
    index = next(i for i, event in enumerate(history.events) if event.type == "balance_changed")
    event = history.events[index]
    name, cents = next(iter(change.items()))
    history.events[index] = replace(event, **{name: getattr(event, name) + cents})

    with pytest.raises(Difference, match="of event 2 adds up to"):
        told(history, Period(BEGIN, LATER))


def test_a_journal_with_a_gap_is_never_shown():
    history = example()
    del history.events[3]

    with pytest.raises(Divergence, match="event 5 follows event 3"):
        told(history, Period(BEGIN, LATER))


def test_a_closing_balance_that_does_not_add_up_is_never_shown():
    shown = told(example(), Period(BEGIN, LATER))
    shown.deals.pop()

    with pytest.raises(Difference, match="balance adds up to"):
        shown.check()


# -- properties


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories.modes, histories.steps, st.lists(st.integers(0, 1_000_000), max_size=5))
def test_periods_that_follow_each_other_chain_and_add_up(mode, steps, seconds):
    history = History(mode=mode).run(steps)
    end = BEGIN + timedelta(days=13)
    ends = [*sorted({*(BEGIN + timedelta(seconds=part) for part in seconds), BEGIN, end} - {end}), end]

    whole = told(history, Period(BEGIN, end), views=prices(history))
    parts = [told(history, Period(*pair), views=prices(history)) for pair in itertools.pairwise(ends)]

    assert whole.opening == parts[0].opening
    assert whole.closing == parts[-1].closing
    for before, after in itertools.pairwise(parts):
        assert before.closing.money == after.opening
    for name in ("deals", "movements", "swaps"):
        assert getattr(whole, name) == [line for part in parts for line in getattr(part, name)]
    added = [sum(column) for column in zip(*(sums(part.totals()) for part in parts), strict=True)]
    assert sums(whole.totals()) == added
    account = history.account
    assert (whole.closing.money.balance, whole.closing.money.credit) == (account.balance, account.credit)
    assert [found.position for found in whole.positions] == list(history.book.positions.values())
    assert [order.id for order in whole.orders] == list(history.book.orders)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories.modes, histories.steps)
def test_swaps_carried_are_those_charged_and_not_yet_booked(mode, steps):
    history = History(mode=mode).run(steps)

    shown = told(history, Period(BEGIN, LATER))

    totals = shown.totals()
    carried = sum((found.position.swap for found in shown.positions), D(0))
    assert totals.swap_charged + totals.fees_charged == totals.swap + carried


def test_random_histories_do_trade():
    """The properties above would hold for histories in which nothing happens; these steps do everything."""
    history = example()

    assert {event.type for event in history.events} == {
        "account_opened",
        "balance_changed",
        "order_filled",
        "order_placed",
        "swaps_charged",
    }
    assert Cut(LATER, history.account.seq) == cuts([(e.seq, e.at) for e in history.events], [LATER])[0]
