"""What traders of other platforms would stumble over: hedges, caps, steps, stale rates, many orders."""

import json
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal

import pytest

from apps.groups.domain.terms import (
    Commission,
    CommissionCharge,
    CommissionMode,
    Override,
    PositionMode,
    StopOutRule,
)
from apps.trading.domain import dossiers, stop_out, stop_out_rules
from apps.trading.domain.holdings import Holdings
from apps.trading.domain.stop_out import StopOutStuck, StopOutVoid
from tests.factories import books
from tests.factories.books import NEVER, NOON, at, buy, buy_limit, sell, swaps

D = Decimal
FLAT = {
    "EURUSD": ("1.10000", "1.10000"),
    "GBPUSD": ("1.25000", "1.25000"),
    "USDJPY": ("150.000", "150.000"),
    "EURGBP": ("0.85660", "0.85660"),
}
SMART = {"stop_out_rule": StopOutRule.SMART}
MARGIN = {"stop_out_rule": StopOutRule.LARGEST_MARGIN}


def trade(book, market, *commands):
    for command in commands:
        assert book.apply(command, market=market, now=NOON).refusal is None


def run(book, market):
    return book.apply(books.stop_out(), market=market, now=NOON)


def closes(outcome):
    return [(s["side"], s["volume"], s["symbol"]) for s in outcome.dossier["steps"] if s["action"] == "close"]


# --- hedges ------------------------------------------------------------------------------------------------


def hedged(make_book, make_market, contract, **group):
    """Buy 3 and sell 2 EURUSD; each covered lot needs `contract` / 100,000 of 1,100."""
    symbols = {"EURUSD": {"hedged_contract_size": D(contract)}}
    market = make_market(quotes=FLAT, symbols=symbols, group=group)
    book = make_book(balance="100000")
    trade(book, market, buy("EURUSD", lots="3"), sell("EURUSD", lots="2"))
    return book, market


@pytest.mark.parametrize(
    ("contract", "margin", "equity", "lots"),
    [
        # the whole of the larger side would leave 2 lots bare: only the uncovered part frees anything
        ("0", "1100.00", "549.99", "0.01"),
        ("0", "1100.00", "5.50", "1"),  # to 0.01 lots 5.5 would not be above: all of the uncovered lot goes
        ("50000", "2200.00", "600.00", "0.91"),  # 2,200 - 1,001 = 1,199, carried by 600
        ("100000", "3300.00", "1200.00", "0.82"),
    ],
)
def test_smart_takes_the_uncovered_part_of_a_hedge(make_book, make_market, contract, margin, equity, lots):
    book, market = hedged(make_book, make_market, contract, **SMART)
    assert book.account.margin == D(margin)
    book.account.balance = D(equity)

    outcome = run(book, market)

    assert closes(outcome) == [("buy", lots, "EURUSD")]
    assert book.account.margin * 50 < book.account.balance * 100 or book.account.margin == 0


def test_by_margin_a_covered_position_waits_for_those_that_hold_margin(make_book, make_market):
    market = make_market(quotes=FLAT, symbols={"EURUSD": {"hedged_contract_size": D(0)}}, group=MARGIN)
    book = make_book(balance="100000")
    trade(book, market, buy("EURUSD", lots="9"), sell("EURUSD", lots="9"))
    trade(book, market, buy("USDJPY", lots="0.5"), buy("EURUSD", lots="0.2"))
    assert book.account.margin == D("720.00")
    book.account.balance = D("200")

    outcome = run(book, market)

    assert closes(outcome) == [("buy", "0.5", "USDJPY")]
    assert outcome.dossier["steps"][0]["runner_up"]["value"] == "220"  # the 0.2 lots that nothing covers


def test_by_margin_a_position_that_fits_the_uncovered_part_goes_before_a_larger_one(make_book, make_market):
    market = make_market(quotes=FLAT, symbols={"EURUSD": {"hedged_contract_size": D(0)}}, group=MARGIN)
    book = make_book(balance="100000")
    trade(book, market, buy("EURUSD", lots="9"), sell("EURUSD", lots="9"), buy("EURUSD", lots="0.2"))
    book.account.balance = D(100)

    outcome = run(book, market)

    assert closes(outcome) == [("buy", "0.2", "EURUSD")]
    assert (len(book.positions), book.account.margin) == (2, 0)


# --- the smallest part -------------------------------------------------------------------------------------


def test_smart_takes_one_close_elsewhere_rather_than_two_capped_ones(make_book, make_market):
    """EURUSD may close 20 lots at a time, USDJPY 30: 30 x 1,000 frees more than 20 x 1,100."""
    market = make_market(
        quotes=FLAT,
        group=SMART,
        overrides={"EURUSD": Override(volume_max=D(20)), "USDJPY": Override(volume_max=D(30))},
    )
    book = make_book(balance="1000000")
    trade(book, market, buy("EURUSD", lots="20"), buy("EURUSD", lots="20"), buy("USDJPY", lots="30"))
    book.account.balance = D("23000")  # carries less than 46,000 of 74,000: 28,000 must go

    outcome = run(book, market)

    assert closes(outcome) == [("buy", "28.01", "USDJPY")]


def test_smart_takes_what_frees_most_when_no_close_is_enough(make_book, make_market):
    market = make_market(quotes=FLAT, group=SMART, symbols={"EURUSD": {"volume_max": D(20)}})
    book = make_book(balance="1000000", mode=PositionMode.NETTING)
    for _ in range(3):
        trade(book, market, buy("EURUSD", lots="20"))
    book.account.balance = D("10000")  # carries less than 20,000 of 66,000

    outcome = run(book, market)

    steps = outcome.dossier["steps"]
    assert [step["volume"] for step in steps] == ["20", "20", "1.82"]
    assert [step["chosen_by"] for step in steps] == ["frees the most margin"] * 2 + [
        "smallest part that restores the level"
    ]
    assert steps[0]["value"] == "22000"


@pytest.mark.parametrize(
    ("volume", "cap", "step", "least", "equity", "expected"),
    [
        ("0.25", "100", "0.10", "0.10", "60.00", ["0.2"]),  # 275 -> 55: 0.1 is not enough, 0.2 is
        ("0.25", "100", "0.10", "0.10", "27.00", ["0.25"]),  # only the whole odd lot is
        ("0.95", "0.25", "0.10", "0.10", "5.00", ["0.2", "0.2", "0.2", "0.2", "0.15"]),  # caps on the step
        ("1", "100", "0.01", "0.15", "549.00", ["0.15"]),  # never less than the minimum
    ],
)
def test_smart_stays_on_the_step(make_book, make_market, volume, cap, step, least, equity, expected):
    book = make_book(balance="100000")
    trade(book, make_market(quotes=FLAT), buy("EURUSD", lots=volume))
    book.account.balance = D(equity)
    limits = {"volume_step": D(step), "volume_min": D(least), "volume_max": D(cap)}

    outcome = run(book, make_market(quotes=FLAT, group=SMART, symbols={"EURUSD": limits}))

    assert [lots for _, lots, _ in closes(outcome)] == expected


def test_smart_reckons_with_the_commission_of_the_close(make_book, make_market):
    """20 a lot: closing more frees 11 per 0.01 lots and costs 0.20."""
    rule = Commission(CommissionMode.PER_LOT, D(20), CommissionCharge.EXIT)
    market = make_market(quotes=FLAT, group={**SMART, "commission": rule})
    book = make_book(balance="100000")
    trade(book, market, buy("EURUSD", lots="1"))
    book.account.balance = D("500.60")

    outcome = run(book, market)

    # 0.09 lots: 498.80 / 1,001 is 49.83 %, without commission it would do; 0.10: 498.60 / 990 is 50.36 %
    assert closes(outcome) == [("buy", "0.1", "EURUSD")]
    assert outcome.dossier["after"] == {"equity": "498.6", "margin": "990.00", "level_pct": "50.36363636"}


def test_smart_explains_a_fallback_by_the_measure_it_used(make_book, make_market):
    """Two pairs that cover each other wholly: nothing frees margin, so the larger loss goes."""
    symbols = {name: {"hedged_contract_size": D(100_000)} for name in ("EURUSD", "GBPUSD")}
    market = make_market(quotes=FLAT, symbols=symbols, group=SMART)
    book = make_book(balance="100000")
    for symbol in ("EURUSD", "GBPUSD"):
        trade(book, market, buy(symbol, lots="1"), sell(symbol, lots="1"))
    moved = {**FLAT, "EURUSD": ("1.10010", "1.10010"), "GBPUSD": ("1.24000", "1.24000")}
    book.account.balance = D(1000)

    outcome = run(book, make_market(quotes=moved, symbols=symbols, group=SMART))

    first = outcome.dossier["steps"][0]
    assert (first["chosen_by"], first["symbol"], first["value"]) == ("largest loss", "GBPUSD", "-1000")
    assert first["runner_up"]["value"] == "-10"


# --- what stands in the way --------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", list(StopOutRule))
def test_a_stale_conversion_holds_up_its_position_only(make_book, make_market, rule):
    """The pounds of EURGBP are converted at a quote that froze; yen are not."""
    market = make_market(quotes=FLAT)
    book = make_book(balance="100000")
    trade(book, market, buy("EURGBP", lots="1"), buy("USDJPY", lots="1"))
    book.account.balance = D(400)  # EURGBP alone needs 1,100
    calm = make_market(quotes=FLAT, group={"stop_out_rule": rule})
    frozen = {**calm._quotes, "GBPUSD": at("1.25000", "1.25000", symbol="GBPUSD", age_ms=30_001)}
    calm._quotes = frozen

    outcome = run(book, calm)

    assert {(side, symbol) for side, _, symbol in closes(outcome)} == {("buy", "USDJPY")}
    assert [(row["symbol"], row["reason"]) for row in outcome.payload["left"]] == [("EURGBP", "off_quotes")]


def test_a_position_without_any_price_stops_everything_and_says_so(make_book, make_market):
    book = make_book(balance="100000")
    trade(book, make_market(), buy("EURUSD", lots="1"), buy("USDJPY", lots="1"))
    book.account.balance = D(1)
    blind = make_market()
    blind._quotes = {name: quote for name, quote in blind._quotes.items() if name != "EURUSD"}

    with pytest.raises(StopOutStuck) as stuck:
        run(book, blind)

    assert stuck.value.level_pct is None
    assert set(stuck.value.waiting.values()) == {("EURUSD", "no_price")}
    assert len(book.positions) == 2


@pytest.mark.parametrize("status", ["disabled", "close_only"])
def test_a_disabled_account_is_stopped_out_all_the_same(make_book, make_market, status):
    market = make_market(quotes=FLAT, group={"closes_fifo": True})
    book = make_book(balance="100000")
    trade(book, market, buy("EURUSD", lots="1"), buy("EURUSD", lots="2"))
    book.account.status, book.account.balance = status, D(0)

    run(book, market)

    assert not book.positions


def test_orders_that_reserve_nothing_by_now_stay(make_book, make_market):
    """Canceling frees nothing where a band charges nothing: the order stays and the position goes."""
    book = make_book(balance="100000")
    reserving = make_market(quotes=FLAT, symbols={"EURUSD": {"margin_rate_pending": D("0.000001")}})
    trade(book, reserving, buy_limit("1.00000", lots="0.01"), buy("EURUSD", lots="1"))
    [order] = book.orders.values()
    assert stop_out_rules.margin_of_order(order) > 0
    assert not stop_out_rules.frees_margin(book, order)
    book.account.balance = D(10)

    outcome = run(book, reserving)

    assert ([step["action"] for step in outcome.dossier["steps"]], len(book.orders)) == (["close"], 1)


def test_swap_makes_the_larger_loss(make_book, make_market):
    market = make_market(quotes=FLAT)
    book = make_book(balance="100000")
    trade(book, market, buy("EURUSD", lots="1"), buy("GBPUSD", lots="1"))
    pound = next(held.id for held in book.positions.values() if held.symbol == "GBPUSD")
    book.apply(swaps((pound, "-3.50")), market=market, now=NOON)
    book.account.balance = D(1000)

    outcome = run(book, market)

    assert [(step["position_id"], step["swap"]) for step in outcome.dossier["steps"]] == [(pound, "-3.50")]


def test_yen_are_booked_whole(make_book, make_market):
    market = make_market(quotes=FLAT, group={"currency": "JPY", "protects_balance": True})
    book = make_book(balance="10000000", currency="JPY")
    trade(book, market, buy("EURUSD", lots="1"))
    book.account.balance = D(1000)
    fallen = make_market(
        quotes={**FLAT, "EURUSD": ("1.08990", "1.08990")},
        group={"currency": "JPY", "protects_balance": True},
    )

    outcome = run(book, fallen)

    # 1,010 USD are bought at 150: 151,500 yen lost, 1,000 were there
    assert (outcome.payload["compensation"], book.account.balance) == ("150500", 0)
    assert outcome.orders[0].comment == "so: -91.21%/-150500/165000"


def test_many_waiting_orders_do_not_hold_up_everyone(make_book, make_market, monkeypatch):
    """Every order is looked at by itself once; the account's margin is added up a few times per step."""
    market = make_market(quotes=FLAT, symbols={"EURUSD": {"margin_rate_pending": D(1)}})
    book = make_book(balance="10000000")
    trade(book, market, *(buy_limit("1.00000", lots="0.01") for _ in range(60)))
    book.account.balance = D(1)
    added_up = []
    whole = Holdings.margin_with
    monkeypatch.setattr(Holdings, "margin_with", lambda *a, **k: (added_up.append(1), whole(*a, **k))[1])

    outcome = run(book, market)

    assert len(outcome.payload["canceled"]) == 60
    assert len(added_up) <= 2 * 60


# --- dossiers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bid", "raw_bid", "both"])
def test_a_price_of_the_feed_cannot_be_changed_unnoticed(make_book, make_market, name):
    market = make_market(quotes=FLAT, group={"markup_bid_points": D("1.5")})
    book = make_book(balance="100000")
    trade(book, market, buy("EURUSD", lots="1"))
    book.account.balance = D(10)
    before = deepcopy(book)
    told = json.loads(dossiers.encoded(run(book, market).dossier))
    for key in ("bid", "raw_bid") if name == "both" else (name,):
        told["prices"]["EURUSD"][key] = str(D(told["prices"]["EURUSD"][key]) - D("0.00001"))
    forged = dossiers.encoded(told)

    held = Holdings(account=replace(before.account), positions=before.positions.values())

    assert dossiers.reproduced(forged, held, decide=stop_out.stop_out) != forged


def test_a_forged_state_is_told_apart(make_book, make_market):
    """As if a market had been closed: then the position would have been left."""
    book = make_book(balance="100000")
    trade(book, make_market(quotes=FLAT), buy("EURUSD", lots="1"), buy("GBPUSD", lots="1"))
    book.account.balance = D(10)
    before = deepcopy(book)
    closed = make_market(quotes=FLAT, symbols={"GBPUSD": {"calendar": NEVER}})
    told = dossiers.encoded(run(book, closed).dossier)
    forged = told.replace('"state":"market_closed"', '"state":"open"')
    assert forged != told

    held = Holdings(account=replace(before.account), positions=before.positions.values())

    assert dossiers.reproduced(forged, held, decide=stop_out.stop_out) != forged


def test_above_the_level_nothing_is_done_twice(make_book, make_market):
    market = make_market(quotes=FLAT)
    book = make_book(balance="100000")
    trade(book, market, buy("EURUSD", lots="1"), buy("EURUSD", lots="1"))
    book.account.balance = D(1000)
    run(book, market)

    with pytest.raises(StopOutVoid):
        run(book, market)
    assert len(book.positions) == 1
