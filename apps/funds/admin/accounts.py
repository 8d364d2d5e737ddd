"""
Deposit, withdraw, adjust and credit on the page of an account. The page itself is trading's; what is added
here stands right of it in the stack.
"""

from typing import Any

from django.contrib import admin
from unfold.enums import ActionVariant

from apps.accounts.models import TradingAccount
from apps.funds.admin.dry_runs import dry_run
from apps.funds.domain.operations import Asked
from apps.funds.forms import AdjustForm, CreditForm, DepositForm, FundForm, WithdrawForm
from apps.funds.permissions import REQUEST
from apps.funds.selectors.operations import outcome_said
from apps.funds.services import requests
from apps.trading.admin.accounts import TradingAccountAdmin
from rtx.kernel.admin_actions import Operation, Preview, operator_action
from rtx.kernel.dry_runs import DryRun
from rtx.kernel.errors import Conflict

FUND_ACTIONS = ["deposit", "withdraw", "adjust", "credit"]


class FundsRefused(Conflict):
    """The account's book refused to book it; the journal and the staff log tell of it."""

    is_logged = True
    code = "funds_refused"
    title = "Refused"


def _asked(form: type[FundForm], account: TradingAccount, operation: Operation) -> Asked:
    return Asked(
        account_id=account.pk,
        kind=form.kind,
        amount=operation.values["amount"],
        reference=operation.values["reference"],
        comment=operation.values["comment"],
    )


def _previewing(form: type[FundForm]) -> Preview:
    def previewed(_admin: Any, account: TradingAccount, operation: Operation) -> DryRun:
        return dry_run(account, _asked(form, account, operation), actor=operation.actor)

    return previewed


def _ask(form: type[FundForm], account: TradingAccount, operation: Operation) -> str:
    done = requests.by_staff(
        account=account,
        asked=_asked(form, account, operation),
        key=f"page-{operation.request_key.hex}",
        actor=operation.actor,
        may=operation.may,
    )
    if done.reject_reason:
        raise FundsRefused(outcome_said(done))
    return outcome_said(done)


admin.site.unregister(TradingAccount)


@admin.register(TradingAccount)
class FundedAccountAdmin(TradingAccountAdmin):
    """The page of an account, with its money actions."""

    actions_detail = [
        *TradingAccountAdmin.actions_detail,
        {"title": "Funds", "icon": "payments", "items": FUND_ACTIONS},
    ]

    @operator_action(
        "Deposit",
        permission=REQUEST,
        icon="add_card",
        form=DepositForm,
        variant=ActionVariant.PRIMARY,
        runs_commands=True,
        needs_recent_login=True,
        preview=_previewing(DepositForm),
    )
    def deposit(self, account: TradingAccount, operation: Operation) -> str:
        """Book money in, or ask for it to be booked."""
        return _ask(DepositForm, account, operation)

    @operator_action(
        "Withdraw",
        permission=REQUEST,
        icon="outbox",
        form=WithdrawForm,
        runs_commands=True,
        needs_recent_login=True,
        preview=_previewing(WithdrawForm),
    )
    def withdraw(self, account: TradingAccount, operation: Operation) -> str:
        """Book money out, or ask for it to be booked."""
        return _ask(WithdrawForm, account, operation)

    @operator_action(
        "Adjust balance",
        permission=REQUEST,
        icon="edit_note",
        form=AdjustForm,
        runs_commands=True,
        needs_recent_login=True,
        preview=_previewing(AdjustForm),
    )
    def adjust(self, account: TradingAccount, operation: Operation) -> str:
        """Correct the balance, or ask for a correction."""
        return _ask(AdjustForm, account, operation)

    @operator_action(
        "Credit",
        permission=REQUEST,
        icon="redeem",
        form=CreditForm,
        variant=ActionVariant.PRIMARY,
        runs_commands=True,
        needs_recent_login=True,
        preview=_previewing(CreditForm),
    )
    def credit(self, account: TradingAccount, operation: Operation) -> str:
        """Grant credit or take it back, or ask for it."""
        return _ask(CreditForm, account, operation)
