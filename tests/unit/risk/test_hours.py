"""Trading hours: rows of a target add up, all targets of an order must be open."""

from datetime import UTC, datetime, time, timedelta

from apps.market.domain.sessions import Calendar, Hours
from apps.risk.domain.hours import PLATFORM, TradingTimes

MONDAY = datetime(2026, 11, 16, 9, 0, tzinfo=UTC)


def week(*hours: tuple[int, int, int], zone: str = "UTC") -> Calendar:
    return Calendar(timezone=zone, hours=tuple(Hours(day, time(a), time(b)) for day, a, b in hours))


def is_open(times: TradingTimes, *, at: datetime = MONDAY, account: int = 1, symbol: str = "EURUSD") -> bool:
    return times.is_open(account_id=account, group_id=7, symbol=symbol, now=at)


def test_without_hours_nothing_is_narrowed():
    assert is_open(TradingTimes())


def test_opens_and_closes_to_the_microsecond():
    times = TradingTimes({PLATFORM: (week((0, 9, 10)),)})

    assert not is_open(times, at=MONDAY - timedelta(microseconds=1))
    assert is_open(times, at=MONDAY)
    assert is_open(times, at=MONDAY + timedelta(hours=1, microseconds=-1))
    assert not is_open(times, at=MONDAY + timedelta(hours=1))


def test_calendars_of_one_target_add_up_over_time_zones():
    times = TradingTimes({PLATFORM: (week((0, 1, 2)), week((0, 10, 11), zone="Europe/Berlin"))})

    assert is_open(times)  # 10:00 in Berlin


def test_all_targets_of_an_order_must_be_open():
    times = TradingTimes({PLATFORM: (week((0, 9, 10)),), ("group", 7): (week((0, 11, 12)),)})

    assert not is_open(times)


def test_hours_of_one_account_or_symbol_narrow_no_other():
    times = TradingTimes({("account", 1): (week((1, 9, 10)),), ("symbol", "XAUUSD"): (week((1, 9, 10)),)})

    assert not is_open(times)
    assert is_open(times, account=2)
    assert not is_open(times, account=2, symbol="XAUUSD")
