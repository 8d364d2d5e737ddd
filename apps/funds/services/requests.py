"""
Asking for money to be booked: a client for the own account, or staff on behalf. Books nothing by itself.

The same key of the same person is the same request: it finds what it made the first time.
"""

from decimal import Decimal
from hashlib import sha256

from django.db import IntegrityError, connection, transaction

from apps.accounts.domain.ledger import BalanceKind
from apps.accounts.models import AccountEvent, TradingAccount
from apps.audit.models import StaffAction
from apps.audit.services import actions, requests
from apps.funds.domain import operations
from apps.funds.domain.operations import Asked, Status
from apps.funds.domain.policy import check_request
from apps.funds.models import FundOperation, FundStep
from apps.funds.permissions import POST
from apps.funds.selectors.operations import current
from apps.funds.selectors.policies import policy_of, waits_for_second_person
from apps.funds.services import posting
from apps.funds.services.posting import May
from apps.trading.domain.commands import balance_command_id
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.errors import Conflict

OPEN_MAX = 10  # requests of clients per account
REFERENCE_UNIQUE = "fund_operation_reference"


class TooManyOpen(Conflict):
    """The account has as many open requests as it may have."""

    code = "too_many_requests_open"
    title = "Too many open requests"


class ReferenceUsed(Conflict):
    """The account has, or waits for, another operation under this reference."""

    code = "reference_used"
    title = "Reference used before"


def by_client(
    *, account: TradingAccount, kind: BalanceKind, amount: Decimal, comment: str, key: str, actor: Actor
) -> FundOperation:
    """
    Put a client's request for a deposit or a withdrawal into the queue of staff.

    Nothing is reserved: whether margin needs the money is decided when it is posted.

    :raises AmountInvalid: the amount does not fit the account's currency.
    :raises RequestsClosed, BelowMinimum: the group's policy does not take it.
    :raises TooManyOpen: `OPEN_MAX` requests of the account wait already.
    :raises KeyReused: the key named another request before.
    """
    user_id = _user_of(actor)
    asked = Asked(
        account_id=account.pk,
        kind=kind,
        amount=operations.signed(kind, amount, currency=account.currency),
        reference=_reference(user_id, key, kind),
        comment=comment,
    )
    check_request(policy=policy_of(account.group_id), kind=kind, amount=asked.amount)
    return _once(account, asked, key=key, actor=actor, is_client=True)


def by_staff(*, account: TradingAccount, asked: Asked, key: str, actor: Actor, may: May) -> FundOperation:
    """
    Post an operation for a client, or leave it to those who may: what exceeds the group's threshold waits for
    a second person, what the caller may not post waits for somebody who may.

    :raises AmountInvalid: the amount does not fit the account's currency.
    :raises ReferenceUsed: the account knows the reference for something else.
    :raises KeyReused: the key named another request before.
    """
    operation = _once(account, asked, key=key, actor=actor, is_client=False)
    if operation.status != Status.REQUESTED or operation.approval_id is not None:
        return operation  # asked for before
    if may(POST) or waits_for_second_person(account, asked, now=clock.now()):
        return posting.proceed(operation, actor=actor, alone=may(POST))
    return operation


def _once(account: TradingAccount, asked: Asked, *, key: str, actor: Actor, is_client: bool) -> FundOperation:
    content = {"funds": asked.content() | {"reference": "" if is_client else asked.reference}}

    def act() -> dict[str, int]:
        return {"fund_operation": _opened(account, asked, actor=actor, is_client=is_client).pk}

    try:
        found = requests.once(user_id=_user_of(actor), key=key, content=content, act=act)
    except IntegrityError as error:
        diagnosis = getattr(error.__cause__, "diag", None)
        if getattr(diagnosis, "constraint_name", "") != REFERENCE_UNIQUE:
            raise
        raise ReferenceUsed(f"{account.login} knows {asked.reference} for another operation.") from None
    return current(found["fund_operation"])


def _opened(account: TradingAccount, asked: Asked, *, actor: Actor, is_client: bool) -> FundOperation:
    if is_client:
        _check_room(account)
    command_id = balance_command_id(account_id=account.pk, reference=asked.reference)
    if AccountEvent.objects.filter(command_id=command_id).exists():
        raise ReferenceUsed(f"{account.login} knows {asked.reference} for another operation.")
    with transaction.atomic():
        operation = FundOperation.objects.create(
            account=account,
            kind=asked.kind,
            amount=asked.amount,
            currency=account.currency,
            reference=asked.reference,
            comment=asked.comment,
            by_client=is_client,
            requested_by_id=_user_of(actor),
            requested_at=clock.now(),
            reason=actor.reason,
        )
        FundStep.objects.create(
            operation=operation,
            at=operation.requested_at,
            kind=FundStep.Kind.REQUESTED,
            actor=actor.as_text(),
            reason=actor.reason,
        )
        if not is_client:
            actions.record(
                actor=actor,
                operation="funds.request",
                target=operation,
                group_id=account.group_id,
                account_id=account.pk,
                after=asked.content(),
                outcome=StaffAction.Outcome.REQUESTED,
            )
    return operation


def _check_room(account: TradingAccount) -> None:
    """Go on only if the account may have one more request; one asks after the other."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"requests of {account.pk}"])
    waiting = FundOperation.objects.filter(account=account, by_client=True, is_waiting=True)
    if waiting.count() >= OPEN_MAX:
        raise TooManyOpen(f"{OPEN_MAX} requests wait already; take one back, or wait for the broker.")


def _reference(user_id: int, key: str, kind: BalanceKind) -> str:
    """Return the reference of a client's request: made from its key, so that it is the same every time."""
    digest = sha256(f"{user_id}:{key}".encode()).hexdigest()[:12].upper()
    return f"{kind.value[0].upper()}-{digest}"


def _user_of(actor: Actor) -> int:
    if actor.user_id is None:
        raise ValueError("fund operations are asked for by people")
    return actor.user_id
