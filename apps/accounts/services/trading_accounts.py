"""Opening trading accounts. Everything after the opening is a command that the executor runs."""

from uuid import uuid4

from django.db import connection, transaction

from apps.accounts.models import AccountEvent, AccountState, Client, TradingAccount
from apps.groups.models import TradingGroup
from rtx.kernel import clock, money
from rtx.kernel.actor import Actor
from rtx.kernel.errors import Invalid

LOGIN_SEQUENCE = "accounts_trading_account_login"


def open_account(
    *, client: Client, group: TradingGroup, actor: Actor, leverage: int | None = None
) -> TradingAccount:
    """
    Open an account with its state and its first event; without a leverage it gets the group's.

    :raises Invalid: the leverage is above the group's, or the group is not active.
    """
    if not group.is_active:
        raise Invalid(f"Group {group.name} is not active.", code="group_inactive")
    chosen = group.leverage_max if leverage is None else leverage
    if not 1 <= chosen <= group.leverage_max:
        raise Invalid(f"Leverage lies between 1 and {group.leverage_max}.", code="invalid_leverage")
    now = clock.now()
    with transaction.atomic():
        account = TradingAccount.objects.create(
            login=_next_login(),
            client=client,
            group=group,
            currency=group.currency,
            position_mode=group.position_mode,
            leverage=chosen,
            opened_at=now,
        )
        AccountState.objects.create(account=account, seq=1, updated_at=now)
        AccountEvent.objects.create(
            account=account,
            seq=1,
            type="account_opened",
            at=now,
            command_id=uuid4(),
            fingerprint="",
            actor=actor.as_text(),
            request_id=actor.request_id,
            payload={
                "login": account.login,
                "group": group.name,
                "currency": account.currency,
                "digits": money.digits(account.currency),
                "position_mode": account.position_mode,
                "leverage": account.leverage,
                "balance": "0",
                "credit": "0",
                "margin": "0",
                "house": {"group_id": group.pk},
            },
        )
    return account


def _next_login() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(%s)", [LOGIN_SEQUENCE])
        row = cursor.fetchone()
    login: int = row[0]
    return login
