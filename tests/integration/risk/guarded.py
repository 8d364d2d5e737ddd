"""Orders as guards meet them, and the limits that hold them."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

from apps.risk.models import RiskLimit
from apps.trading.domain.commands import TriggerOrder
from apps.trading.services import executor
from rtx.kernel import clock
from rtx.kernel.actor import Actor, ActorKind
from tests.factories import rows
from tests.factories.rows import Holder, market_order

D = Decimal
STAFF = Actor(kind=ActorKind.STAFF, name="user:7")


def limit(kind: str, value: str, **more: Any) -> RiskLimit:
    values: dict[str, Any] = {"scope": "platform", **more}
    return RiskLimit.objects.create(kind=kind, value=D(value), **values)


def answer(command: Any) -> str:
    """Run a command and return the word of its refusal, or the event's type."""
    outcome = executor.run(command)
    return outcome.refusal.value if outcome.refusal else outcome.type


def buy(holder: Holder, lots: str = "0.10", **more: Any) -> str:
    return answer(market_order(holder, lots=lots, **more))


def trigger_of(holder: Holder, order_id: int) -> TriggerOrder:
    """Return the command that sets off a buy limit at 1.09000, reached."""
    return TriggerOrder(
        account_id=holder.id,
        command_id=uuid4(),
        actor=Actor.system("triggers"),
        order_id=order_id,
        armed_price=D("1.09000"),
        raw=rows.Quote("EURUSD", D("1.08980"), D("1.09000"), clock.now_ms()),
    )
