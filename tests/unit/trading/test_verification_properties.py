"""Whatever commands come in whatever order: the ledger balances, margin holds, the journal replays."""

from collections import Counter
from copy import deepcopy
from decimal import Decimal
from itertools import count

import orjson
from hypothesis import HealthCheck, given, settings

from apps.accounts.domain.ledger import Ledger
from apps.groups.domain.terms import PositionMode
from apps.trading.domain import margin
from apps.trading.domain.book import AccountBook
from apps.trading.domain.orders import TRANSITIONS, OrderStatus, RejectReason, Side, TimeInForce
from apps.trading.domain.replaying import Replay
from rtx.kernel.money import ZERO, booked
from tests.factories.books import GROUP, SYMBOLS
from tests.factories.walks import Walk, groups, new_account, steps

D = Decimal
FORTUNE = D(10) ** 12
checked = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _margin_again(book: AccountBook) -> Decimal:
    """Add the margin up anew from what is held and what waits."""
    symbols = {held.symbol for held in (*book.positions.values(), *book.orders.values())}
    needs = [
        margin.need_of(
            [p for p in book.positions.values() if p.symbol == symbol],
            [o for o in book.orders.values() if o.symbol == symbol],
        )
        for symbol in symbols
    ]
    return booked(margin.total(needs), book.account.currency)


def _rich(book: AccountBook) -> AccountBook:
    """Return a copy of the book with more money than anything costs."""
    account = deepcopy(book.account)
    account.balance += FORTUNE
    return AccountBook(
        account=account,
        positions=deepcopy(list(book.positions.values())),
        orders=deepcopy(list(book.orders.values())),
        tickets=count(10**6),
    )


def _net(book: AccountBook, symbol: str) -> Decimal:
    return sum((p.volume if p.side is Side.BUY else -p.volume for p in book.of_symbol(symbol)), ZERO)


def _turns_or_grows(before: AccountBook, after: AccountBook) -> bool:
    pairs = [(_net(before, symbol), _net(after, symbol)) for symbol in SYMBOLS]
    return any(abs(then) > abs(now) or now * then < 0 for now, then in pairs)


@checked
@given(groups, steps)
def test_money_adds_up_after_every_command(group, steps):
    walk = Walk(group)
    totals = dict.fromkeys(Ledger, ZERO)
    for _, outcome in walk.taken(steps):
        assert sum((line.amount for line in outcome.lines), ZERO) == 0
        for line in outcome.lines:
            totals[line.ledger] += line.amount
            assert line.amount == booked(line.amount, group.currency)
        account = walk.account
        assert account.balance == totals[Ledger.CLIENT]
        assert account.credit == totals[Ledger.CREDIT]
        assert account.margin == _margin_again(walk.book)
        assert outcome.seq == account.seq == len(walk.outcomes)
        if outcome.refusal:
            assert not outcome.lines
        if group.position_mode is PositionMode.NETTING:
            held = [position.symbol for position in walk.book.positions.values()]
            assert len(held) == len(set(held))


@checked
@given(groups, steps)
def test_free_margin_is_never_decided_wrongly(group, steps):
    walk = Walk(group)
    before, margin_before = _rich(walk.book), ZERO
    for command, outcome in walk.taken(steps):
        market = walk.market()
        risks_more = walk.account.margin > margin_before or _turns_or_grows(before, walk.book)
        if outcome.type in ("order_filled", "order_placed", "position_reversed") and risks_more:
            assert walk.book.valuation(market).free_margin >= 0
        if outcome.refusal is RejectReason.NO_MONEY and outcome.order is not None:
            rich = before.apply(command, market=market, now=walk.now)
            assert rich.refusal is None
            assert before.valuation(market).free_margin - FORTUNE < 0
        before, margin_before = _rich(walk.book), walk.account.margin


@checked
@given(groups, steps)
def test_no_order_is_in_two_states(group, steps):
    walk = Walk(group)
    states: dict[int, OrderStatus] = {}
    filled: Counter[int] = Counter()
    for _, outcome in walk.taken(steps):
        for order in outcome.orders:
            assert order.status in TRANSITIONS[states.get(order.id, OrderStatus.NEW)]
            states[order.id] = order.status
            filled[order.id] += bool(order.deals)
        working = {key for key, status in states.items() if status is OrderStatus.WORKING}
        assert set(walk.book.orders) == working
        assert all(order.status is OrderStatus.WORKING for order in walk.book.orders.values())
    assert max(filled.values(), default=0) <= 1


@checked
@given(groups, steps)
def test_the_journal_replays_to_the_same_account(group, steps):
    walk = Walk(group)
    for _ in walk.taken(steps):
        pass
    again = Replay(account=new_account(group))

    lines = []
    for outcome in walk.outcomes:
        payload = orjson.loads(orjson.dumps(outcome.payload))
        lines.append(again.replay(seq=outcome.seq, type_=outcome.type, payload=payload))

    assert again.account == walk.account
    assert again.positions == walk.book.positions
    assert again.orders == walk.book.orders
    assert lines == [outcome.lines for outcome in walk.outcomes]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(groups, steps)
def test_the_same_commands_give_the_same_events(group, steps):
    first, second = Walk(group), Walk(group)
    for walk in (first, second):
        for _ in walk.taken(steps):
            pass

    assert [o.payload for o in first.outcomes] == [o.payload for o in second.outcomes]


def test_random_steps_do_trade():
    """The properties above would hold for books that never do anything; these steps reach every event."""
    gtc, gtd = TimeInForce.GTC, TimeInForce.GTD
    walk = Walk(GROUP)
    drawn = [
        ("market", "EURUSD", Side.BUY, D("0.10"), 100),
        ("pending", "EURUSD", Side.BUY, D("0.10"), "limit", -50, gtc, 40),
        ("pending", "EURUSD", Side.SELL, D("0.10"), "stop_limit", -60, gtc, 0),
        ("pending", "GBPUSD", Side.SELL, D("0.10"), "limit", 50, gtd, 0),
        ("modify", 0, -5, None),
        ("quote", "EURUSD", -70, 10),
        ("trigger", 0),
        ("trigger", 0),
        ("expire", 1, 11),
        ("cancel", 0),
        ("stops", 0, 50, 30),
        ("quote", "EURUSD", 20, 10),
        ("trail", 0),
        ("swaps", -150),
        ("quote", "EURUSD", -80, 10),
        ("stop_hit", 0, True),
        ("market", "EURUSD", Side.SELL, D("0.30"), 0),
        ("close_by", 0, 1),
        ("leverage", 50),
        ("reverse", 0),
        ("close_all", None),
    ]

    types = [outcome.type for _, outcome in walk.taken(drawn)]

    assert Counter(types) == {
        "balance_changed": 1,
        "order_filled": 4,
        "order_placed": 3,
        "order_modified": 1,
        "order_activated": 1,
        "order_expired": 1,
        "order_canceled": 1,
        "position_modified": 2,
        "swaps_charged": 1,
        "positions_closed_by": 1,
        "account_changed": 1,
        "position_reversed": 1,
        "positions_closed": 1,
    }
