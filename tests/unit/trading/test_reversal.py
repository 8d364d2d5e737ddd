"""Turning a position round: two ordinary deals at one price, or a refusal that leaves it as it is."""

from dataclasses import replace
from decimal import Decimal

import pytest

from apps.accounts.domain.ledger import Ledger
from apps.groups.domain.terms import Commission, CommissionCharge, CommissionMode, Override, PositionMode
from apps.market.domain.symbols import TradeMode
from apps.trading.domain.filling import PositionNotFound
from apps.trading.domain.orders import RejectReason, Side
from tests.factories.books import DEALER, NEVER, NOON, SYMBOLS, buy, close, reverse, sell, swaps

D = Decimal
MOVED = {"EURUSD": ("1.10117", "1.10134")}  # 100 points above what a buy at 1.10017 would close at


@pytest.fixture
def held(make_book, make_market):
    """Return a function that makes a book with one position on EURUSD and returns its id too."""

    def made(command=None, *, market=None, **facts):
        book = make_book(**facts)
        outcome = book.apply(command or buy("EURUSD", lots="1"), market=market or make_market(), now=NOON)
        assert outcome.refusal is None
        return book, next(iter(book.positions))

    return made


@pytest.mark.parametrize("mode", list(PositionMode))
def test_a_buy_becomes_a_sell_at_the_bid(held, make_market, mode):
    book, bought = held(mode=mode)

    outcome = book.apply(reverse(bought, Side.BUY, "1.10117"), market=make_market(quotes=MOVED), now=NOON)

    assert (outcome.type, outcome.refusal, bought in book.positions) == ("position_reversed", None, False)
    closing, opening = outcome.orders
    (position,) = book.positions.values()
    assert [
        (o.side, o.volume, o.status, o.reason, d.entry, d.side, d.volume, d.price, d.profit, d.position_id)
        for o in outcome.orders
        for d in o.deals
    ] == [
        ("sell", D(1), "filled", "staff", "out", "sell", D(1), D("1.10117"), D("100.00"), bought),
        ("sell", D(1), "filled", "staff", "in", "sell", D(1), D("1.10117"), D("0.00"), position.id),
    ]
    assert (position.side, position.volume, position.open_price) == ("sell", D(1), D("1.10117"))
    assert (book.account.balance, book.account.margin) == (D("10100.00"), D("1101.17"))
    assert closing.comment == opening.comment == f"reversal {outcome.payload['reversal_id']}"
    assert (outcome.payload["position_id"], outcome.payload["side"]) == (bought, "buy")


def test_a_sell_becomes_a_buy_at_the_ask(held, make_market):
    book, sold = held(sell("EURUSD", lots="1"))

    outcome = book.apply(reverse(sold, Side.SELL, "1.10134"), market=make_market(quotes=MOVED), now=NOON)

    (position,) = book.positions.values()
    assert [(o.side, o.deals[0].price, o.deals[0].profit) for o in outcome.orders] == [
        ("buy", D("1.10134"), D("-134.00")),
        ("buy", D("1.10134"), D("0.00")),
    ]
    assert (position.side, book.account.balance) == ("buy", D("9866.00"))


def test_commission_swap_and_markup_are_those_of_two_ordinary_deals(held, make_market):
    commission = Commission(CommissionMode.PER_LOT, D(3), CommissionCharge.BOTH)
    terms = {"commission": commission, "markup_bid_points": D(2), "markup_ask_points": D(4)}
    market = make_market(group=terms)
    book, bought = held(market=market)
    book.apply(swaps((bought, "-4.56")), market=market, now=NOON)

    outcome = book.apply(reverse(bought, Side.BUY, "1.09998"), market=market, now=NOON)

    # bought at 1.10021, sold at 1.09998: 23 points lost; each deal pays 3.00 and 2 points of markup
    leaving, entering = (order.deals[0] for order in outcome.orders)
    assert [(d.profit, d.commission, d.swap, d.markup) for d in (leaving, entering)] == [
        (D("-23.00"), D("-3.00"), D("-4.56"), D("2.00")),
        (D("0.00"), D("-3.00"), D("0.00"), D("2.00")),
    ]
    totals = dict.fromkeys(Ledger, D(0))
    for line in outcome.lines:
        totals[line.ledger] += line.amount
    assert totals[Ledger.CLIENT] == D("-33.56")
    assert sum(totals.values()) == 0
    assert book.account.balance == D("10000") - D("3.00") - D("33.56")


def test_stops_end_with_the_old_position(held, market):
    book, bought = held(buy("EURUSD", lots="1", stop_loss=D("1.09000"), take_profit=D("1.20000")))

    book.apply(reverse(bought, Side.BUY, "1.10000"), market=market, now=NOON)

    (position,) = book.positions.values()
    assert (position.stop_loss, position.take_profit, position.trailing_points) == (None, None, None)


@pytest.mark.parametrize(
    ("price", "deviation", "refusal"),
    [
        ("1.10003", 3, None),
        ("1.09997", 3, None),
        ("1.10004", 3, RejectReason.REQUOTE),  # the market fell: worse for the client
        ("1.09996", 3, RejectReason.REQUOTE),  # the market rose: dearer for the house
    ],
)
def test_the_price_may_leave_the_agreed_one_by_the_deviation_either_way(
    held, market, price, deviation, refusal
):
    book, bought = held()
    before = replace(book.account)

    command = reverse(bought, Side.BUY, price, deviation=deviation)
    outcome = book.apply(command, market=market, now=NOON)

    assert outcome.refusal == refusal
    if refusal:
        assert outcome.order.requote_price == D("1.10000")
        assert (list(book.positions), book.account) == ([bought], replace(before, seq=before.seq + 1))


@pytest.mark.parametrize(("side", "lots"), [(Side.SELL, "1"), (Side.BUY, "0.9"), (Side.BUY, "1.1")])
def test_a_position_that_is_not_as_agreed_stays(held, market, side, lots):
    book, bought = held()

    outcome = book.apply(reverse(bought, side, "1.10000", lots=lots), market=market, now=NOON)

    assert (outcome.type, outcome.refusal) == ("order_rejected", "position_changed")
    assert list(book.positions) == [bought]


def test_what_was_closed_cannot_be_reversed(held, market):
    book, bought = held()
    book.apply(close(bought), market=market, now=NOON)

    with pytest.raises(PositionNotFound):
        book.apply(reverse(bought, Side.BUY, "1.10000"), market=market, now=NOON)


@pytest.mark.parametrize("moved", ["position", "symbol"])
def test_the_a_book_is_not_reversed(held, make_market, moved):
    outside = make_market(overrides={"EURUSD": Override(book="a")})
    first, then = (outside, make_market()) if moved == "position" else (make_market(), outside)
    book, bought = held(market=first)

    outcome = book.apply(reverse(bought, Side.BUY, "1.10000"), market=then, now=NOON)

    assert (outcome.refusal, list(book.positions)) == ("a_book", [bought])


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"symbols": {"EURUSD": {"calendar": NEVER}}}, "market_closed"),
        ({"age_ms": 30_001}, "off_quotes"),
        ({"symbols": {"EURUSD": {"trade_mode": TradeMode.CLOSE_ONLY}}}, "close_only"),
        ({"symbols": {"EURUSD": {"trade_mode": TradeMode.LONG_ONLY}}}, "trade_disabled"),
        ({"symbols": {"EURUSD": {"volume_max": D("0.5")}}}, "invalid_volume"),
        ({"group": {"is_active": False}}, "close_only"),
        ({"group": {"positions_max": 0}}, "limit_positions"),
    ],
)
def test_the_new_side_is_held_to_the_rules_of_opening(held, make_market, changes, refusal):
    book, bought = held()

    outcome = book.apply(reverse(bought, Side.BUY, "1.10000"), market=make_market(**changes), now=NOON)

    assert (outcome.refusal, list(book.positions)) == (refusal, [bought])


@pytest.mark.parametrize("status", ["close_only", "disabled"])
def test_an_account_that_may_not_open_is_not_reversed(held, market, status):
    book, bought = held()
    book.account.status = status

    outcome = book.apply(reverse(bought, Side.BUY, "1.10000"), market=market, now=NOON)

    assert outcome.refusal == ("account_disabled" if status == "disabled" else "close_only")


def test_one_of_two_buys_is_not_turned_where_opposites_are_prohibited(held, make_market):
    market = make_market(group={"allows_hedging": False})
    book, bought = held(market=market)
    book.apply(buy("EURUSD", lots="1"), market=market, now=NOON)

    outcome = book.apply(reverse(bought, Side.BUY, "1.10000"), market=market, now=NOON)

    assert outcome.refusal == "hedging_prohibited"


def test_only_the_oldest_is_turned_where_the_first_in_leaves_first(held, make_market):
    market = make_market(group={"closes_fifo": True})
    book, oldest = held(market=market)
    book.apply(buy("EURUSD", lots="1"), market=market, now=NOON)
    newer = max(book.positions)

    refused = book.apply(reverse(newer, Side.BUY, "1.10000", actor=DEALER), market=market, now=NOON)

    assert refused.refusal == "fifo_violation"
    assert book.apply(reverse(oldest, Side.BUY, "1.10000"), market=market, now=NOON).refusal is None


@pytest.mark.parametrize(("balance", "refusal"), [("1134.00", None), ("1133.99", "no_money")])
def test_the_new_side_needs_its_margin_to_the_cent(held, make_market, balance, refusal):
    book, bought = held()
    book.account.balance = D(balance)

    # sold at 1.10000: 17.00 of loss are booked, 17.00 more stand open, 1,100.00 is the margin
    outcome = book.apply(reverse(bought, Side.BUY, "1.10000"), market=make_market(), now=NOON)

    assert outcome.refusal == refusal
    assert len(outcome.lines) == (0 if refusal else 2)


def test_the_profit_that_is_booked_carries_the_new_margin(held, make_market):
    book, bought = held()
    book.account.balance = D("1018.17")  # and 100.00 of profit, 17.00 of spread, 1,101.17 of margin

    outcome = book.apply(reverse(bought, Side.BUY, "1.10117"), market=make_market(quotes=MOVED), now=NOON)

    assert (outcome.refusal, book.account.balance) == (None, D("1118.17"))


def test_a_missing_conversion_is_off_quotes(held, make_market):
    book, bought = held(currency="JPY", balance="5000000")

    market = make_market(quotes={"USDJPY": ("0", "0")})
    outcome = book.apply(reverse(bought, Side.BUY, "1.10000"), market=market, now=NOON)

    assert (outcome.refusal, len(SYMBOLS), list(book.positions)) == ("off_quotes", 4, [bought])
