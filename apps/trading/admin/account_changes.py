"""
How staff change accounts, one or many at a time: group, leverage, status, closing. Each change is a command,
shown as a dry run before it is confirmed.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4, uuid5

from unfold.enums import ActionVariant

from apps.accounts.models import TradingAccount
from apps.trading.admin.dry_runs import dry_run_of, shown
from apps.trading.domain.commands import ChangeAccount, CloseAccount, MoveAccount
from apps.trading.forms.accounts import LeverageForm, MoveForm
from apps.trading.selectors.markets import markets
from apps.trading.services import closing_accounts, executor
from apps.trading.services.previews import preview
from rtx.kernel import clock
from rtx.kernel.admin import OperatedModelAdmin
from rtx.kernel.admin_actions import Operation, operator_action
from rtx.kernel.dry_runs import DryRun, Ground

CHANGE_ACCOUNT = "accounts.change_tradingaccount"
STATUS_ACTIONS = ["activate", "close_only", "disable"]
CHANGES = ["change_group", "change_leverage", *STATUS_ACTIONS]


def _own(operation: Operation, account: TradingAccount, what: str) -> UUID:
    return uuid5(operation.request_key, f"{account.pk}:{what}")


def moving(account: TradingAccount, operation: Operation) -> MoveAccount:
    """Move the account to the group that the form names."""
    return MoveAccount(
        account_id=account.pk,
        command_id=_own(operation, account, "group"),
        actor=operation.actor,
        group_id=operation.values["group"].pk,
        leverage=operation.values["leverage"],
        accepts_stop_out=operation.values["accepts_stop_out"],
    )


def levering(account: TradingAccount, operation: Operation) -> ChangeAccount:
    """Give the account the leverage that the form names."""
    return ChangeAccount(
        account_id=account.pk,
        command_id=_own(operation, account, "leverage"),
        actor=operation.actor,
        leverage=operation.values["leverage"],
    )


def what_if(_admin: Any, account: TradingAccount, operation: Operation) -> DryRun:
    """Show the account in its new group: level before and after, and whether it would be called or closed."""
    command = moving(account, operation)
    found = preview(replace(command, command_id=uuid4(), accepts_stop_out=True))
    group = markets(now=clock.now()).book.groups[command.group_id]
    level = found.after.level_pct
    is_out = level is not None and level <= group.stop_out_pct
    notes, refusal, pushed = [], "", ""
    if is_out:
        pushed = "A stop-out in the new group"
        notes.append(
            f"It would be stopped out at once: the group closes at {group.stop_out_pct.normalize():f} %."
        )
    elif level is not None and level <= group.margin_call_pct:
        pushed = "A margin call in the new group"
        notes.append(
            f"It would be margin-called at once: the group calls at {group.margin_call_pct.normalize():f} %."
        )
    if is_out and not command.accepts_stop_out:
        refusal = "it would be stopped out (would_stop_out). Go back and accept that, if it is meant."
    facts = [
        ("Group", f"{account.group.name} → {group.name}"),
        ("Leverage", f"1:{account.leverage} → 1:{found.leverage}"),
        (
            "Margin call and stop-out there",
            f"{group.margin_call_pct.normalize():f} % and {group.stop_out_pct.normalize():f} %",
        ),
    ]
    run = shown(found)
    ground = {pushed: Ground(value=Decimal(1))} if pushed else {}
    return replace(run, facts=[*facts, *run.facts], notes=notes, refusal=refusal, ground=ground)


class AccountChanges(OperatedModelAdmin):
    """The actions that change accounts."""

    @operator_action(
        "Change group",
        permission=CHANGE_ACCOUNT,
        icon="move_group",
        form=MoveForm,
        warning="Prices, commission, swaps, leverage and margin levels are the new group's from then on.",
        variant=ActionVariant.PRIMARY,
        runs_commands=True,
        needs_recent_login=True,
        preview=what_if,
    )
    def change_group(self, account: TradingAccount, operation: Operation) -> str:
        """Move the account to another group within reach."""
        outcome = executor.run(moving(account, operation))
        told = outcome.payload
        return f"is now in group {told['group']} at 1:{told['leverage']}, margin {told['margin']}"

    @operator_action(
        "Change leverage",
        permission=CHANGE_ACCOUNT,
        icon="speed",
        form=LeverageForm,
        warning="Open positions and waiting orders take margin at the new leverage.",
        variant=ActionVariant.PRIMARY,
        runs_commands=True,
        needs_recent_login=True,
        preview=dry_run_of(levering),
    )
    def change_leverage(self, account: TradingAccount, operation: Operation) -> str:
        """Give the account another leverage."""
        outcome = executor.run(levering(account, operation))
        return f"leverage is now 1:{outcome.payload['leverage']}, margin {outcome.payload['margin']}"

    @operator_action(
        "Activate",
        permission=CHANGE_ACCOUNT,
        warning="The account may trade again.",
        runs_commands=True,
        needs_recent_login=True,
    )
    def activate(self, account: TradingAccount, operation: Operation) -> str:
        """Let the account trade."""
        return self._set_status(account, TradingAccount.Status.ACTIVE, operation)

    @operator_action(
        "Close only",
        permission=CHANGE_ACCOUNT,
        warning="The account may close positions, no more.",
        runs_commands=True,
        needs_recent_login=True,
    )
    def close_only(self, account: TradingAccount, operation: Operation) -> str:
        """Let the account close positions only."""
        return self._set_status(account, TradingAccount.Status.CLOSE_ONLY, operation)

    @operator_action(
        "Disable",
        permission=CHANGE_ACCOUNT,
        warning="The account may do nothing any more.",
        runs_commands=True,
        needs_recent_login=True,
    )
    def disable(self, account: TradingAccount, operation: Operation) -> str:
        """Let the account do nothing."""
        return self._set_status(account, TradingAccount.Status.DISABLED, operation)

    @operator_action(
        "Close account",
        permission=CHANGE_ACCOUNT,
        icon="cancel",
        warning="Only an account that is flat, without orders and without money can be closed.",
        runs_commands=True,
        needs_recent_login=True,
    )
    def close_account(self, account: TradingAccount, operation: Operation) -> str:
        """Close an empty account for good measure: it is disabled, its history stays."""
        closing_accounts.close(
            CloseAccount(
                account_id=account.pk,
                command_id=_own(operation, account, "close"),
                actor=operation.actor,
            )
        )
        return "is closed"

    @staticmethod
    def _set_status(account: TradingAccount, status: str, operation: Operation) -> str:
        executor.run(
            ChangeAccount(
                account_id=account.pk,
                command_id=_own(operation, account, status),
                actor=operation.actor,
                status=status,
            )
        )
        return f"status is now {status.replace('_', ' ')}"
