"""Which quotes the board takes over."""

from decimal import Decimal

import pytest

from apps.market.domain.quotes import AHEAD_MAX_MS, Quote
from apps.market.services.board import QuoteBoard
from rtx.kernel import clock

NOW_MS = 1_800_000_000_000


def quote(bid: str, time_ms: int) -> Quote:
    return Quote("EURUSD", Decimal(bid), Decimal(bid), time_ms)


@pytest.mark.parametrize(
    ("ahead_ms", "shown"),
    [(0, "1.1"), (AHEAD_MAX_MS, "1.1"), (AHEAD_MAX_MS + 1, "1.2")],
    ids=["known now", "a little ahead", "of a clock that was set back since"],
)
def test_an_older_quote_is_left_out_unless_the_known_one_lies_in_the_future(monkeypatch, ahead_ms, shown):
    monkeypatch.setattr(clock, "now_ms", lambda: NOW_MS)
    board = QuoteBoard()
    board.apply([quote("1.1", NOW_MS + ahead_ms)])

    board.apply([quote("1.2", NOW_MS - 1)])

    assert board.latest["EURUSD"].bid == Decimal(shown)
