"""Closing a position by an opposite one: two deals, no spread, each side's own swap."""

from decimal import Decimal

import pytest

from apps.accounts.domain.ledger import Ledger
from apps.groups.domain.terms import Commission, CommissionCharge, CommissionMode
from apps.market.domain.symbols import TradeMode
from apps.trading.domain.closing import PositionsDoNotMatch
from apps.trading.domain.filling import PositionNotFound
from tests.factories.books import (
    DEALER,
    NEVER,
    NOON,
    buy,
    close,
    close_by,
    sell,
    swaps,
)

D = Decimal


@pytest.fixture
def hedge(make_book, make_market):
    """Return a function that makes a book with a buy and a sell of EURUSD, ids 3 and 6."""

    def made(bought: str = "1", sold: str = "1", *, market=None, **facts):
        book = make_book(**{"balance": "100000", **facts})
        for command in (buy("EURUSD", lots=bought), sell("EURUSD", lots=sold)):
            assert book.apply(command, market=market or make_market(), now=NOON).refusal is None
        first, second = book.positions
        return book, first, second

    return made


def test_equal_positions_close_each_other_at_the_opposites_price(hedge, market):
    book, bought, sold = hedge()

    outcome = book.apply(close_by(bought, sold), market=market, now=NOON)

    # bought at 1.10017, sold at 1.10000: 17 points lost, and nothing twice
    assert (outcome.type, outcome.order.status, outcome.order.average_price) == (
        "positions_closed_by",
        "filled",
        D("1.10000"),
    )
    assert [
        (d.position_id, d.entry, d.side, d.volume, d.price, d.profit, d.markup) for d in outcome.order.deals
    ] == [
        (bought, "out_by", "sell", D(1), D("1.10000"), D("-17.00"), D(0)),
        (sold, "out_by", "buy", D(1), D("1.10000"), D("0.00"), D(0)),
    ]
    assert (book.positions, book.account.margin, book.account.balance) == ({}, 0, D("99983.00"))
    assert outcome.payload["positions"] == []
    assert sorted(outcome.payload["house"]) == sorted(str(deal.id) for deal in outcome.order.deals)


def test_the_other_way_round_earns_the_same(hedge, market):
    book, bought, sold = hedge()

    outcome = book.apply(close_by(sold, bought), market=market, now=NOON)

    assert [(d.position_id, d.price, d.profit) for d in outcome.order.deals] == [
        (sold, D("1.10017"), D("-17.00")),
        (bought, D("1.10017"), D("0.00")),
    ]


@pytest.mark.parametrize(
    ("bought", "sold", "side", "cost", "margin"),
    [("3", "1.2", "buy", "1.980306", "1980.31"), ("1.2", "3", "sell", "1.98", "1980.00")],
)
def test_of_unequal_positions_the_smaller_volume_leaves_both(hedge, market, bought, sold, side, cost, margin):
    book, first, second = hedge(bought, sold)

    outcome = book.apply(close_by(first, second), market=market, now=NOON)

    (rest,) = book.positions.values()
    assert (rest.side, rest.volume, rest.cost) == (side, D("1.8"), D(cost))
    assert outcome.order.filled_volume == D("1.2")
    assert [deal.profit for deal in outcome.order.deals] == [D("-20.40"), D("0.00")]
    assert [position["id"] for position in outcome.payload["positions"]] == [rest.id]
    assert book.account.margin == D(margin)


def test_half_a_point_of_markup_makes_no_profit_on_the_second_deal(hedge, make_market):
    market = make_market(group={"markup_bid_points": D("0.5"), "markup_ask_points": D("0.5")})
    book, bought, sold = hedge("50", "50", market=market, balance="1000000")

    outcome = book.apply(close_by(bought, sold), market=market, now=NOON)

    assert [(d.price, d.profit) for d in outcome.order.deals] == [
        (D("1.099995"), D("-900.00")),  # 18 points
        (D("1.099995"), D("0.00")),
    ]


@pytest.mark.parametrize(
    ("rule", "at_entry", "at_exit"),
    [
        (Commission(CommissionMode.PER_DEAL, D(1), CommissionCharge.ENTRY), "-2.00", ["0.00", "0.00"]),
        (Commission(CommissionMode.PER_DEAL, D(1), CommissionCharge.EXIT), "0.00", ["-2.00", "0.00"]),
        (Commission(CommissionMode.PER_DEAL, D(1), CommissionCharge.BOTH), "-2.00", ["-2.00", "0.00"]),
        (Commission(CommissionMode.PER_LOT, D(1), CommissionCharge.ENTRY), "-2.00", ["0.00", "0.00"]),
        (Commission(CommissionMode.PER_LOT, D(1), CommissionCharge.EXIT), "0.00", ["-2.00", "0.00"]),
        # 100,000 EUR at 1.10000 is 110,000 USD: 3.30 for each of the two exits
        (Commission(CommissionMode.PER_MILLION, D(30), CommissionCharge.EXIT), "0.00", ["-6.60", "0.00"]),
        (
            Commission(CommissionMode.PER_LOT, D("0.10"), CommissionCharge.EXIT, minimum=D(3)),
            "0.00",
            ["-6.00", "0.00"],
        ),
        (
            Commission(CommissionMode.PER_LOT, D(5), CommissionCharge.EXIT, tiers=((D(2), D(4)),)),
            "0.00",
            ["-10.00", "0.00"],  # each exit is one lot: the tier from two lots is not reached
        ),
    ],
    ids=lambda value: f"{value.mode}-{value.charge}" if isinstance(value, Commission) else None,
)
def test_the_first_deal_pays_the_commission_of_both_exits(hedge, make_market, rule, at_entry, at_exit):
    market = make_market(group={"commission": rule})
    book, bought, sold = hedge(market=market)
    entered = book.account.balance - 100_000

    outcome = book.apply(close_by(bought, sold), market=market, now=NOON)

    assert entered == D(at_entry)
    assert [deal.commission for deal in outcome.order.deals] == [D(amount) for amount in at_exit]
    assert sum(line.amount for line in outcome.lines if line.ledger is Ledger.CLIENT) == D(at_exit[0]) - 17
    assert sum(line.amount for line in outcome.lines) == 0


def test_the_rule_names_both_exits(hedge, make_market):
    rule = Commission(CommissionMode.PER_DEAL, D(1), CommissionCharge.EXIT)
    market = make_market(group={"commission": rule})
    book, bought, sold = hedge(market=market)

    outcome = book.apply(close_by(bought, sold), market=market, now=NOON)

    assert [deal.rule for deal in outcome.order.deals] == ["per_deal:1:exit:x2", "per_deal:1:exit"]


def test_each_side_realizes_its_own_share_of_swap(hedge, market):
    book, bought, sold = hedge("3", "1")
    book.apply(swaps((bought, "-10.00"), (sold, "4.00")), market=market, now=NOON)

    outcome = book.apply(close_by(bought, sold), market=market, now=NOON)

    assert [deal.swap for deal in outcome.order.deals] == [D("-3.33"), D("4.00")]
    assert book.positions[bought].swap == D("-6.67")
    assert book.account.balance == D("100000") - 17 - D("3.33") + 4


@pytest.mark.parametrize(
    ("turned", "price", "profit"),
    [
        # bought at 0.85680, sold at 0.85660: a loss of 20 GBP, bought at the ask of GBPUSD
        (False, "0.85660", "-25.00"),
        # sold at 0.86660 before it was bought at 0.85680: a profit of 980 GBP, sold at the bid
        (True, "0.86660", "1225.00"),
    ],
)
def test_the_profit_is_converted_at_the_worse_side(make_book, make_market, turned, price, profit):
    book = make_book(balance="100000")
    high = make_market(quotes={"EURGBP": ("0.86660", "0.86680")})
    first, second = (
        book.apply(
            command, market=high if turned and command.side == "sell" else make_market(), now=NOON
        ).order.position_id
        for command in (buy("EURGBP", lots="1"), sell("EURGBP", lots="1"))
    )

    outcome = book.apply(close_by(first, second), market=make_market(), now=NOON)

    assert outcome.order.average_price == D(price)
    assert [deal.profit for deal in outcome.order.deals] == [D(profit), D("0.00")]


def test_closing_by_is_never_a_matter_of_money(hedge, make_market):
    # covered for nothing, the legs have run far apart: without the hedge there is no free margin
    free = {"EURUSD": {"hedged_contract_size": D(0)}}
    book, bought, sold = hedge("3", "2", market=make_market(symbols=free), balance="3400")
    book.account.status = "close_only"
    book.account.balance = D(-1000)
    crash = make_market(symbols=free, quotes={"EURUSD": ("1.00000", "1.05000")})

    assert book.apply(close_by(bought, sold), market=crash, now=NOON).order.status == "filled"


@pytest.mark.parametrize(
    ("status", "changes", "reason"),
    [
        ("disabled", {}, "account_disabled"),
        ("active", {"symbols": {"EURUSD": {"trade_mode": TradeMode.DISABLED}}}, "trade_disabled"),
        ("active", {"symbols": {"EURUSD": {"calendar": NEVER}}}, "market_closed"),
        ("active", {"age_ms": 30_001}, "off_quotes"),
    ],
)
def test_a_refusal_is_an_order_and_changes_nothing(hedge, make_market, status, changes, reason):
    book, bought, sold = hedge()
    book.account.status = status
    positions = dict(book.positions)

    outcome = book.apply(close_by(bought, sold), market=make_market(**changes), now=NOON)

    assert (outcome.type, outcome.order.status, outcome.refusal) == ("order_rejected", "rejected", reason)
    assert (book.positions, book.account.balance) == (positions, D(100000))


def test_a_missing_conversion_rate_closes_neither(make_book, make_market):
    book = make_book(balance="100000")
    for command in (buy("EURGBP", lots="1"), sell("EURGBP", lots="1")):
        book.apply(command, market=make_market(), now=NOON)
    first, second = book.positions
    stale = make_market(symbols={"GBPUSD": {"quote_age_max_ms": 0}}, age_ms=10)

    outcome = book.apply(close_by(first, second), market=stale, now=NOON)

    assert (outcome.refusal, len(book.positions), outcome.order.deals) == ("off_quotes", 2, [])


def test_the_house_closes_by_for_a_disabled_account(hedge, market):
    book, bought, sold = hedge()
    book.account.status = "disabled"

    outcome = book.apply(close_by(bought, sold, actor=DEALER), market=market, now=NOON)

    assert (outcome.type, outcome.order.reason) == ("positions_closed_by", "staff")


def test_positions_must_be_opposite_and_on_one_symbol(make_book, market):
    book = make_book(balance="100000")
    eurusd, same, other = (
        book.apply(command, market=market, now=NOON).order.position_id
        for command in (buy("EURUSD", lots="1"), buy("EURUSD", lots="1"), sell("GBPUSD", lots="1"))
    )

    for opposite in (same, other, eurusd):
        with pytest.raises(PositionsDoNotMatch) as refused:
            book.apply(close_by(eurusd, opposite), market=market, now=NOON)
        assert (int(refused.value.status), refused.value.code) == (400, "positions_do_not_match")
    with pytest.raises(PositionNotFound):
        book.apply(close_by(eurusd, 99), market=market, now=NOON)
    assert book.account.seq == 4


@pytest.mark.parametrize("newer", ["buy", "sell"])
def test_first_in_first_out_holds_for_both_sides(hedge, make_market, newer):
    fifo = make_market(group={"closes_fifo": True})
    book, bought, sold = hedge()
    later = book.apply(
        (buy if newer == "buy" else sell)("EURUSD", lots="1"), market=fifo, now=NOON
    ).order.position_id
    pair = (later, sold) if newer == "buy" else (bought, later)

    assert book.apply(close_by(*pair), market=fifo, now=NOON).refusal == "fifo_violation"
    assert book.apply(close_by(bought, sold), market=fifo, now=NOON).order.status == "filled"
    assert book.apply(close(later), market=fifo, now=NOON).order.status == "filled"
