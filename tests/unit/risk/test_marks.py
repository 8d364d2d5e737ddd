"""Marks of accounts: peaks and days follow trading, not money that is paid in or out."""

from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from apps.risk.selectors.portfolio import MarksRow
from apps.risk.services import marks, monitor_status
from apps.trading.domain.holdings import Holdings
from apps.trading.domain.orders import Side
from tests.factories.books import NOON_MS
from tests.factories.portfolios import House, account, position, quote

D = Decimal
TODAY = date(2026, 11, 18)


def one(*, balance: str = "10000", credit: str = "0", margin: str = "0", seq: int = 1) -> Holdings:
    held = Holdings(
        account=account(balance=balance, credit=D(credit), seq=seq),
        positions=[position(1, "EURUSD", Side.BUY, "1.00", "1.10000")],
    )
    held.account.margin = D(margin)
    return held


def shown(house: House) -> dict[str, float]:
    house.portfolio.look(now_ms=NOON_MS)
    names = ("peak", "day_start", "day_low", "day_high", "used_credit", "used_max")
    return {name: round(float(getattr(house.portfolio.marks, name)[0]), 2) for name in names}


def test_every_tick_counts_for_peak_low_and_high() -> None:
    house = House()
    house.put(one())
    shown(house)
    for bid in ("1.10500", "1.09700", "1.10100"):
        house.tick(quote("EURUSD", bid, "1.11000"))

    found = shown(house)

    assert found == {
        "peak": 10500,
        "day_start": 10000,
        "day_low": 9700,
        "day_high": 10500,
        "used_credit": 0,
        "used_max": 0,
    }


@pytest.mark.parametrize(
    ("flow", "peak", "start"),
    [(500, 11025, 10500), (-9000, 1050, 1000), (-10000, 0, 0), (-10100, 400, -100)],
)
def test_money_paid_in_or_out_moves_the_day_and_scales_the_peak(flow: int, peak: int, start: int) -> None:
    house = House()
    house.put(one())
    shown(house)
    house.tick(quote("EURUSD", "1.10500", "1.11000"))
    house.tick(quote("EURUSD", "1.10000", "1.11000"))

    house.put(one(balance=str(10000 + flow), seq=2), flow=float(flow))

    found = shown(house)
    assert (found["peak"], found["day_start"]) == (peak, start)
    assert (found["day_low"], found["day_high"]) == (start, 10500 + flow)


def test_a_peak_is_not_scaled_by_an_equity_that_is_gone() -> None:
    house = House()
    house.put(one())
    shown(house)
    house.tick(quote("EURUSD", "0.99500", "1.11000"))  # equity -500

    house.put(one(balance="11000", seq=2), flow=1000.0)

    assert shown(house)["peak"] == 11000


def test_an_account_that_cannot_be_valued_begins_its_day_when_it_can() -> None:
    house = House()
    house.put(one())
    shown(house)
    house.portfolio.accounts.missing[0] = 1

    batches = marks.ended_day(house.portfolio, TODAY)

    assert batches == []
    assert np.isnan(house.portfolio.marks.day_start[0])
    house.portfolio.accounts.missing[0] = 0
    house.tick(quote("EURUSD", "1.10500", "1.11000"))
    assert shown(house)["day_start"] == 10500


@pytest.mark.parametrize(
    ("bid", "used"),
    [("1.10000", 0), ("1.09300", 200), ("1.08500", 1000), ("1.08000", 1500), ("1.07000", 2000)],
)
def test_used_credit_is_what_margin_and_losses_need_beyond_own_money(bid: str, used: int) -> None:
    house = House()
    house.put(one(balance="1500", credit="2000", margin="1000"))
    house.tick(quote("EURUSD", bid, "1.11000"))

    assert shown(house)["used_credit"] == used


def test_the_next_day_begins_at_the_present_equity() -> None:
    house = House()
    house.put(one())
    shown(house)
    house.tick(quote("EURUSD", "1.10500", "1.11000"))
    house.tick(quote("EURUSD", "1.10200", "1.11000"))

    batches = marks.ended_day(house.portfolio, TODAY)

    assert [row[7:11] for row in batches[0].rows()] == [("2026-11-18", "10000.00", "10000.00", "10500.00")]
    assert shown(house) == {
        "peak": 10500,
        "day_start": 10200,
        "day_low": 10200,
        "day_high": 10200,
        "used_credit": 0,
        "used_max": 0,
    }


def test_stored_marks_come_back_with_the_money_that_moved_meanwhile() -> None:
    house = House()
    house.put(one(balance="10500", seq=7))
    house.portfolio.marks.forget(0)
    row = MarksRow(1, 5, 12000.0, NOON_MS, TODAY, 9000.0, 8000.0, 11000.0, 10.0, 20.0, 10000.0, 500.0)

    marks.restore(house.portfolio, [row], today=TODAY)

    found = shown(house)
    assert (found["peak"], found["day_start"], found["day_low"]) == (12600, 9500, 8500)
    assert (found["day_high"], found["used_max"]) == (11500, 20)


def test_marks_of_another_day_keep_only_the_peak() -> None:
    house = House()
    house.put(one())
    house.portfolio.marks.forget(0)
    row = MarksRow(1, 1, 12000.0, NOON_MS, date(2026, 11, 17), 9000.0, 8000.0, 11000.0, 0.0, 20.0, 9000.0)

    marks.restore(house.portfolio, [row], today=TODAY)

    found = shown(house)
    assert (found["peak"], found["day_start"], found["day_low"], found["used_max"]) == (
        12000,
        10000,
        10000,
        0,
    )


def test_urgent_accounts_are_stored_first_and_the_others_in_turn() -> None:
    house = House()
    for id_ in range(1, 8):
        held = Holdings(
            account=account(id_, balance="3000"),
            positions=[position(id_, "EURUSD", Side.BUY, "1.00", "1.10000")],
        )
        held.account.margin = D(2500 if id_ == 6 else 1000)  # the sixth is near its margin call
        house.put(held)
    house.portfolio.look(now_ms=NOON_MS)
    turn = marks.Turn()
    marks.pick(house.portfolio, turn, day=TODAY)  # all are new
    seen = []
    for step in range(1, 4):
        house.tick(quote("EURUSD", f"1.1000{step}", "1.11000"))
        picked = marks.pick(house.portfolio, turn, day=TODAY, limit=3)
        seen.append([row[0] for row in picked.rows()])

    assert seen == [[6, 1, 2], [6, 3, 4], [6, 5, 7]]
    assert picked.rows()[0][:5] == (6, 0, "3003.00", "2500.00", "120.12")


def test_what_could_not_be_stored_is_chosen_again() -> None:
    house = House()
    house.put(one())
    house.portfolio.look(now_ms=NOON_MS)
    turn = marks.Turn()
    picked = marks.pick(house.portfolio, turn, day=TODAY)
    assert len(marks.pick(house.portfolio, turn, day=TODAY).rows()) == 0

    marks.give_back(house.portfolio, picked)

    assert len(marks.pick(house.portfolio, turn, day=TODAY).rows()) == 1


def test_levels_are_counted_by_their_upper_bounds() -> None:
    house = House()
    for id_, balance in enumerate(("-10", "500", "501", "1000", "1001", "5000", "20000"), start=1):
        held = Holdings(
            account=account(id_, balance=balance),
            positions=[position(id_, "EURUSD", Side.BUY, "0.01", "1.10000")],
        )
        held.account.margin = D(1000)
        house.put(held)

    levels = monitor_status.figures(house.portfolio).levels

    counted = {bound: number for bound, number in levels.items() if number}
    assert counted == {"0": 1, "50": 1, "80": 1, "100": 1, "120": 1, "500": 1, "inf": 1}
    assert sum(levels.values()) == 7


def test_growing_keeps_what_is_known() -> None:
    house = House()
    house.put(one())
    shown(house)
    for id_ in range(2, 400):
        house.put(Holdings(account=account(id_, balance="5")))

    assert shown(house)["peak"] == 10000
    assert np.isfinite(house.portfolio.marks.peak[:399]).all()
