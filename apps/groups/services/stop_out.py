"""
A second person for stop-out: the levels that accounts of a group stand under, and the order in which a
stop-out closes, change only by an approval. Whatever else was edited with them is saved at once.

The database refuses what this file forgets (trigger `group_levels_need_approval`).
"""

from decimal import Decimal
from typing import Any

from apps.audit.models import Approval
from apps.audit.services import approvals
from apps.groups.models import GUARDED, TradingGroup
from apps.groups.permissions import APPROVE_STOP_OUT, CHANGE_GROUP
from apps.market.services import terms_changes
from apps.market.services.terms_changes import Confirmed, TermsChange
from rtx.kernel.actor import Actor
from rtx.kernel.errors import Conflict
from rtx.kernel.money import plain

KIND = "groups.stop_out"


class StopOutEditWaits(Conflict):
    """Another change of these levels waits for its second person."""

    code = "stop_out_edit_waits"
    title = "Such a change waits already"


def hold_back(change: TermsChange, group: TradingGroup) -> bool:
    """Leave the levels of a group that is about to be saved as they are, where accounts stand under them."""
    saved = TradingGroup.objects.select_for_update().filter(pk=group.pk).first()
    if saved is None or _levels(saved) == _levels(group) or not saved.has_accounts:
        return False
    change.held_back[saved.pk] = _levels(group)
    for name, value in _levels(saved).items():
        setattr(group, name, value)
    return True


class SecondPersonCheck:
    """Asks for a second person for what was held back (one of `TERMS_CHECKS`, after the what-if)."""

    def before(self, change: TermsChange) -> None:
        """Nothing to remember: what is held back is noted by whoever saves a group."""

    def after(self, change: TermsChange) -> None:
        """
        Ask for an approval of each group's levels.

        :raises StopOutEditWaits: another one waits for this group.
        """
        for group_id, asked in change.held_back.items():
            group = TradingGroup.objects.get(pk=group_id)
            waiting = Approval.objects.filter(
                kind=KIND, group_id=group_id, status=Approval.Status.PENDING
            ).first()
            if waiting is not None:
                raise StopOutEditWaits(f"{waiting.summary}: that waits already. Decide it, or take it back.")
            before, after = _texts(_levels(group)), _texts(asked)
            differs = [name for name in GUARDED if before[name] != after[name]]
            told = ", ".join(f"{label(name)} {before[name]} → {after[name]}" for name in differs)
            approval = approvals.request(
                kind=KIND,
                content={
                    "group": group_id,
                    "name": group.name,
                    "before": before,
                    "after": after,
                    "called": change.impact.called,
                    "closed": change.impact.closed,
                },
                summary=f"Group {group.name}: {told}"[:300],
                actor=change.actor,
                group_id=group_id,
                target=group,
            )
            change.waiting.append(f"{approval.summary}: this waits for a second person.")


class StopOutApproval:
    """Carries out an approved change of levels (`APPROVAL_HANDLERS`)."""

    right = APPROVE_STOP_OUT

    def asking(self, approval: Approval) -> str:
        """Whoever asked could change groups."""
        return CHANGE_GROUP

    def execute(self, approval: Approval, *, actor: Actor) -> dict[str, Any]:
        """
        Set the levels, unless they have changed since; whoever is pushed is counted anew.

        :raises TermsNeedConfirmation: it would now push more accounts than whoever asked has confirmed.
        """
        content = approvals.content_of(approval)
        seen = Confirmed(content["called"], content["closed"])
        with terms_changes.changing(actor=actor, confirmed=seen) as change:
            group = TradingGroup.objects.select_for_update().get(pk=content["group"])
            if texts_of(group) != content["before"]:
                outcome: dict[str, Any] = {"refused": "The levels were changed meanwhile: ask anew."}
                approvals.consume(approval, actor=actor, outcome=outcome, is_refused=True)
                return outcome
            outcome = {"before": content["before"], "after": content["after"]}
            approvals.consume(approval, actor=actor, outcome=outcome)
            for name, value in values_of(content["after"]).items():
                setattr(group, name, value)
            group.save(update_fields=GUARDED)
        return outcome | {"called": change.impact.called, "closed": change.impact.closed}


def values_of(texts: dict[str, str | None]) -> dict[str, Any]:
    """Return levels as a group has them, from the texts of an approval."""
    return {
        name: Decimal(value) if value is not None and name.endswith("_pct") else value
        for name, value in texts.items()
    }


def texts_of(group: TradingGroup) -> dict[str, str | None]:
    """Return a group's levels as an approval tells them."""
    return _texts(_levels(group))


def _levels(group: TradingGroup) -> dict[str, Any]:
    return {name: getattr(group, name) for name in GUARDED}


def _texts(levels: dict[str, Any]) -> dict[str, str | None]:
    return {
        name: plain(value) if isinstance(value, Decimal) else None if value is None else str(value)
        for name, value in levels.items()
    }


def label(name: str) -> str:
    """Return how a level is called."""
    return name.replace("_pct", " %").replace("_", " ")
