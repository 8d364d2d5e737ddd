"""
Balance operations and changes of an account's facts, through the executor. Who may do them is decided above.
"""

from decimal import Decimal
from uuid import UUID

from apps.accounts.domain.ledger import BalanceKind
from apps.trading.domain.commands import (
    ChangeAccount,
    ChangeBalance,
    MoveAccount,
    Outcome,
    balance_command_id,
)
from apps.trading.services import executor
from rtx.kernel.actor import Actor


def change(
    *, account_id: int, kind: BalanceKind, amount: Decimal, reference: str, actor: Actor, comment: str = ""
) -> Outcome:
    """
    Book a deposit, withdrawal, adjustment, credit or compensation; `amount` is signed as the client sees it.

    The same `reference` on the same account is booked once. A withdrawal that margin or losses need is
    refused (`refusal` is set, nothing moved).

    :raises AmountInvalid: zero, wrong sign, or more decimals than the currency has.
    """
    return executor.run(
        ChangeBalance(
            account_id=account_id,
            command_id=balance_command_id(account_id=account_id, reference=reference),
            actor=actor,
            kind=kind,
            amount=amount,
            reference=reference,
            comment=comment,
        )
    )


def change_account(
    *,
    account_id: int,
    command_id: UUID,
    actor: Actor,
    leverage: int | None = None,
    status: str | None = None,
) -> Outcome:
    """Change leverage or status; open positions are margined again at the new leverage."""
    return executor.run(
        ChangeAccount(
            account_id=account_id, command_id=command_id, actor=actor, leverage=leverage, status=status
        )
    )


def move_account(
    *,
    account_id: int,
    group_id: int,
    command_id: UUID,
    actor: Actor,
    leverage: int | None = None,
    accepts_stop_out: bool = False,
) -> Outcome:
    """
    Move an account to another trading group; what it holds is margined under that group's terms.

    :raises MoveRefused: it does not fit there, or would be stopped out at once.
    """
    return executor.run(
        MoveAccount(
            account_id=account_id,
            command_id=command_id,
            actor=actor,
            group_id=group_id,
            leverage=leverage,
            accepts_stop_out=accepts_stop_out,
        )
    )
