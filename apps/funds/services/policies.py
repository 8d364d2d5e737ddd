"""
Changing a fund policy, a group's or the house's. A threshold that lets one person do more waits for a second
person: else whoever may edit it could raise it, post, and lower it again. Everything else is saved at once by
the form.
"""

from decimal import Decimal
from typing import Any

from django.db import transaction

from apps.audit.models import Approval
from apps.audit.services import approvals
from apps.funds.models import FundPolicy
from apps.funds.permissions import APPROVE_POLICY, CHANGE_POLICY, LOOSENING
from rtx.kernel.actor import Actor
from rtx.kernel.money import plain


def ask_looser(policy: FundPolicy, threshold: Decimal | None, *, actor: Actor) -> Approval:
    """
    Ask for a higher threshold (None: none at all), within the caller's transaction.

    :raises Invalid: no reason was given.
    """
    before, after = _text(policy.threshold), _text(threshold)
    told = "no threshold" if after is None else f"{after} {policy.currency}".rstrip()
    now = f"{before} {policy.currency}".rstrip()
    return approvals.request(
        kind=LOOSENING,
        content={"group_id": policy.group_id, "threshold_before": before, "threshold": after},
        summary=f"Fund threshold of {policy.whose}: {now} becomes {told}",
        actor=actor,
        group_id=policy.group_id,
        target=policy,
    )


class PolicyHandler:
    """Sets the threshold that a second person let come true, unless it is another one by now."""

    right = APPROVE_POLICY

    def asking(self, approval: Approval) -> str:
        """Whoever asked could change policies."""
        return CHANGE_POLICY

    def execute(self, approval: Approval, *, actor: Actor) -> dict[str, Any]:
        """Set it, in the transaction that consumes the approval."""
        content = approvals.content_of(approval)
        with transaction.atomic():
            policy = FundPolicy.objects.select_for_update().get(group_id=content["group_id"])
            is_stale = _text(policy.threshold) != content["threshold_before"]
            outcome: dict[str, Any] = {"threshold": content["threshold"]}
            if is_stale:
                outcome = {"reject_reason": "changed_meanwhile", "threshold": _text(policy.threshold)}
            approvals.consume(approval, actor=actor, outcome=outcome, is_refused=is_stale)
            if not is_stale:
                wanted = content["threshold"]
                policy.threshold = None if wanted is None else Decimal(wanted)
                policy.save(update_fields=["threshold"])
        return outcome


def _text(threshold: Decimal | None) -> str | None:
    return None if threshold is None else plain(threshold)
