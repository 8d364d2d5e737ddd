"""Which limits are held against the orders of an account on a symbol, and what they need read. Pure."""

from collections.abc import Iterable

from apps.risk.domain.limit_checks import steps
from apps.risk.domain.limits import HELD, MARKED, Limit, LimitKind


def lowest(limits: Iterable[Limit]) -> tuple[Limit, ...]:
    """Return, of limits that concern the same orders, those that can refuse first; the order stays."""
    kept: dict[tuple[object, ...], Limit] = {}
    for limit in limits:
        known = kept.get(limit.measure)
        if known is None or limit.value < known.value:
            kept[limit.measure] = limit
    return tuple(kept.values())


class Plan:
    """The limits of some orders, with what they need read."""

    __slots__ = (
        "counts_orders",
        "limits",
        "marked",
        "order_totals",
        "own",
        "own_marks",
        "together",
        "totals",
    )

    def __init__(self, limits: tuple[Limit, ...]) -> None:
        totals = [limit for limit in limits if not limit.is_own]
        self.limits = limits
        self.own = steps(limit for limit in limits if limit.is_own)
        self.together = steps(totals)
        self.totals = [limit for limit in totals if limit.kind in HELD]
        self.marked = [
            limit for limit in totals if limit.kind in MARKED or limit.kind is LimitKind.CREDIT_USE
        ]
        self.order_totals = [limit for limit in totals if limit.kind is LimitKind.ORDERS_PER_MINUTE]
        self.counts_orders = any(one.is_own and one.kind is LimitKind.ORDERS_PER_MINUTE for one in limits)
        self.own_marks = any(limit.is_own and limit.kind in MARKED for limit in limits)
