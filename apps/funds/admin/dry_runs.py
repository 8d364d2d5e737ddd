"""Shows what a fund operation would do to its account before it is confirmed. Decides nothing."""

from dataclasses import replace
from decimal import Decimal
from math import ceil
from typing import Any

from apps.accounts.domain.ledger import BalanceKind
from apps.accounts.models import TradingAccount
from apps.audit.models import Approval
from apps.audit.services import approvals
from apps.funds.domain.operations import Asked, said
from apps.funds.domain.policy import share_of
from apps.funds.selectors.policies import room_of, waits_for_second_person
from apps.trading.admin.dry_runs import shown
from apps.trading.domain.commands import ChangeBalance, balance_command_id
from apps.trading.services.previews import Preview, preview
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.admin_display import amount
from rtx.kernel.dry_runs import DryRun, Ground


def posting_effect(approval: Approval, actor: Actor) -> DryRun:
    """Return what booking would do now that waits for a second person."""
    asked = Asked.read(approvals.content_of(approval))
    account = TradingAccount.objects.get(pk=asked.account_id)
    return dry_run(account, asked, actor=actor, has_two=True)


def dry_run(account: TradingAccount, asked: Asked, *, actor: Actor, has_two: bool = False) -> DryRun:
    """
    Return what booking it now would do, and whether a second person would be needed (`has_two`: is there).
    """
    command = ChangeBalance(
        account_id=account.pk,
        command_id=balance_command_id(account_id=account.pk, reference=asked.reference),
        actor=actor,
        kind=asked.kind,
        amount=asked.amount,
        reference=asked.reference,
        comment=asked.comment,
    )
    found = preview(command)
    run = shown(found)
    facts: list[tuple[str, Any]] = [
        ("Account", str(account.login)),
        (asked.kind.capitalize(), amount(said(asked.kind, asked.amount), account.currency)),
        ("Reference", asked.reference),
    ]
    notes = list(run.notes)
    now = clock.now()
    waits = False
    room = None if has_two else room_of(account, now=now)
    if room is not None:
        facts.append(("Posted today by one person", amount(room.alone_today, account.currency)))
        facts.append(("One person may post a day", amount(room.threshold, account.currency)))
        elsewhere = share_of(room.elsewhere)
        if elsewhere:
            told = f"{ceil(elsewhere * 100)} % of what one person may"
            facts.append(("Posted today in other currencies", told))
        waits = waits_for_second_person(account, asked, now=now)
        if waits:
            notes.append("This waits for a second person: nothing is booked until they approve it.")
    return replace(run, facts=facts, notes=notes, ground=_ground(asked, found, waits=waits))


def _ground(asked: Asked, found: Preview, *, waits: bool) -> dict[str, Ground]:
    """
    Return what was decided on besides the amount, which is the form's: whether it is booked at once, and for
    a correction what it corrects. What is paid in or out is the same money whatever the balance; a balance
    that is corrected may move by as much as the correction, since its client may trade all the time.
    """
    seen = {"The number of people who must still approve it": Ground(value=Decimal(waits))}
    if asked.kind is BalanceKind.ADJUSTMENT:
        seen["The balance"] = Ground(value=found.before.balance, tolerance=abs(asked.amount))
    elif asked.kind is BalanceKind.CREDIT:
        seen["The credit"] = Ground(value=found.before.credit)
    return seen
