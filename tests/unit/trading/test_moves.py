"""Moving an account to another trading group: what fits, what it costs in margin, and that it replays."""

from dataclasses import replace
from decimal import Decimal
from uuid import uuid4

import pytest

from apps.groups.domain.terms import Override, PositionMode
from apps.trading.domain.commands import MoveAccount
from apps.trading.domain.holdings import Account
from apps.trading.domain.moves import MoveRefused, plan
from apps.trading.domain.orders import ContractTerms
from apps.trading.domain.replaying import Divergence, Replay
from rtx.kernel.errors import Invalid
from tests.factories.books import DEALER, NOON, buy, buy_limit

D = Decimal


def to_group(group_id: int = 2, **more: object) -> MoveAccount:
    return MoveAccount(account_id=1, command_id=uuid4(), actor=DEALER, group_id=group_id, **more)


@pytest.fixture
def other(make_market):
    """Return the market of group 2, with changes."""

    def make(**group: object):
        overrides = group.pop("overrides", None)
        return make_market(group={"id": 2, "name": "pro", **group}, overrides=overrides)

    return make


@pytest.fixture
def holding(make_book, market):
    """A book with one lot of EURUSD at 1:100."""
    book = make_book()
    book.apply(buy("EURUSD", lots="1"), market=market, now=NOON)
    assert book.account.margin == D("1100.17")
    return book


def test_what_is_held_takes_margin_at_the_new_groups_leverage(holding, other):
    outcome = holding.apply(to_group(), market=other(leverage_max=50), now=NOON)

    assert (outcome.type, holding.account.group_id, holding.account.leverage) == ("account_moved", 2, 50)
    assert holding.account.margin == D("2200.34")
    assert (outcome.payload["group"], outcome.payload["margin"]) == ("pro", "2200.34")


def test_the_leverage_can_be_chosen_up_to_the_groups(holding, other):
    with pytest.raises(Invalid) as refused:
        plan(holding, to_group(leverage=501), other())
    holding.apply(to_group(leverage=200), market=other(), now=NOON)

    assert refused.value.code == "invalid_leverage"
    assert holding.account.margin == D("550.09")


def test_a_position_keeps_its_contract(holding, make_market):
    position = next(iter(holding.positions.values()))
    grown = make_market(group={"id": 2}, symbols={"EURUSD": {"contract_size": D(1)}})

    holding.apply(to_group(), market=grown, now=NOON)

    assert holding.positions[position.id].terms == position.terms


def test_working_orders_reserve_at_the_new_leverage(make_book, make_market):
    book, asks = make_book(), {"EURUSD": {"margin_rate_pending": D(1)}}
    book.apply(buy_limit("1.09000"), market=make_market(symbols=asks), now=NOON)
    assert book.account.margin == D("1100.17")

    book.apply(to_group(), market=make_market(symbols=asks, group={"id": 2, "leverage_max": 50}), now=NOON)

    assert book.account.margin == D("2200.34")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"currency": "EUR"}, "currency_differs"),
        ({"position_mode": PositionMode.NETTING}, "position_mode_differs"),
        ({"is_active": False}, "group_inactive"),
        ({"overrides": {"EURUSD": Override(is_offered=False)}}, "symbol_not_offered"),
        ({"leverage_max": 1}, "would_stop_out"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(holding, other, changes, code):
    seq, margin = holding.account.seq, holding.account.margin

    with pytest.raises(MoveRefused) as refused:
        holding.apply(to_group(), market=other(**changes), now=NOON)

    assert refused.value.code == code
    assert (holding.account.group_id, holding.account.seq, holding.account.margin) == (1, seq, margin)


def test_the_same_group_and_an_unknown_one_are_refused(holding, market):
    for group_id, code in ((1, "same_group"), (7, "group_not_found")):
        with pytest.raises(MoveRefused) as refused:
            holding.apply(to_group(group_id), market=market, now=NOON)
        assert refused.value.code == code


def test_a_stop_out_that_was_seen_can_be_accepted(holding, other):
    market = other(leverage_max=1)
    planned = plan(holding, to_group(), market)

    outcome = holding.apply(to_group(accepts_stop_out=True), market=market, now=NOON)

    assert planned.stops_out(market.group)
    assert planned.calls_margin(market.group)
    assert planned.value.level_pct.quantize(D("0.01")) == D("9.07")
    assert (outcome.type, holding.account.margin) == ("account_moved", D("110017.00"))


def test_prices_and_levels_of_a_plan_are_the_new_groups(holding, other):
    planned = plan(holding, to_group(), other(markup_bid_points=D(50), margin_call_pct=D(900)))

    assert planned.value.profit == D("-67.00")
    assert planned.value.equity == D("9933.00")
    assert planned.calls_margin(other(margin_call_pct=D(903)).group)
    assert not planned.calls_margin(other(margin_call_pct=D(902)).group)
    assert holding.account.group_id == 1


def test_a_move_is_derived_again_from_its_event(holding, other):
    position = next(iter(holding.positions.values()))
    replay = Replay(account=replace(holding.account), positions=[position])
    replay.set_leverage(100, {}, {})
    outcome = holding.apply(to_group(), market=other(leverage_max=50), now=NOON)

    lines = replay.replay(seq=outcome.seq, type_=outcome.type, payload=outcome.payload)

    assert lines == []
    assert (replay.account, replay.positions) == (holding.account, holding.positions)
    assert ContractTerms.decoded(outcome.payload["house"]["terms"][str(position.id)]).leverage == 50


def test_a_move_from_a_group_that_the_account_was_not_in_is_a_divergence(holding, other):
    outcome = holding.apply(to_group(), market=other(), now=NOON)
    elsewhere = Account(
        id=1,
        login=1,
        group_id=3,
        currency="USD",
        position_mode=PositionMode.HEDGING,
        leverage=100,
        seq=outcome.seq - 1,
    )

    with pytest.raises(Divergence, match="moves from group 1, not 3"):
        Replay(account=elsewhere).replay(seq=outcome.seq, type_=outcome.type, payload=outcome.payload)
