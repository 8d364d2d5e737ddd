"""After any trading by several clients, the monitor holds what the books hold, to well below a cent."""

import random
from decimal import Decimal

import pytest

from apps.groups.models import TradingGroup
from apps.market.models import Symbol
from apps.market.services.board import own_board
from apps.trading.domain.orders import Side
from apps.trading.selectors import books
from apps.trading.selectors.markets import markets
from apps.trading.services import balances, executor
from rtx.kernel import clock
from tests.factories import rows
from tests.factories.monitoring import knows, watching
from tests.factories.rows import PRICES, Holder
from tests.factories.triggering import eventually

D = Decimal


def act(chance: random.Random, holder: Holder) -> None:
    """Let a client do something at random; a refusal is as good as anything."""
    what = chance.random()
    held = list(books.holdings([holder.id])[0].positions)
    if what < 0.55 or not held:
        side, symbol = chance.choice(list(Side)), chance.choice(list(PRICES))
        executor.run(rows.market_order(holder, side, symbol, lots=f"0.{chance.randint(10, 60)}"))
    elif what < 0.85:
        part = chance.choice([None, "0.05"])
        executor.run(rows.close_order(holder, chance.choice(held), lots=part))
    elif what < 0.95:
        rows.deposit(holder.id, f"{chance.randint(1, 900)}.25")
    else:
        leverage = chance.choice([50, 100])
        command_id = rows.uuid4()
        balances.change_account(
            account_id=holder.id, command_id=command_id, actor=rows.TESTER, leverage=leverage
        )


@pytest.mark.parametrize("seed", [7, 8])
def test_the_monitor_holds_what_the_books_hold(seed: int, symbols: dict[str, Symbol]) -> None:
    chance = random.Random(seed)
    groups = [
        rows.make_group(),
        rows.make_group("wide", markup_bid_points=9, markup_ask_points=4),
        rows.make_group("euro", currency="EUR", markup_ask_points=3),
        rows.make_group("net", position_mode=TradingGroup.PositionMode.NETTING),
    ]
    holders = [rows.make_holder(group=group, balance="20000") for group in groups for _ in range(2)]
    with watching() as engine:
        shard = engine.leads(engine.start())
        for _ in range(60):
            act(chance, chance.choice(holders))
            symbol = chance.choice(list(PRICES))
            bid, ask = (D(price) for price in PRICES[symbol])
            factor = 1 + D(chance.randint(-40, 40)) / 10_000
            engine.tick(str(round(bid * factor, 3)), str(round(ask * factor + D("0.001"), 3)), symbol)
        for holder in holders:
            knows(shard, holder)
        views, portfolio = markets(now=clock.now()), shard.portfolio
        assert portfolio is not None
        eventually(lambda: portfolio.prices.latest == own_board().latest)
        with shard.lock:
            equities = {
                held.account.id: portfolio.accounts.equity(slice(place, place + 1))[0]
                for held in books.holdings([holder.id for holder in holders])
                for place in [portfolio.accounts.index[held.account.id]]
            }
            margins = {id_: portfolio.accounts.margin[portfolio.accounts.index[id_]] for id_ in equities}
            drift = portfolio.recompute()

    for held in books.holdings(list(equities)):
        value = held.valuation(views.of_group(held.account.group_id))
        assert value is not None
        assert equities[held.account.id] == pytest.approx(float(value.equity), abs=1e-6)
        assert margins[held.account.id] == float(held.account.margin)
    assert drift < 1e-6
