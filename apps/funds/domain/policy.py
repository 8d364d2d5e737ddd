"""
What a trading group's fund policy asks for: a second person above a threshold, a least amount, open requests.
Pure.

The day is the calendar day in UTC, whatever the time zone of client or staff. What counts against the
threshold is the absolute amount, so that neither splitting nor a mix of kinds and signs helps; and every
currency counts as a share of its own threshold, so that splitting over currencies does not help either.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from apps.accounts.domain.ledger import BalanceKind
from rtx.kernel.errors import Conflict, Invalid
from rtx.kernel.money import ZERO, text

POSTED_BY_STAFF = (
    BalanceKind.DEPOSIT,
    BalanceKind.WITHDRAWAL,
    BalanceKind.ADJUSTMENT,
    BalanceKind.CREDIT,
)


class BelowMinimum(Invalid):
    """The amount is smaller than the group takes."""

    code = "below_minimum"
    title = "Amount below the minimum"


class RequestsClosed(Conflict):
    """Clients of this group cannot ask for such operations themselves."""

    code = "requests_closed"
    title = "Such requests are not taken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The terms of one group, in its currency. No threshold: one person is always enough."""

    threshold: Decimal | None = None
    minimum: Decimal = ZERO
    takes_deposits: bool = True
    takes_withdrawals: bool = True
    approval_hours: int = 24


@dataclass(frozen=True, slots=True)
class Used:
    """What one person alone posted for a client in one currency today, and the threshold there."""

    currency: str
    threshold: Decimal
    alone_today: Decimal


def needs_second_person(
    *, threshold: Decimal | None, alone_today: Decimal, amount: Decimal, elsewhere: Iterable[Used] = ()
) -> bool:
    """
    Tell whether an operation waits for a second person: with it, what the client's accounts saw today on one
    person's word alone would exceed the whole. Each currency counts as a share of its threshold.
    """
    if threshold is None:
        return False
    return share_of([Used("", threshold, alone_today + abs(amount)), *elsewhere]) > 1


def share_of(day: Iterable[Used]) -> Fraction:
    """Return how much of what one person may post was posted: exact, 1 is all of it."""
    share = Fraction(0)
    for used in day:
        if used.threshold:
            share += Fraction(used.alone_today) / Fraction(used.threshold)
        elif used.alone_today:
            share += 2  # a threshold of zero lets nothing pass
    return share


def check_request(*, policy: Policy, kind: BalanceKind, amount: Decimal) -> None:
    """
    Go on only with what a client may ask for.

    :raises RequestsClosed: the group takes no such requests.
    :raises BelowMinimum: the amount is too small.
    """
    is_open = policy.takes_deposits if kind is BalanceKind.DEPOSIT else policy.takes_withdrawals
    if not is_open:
        raise RequestsClosed(f"A {kind} cannot be requested for this account; please ask the broker.")
    if abs(amount) < policy.minimum:
        raise BelowMinimum(f"The least amount is {text(policy.minimum)}.")


def is_looser(*, now: Decimal | None, wanted: Decimal | None) -> bool:
    """Tell whether a threshold lets one person do more than before: such a change needs a second one."""
    return now is not None and (wanted is None or wanted > now)
