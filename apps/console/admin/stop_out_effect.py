"""Shows whom a change of a group's levels that waits for a second person would call or close now."""

from decimal import Decimal
from typing import Any

from apps.accounts.models import User
from apps.audit.models import Approval
from apps.audit.services import approvals
from apps.groups.models import TradingGroup
from apps.groups.selectors import load_terms, terms_book, with_values
from apps.groups.services import stop_out
from apps.market.domain.impacts import Impact
from apps.risk.selectors.terms_impact import impact_of
from rtx.kernel.actor import Actor
from rtx.kernel.admin import reachable_groups
from rtx.kernel.admin_display import amount
from rtx.kernel.dry_runs import DryRun, Ground

HEADERS = ("Account", "Now", "Then", "Equity", "Margin", "Level %")


def stop_out_effect(approval: Approval, actor: Actor) -> DryRun:
    """Return who would newly be called or closed at present prices, by name those within reach."""
    content = approvals.content_of(approval)
    group = TradingGroup.objects.get(pk=content["group"])
    reach = reachable_groups(User.objects.get(pk=actor.user_id or 0))
    asked = stop_out.values_of(content["after"])
    impact = impact_of(terms_book(), with_values(load_terms(), {group.pk: asked}), reach=reach)
    before, after = content["before"], content["after"]
    return DryRun(
        facts=[("Group", group.name), ("Margin-called", impact.called), ("Closed", impact.closed)],
        figures=[
            (stop_out.label(name), before[name] or "none", after[name] or "none")
            for name in after
            if before[name] != after[name]
        ],
        headers=HEADERS if impact.hits else (),
        rows=[_cells(hit) for hit in impact.hits],
        ground=_ground(impact),
        notes=_notes(impact, confirmed=(content["called"], content["closed"])),
        refusal=_refusal(impact, group, content),
    )


def _ground(impact: Impact) -> dict[str, Ground]:
    """Who is called and closed: what the second person confirms is what they were shown."""
    counts = {"Margin-called": impact.called, "Closed": impact.closed}
    ground = {name: Ground(value=Decimal(count)) for name, count in counts.items()}
    return ground | {f"Account {hit.login} ({hit.after})": Ground(value=Decimal(1)) for hit in impact.hits}


def _cells(hit: Any) -> list[Any]:
    told = hit.as_json()
    return [
        hit.login,
        hit.before,
        hit.after,
        amount(hit.equity_after, hit.currency),
        amount(hit.margin_after, hit.currency),
        f"{told['level_before_pct'] or '-'} → {told['level_after_pct'] or '-'}",
    ]


def _notes(impact: Impact, *, confirmed: tuple[int, int]) -> list[str]:
    called, closed = confirmed
    seen = f"Whoever asked has seen {called} called and {closed} closed."
    if not impact.hurts:
        return [f"At present prices this calls and closes nobody. {seen}", *impact.notes]
    hidden = impact.called + impact.closed - len(impact.hits)
    is_told = any(note.endswith("not listed.") for note in impact.notes)
    more = [f"{hidden} more are not listed."] if hidden > 0 and not is_told else []
    return [seen, *more, *impact.notes]


def _refusal(impact: Impact, group: TradingGroup, content: dict[str, Any]) -> str:
    if stop_out.texts_of(group) != content["before"]:
        return "the levels were changed meanwhile: ask anew."
    if impact.exceeds(content["called"], content["closed"]):
        return "it would push more accounts than whoever asked has confirmed: it must be asked for anew."
    return ""
