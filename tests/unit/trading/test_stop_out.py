"""What a stop-out closes, in which order, to which level: published numbers and the group's rules."""

import json
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from itertools import count

import pytest

from apps.groups.domain.terms import Commission, CommissionCharge, CommissionMode, Override, StopOutRule
from apps.trading.domain import dossiers, market_record, stop_out
from apps.trading.domain.book import AccountBook
from apps.trading.domain.holdings import Holdings
from apps.trading.domain.margin_calls import MarginCallVoid
from apps.trading.domain.orders import OrderReason, OrderStatus
from apps.trading.domain.stop_out import StopOutStuck, StopOutVoid
from tests.factories import books
from tests.factories.books import NEVER, NOON, buy, buy_limit, call_margin, sell

D = Decimal
LOSS = {"stop_out_rule": StopOutRule.LARGEST_LOSS}


def holding(make_book, market, *commands, balance="100000", after="", **facts):
    """Return a book that traded at a market and then has `after` of its balance left."""
    book = make_book(balance=balance, **facts)
    for command in commands:
        outcome = book.apply(command, market=market, now=NOON)
        assert outcome.refusal is None
    if after:
        book.account.balance = D(after)
    return book


def run(book, market, **more):
    """Stop the book out."""
    return book.apply(books.stop_out(**more), market=market, now=NOON)


def closed(outcome):
    """Return (position, lots) of each close."""
    steps = outcome.dossier["steps"]
    return [(step["position_id"], step["volume"]) for step in steps if step["action"] == "close"]


def test_it_acts_at_the_level_to_the_cent_and_not_above(make_book, make_market):
    """10,000 balance, 5 lots GBPUSD, margin 7,938.60, stop-out 50 %: acts at equity 3,969.30."""
    market = make_market(quotes={"GBPUSD": ("1.58772", "1.58772")})
    book = holding(make_book, market, buy("GBPUSD", lots="5"), balance="10000")
    assert book.account.margin == D("7938.60")
    price = D("1.58772") - (D(10_000) - D("3969.30")) / 500_000
    assert price == D("1.5756586")
    above = make_market(quotes={"GBPUSD": ("1.57566", "1.57566")}, symbols={"GBPUSD": {"digits": 7}})
    at = make_market(quotes={"GBPUSD": (str(price), str(price))}, symbols={"GBPUSD": {"digits": 7}})

    with pytest.raises(StopOutVoid):
        run(book, above)
    outcome = run(book, at)

    assert outcome.dossier["before"] == {"equity": "3969.3", "margin": "7938.60", "level_pct": "50"}
    assert (book.positions, book.account.balance) == ({}, D("3969.30"))


def test_smart_closes_the_smallest_part_that_restores_the_level(make_book, make_market):
    """500 USD, 1:500, USDJPY 200,000 + 50,000 @ 101.33, 10.2 pips against: closes 2,000 units."""
    symbols = {"USDJPY": {"volume_step": D("0.01")}}
    opened = make_market(quotes={"USDJPY": ("101.330", "101.330")}, symbols=symbols)
    book = holding(
        make_book,
        opened,
        sell("USDJPY", lots="2"),
        sell("USDJPY", lots="0.5"),
        balance="501",
        after="500",
        leverage=500,
    )
    against = make_market(
        quotes={"USDJPY": ("101.430", "101.432")}, symbols=symbols, group={"stop_out_rule": StopOutRule.SMART}
    )

    outcome = run(book, against)

    [step] = outcome.dossier["steps"]
    assert (step["position_id"], step["volume"], step["of_volume"]) == (3, "0.02", "2")
    assert step["before"]["margin"] == "500.00"
    assert step["after"]["margin"] == "496.00"
    assert D(step["after"]["level_pct"]) > 50
    one_less = D("250000") - D("1000")
    assert D(step["after"]["equity"]) / (one_less / 500) * 100 < 50  # a step less would not have been enough


def test_mt5_cancels_orders_with_margin_first_the_largest_first(make_book, make_market):
    symbols = {"EURUSD": {"margin_rate_pending": D(1)}}
    market = make_market(symbols=symbols)
    book = holding(
        make_book,
        market,
        buy("EURUSD", lots="1"),
        buy_limit("1.09000", lots="0.1"),
        buy_limit("1.09000", lots="0.3"),
        sell("GBPUSD", lots="0.1"),
    )
    small, large = sorted(book.orders, key=lambda key: book.orders[key].volume)
    book.account.balance = D(700)  # equity about 680: 50 % of 1,360, and everything takes about 1,665

    outcome = run(book, market)

    steps = outcome.dossier["steps"]
    assert [(s["action"], s["order_id"]) for s in steps[:1]] == [("cancel", large)]
    assert steps[0]["runner_up"] == {"id": small, "value": "110.017"}
    assert steps[0]["value"] == "330.051"
    assert outcome.orders[0].status is OrderStatus.CANCELED
    assert not closed(outcome) or small not in book.orders


def test_orders_without_margin_stay(make_book, make_market):
    market = make_market()
    book = holding(make_book, market, buy("EURUSD", lots="1"), buy_limit("1.00000", lots="5"), after="100")

    outcome = run(book, market)

    assert closed(outcome) == [(3, "1")] or len(closed(outcome)) == 1
    assert (len(book.orders), len(book.positions)) == (1, 0)


def test_the_maximum_volume_caps_each_close(make_book, make_market):
    """A 50-lot netting position with maximum 20 closes 20, check, 20, check, 10."""
    market = make_market(symbols={"EURUSD": {"volume_max": D(100)}})
    book = holding(make_book, market, buy("EURUSD", lots="50"), balance="1000000")
    capped = make_market(symbols={"EURUSD": {"volume_max": D(20)}})
    book.account.balance = D(0)

    outcome = run(book, capped)

    assert [lots for _, lots in closed(outcome)] == ["20", "20", "10"]
    assert [step["after"]["margin"] for step in outcome.dossier["steps"]] == ["33005.10", "11001.70", "0.00"]


RULES = [
    (StopOutRule.LARGEST_LOSS, ["GBPUSD", "EURUSD", "USDJPY"]),
    (StopOutRule.LARGEST_MARGIN, ["EURUSD", "GBPUSD", "USDJPY"]),
    (StopOutRule.FIFO, ["USDJPY", "EURUSD", "GBPUSD"]),
]


@pytest.mark.parametrize(("rule", "order"), RULES)
def test_each_rule_has_its_order(make_book, make_market, rule, order):
    book = holding(
        make_book,
        make_market(),
        buy("USDJPY", lots="0.1"),
        buy("EURUSD", lots="1"),
        buy("GBPUSD", lots="0.5"),
    )
    book.account.balance = D(1000)
    market = make_market(group={"stop_out_rule": rule}, quotes={"GBPUSD": ("1.22000", "1.22020")})

    outcome = run(book, market)

    assert [step["symbol"] for step in outcome.dossier["steps"]] == order
    assert {step["chosen_by"] for step in outcome.dossier["steps"]} == {stop_out.CHOSEN_BY[rule]}
    assert {o.reason for o in outcome.orders} == {OrderReason.STOP_OUT}


def test_it_stops_as_soon_as_the_level_is_above(make_book, make_market):
    market = make_market()
    book = holding(make_book, market, buy("EURUSD", lots="1"), buy("EURUSD", lots="1"))
    book.account.balance = D(1100) + 34  # equity 1,100, margin 2,200.34: 49.99 %

    outcome = run(book, market)

    assert len(closed(outcome)) == 1
    assert len(book.positions) == 1
    assert outcome.dossier["after"]["level_pct"] == outcome.dossier["steps"][-1]["after"]["level_pct"]
    assert D(outcome.dossier["after"]["level_pct"]) > 50


def test_a_hedge_without_margin_goes_when_equity_is_gone(make_book, make_market):
    symbols = {"EURUSD": {"hedged_contract_size": D(0)}}
    market = make_market(symbols=symbols)
    book = holding(make_book, market, buy("EURUSD", lots="1"), sell("EURUSD", lots="1"))
    assert book.account.margin == 0
    book.account.balance = D("34.01")  # floating is twice the spread: -34
    with pytest.raises(StopOutVoid):
        run(book, market)
    book.account.balance = D("34.00")

    outcome = run(book, market)

    assert outcome.dossier["before"] == {"equity": "0", "margin": "0.00", "level_pct": None}
    assert (len(closed(outcome)), book.positions) == (2, {})


def test_what_cannot_be_closed_is_left_and_the_rest_goes(make_book, make_market):
    book = holding(make_book, make_market(), buy("EURUSD", lots="1"), buy("GBPUSD", lots="1"))
    book.account.balance = D(100)
    market = make_market(symbols={"GBPUSD": {"calendar": NEVER}})
    gbp = next(p.id for p in book.positions.values() if p.symbol == "GBPUSD")

    outcome = run(book, market)

    assert [step["symbol"] for step in outcome.dossier["steps"]] == ["EURUSD"]
    assert outcome.payload["left"] == [{"position_id": gbp, "symbol": "GBPUSD", "reason": "market_closed"}]
    assert outcome.dossier["prices"]["GBPUSD"]["state"] == "market_closed"
    with pytest.raises(StopOutStuck) as stuck:
        run(book, market)
    assert stuck.value.waiting == {gbp: ("GBPUSD", "market_closed")}


def test_a_stale_quote_is_waited_for(make_book, make_market):
    book = holding(make_book, make_market(), buy("EURUSD", lots="1"), after="10")
    seq = book.account.seq

    with pytest.raises(StopOutStuck) as stuck:
        run(book, make_market(age_ms=30_001))

    assert [reason for _, reason in stuck.value.waiting.values()] == ["off_quotes"]
    assert (book.account.seq, len(book.positions)) == (seq, 1)


@pytest.mark.parametrize(
    ("credit", "used", "paid", "left"),
    [("0", "0.00", "407.00", "0"), ("100", "100.00", "307.00", "0"), ("500", "407.00", "0.00", "93.00")],
)
def test_a_debt_is_made_good_by_credit_first_then_by_the_house(
    make_book, make_market, credit, used, paid, left
):
    book = holding(make_book, make_market(), buy("EURUSD", lots="1"), after="610", credit=D(credit))
    market = make_market(quotes={"EURUSD": ("1.09000", "1.09017")}, group={"protects_balance": True})
    fallen = make_market(quotes={"EURUSD": ("1.09000", "1.09017")}, group={"protects_balance": False})
    unprotected = deepcopy(book)
    if credit == "500":
        book.account.credit = unprotected.account.credit = D(500)

    outcome = run(book, market)
    run(unprotected, fallen)

    assert (outcome.payload["credit_used"], outcome.payload["compensation"]) == (used, paid)
    assert (book.account.balance, book.account.credit) == (0, D(left))
    assert sum(line.amount for line in outcome.lines) == 0
    assert unprotected.account.balance == D("-407.00")  # 610 - 1,017


def test_a_debt_without_positions_is_made_good_by_itself(make_book, make_market):
    book = make_book(balance="-12.34")
    protecting = make_market(group={"protects_balance": True})

    outcome = run(book, protecting)

    assert (outcome.type, outcome.payload["compensation"], book.account.balance) == (
        "balance_protected",
        "12.34",
        0,
    )
    with pytest.raises(StopOutVoid):
        run(book, protecting)


def test_a_dossier_is_derived_again_byte_for_byte(make_book, make_market):
    rule = Commission(CommissionMode.PER_LOT, D("3.5"), CommissionCharge.BOTH)
    book = holding(
        make_book,
        make_market(symbols={"EURUSD": {"margin_rate_pending": D(1)}}),
        buy("EURUSD", lots="1"),
        sell("USDJPY", lots="0.7"),
        buy("EURGBP", lots="0.33"),
        buy_limit("1.09000", lots="0.2"),
        after="400",
    )
    before = deepcopy(book)
    market = make_market(
        group={"markup_bid_points": D("1.5"), "stop_out_rule": StopOutRule.SMART, "commission": rule},
        overrides={"EURGBP": Override(markup_ask_points=D(7))},
        symbols={"USDJPY": {"calendar": NEVER}},
    )

    outcome = run(book, market, quote_time_ms=123, fence=7)
    told = dossiers.encoded(outcome.dossier)

    held = Holdings(
        account=replace(before.account),
        positions=before.positions.values(),
        orders=before.orders.values(),
    )
    again = dossiers.reproduced(told, held, decide=stop_out.stop_out)
    for name, value in json.loads(told).items():
        assert json.loads(again)[name] == value, name
    assert again == told
    assert len(json.loads(told)["steps"]) >= 2


def test_a_changed_dossier_is_told_apart(make_book, make_market):
    book = holding(make_book, make_market(), buy("EURUSD", lots="1"), after="10")
    before = deepcopy(book)
    told = dossiers.encoded(run(book, make_market()).dossier)
    forged = told.replace('"bid":"1.10000"', '"bid":"1.10010"')
    assert forged != told

    held = Holdings(account=before.account, positions=before.positions.values())
    assert dossiers.reproduced(forged, held, decide=stop_out.stop_out) != forged


def test_a_margin_call_is_told_at_its_level_and_ends_above_its_own(make_book, make_market):
    market = make_market()
    book = holding(make_book, market, buy("EURUSD", lots="1"))
    book.account.balance = D("1117.18")  # equity 1,100.18 against margin 1,100.17
    with pytest.raises(MarginCallVoid):
        book.apply(call_margin(), market=market, now=NOON)
    book.account.balance = D("1117.17")

    outcome = book.apply(call_margin(), market=market, now=NOON)

    assert (outcome.type, outcome.payload["margin_level"]) == ("margin_called", "100.00")
    book.account.balance = D("1172.17")  # 104.999 %
    with pytest.raises(MarginCallVoid):
        book.apply(call_margin(ends=True), market=market, now=NOON)
    book.account.balance = D("1172.20")
    ended = book.apply(call_margin(ends=True), market=market, now=NOON)
    assert (ended.type, ended.payload["margin_level"]) == ("margin_call_ended", "105.00")


@pytest.mark.parametrize("ends", [False, True])
def test_nobody_is_called_at_a_price_that_is_too_old(make_book, make_market, ends):
    book = holding(make_book, make_market(), buy("EURUSD", lots="1"))
    book.account.balance = D("1172.20") if ends else D("1117.17")
    frozen, closed = make_market(age_ms=30_001), {"EURUSD": {"calendar": NEVER}}
    with pytest.raises(MarginCallVoid):
        book.apply(call_margin(ends=ends), market=frozen, now=NOON)

    told = book.apply(call_margin(ends=ends), market=make_market(age_ms=30_001, symbols=closed), now=NOON)

    assert told.type == ("margin_call_ended" if ends else "margin_called")


def test_a_book_takes_as_many_numbers_as_it_needs(make_book, make_market):
    book = holding(make_book, make_market(), buy("EURUSD", lots="100"), balance="1000000", after="0")
    book._tickets = count(100)

    outcome = run(book, make_market(symbols={"EURUSD": {"volume_max": D(1)}}))

    assert len(outcome.orders) == 100
    assert isinstance(book, AccountBook)


def test_markets_are_looked_at_once_however_many_positions_there_are(make_book, make_market, monkeypatch):
    orders = [buy(symbol, lots="0.01") for symbol in ("EURUSD", "GBPUSD") for _ in range(20)]
    book = holding(make_book, make_market(), *orders, balance="100000", after="-100000")
    looked, state_of = [], market_record.state_of

    def looks(market, symbol):
        looked.append(symbol)
        return state_of(market, symbol)

    monkeypatch.setattr(market_record, "state_of", looks)

    outcome = run(book, make_market())

    assert len(closed(outcome)) == 40
    assert sorted(looked) == ["EURUSD", "EURUSD", "GBPUSD", "GBPUSD"]  # to close, and for the dossier
