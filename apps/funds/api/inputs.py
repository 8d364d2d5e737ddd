"""What requests about fund operations may contain. Form only: whether it can be booked the book decides."""

from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from rtx.kernel import openapi
from rtx.kernel.rest import Input, PositiveDecimal

Login = Annotated[int, Meta(ge=1, le=10**15)]
Comment = Annotated[str, Meta(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
Reference = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x20\x7f][^\x00-\x1f\x7f]*\Z")]
Reason = Annotated[str, Meta(min_length=3, max_length=200, pattern=r"^[^\x00]*[^\x00\s][^\x00]*\Z")]
Message = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00]*\Z")]
SignedAmount = Annotated[
    str,
    Meta(
        pattern=r"^-?[0-9]{1,15}(\.[0-9]{1,10})?\Z",
        description="A number as plain text; negative: the client has less.",
    ),
]


@openapi.example({"account": 100001, "amount": "250.00", "comment": "from my savings"})
class FundRequestIn(Input):
    """POST /api/funds/deposits and /withdrawals: what a client asks for."""

    account: int
    amount: PositiveDecimal
    comment: Comment = ""


class _StaffAsksIn(Input, kw_only=True):
    account: Login
    reference: Reference
    reason: Reason
    comment: Comment = ""


@openapi.example(
    {"account": 100001, "amount": "250.00", "reference": "SWIFT 20261121-7", "reason": "seen on the bank"}
)
class FundPostIn(_StaffAsksIn, kw_only=True):
    """POST /api/admin/fund/deposit and /withdraw. The reference is unique within the account."""

    amount: PositiveDecimal

    @property
    def value(self) -> Decimal:
        """The amount as it was given."""
        return self.amount


@openapi.example(
    {"account": 100001, "amount": "-12.50", "reference": "ticket 8812", "reason": "wrong swap corrected"}
)
class FundCorrectIn(_StaffAsksIn, kw_only=True):
    """POST /api/admin/fund/adjust and /credit."""

    amount: SignedAmount

    @property
    def value(self) -> Decimal:
        """The amount as a number."""
        return Decimal(self.amount)


@openapi.example({"reason": "checked against the bank statement"})
class FundApproveIn(Input):
    """POST /api/admin/fund/{id}/approve."""

    reason: Reason


@openapi.example({"reason": "no such transfer arrived", "message": "We have not received your transfer."})
class FundRejectIn(Input):
    """POST /api/admin/fund/{id}/reject. `reason` stays in the house, `message` is for the client."""

    reason: Reason
    message: Message = ""
