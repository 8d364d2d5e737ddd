"""
Trade reversals: asking for one, and carrying it out once a second person has approved it.

What is asked for is bound to the position as it is (side, volume) and to its closing price within a
deviation; it is checked again, under the account's lock, when it is approved. The database refuses a reversal
without its approval.
"""

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction

from apps.accounts.models import TradingAccount
from apps.audit.models import Approval
from apps.audit.services import approvals, requests
from apps.trading.domain.commands import ReversePosition
from apps.trading.domain.filling import PositionNotFound
from apps.trading.domain.orders import Side
from apps.trading.models import Position
from apps.trading.permissions import APPROVE_REVERSAL, REVERSE_POSITION
from apps.trading.selectors.valued import value
from apps.trading.services import executor, previews
from apps.trading.services.previews import Preview
from rtx.kernel.actor import Actor
from rtx.kernel.clock import rfc3339
from rtx.kernel.errors import Conflict
from rtx.kernel.money import plain, text

KIND = "trading.reverse"


class ReversalRefused(Conflict):
    """A rule refuses the reversal; the code is the rule's reason."""

    title = "Reversal refused"


def command_of(row: Position, *, deviation: int | None, actor: Actor) -> ReversePosition:
    """
    Return the reversal of a position as it now is, at its present closing price.

    :raises ReversalRefused: it has no price.
    """
    value([row])
    price: Decimal | None = row.closing_price  # type: ignore[attr-defined]  # noted by `value`
    if price is None:
        raise ReversalRefused(f"There is no price of {row.symbol.name}.", code="off_quotes")
    return ReversePosition(
        account_id=row.account_id,
        command_id=uuid4(),
        actor=actor,
        position_id=row.pk,
        side=Side(row.side),
        volume=row.volume,
        price=price,
        deviation=settings.DEALING_DEVIATION_POINTS if deviation is None else deviation,
    )


def preview(*, position_id: int, actor: Actor) -> Preview:
    """
    Return what reversing a position would do now.

    :raises PositionNotFound: it is not open.
    """
    return previews.preview(command_of(_open(position_id), deviation=None, actor=actor))


def ask(*, position_id: int, deviation: int | None, actor: Actor, user_id: int, key: str) -> dict[str, Any]:
    """
    Ask for a reversal, once per user and key; return what waits for a second person.

    :raises PositionNotFound: it is not open.
    :raises ReversalRefused: it would be refused now.
    """
    content = {
        "operation": KIND,
        "position_id": position_id,
        "deviation": deviation,
        "reason": actor.reason,
    }

    def act() -> dict[str, Any]:
        row = _open(position_id)
        command = command_of(row, deviation=deviation, actor=actor)
        refusal = previews.preview(command).refusal
        if refusal:
            raise ReversalRefused(f"The reversal would be refused: {refusal}.", code=refusal)
        return asked_view(_request(row, command, actor))

    return requests.once(user_id=user_id, key=key, content=content, act=act)


def _request(row: Position, command: ReversePosition, actor: Actor) -> Approval:
    account = row.account
    return approvals.request(
        kind=KIND,
        content={
            "account": account.login,
            "position_id": row.pk,
            "symbol": row.symbol.name,
            "side": row.side,
            "volume": plain(row.volume),
            "price": text(command.price),
            "deviation": command.deviation,
        },
        summary=(
            f"Reverse #{row.pk}: {row.side} {plain(row.volume)} {row.symbol.name} of account {account.login} "
            f"at {text(command.price)} within {command.deviation} points"
        ),
        actor=actor,
        group_id=account.group_id,
        account_id=account.pk,
        lifetime_s=settings.REVERSAL_LIFETIME_S,
        target=row,
    )


def asked_view(approval: Approval) -> dict[str, Any]:
    """Return a reversal that was asked for, as the interface shows it."""
    return {
        "approval": str(approval.pk),
        "status": approval.status,
        "expires_at": rfc3339(approval.expires_at),
        **approvals.content_of(approval),
    }


def _open(position_id: int) -> Position:
    row = Position.objects.select_related("account", "symbol").filter(pk=position_id).first()
    if row is None:
        raise PositionNotFound(f"Position {position_id} is not open.")
    return row


class ReversalHandler:
    """Carries out an approved reversal; its command's id is the approval's."""

    right = APPROVE_REVERSAL

    def asking(self, approval: Approval) -> str:
        """Whoever asked could ask for reversals."""
        return REVERSE_POSITION

    def command(self, approval: Approval, *, actor: Actor) -> ReversePosition:
        """Return the command that an approval stands for."""
        asked = approvals.content_of(approval)
        account_id = TradingAccount.objects.values_list("pk", flat=True).get(login=asked["account"])
        return ReversePosition(
            account_id=account_id,
            command_id=UUID(str(approval.pk)),
            actor=actor,
            position_id=asked["position_id"],
            side=Side(asked["side"]),
            volume=Decimal(asked["volume"]),
            price=Decimal(asked["price"]),
            deviation=asked["deviation"],
        )

    def execute(self, approval: Approval, *, actor: Actor) -> dict[str, Any]:
        """
        Reverse the position and consume the approval in one transaction, whatever the book says to it.

        :raises RtxError: nothing was decided (busy, unavailable): the approval still waits.
        """
        command = self.command(approval, actor=actor)
        effect = approvals.consuming(approval, actor=actor)
        try:
            outcome = executor.run(command, effects=(effect,))
        except PositionNotFound as error:
            told = {"refusal": error.code, "detail": error.detail}
            with transaction.atomic():
                approvals.consume(approval, actor=actor, outcome=told, is_refused=True)
            return told
        return {"event": outcome.type, "seq": outcome.seq}
