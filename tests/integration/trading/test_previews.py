"""A dry run says what is booked a moment later, to the cent, and leaves nothing behind."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from apps.accounts.domain.ledger import BalanceKind
from apps.risk.services import kill_switch
from apps.risk.services.kill_switch import Target
from apps.trading.domain.commands import ChangeBalance, CloseAll, ClosePosition
from apps.trading.domain.filling import PositionNotFound
from apps.trading.domain.orders import Side
from apps.trading.models import Order, Position
from apps.trading.services import executor, previews
from apps.trading.services.batch import ClientOrderIdReused
from tests.factories import rows
from tests.factories.rows import Holder

pytestmark = pytest.mark.django_db

D = Decimal


def counted() -> list[int]:
    """How many rows the tables of dealing hold, and where the ticket sequence stands."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM trading_order), (SELECT count(*) FROM trading_deal),"
            " (SELECT count(*) FROM trading_position), (SELECT count(*) FROM accounts_accountevent),"
            " (SELECT count(*) FROM accounts_ledgerline), (SELECT sum(seq) FROM accounts_accountstate),"
            " (SELECT last_value FROM trading_ticket)"
        )
        return list(cursor.fetchone())


def close(holder: Holder, position: Position, **more: Any) -> ClosePosition:
    return rows.close_order(holder, position.pk, **more)


def test_what_it_says_of_an_order_is_what_is_booked(holder: Holder) -> None:
    command = rows.market_order(holder, lots="0.50")
    before = counted()

    told = previews.preview(command)
    assert counted() == before
    outcome = executor.run(command)

    ((deal,),) = (order["deals"] for order in (outcome.payload["order"],))
    assert [(one["entry"], one["price"], one["volume"]) for one in told.deals] == [
        ("in", deal["price"], deal["volume"])
    ]
    assert (told.before.balance, told.before.equity, told.before.level_pct) == (D(10000), D(10000), None)
    assert (told.after.margin, told.after.equity, told.after.free_margin) == (
        D("550.09"),
        D("9991.50"),
        D("9441.41"),
    )
    assert rows.state_of(holder)[:3] == (told.after.balance, told.after.credit, told.after.margin)
    assert [(one.symbol, one.bid, one.ask) for one in told.quotes] == [("EURUSD", D("1.10000"), D("1.10017"))]
    assert 0 <= told.quotes[0].age_ms < 60_000


def test_a_close_shows_its_profit(holder: Holder) -> None:
    executor.run(rows.market_order(holder))
    position = Position.objects.get()
    rows.show({"EURUSD": ("1.10117", "1.10134")})

    told = previews.preview(close(holder, position))

    assert (told.type, told.total("profit"), told.after.balance, told.after.margin) == (
        "order_filled",
        D("10.00"),
        D("10010.00"),
        D(0),
    )


def test_closing_everything_names_each_deal(holder: Holder) -> None:
    for side in Side:
        executor.run(rows.market_order(holder, side))

    command = CloseAll(
        account_id=holder.id, command_id=uuid4(), actor=holder.actor, client_order_id="all", symbol=None
    )
    told = previews.preview(command)

    assert [(one["entry"], one["side"]) for one in told.deals] == [("out", "sell"), ("out", "buy")]
    assert (told.total("profit"), Position.objects.count()) == (D("-3.40"), 2)


def test_a_refusal_is_told_with_its_word(holder: Holder) -> None:
    told = previews.preview(rows.market_order(holder, lots="50"))

    assert (told.type, told.refusal, told.deals) == ("order_rejected", "no_money", [])
    assert told.before == told.after
    assert Order.objects.count() == 0


def test_guards_have_their_say(holder: Holder) -> None:
    kill_switch.engage(
        target=Target(scope="account", account_id=holder.id), reason="drill", actor=rows.TESTER
    )

    assert previews.preview(rows.market_order(holder)).refusal == "kill_switch"


def test_a_withdrawal_shows_the_money_after_it(holder: Holder) -> None:
    command = ChangeBalance(
        account_id=holder.id,
        command_id=uuid4(),
        actor=rows.TESTER,
        kind=BalanceKind.WITHDRAWAL,
        amount=D("-250.50"),
        reference="w1",
    )

    told = previews.preview(command)

    assert (told.type, told.after.balance, told.quotes) == ("balance_changed", D("9749.50"), [])


def test_what_was_done_before_is_told_as_done(holder: Holder) -> None:
    command = rows.market_order(holder, client_order_id="once")
    executor.run(command)

    told = previews.preview(command)

    assert (told.repeated, told.before == told.after, len(told.deals)) == (True, True, 1)
    with pytest.raises(ClientOrderIdReused):
        previews.preview(rows.market_order(holder, client_order_id="once", lots="0.20"))


def test_a_position_that_is_not_there_cannot_even_be_tried(holder: Holder) -> None:
    with pytest.raises(PositionNotFound):
        previews.preview(rows.close_order(holder, 4711))
