"""Margin schedules at their edges: bands, pools, hedged volume, modes without leverage, edited bands."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from apps.groups.domain.schedules import MarginSchedule, ScheduleKind
from apps.groups.domain.terms import resolve
from apps.market.domain.symbols import MarginMode
from apps.trading.domain import margin
from apps.trading.domain.orders import ContractTerms, Order, OrderStatus, OrderType, Position, Side
from tests.factories.books import GROUP, NOON, SYMBOLS, buy, close

D = Decimal
BUY, SELL = Side.BUY, Side.SELL
VOLUME_BANDS = [(D(10), D(1)), (D(20), D(2)), (None, D(3))]


def schedule(kind, bands, *, is_pooled=False, name="s"):
    return MarginSchedule.of(name=name, kind=kind, is_pooled=is_pooled, bands=bands)


def terms(*, leverage=100, margin_schedule=None, **symbol):
    found = resolve(
        symbol=replace(SYMBOLS["EURUSD"], **symbol),
        group=replace(GROUP, margin_schedule=margin_schedule),
        override=None,
        version=1,
    )
    return ContractTerms.of(found, account_leverage=leverage)


def position(kept, side, lots, *, price="1", rate="1", number=1, since=0):
    return Position(
        id=number,
        symbol="EURUSD",
        side=side,
        volume=D(lots),
        cost=D(lots) * D(price),
        margin_rate=D(rate),
        terms=kept,
        book="b",
        last_deal_id=number,
        opened_at=NOON + timedelta(seconds=since),
    )


def waiting(kept, side, lots, *, price="1", number=9, since=0, activated=None):
    return Order(
        id=number,
        client_order_id="x",
        symbol="EURUSD",
        side=side,
        type=OrderType.LIMIT,
        volume=D(lots),
        status=OrderStatus.WORKING,
        created_at=NOON + timedelta(seconds=since),
        activated_at=None if activated is None else NOON + timedelta(seconds=activated),
        price=D(price),
        stop_limit_price=D(price),
        margin_rate=D(1),
        terms=kept,
    )


@pytest.mark.parametrize(
    ("lots", "expected"),
    [
        ("0.01", "10"),
        ("10", "10000"),
        ("10.01", "10020"),
        ("20", "30000"),
        ("20.01", "30030"),
        ("100", "270000"),
    ],
)
def test_each_lot_pays_the_rate_of_its_band(lots, expected):
    kept = terms(margin_schedule=schedule(ScheduleKind.VOLUME, VOLUME_BANDS))

    assert margin.of_symbol([position(kept, BUY, lots)]) == D(expected)


def test_bands_without_an_end_go_on_with_the_last_value():
    kept = terms(margin_schedule=schedule(ScheduleKind.VOLUME, [(D(20), D(2)), (D(10), D(1))]))

    assert margin.of_symbol([position(kept, BUY, "30")]) == 10_000 + 20_000 + 20_000


def test_no_bands_is_no_schedule():
    assert schedule(ScheduleKind.VOLUME, []) is None


def test_the_larger_side_of_a_hedge_fills_the_bands():
    kept = terms(margin_schedule=schedule(ScheduleKind.VOLUME, VOLUME_BANDS), hedged_contract_size=D(0))
    held = [position(kept, BUY, "12", number=1), position(kept, SELL, "4", number=2)]

    # 8 uncovered lots, 8,000; the mean rate of 12 lots is 14 / 12
    assert margin.of_symbol(held).quantize(D("0.01")) == D("9333.33")


@pytest.mark.parametrize(
    ("side", "rate_buy", "rate_sell", "expected"), [(BUY, "1.15", "3", "1150"), (SELL, "3", "1.15", "1150")]
)
def test_margin_rates_are_of_each_side(side, rate_buy, rate_sell, expected):
    kept = terms(margin_rate_buy=D(rate_buy), margin_rate_sell=D(rate_sell))

    assert margin.of_symbol([position(kept, side, "1")]) == D(expected)


@pytest.mark.parametrize(
    ("mode", "more", "expected"),
    [
        (MarginMode.FOREX, {}, "1000"),
        (MarginMode.CFD, {}, "125000"),
        (MarginMode.CFD_LEVERAGE, {}, "1250"),
        (MarginMode.FIXED, {"margin_initial": D(321)}, "321"),
        (MarginMode.INDEX, {"tick_size": D("0.5"), "tick_price": D("12.5")}, "3125000"),
    ],
)
def test_one_lot_in_every_mode(mode, more, expected):
    kept = terms(margin_mode=mode, **more)

    assert margin.of_symbol([position(kept, BUY, "1", price="1.25")]) == D(expected)


@pytest.mark.parametrize("mode", [MarginMode.CFD, MarginMode.FIXED, MarginMode.INDEX])
def test_tiers_of_leverage_are_nothing_to_a_mode_without_leverage(mode):
    bands = schedule(ScheduleKind.NOTIONAL, [(None, D(2))])
    more = {"margin_mode": mode, "margin_initial": D(321), "tick_size": D(1), "tick_price": D(1)}

    assert margin.of_symbol([position(terms(margin_schedule=bands, **more), BUY, "1")]) == margin.of_symbol(
        [position(terms(**more), BUY, "1")]
    )


@pytest.mark.parametrize(("leverage", "expected"), [(500, "7000"), (200, "10000"), (50, "40000")])
def test_the_account_never_gets_more_leverage_than_its_own(leverage, expected):
    bands = schedule(ScheduleKind.NOTIONAL, [(D(1_000_000), D(500)), (None, D(200))])
    kept = terms(leverage=leverage, margin_schedule=bands)

    assert margin.of_symbol([position(kept, BUY, "20")]) == D(expected)


def test_margin_rates_come_on_top_of_tiers():
    bands = schedule(ScheduleKind.NOTIONAL, [(None, D(100))])
    kept = terms(leverage=500, margin_schedule=bands, margin_rate_buy=D("1.15"))

    assert margin.of_symbol([position(kept, BUY, "1", rate="1.2790")]) == D("1470.85")


def test_waiting_orders_fill_the_bands_after_the_positions():
    kept = terms(margin_schedule=schedule(ScheduleKind.VOLUME, VOLUME_BANDS), margin_rate_pending=D(1))

    assert margin.of_symbol([position(kept, BUY, "12")], [waiting(kept, SELL, "10")]) == D(36_000)


def test_orders_that_reserve_nothing_fill_no_bands():
    kept = terms(margin_schedule=schedule(ScheduleKind.VOLUME, VOLUME_BANDS))

    assert margin.of_symbol([position(kept, BUY, "12")], [waiting(kept, BUY, "10")]) == D(14_000)


def test_only_a_waiting_order_reserves_by_the_bands():
    kept = terms(margin_schedule=schedule(ScheduleKind.VOLUME, VOLUME_BANDS), margin_rate_pending=D("0.5"))

    assert margin.of_symbol([], [waiting(kept, BUY, "12")]) == D(7_000)


def test_waiting_orders_fill_tiers_of_notional():
    bands = schedule(ScheduleKind.NOTIONAL, [(D(1_000_000), D(500)), (None, D(200))])
    kept = terms(leverage=500, margin_schedule=bands, margin_rate_pending=D(1))

    assert margin.of_symbol([position(kept, BUY, "10")], [waiting(kept, SELL, "10")]) == D(7_000)


@pytest.mark.parametrize("numbers", [(1, 2), (2, 1)], ids=["one process", "two processes"])
def test_a_pool_goes_by_the_bands_of_whoever_traded_last(numbers):
    """Bands were edited between two deals: whatever order the symbols are met in, the newer ones hold."""
    older, newer = (
        terms(
            leverage=500,
            margin_schedule=schedule(ScheduleKind.NOTIONAL, [(None, D(value))], is_pooled=True),
        )
        for value in (500, 100)
    )
    needs = [
        margin.need_of([position(older, BUY, "10", number=numbers[0], since=1)]),
        margin.need_of([position(newer, BUY, "10", number=numbers[1], since=2)]),
    ]

    assert margin.total(needs) == margin.total(reversed(needs)) == D(20_000)


@pytest.mark.parametrize("numbers", [(1, 2), (2, 1)], ids=["one process", "two processes"])
def test_edited_terms_hold_for_all_positions_from_the_newest_one_on(numbers):
    old, new = (terms(margin_rate_buy=D(rate)) for rate in (1, 2))
    held = [
        position(old, BUY, "1", number=numbers[0], since=1),
        position(new, BUY, "1", number=numbers[1], since=2),
    ]

    assert margin.of_symbol(held) == margin.of_symbol(reversed(held)) == D(4_000)


@pytest.mark.parametrize(
    ("of_position", "of_order"),
    [
        ({"since": 1}, {"since": 2}),
        ({"since": 2}, {"since": 1}),
        ({"since": 2}, {"since": 1, "activated": 3}),
        ({"since": 1, "number": 99}, {"since": 2, "number": 1}),
    ],
)
def test_a_waiting_order_follows_its_own_terms_and_moves_no_positions(of_position, of_order):
    old, new = (terms(margin_rate_pending=D(1), margin_rate_buy=D(rate)) for rate in (1, 2))
    held, order = position(old, BUY, "1", **of_position), waiting(new, BUY, "1", **of_order)

    assert margin.of_symbol([held], [order]) == D(3_000)


def test_a_part_that_closes_brings_no_old_terms_back(make_book, make_market):
    """A partial close has the newest deal, but the position keeps what it was opened under."""
    book = make_book(balance="100000")
    book.apply(buy("EURUSD", lots="1"), market=make_market(), now=NOON)
    dearer = make_market(symbols={"EURUSD": {"margin_rate_buy": D(2)}}, now=NOON + timedelta(hours=1))
    book.apply(buy("EURUSD", lots="1"), market=dearer, now=NOON)
    before = book.account.margin

    book.apply(close(min(book.positions), lots="0.5"), market=dearer, now=NOON)

    assert (before, book.account.margin) == (D("4400.68"), D("3300.51"))


def test_pools_of_other_names_are_filled_apart():
    needs = [
        margin.need_of(
            [
                position(
                    terms(
                        leverage=500,
                        margin_schedule=schedule(
                            ScheduleKind.NOTIONAL,
                            [(D(1_000_000), D(500)), (None, D(100))],
                            is_pooled=True,
                            name=name,
                        ),
                    ),
                    BUY,
                    "10",
                )
            ]
        )
        for name in ("majors", "minors")
    ]

    assert margin.total(needs) == D(4_000)


def test_a_schedule_survives_its_text():
    kept = terms(margin_schedule=schedule(ScheduleKind.NOTIONAL, [(D("1.5"), D(500)), (None, D(50))]))

    assert ContractTerms.decoded(kept.encoded()) == kept
