"""The commands of books.py for accounts in a database, and what the executor is expected to leave behind."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from apps.market.domain.quotes import Quote
from apps.trading.domain.commands import Command, order_command_id
from apps.trading.models import Order
from apps.trading.selectors import verification
from apps.trading.services import executor
from rtx.kernel import clock
from tests.factories.books import TRADER
from tests.factories.rows import Holder


def of(holder: Holder, command: Any, **changes: Any) -> Any:
    """Return a command for a holder's account, by the holder where the trader gave it."""
    changed = replace(command, **changes)
    name = getattr(changed, "client_order_id", None)
    if name is not None:
        changes["command_id"] = order_command_id(account_id=holder.id, client_order_id=name)
    actor = holder.actor if changed.actor == TRADER else changed.actor
    return replace(changed, account_id=holder.id, actor=actor, **changes)


def run(holder: Holder, command: Command, **changes: Any) -> Any:
    """Run a command for a holder's account and return its outcome."""
    return executor.run(of(holder, command, **changes))


def quoted(bid: str, ask: str, *, symbol: str = "EURUSD", age_ms: int = 0) -> Quote:
    """Return a quote of the feed as of now."""
    return Quote(symbol, Decimal(bid), Decimal(ask), clock.now_ms() - age_ms)


def order_row(order_id: int) -> Order:
    """Return an order as the database has it."""
    return Order.objects.get(pk=order_id)


def verified() -> int:
    """Derive all books again from the journal; return the number of events."""
    with verification.snapshot() as cursor:
        return verification.verify(cursor, verification.account_ids(cursor))
