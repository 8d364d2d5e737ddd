"""
A fund operation's states, and the content that it is bound to. Pure.

`amount` is signed as the client sees it (a withdrawal is negative), like in the journal; people and the API
say it without the sign where the kind tells the direction.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from apps.accounts.domain.ledger import BalanceKind
from apps.trading.domain.operations import AmountInvalid
from rtx.kernel.errors import Conflict
from rtx.kernel.money import booked, text

UNSIGNED = (BalanceKind.DEPOSIT, BalanceKind.WITHDRAWAL)


class Status(StrEnum):
    """Where an operation stands: `approved` has one person's word and waits for a second one's."""

    REQUESTED = "requested"
    APPROVED = "approved"
    POSTED = "posted"
    REJECTED = "rejected"
    CANCELED = "canceled"


OPEN = (Status.REQUESTED, Status.APPROVED)


class OperationClosed(Conflict):
    """Somebody decided it before."""

    code = "fund_operation_closed"
    title = "No longer waiting"


def signed(kind: BalanceKind, amount: Decimal, *, currency: str) -> Decimal:
    """
    Return an amount as the client's balance sees it: what is withdrawn is negative.

    :raises AmountInvalid: it does not fit its kind or its currency.
    """
    if kind in UNSIGNED and amount < 0:
        raise AmountInvalid(f"The amount of a {kind} has no sign.")
    if not amount or amount != booked(amount, currency):
        raise AmountInvalid(f"An amount in {currency} cannot be {text(amount)}.")
    amount = booked(amount, currency)
    return -amount if kind is BalanceKind.WITHDRAWAL else amount


def said(kind: BalanceKind, amount: Decimal) -> Decimal:
    """Return an amount as people say it: the kind tells the direction of deposits and withdrawals."""
    return abs(amount) if kind in UNSIGNED else amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What shall be booked; `amount` is signed as the client sees it."""

    account_id: int
    kind: BalanceKind
    amount: Decimal
    reference: str
    comment: str = ""

    def content(self) -> dict[str, Any]:
        """Return it as data, the way an approval is bound to it."""
        return {
            "account_id": self.account_id,
            "kind": self.kind.value,
            "amount": text(self.amount),
            "reference": self.reference,
            "comment": self.comment,
        }

    @classmethod
    def read(cls, content: dict[str, Any]) -> "Asked":
        """Return what `content` made data of."""
        return cls(
            account_id=int(content["account_id"]),
            kind=BalanceKind(content["kind"]),
            amount=Decimal(content["amount"]),
            reference=str(content["reference"]),
            comment=str(content["comment"]),
        )
