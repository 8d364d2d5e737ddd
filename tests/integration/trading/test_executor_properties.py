"""Whatever commands come: what the database holds after each adds up, and is what the journal tells."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Sum
from hypothesis import HealthCheck, Phase, given, settings

from apps.accounts.models import AccountState, LedgerLine, User
from apps.audit.services import approvals
from apps.groups.models import TradingGroup
from apps.groups.selectors import terms_book
from apps.market.domain.quotes import Quote
from apps.market.services.board import own_board
from apps.trading.domain import commands as c
from apps.trading.domain import margin
from apps.trading.domain.orders import TRANSITIONS, OrderStatus
from apps.trading.models import Order
from apps.trading.selectors import books, verification
from apps.trading.services import executor, reversals
from rtx.kernel import clock
from rtx.kernel.money import ZERO, booked, plain, text
from tests.factories import walks
from tests.factories.house import staff
from tests.factories.rows import Holder, make_group, make_holder, make_symbols
from tests.factories.walks import Walk, new_account, steps

D = Decimal


class StoredWalk(Walk):
    """A walk whose commands go through the executor; its book is what the database holds."""

    def __init__(self, group: TradingGroup, holder: Holder, dealers: tuple[User, User]) -> None:
        super().__init__(terms_book().groups[group.pk])
        self.account = new_account(self.group)
        self.account.id = holder.id
        self.now = clock.now()
        self.maker, self.checker = (f"user:{dealer.pk}" for dealer in dealers)
        self.status: dict[int, OrderStatus] = {}

    def apply(self, command: c.Command) -> c.Outcome:
        for name, (bid, ask) in self.prices.items():
            own_board().put(Quote(name, bid, ask, clock.now_ms()))
        outcome = self._reverse_together(command) if _reverses(command) else executor.run(command)
        (self.book,) = books.holdings([self.account.id])
        return outcome

    def _reverse_together(self, command: Any) -> c.Outcome:
        """The database wants another person's request for it."""
        held = self.book.positions[command.position_id]
        content = {
            "position_id": held.id,
            "symbol": held.symbol,
            "side": held.side.value,
            "volume": plain(command.volume),
            "price": text(command.price),
            "deviation": command.deviation,
        }
        with transaction.atomic():
            asked = approvals.request(
                kind=reversals.KIND,
                content=content,
                summary="a step",
                actor=replace(command.actor, name=self.maker, reason="a step"),
                account_id=command.account_id,
            )
        checker = replace(command.actor, name=self.checker)
        effect = approvals.consuming(asked, actor=checker)
        return executor.run(replace(command, command_id=asked.pk, actor=checker), effects=(effect,))


def _reverses(command: c.Command) -> bool:
    return isinstance(command, c.ReversePosition)


@pytest.fixture
def houses(db: None) -> list[TradingGroup]:
    make_symbols(margin_rate_pending=1)
    return [
        make_group("hedging", commission_mode="per_lot", commission_value=7, markup_ask_points=3),
        make_group("netting", position_mode="netting", currency="EUR", commission_mode="per_deal"),
    ]


@pytest.mark.parametrize("which", [0, 1])
def test_the_database_adds_up_after_every_command(houses, which):
    group = houses[which]
    dealers = staff("maker@house.example"), staff("checker@house.example")

    @settings(
        max_examples=40,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a walk is too slow here to shrink
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    @given(steps)
    def run(drawn: list[walks.Step]) -> None:
        holder = make_holder(group=group, balance="0")
        walk = StoredWalk(group, holder, dealers)
        for _, outcome in walk.taken(drawn):
            _adds_up(walk, outcome, group.currency)
        with verification.snapshot() as cursor:
            assert verification.verify(cursor, [holder.id]) == len(walk.outcomes) + 1  # and the opening

    run()
    connection.close()


def _adds_up(walk: StoredWalk, outcome: c.Outcome, currency: str) -> None:
    account_id = walk.account.id
    lines = dict(
        LedgerLine.objects.filter(account_id=account_id)
        .values_list("ledger")
        .annotate(total=Sum("amount"))
        .values_list("ledger", "total")
    )
    state = AccountState.objects.get(account_id=account_id)
    assert sum(lines.values(), ZERO) == 0
    assert state.balance == lines.get("client", ZERO)
    assert state.credit == lines.get("credit", ZERO)
    needs = [
        margin.need_of(
            walk.book.of_symbol(symbol), [o for o in walk.book.orders.values() if o.symbol == symbol]
        )
        for symbol in walk.prices
    ]
    assert state.margin == booked(margin.total(needs), currency)
    for order in outcome.orders:
        assert order.status in TRANSITIONS[walk.status.get(order.id, OrderStatus.NEW)]
        walk.status[order.id] = order.status
    stored = dict(Order.objects.filter(account_id=account_id).values_list("id", "status"))
    assert stored == {key: status.value for key, status in walk.status.items()}
