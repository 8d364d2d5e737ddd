"""
A what-if as people write it, with names and texts, made into a shock within their reach. Reads only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from apps.groups.models import TradingGroup
from apps.groups.selectors import terms_book
from apps.risk.domain.shocks import GroupDraft, Shock
from rtx.kernel.errors import Invalid, NotFound
from rtx.kernel.money import ZERO

Reach = frozenset[int] | None


class ShockInvalid(Invalid):
    """A move, a leverage or a level is not what a what-if can be asked with."""

    code = "what_if_invalid"
    title = "What-if not accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked: symbols and groups by name. `every_group` holds for each group not named."""

    price_pct: Decimal = ZERO
    prices_pct: Mapping[str, Decimal] = field(default_factory=dict)
    spread_pct: Decimal = ZERO
    spreads_pct: Mapping[str, Decimal] = field(default_factory=dict)
    groups: Mapping[str, GroupDraft] = field(default_factory=dict)
    every_group: GroupDraft | None = None


def shock_of(asked: Asked, *, reach: Reach) -> Shock:
    """
    Return the shock.

    :raises NotFound: a symbol is unknown, or a group unknown or outside reach.
    :raises ShockInvalid: a value is out of range, or a margin call would lie below stop-out.
    """
    book = terms_book()
    unknown = sorted({*asked.prices_pct, *asked.spreads_pct} - set(book.symbols))
    if unknown:
        raise NotFound(f"There is no symbol {unknown[0][:32]}.", code="symbol_not_found")
    ids = {group.name: group.id for group in book.groups.values() if reach is None or group.id in reach}
    strangers = sorted(set(asked.groups) - set(ids))
    if strangers:
        raise NotFound(f"There is no group {strangers[0][:40]}.", code="group_not_found")
    drafts = {group_id: asked.every_group for group_id in ids.values() if asked.every_group is not None}
    drafts |= {ids[name]: draft for name, draft in asked.groups.items()}
    for group_id, draft in drafts.items():
        after = draft.of(book.groups[group_id])
        if after.leverage_max < 1 or after.stop_out_pct < 0:
            raise ShockInvalid("A leverage is at least 1, a level at least 0.")
        if after.margin_call_pct < after.stop_out_pct:
            raise ShockInvalid(
                f"Group {after.name}: the margin call at {after.margin_call_pct} % would lie below "
                f"stop-out at {after.stop_out_pct} %."
            )
    try:
        return Shock(
            price_pct=asked.price_pct,
            prices_pct=dict(asked.prices_pct),
            spread_pct=asked.spread_pct,
            spreads_pct=dict(asked.spreads_pct),
            groups={group_id: draft for group_id, draft in drafts.items() if draft.changes},
        )
    except ValueError as error:
        raise ShockInvalid(f"{str(error).capitalize()}.") from None


def draft_of(group: TradingGroup) -> GroupDraft:
    """
    Return what an edited group, not saved yet, would change for open positions (for the check of its form).

    Only what differs from the saved terms is drafted, so that a mere rename re-margins nothing.
    """
    saved = terms_book().groups.get(group.pk)
    if saved is None:
        return GroupDraft()
    names = (
        "leverage_max",
        "margin_call_pct",
        "stop_out_pct",
        "protects_balance",
        "markup_bid_points",
        "markup_ask_points",
    )
    changed = {name: getattr(group, name) for name in names if getattr(group, name) != getattr(saved, name)}
    return GroupDraft(**changed)
