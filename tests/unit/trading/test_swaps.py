"""What a night costs: modes, sides, weekday multipliers, holidays, conversion, swap-free groups."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.groups.domain.terms import AdminFee, Override, Rollover, resolve
from apps.market.domain.quotes import Quote
from apps.market.domain.sessions import Calendar, ClosedDay, Hours
from apps.market.domain.symbols import SwapMode
from apps.trading.domain.orders import ContractTerms, Position, Side
from apps.trading.domain.pricing import ConversionTable, MarketView
from apps.trading.domain.rollover import day_ending
from apps.trading.domain.swaps import Night, Unpriced, days_charged
from tests.factories.books import GROUP, SYMBOLS, spec

D = Decimal
NEW_YORK = Rollover()
MIDNIGHT, FIVE_PM = time(0), time(17)
FOREX = Calendar(
    timezone="America/New_York",
    hours=(
        Hours(6, FIVE_PM, MIDNIGHT),
        *(Hours(day, MIDNIGHT, MIDNIGHT) for day in range(4)),
        Hours(4, MIDNIGHT, FIVE_PM),
    ),
)
STOCKS = Calendar(
    timezone="America/New_York", hours=tuple(Hours(day, time(9, 30), time(16)) for day in range(5))
)
CRYPTO = Calendar(always_open=True)
USUAL = (1, 1, 3, 1, 1, 0, 0)
MONDAY = date(2026, 11, 16)
TUESDAY, WEDNESDAY, THURSDAY = date(2026, 11, 17), date(2026, 11, 18), date(2026, 11, 19)
PAIRS = {
    **SYMBOLS,
    "USDTRY": spec("USDTRY", "USD", "TRY"),
    "TRYUSD": spec("TRYUSD", "TRY", "USD", digits=7),
}
QUOTES = {
    "EURUSD": ("1.15826", "1.15836"),
    "GBPUSD": ("1.25000", "1.25020"),
    "EURGBP": ("0.85660", "0.85680"),
    "USDJPY": ("150.000", "150.020"),
    "USDTRY": ("4.39600", "4.39700"),
    "TRYUSD": ("0.2274000", "0.2274587"),
}


def make_night(
    *,
    on: date = TUESDAY,
    mode: SwapMode = SwapMode.NONE,
    long: str = "0",
    short: str = "0",
    group: dict | None = None,
    quotes: dict | None = None,
    override: Override | None = None,
    **symbol,
) -> Night:
    """A night of a group in which every symbol has the same swap."""
    day = day_ending(NEW_YORK, on=on)
    changed = {"swap_mode": mode, "swap_long": D(long), "swap_short": D(short), "calendar": FOREX, **symbol}
    symbols = {name: replace(kept, **changed) for name, kept in PAIRS.items()}
    own = replace(GROUP, **(group or {}))
    market = MarketView(
        quotes={
            name: Quote(name, D(bid), D(ask), 0)
            for name, (bid, ask) in (QUOTES if quotes is None else quotes).items()
        },
        terms={
            name: resolve(symbol=found, group=own, override=override, version=7)
            for name, found in symbols.items()
        },
        symbols=symbols,
        conversions=ConversionTable(symbols.values()),
        now=day.rolled_at,
        now_ms=0,
        version=7,
    )
    return Night(day=day, rollover=NEW_YORK, market=market)


def make_position(symbol: str = "EURUSD", side: Side = Side.BUY, *, lots: str = "1", **more) -> Position:
    terms = resolve(symbol=PAIRS[symbol], group=GROUP, override=None, version=1)
    values = {
        "id": 1,
        "symbol": symbol,
        "side": side,
        "volume": D(lots),
        "cost": D(lots),
        "margin_rate": D(1),
        "terms": ContractTerms.of(terms, account_leverage=100),
        "book": "b",
        "last_deal_id": 1,
        "opened_at": datetime(2026, 11, 16, 12, tzinfo=UTC),
    }
    return Position(**{**values, **more})


def test_points_published_number():
    night = make_night(mode=SwapMode.POINTS, long="-11.35")

    due = night.due(make_position("USDTRY", lots="5"), currency="USD")

    # 5 TRY a point x 11.35 points, bought at 0.2274587
    assert (due.amount, due.rate, due.multiplier) == (D("-12.91"), D("0.2274587"), 1)


def test_percent_published_number():
    night = make_night(mode=SwapMode.PERCENT, long="-3")

    due = night.due(make_position(), currency="USD")

    assert (due.amount, due.price, due.rate) == (D("-9.52"), D("1.15826"), D(1))


def test_percent_of_a_sell_is_of_the_ask():
    night = make_night(mode=SwapMode.PERCENT, short="3.65")

    due = night.due(make_position(side=Side.SELL), currency="USD")

    assert (due.price, due.amount) == (D("1.15836"), D("11.58"))  # 115,836 x 3.65 % / 365 = 11.5836


def test_percent_price_carries_the_groups_markup():
    night = make_night(mode=SwapMode.PERCENT, long="-3.65", group={"markup_bid_points": D(26)})

    due = night.due(make_position(), currency="USD")

    assert (due.price, due.amount) == (D("1.15800"), D("-11.58"))


def test_money_is_per_lot_in_the_accounts_currency():
    night = make_night(mode=SwapMode.MONEY, long="-2.345", on=WEDNESDAY)

    due = night.due(make_position("USDJPY", lots="0.5"), currency="EUR")

    assert (due.amount, due.rate, due.price) == (D("-3.52"), D(1), None)  # 2.345 x 0.5 x 3 = 3.5175


@pytest.mark.parametrize(
    ("value", "currency", "rate", "amount"),
    [
        ("2", "USD", "1.25000", "2.50"),  # received in GBP: sold at the bid
        ("-2", "USD", "1.25020", "-2.50"),  # paid in GBP: bought at the ask
        ("2", "EUR", str(1 / D("0.85680")), "2.33"),  # inverted: divided by the ask
        ("-2", "EUR", str(1 / D("0.85660")), "-2.33"),
    ],
)
def test_swap_converts_at_the_side_that_is_worse_for_the_client(value, currency, rate, amount):
    night = make_night(mode=SwapMode.POINTS, long=value)

    due = night.due(make_position("EURGBP"), currency=currency)  # 1 GBP a point

    assert due.rate.quantize(D("1e-25")) == D(rate).quantize(D("1e-25"))
    assert due.amount == D(amount)


def test_yen_account_is_charged_whole_yen():
    night = make_night(mode=SwapMode.POINTS, long="-1.5")

    assert night.due(make_position("USDJPY"), currency="JPY").amount == D(-150)
    assert night.due(make_position("USDJPY", lots="0.01"), currency="JPY").amount == D(-2)  # 1.5, half away


def test_triple_day_is_rounded_once():
    night = make_night(mode=SwapMode.POINTS, long="-0.335", on=WEDNESDAY)

    assert night.due(make_position(), currency="USD").amount == D("-1.01")  # 3 x 0.335, not 3 x 0.34


def test_groups_own_values_win_over_the_symbols():
    night = make_night(
        mode=SwapMode.POINTS,
        long="-5",
        override=Override(swap_mode="money", swap_long=D("-7"), swap_short=D(0)),
    )

    assert night.due(make_position(), currency="USD").amount == D("-7.00")
    assert night.due(make_position(side=Side.SELL), currency="USD") is None


def test_contract_is_that_of_the_position():
    night = make_night(mode=SwapMode.POINTS, long="-1", contract_size=D(5))

    assert night.due(make_position(), currency="USD").amount == D("-1.00")


def test_nothing_is_due_without_a_rule_and_for_less_than_half_a_cent():
    assert make_night().due(make_position(), currency="USD") is None
    night = make_night(mode=SwapMode.POINTS, long="-0.4")
    assert night.due(make_position(lots="0.01"), currency="USD") is None  # 0.004


def test_charges_come_by_position_id():
    night = make_night(mode=SwapMode.POINTS, long="-1", short="-2")
    held = [make_position(id=9), make_position(id=3, side=Side.SELL)]

    charges = night.charges(held, currency="USD")

    assert [(due.position_id, due.amount) for due in charges] == [(3, D("-2.00")), (9, D("-1.00"))]


def test_missing_conversion_leaves_nothing_out():
    left = {name: quote for name, quote in QUOTES.items() if name not in ("USDTRY", "TRYUSD")}
    night = make_night(mode=SwapMode.POINTS, long="-1", quotes=left)

    with pytest.raises(Unpriced, match="TRY could not be converted to USD"):
        night.charges([make_position("USDTRY"), make_position(id=2)], currency="USD")


def test_percent_needs_a_price():
    night = make_night(mode=SwapMode.PERCENT, long="-1", quotes={})

    with pytest.raises(Unpriced, match="EURUSD had no price"):
        night.due(make_position(), currency="USD")


# -- days
# ---------------------------------------------------------------------------------------------------------


def closed(calendar: Calendar, *days: date) -> Calendar:
    return replace(calendar, holidays=tuple(ClosedDay(day) for day in days))


def charged(calendar: Calendar, day: date, multipliers: tuple[int, ...] = USUAL) -> int:
    return days_charged(calendar, rollover=NEW_YORK, multipliers=multipliers, day=day)


@pytest.mark.parametrize("calendar", [FOREX, STOCKS], ids=["forex", "stocks"])
def test_week_charges_seven_days(calendar):
    week = [charged(calendar, date(2026, 11, 16 + offset)) for offset in range(7)]

    assert week == [1, 1, 3, 1, 1, 0, 0]


@pytest.mark.parametrize("calendar", [FOREX, STOCKS], ids=["forex", "stocks"])
def test_holiday_moves_its_days_to_the_trading_day_before(calendar):
    holiday = closed(calendar, WEDNESDAY)

    assert [charged(holiday, day) for day in (MONDAY, TUESDAY, WEDNESDAY, THURSDAY)] == [1, 4, 0, 1]


@pytest.mark.parametrize("calendar", [FOREX, STOCKS], ids=["forex", "stocks"])
def test_two_holidays_move_together(calendar):
    holidays = closed(calendar, WEDNESDAY, THURSDAY)

    assert [charged(holidays, day) for day in (TUESDAY, WEDNESDAY, THURSDAY)] == [5, 0, 0]


def test_holiday_on_monday_moves_over_the_weekend_to_friday():
    holiday = closed(STOCKS, MONDAY)

    assert [charged(holiday, date(2026, 11, day)) for day in (13, 14, 15, 16, 17)] == [2, 0, 0, 0, 1]


def test_early_close_is_a_trading_day():
    early = replace(STOCKS, holidays=(ClosedDay(WEDNESDAY, time(13)),))

    assert [charged(early, day) for day in (TUESDAY, WEDNESDAY)] == [1, 3]


def test_week_with_a_change_of_clocks_charges_seven_days():
    assert sum(charged(FOREX, date(2026, 3, 2 + offset)) for offset in range(7)) == 7
    assert sum(charged(FOREX, date(2026, 10, 26 + offset)) for offset in range(6)) == 7


def test_crypto_is_charged_on_weekends():
    every_day = (1,) * 7

    assert [charged(CRYPTO, date(2026, 11, 16 + offset), every_day) for offset in range(7)] == [1] * 7


def test_symbol_that_never_trades_is_charged_nothing():
    assert charged(Calendar(), TUESDAY) == 0


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    holidays=st.sets(st.integers(5, 60), max_size=15),
    multipliers=st.tuples(*[st.integers(0, 3)] * 7),
    calendar=st.sampled_from([FOREX, STOCKS]),
    rollover=st.sampled_from([NEW_YORK, Rollover(MIDNIGHT, "Europe/Athens"), Rollover(FIVE_PM, "UTC")]),
)
def test_holidays_move_days_and_never_lose_or_repeat_one(holidays, multipliers, calendar, rollover):
    weeks = [date(2026, 10, 5) + timedelta(days=offset) for offset in range(70)]  # clocks change within
    closed_then = closed(calendar, *(weeks[offset] for offset in holidays))

    days = [days_charged(closed_then, rollover=rollover, multipliers=multipliers, day=day) for day in weeks]

    assert sum(days) == 10 * sum(multipliers)
    assert all(days[offset] == 0 for offset in holidays)


# -- swap-free groups
# ---------------------------------------------------------------------------------------------------------


def fee_night(on: date, *, after_nights: int) -> Night:
    return make_night(
        on=on,
        mode=SwapMode.POINTS,
        long="-5",
        group={"swap_free": True, "admin_fee": AdminFee(per_lot=D("4.00"), after_nights=after_nights)},
    )


@pytest.mark.parametrize(
    ("on", "after_nights", "amount"),
    [
        (MONDAY, 0, "-2.00"),  # opened on Monday: the first night, 0.5 lots
        (MONDAY, 1, None),
        (TUESDAY, 1, "-2.00"),
        (WEDNESDAY, 2, "-6.00"),  # counts the weekend's days as a swap does
        (WEDNESDAY, 3, None),
    ],
)
def test_swap_free_group_pays_a_fee_after_free_nights(on, after_nights, amount):
    due = fee_night(on, after_nights=after_nights).due(make_position(lots="0.5"), currency="USD")

    if amount is None:
        assert due is None
    else:
        assert (due.kind, due.mode, due.value, due.amount) == ("admin_fee", "money", D("-4.00"), D(amount))


def test_swap_free_group_without_a_fee_pays_nothing():
    night = make_night(mode=SwapMode.POINTS, long="-5", group={"swap_free": True})

    assert night.due(make_position(), currency="USD") is None
