"""Whatever was traded and wherever prices went: a stop-out takes the rule's steps, no more and no fewer."""

import json
import os
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from apps.accounts.domain.ledger import BalanceKind
from apps.groups.domain.terms import StopOutRule
from apps.trading.domain import dossiers, stop_out
from apps.trading.domain.stop_out import StopOutStuck, StopOutVoid
from rtx.kernel.money import booked
from tests.factories import walks
from tests.factories.books import SYMBOLS
from tests.factories.stopping import Stage, Stopped
from tests.factories.stopping_opinion import CLOSED, DISABLED, STALE, Opinion

D = Decimal
NAMES = sorted(SYMBOLS)
EXAMPLES = int(os.environ.get("STOP_OUT_EXAMPLES", "60"))
checked = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])

groups = st.builds(
    lambda group, rule, protects, level: replace(
        group, stop_out_rule=rule, protects_balance=protects, stop_out_pct=D(level)
    ),
    walks.groups,
    st.sampled_from(list(StopOutRule)),
    st.booleans(),
    st.sampled_from([0, 20, 50, 50, 100]),
)
symbols = st.fixed_dictionaries(
    {
        name: st.fixed_dictionaries(
            {
                "hedged_contract_size": st.sampled_from([D(100_000), D(50_000), D(0)]),
                "margin_rate_sell": st.sampled_from([D(1), D("1.5")]),
                "volume_min": st.sampled_from([D("0.01"), D("0.05")]),
            }
        )
        for name in NAMES
    }
)
states = st.dictionaries(st.sampled_from(NAMES), st.sampled_from([CLOSED, STALE, DISABLED]), max_size=2)
caps = st.dictionaries(st.sampled_from(NAMES), st.sampled_from([D("0.2"), D("0.505"), D(1)]), max_size=4)
gaps = st.dictionaries(st.sampled_from(NAMES), st.integers(-9_000, 9_000), max_size=4)
_sides = st.sampled_from(["buy", "sell"])
trades = st.lists(
    st.tuples(
        st.just("market"),
        st.sampled_from(NAMES),
        _sides.map(walks.Side),
        st.integers(1, 200).map(lambda number: D(number) / 100),
        st.just(0),
    ),
    max_size=5,
)


@st.composite
def downfalls(draw: st.DrawFn) -> Stage:
    """Return an account that traded, lost and stands near its stop-out level, or far below."""
    group = draw(groups)
    stage = Stage(group, reserve=draw(st.sampled_from(["0", "1"])), symbols=draw(symbols))
    for _ in stage.taken([*draw(trades), *draw(walks.steps)]):
        pass
    credit = draw(st.sampled_from([0, 0, 500, 90_000]))
    stage.money(BalanceKind.CREDIT, D(credit))
    stage.caps, stage.states = draw(caps), draw(states)
    for name, points in draw(gaps).items():
        bid, ask = stage.prices[name]
        moved = points * SYMBOLS[name].point
        stage.prices[name] = (bid + moved, ask + moved)
    share = D(draw(st.integers(-60, 100))) / 100
    at_level = stage.account.margin * group.stop_out_pct / 100
    stage.bring_equity_to(at_level * share)
    return stage


def _stopped(stage: Stage) -> Stopped | None:
    """Stop the account out; None: nothing to do, or nothing can be done."""
    market, seq = stage.market(), stage.account.seq
    held, waiting = dict(stage.book.positions), dict(stage.book.orders)
    try:
        return stage.stopped()
    except (StopOutVoid, StopOutStuck) as error:
        event(type(error).__name__)
        assert (stage.account.seq, stage.book.positions, stage.book.orders) == (seq, held, waiting)
        opinion = Stopped(stage, stage.book, stage.book, market, None)
        _no_more(opinion, error)
        return None


def _no_more(state: Stopped, error: StopOutVoid | StopOutStuck) -> None:
    """Check that there was nothing to do, or that nothing could be done."""
    stage = state.stage
    opinion = Opinion(state.market, stage.group)
    if isinstance(error, StopOutVoid):
        assert not opinion.is_below(stage.book)
        owes = stage.account.balance < 0 and not stage.book.positions and stage.group.protects_balance
        assert not owes
        return
    assert opinion.is_below(stage.book)
    assert not opinion.cancelable(stage.book)
    reasons = {key: opinion.why_not(held) for key, held in stage.book.positions.items()}
    assert None not in reasons.values()
    assert {key: reason for key, (_, reason) in error.waiting.items()} == reasons


@checked
@given(downfalls())
def test_every_step_is_the_rules_and_the_level_is_restored_or_nothing_can_go(stage):
    found = _stopped(stage)
    if found is None:
        return
    event(f"{stage.group.stop_out_rule}: {min(len(found.steps), 5)} steps")
    found.check()
    with pytest.raises((StopOutVoid, StopOutStuck)):
        stage.stopped()


@checked
@given(downfalls(), st.data())
def test_a_dossier_comes_out_again_byte_for_byte_and_a_forged_one_does_not(stage, data):
    found = _stopped(stage)
    if found is None:
        return
    told = dossiers.encoded(found.told)
    assert dossiers.reproduced(told, stage_before(found), decide=stop_out.stop_out) == told

    forged = _forged(json.loads(told), data)
    if forged is None:
        return
    text = dossiers.encoded(forged)
    assert text != told
    try:
        again = dossiers.reproduced(text, stage_before(found), decide=stop_out.stop_out)
    except (StopOutVoid, StopOutStuck, dossiers.NotReproduced):
        return
    assert again != text


def stage_before(found: Stopped):
    """Return the account as the journal had it just before the stop-out."""
    outcomes = found.stage.outcomes
    last = outcomes.pop()
    try:
        return found.stage.replayed()
    finally:
        outcomes.append(last)


def _forged(told, data):
    """Change one thing that a dossier tells."""
    kind = data.draw(st.sampled_from(["price", "shown", "rule", "step", "level", "drop", "money"]))
    event(f"forged {kind}")
    if kind in ("price", "shown"):
        if not told["positions"]:
            return None
        position = data.draw(st.sampled_from(told["positions"]))
        side = "bid" if position["side"] == "buy" else "ask"
        price = told["prices"][position["symbol"]]
        for name in (side, f"raw_{side}") if kind == "price" else (side,):
            price[name] = str(D(price[name]) + D("0.00001"))
        return told
    if kind == "rule":
        others = [rule.value for rule in StopOutRule if rule.value != told["rule"]]
        told["rule"] = data.draw(st.sampled_from(others))
        return told
    if kind == "money":
        told["account"]["balance"] = str(D(told["account"]["balance"]) + 1)
        return told
    if not told["steps"]:
        return None
    number = data.draw(st.integers(0, len(told["steps"]) - 1))
    if kind == "drop":
        del told["steps"][number]
    elif kind == "step":
        told["steps"][number]["volume"] = str(D(told["steps"][number]["volume"]) + D("0.01"))
    else:
        told["steps"][number]["after"]["equity"] += "1"
    return told


@checked
@given(downfalls())
def test_a_protected_account_without_positions_never_stays_in_debt(stage):
    stage.group = replace(stage.group, protects_balance=True)
    stage.states = {}
    with suppress(StopOutVoid):
        stage.stopped().check()

    assert stage.book.positions or stage.account.balance >= 0
    assert stage.account.balance == booked(stage.account.balance, stage.group.currency)
