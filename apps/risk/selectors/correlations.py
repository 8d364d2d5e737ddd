"""
How symbols move together: estimates and the overrides that staff set. Read only; estimating is a service.
"""

from decimal import Decimal
from typing import Any, NamedTuple

from django.db.models import QuerySet

from apps.risk.models import Correlation
from rtx.kernel import clock
from rtx.kernel.money import plain

ONE = Decimal(1)
Matrix = dict[tuple[str, str], Decimal]


class Cell(NamedTuple):
    """One pair as the heat map shows it."""

    pk: int
    value: Decimal | None
    estimate: Decimal | None
    override: Decimal | None
    observations: int
    interval: str
    reason: str


def correlations() -> Matrix:
    """
    Return the correlation of every pair of symbol names that has one, both ways round: (a, b) and (b, a).

    An override wins over the estimate; a pair without either is not there.
    """
    rows = Correlation.objects.order_by().values_list("first__name", "second__name", "estimate", "override")
    found: Matrix = {}
    for first, second, estimate, override in rows:
        value = estimate if override is None else override
        if value is not None:
            found[first, second] = found[second, first] = value
    return found


def between(matrix: Matrix, first: str, second: str) -> Decimal | None:
    """Return the correlation of two symbols: 1 with itself, None when it is not known."""
    return ONE if first == second else matrix.get((first, second))


def cells() -> dict[tuple[str, str], Cell]:
    """Return every stored pair with what its value comes from, both ways round."""
    rows = Correlation.objects.order_by().values_list(
        "first__name",
        "second__name",
        "pk",
        "estimate",
        "override",
        "observations",
        "interval",
        "override_reason",
    )
    found: dict[tuple[str, str], Cell] = {}
    for first, second, pk, estimate, override, observations, interval, reason in rows:
        value = estimate if override is None else override
        cell = Cell(pk, value, estimate, override, observations, interval, reason)
        found[first, second] = found[second, first] = cell
    return found


def pairs() -> QuerySet[Correlation]:
    """Return the stored pairs with their symbols."""
    return Correlation.objects.select_related("first", "second")


def shown(row: Correlation) -> dict[str, Any]:
    """Return one pair as the interface shows it."""
    return {
        "id": row.pk,
        "first": row.first.name,
        "second": row.second.name,
        "value": _shown(row.estimate if row.override is None else row.override),
        "estimate": _shown(row.estimate),
        "override": _shown(row.override),
        "override_reason": row.override_reason,
        "observations": row.observations,
        "interval": row.interval,
        "estimated_at": None if row.estimated_at is None else clock.rfc3339(row.estimated_at),
    }


def _shown(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
