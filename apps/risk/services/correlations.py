"""
Estimating how symbols move together, and the overrides that staff set instead. An estimate never touches an
override; clearing one brings the estimate back.
"""

from datetime import datetime
from decimal import Decimal
from itertools import combinations
from typing import NamedTuple

import numpy as np
from django.db import transaction

from apps.market.models import Symbol
from apps.risk.models import Correlation
from apps.risk.selectors.price_history import INTERVALS, Closes, closes, common_returns
from rtx.kernel.errors import Invalid, NotFound
from rtx.kernel.money import rounded

OBSERVATIONS_MIN = 30
DIGITS = 6


class CorrelationInvalid(Invalid):
    """The override is no correlation, or it lacks a reason."""

    code = "correlation_invalid"
    title = "Correlation not accepted"


class Estimated(NamedTuple):
    """What one estimation did: pairs estimated, pairs with too little history, symbols without any."""

    pairs: int
    too_short: int
    without_history: list[str]


def estimate_all(*, now: datetime) -> Estimated:
    """
    Estimate every pair of symbols from daily candles, or from hourly ones where those are too few.

    A pair with fewer than `OBSERVATIONS_MIN` common returns keeps what it has and is counted.
    """
    symbols = dict(Symbol.objects.order_by("pk").values_list("name", "pk"))
    series = {interval: closes(symbols=symbols, interval=interval, now=now) for interval in INTERVALS}
    rows, too_short = [], 0
    for first, second in combinations(symbols, 2):
        found = _best(first, second, series)
        if found is None:
            too_short += 1
            continue
        value, observations, interval = found
        rows.append(
            Correlation(
                first_id=symbols[first],
                second_id=symbols[second],
                estimate=rounded(Decimal(repr(value)), DIGITS),
                observations=observations,
                interval=interval,
                estimated_at=now,
            )
        )
    Correlation.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["first", "second"],
        update_fields=["estimate", "observations", "interval", "estimated_at"],
    )
    without = [name for name in symbols if all(name not in series[interval] for interval in INTERVALS)]
    return Estimated(len(rows), too_short, without)


def _best(first: str, second: str, series: dict[str, dict[str, Closes]]) -> tuple[float, int, str] | None:
    for interval in INTERVALS:
        known = series[interval]
        if first in known and second in known:
            value, observations = pearson(known[first], known[second])
            if value is not None and observations >= OBSERVATIONS_MIN:
                return value, observations, interval
    return None


def pearson(first: Closes, second: Closes) -> tuple[float | None, int]:
    """Return the correlation of common log returns, and of how many; None when one stood still."""
    one, other = common_returns(first, second)
    if len(one) < 2 or not one.std() or not other.std():
        return None, len(one)
    return float(np.clip(np.corrcoef(one, other)[0, 1], -1, 1)), len(one)


def override(*, correlation_id: int, value: Decimal, reason: str) -> Correlation:
    """
    Set what counts instead of the estimate.

    :raises NotFound: there is no such pair.
    :raises CorrelationInvalid: outside -1 to 1, or without a reason.
    """
    if not value.is_finite() or not -1 <= value <= 1:
        raise CorrelationInvalid("A correlation lies between -1 and 1.", errors={"value": ["-1 to 1"]})
    if not reason.strip():
        raise CorrelationInvalid("An override needs a reason.", errors={"reason": ["is required"]})
    return _set(correlation_id, value, reason.strip())


def clear(*, correlation_id: int) -> Correlation:
    """
    Remove an override: the estimate counts again.

    :raises NotFound: there is no such pair.
    """
    return _set(correlation_id, None, "")


def pair(*, first: str, second: str) -> Correlation:
    """
    Return the row of a pair of symbols, made without an estimate when it is not there yet.

    :raises NotFound: a symbol is unknown.
    :raises CorrelationInvalid: it is the same symbol twice.
    """
    ids = dict(Symbol.objects.filter(name__in=[first, second]).values_list("name", "pk"))
    missing = {first, second} - set(ids)
    if missing:
        raise NotFound(f"There is no symbol {', '.join(sorted(missing))}.", code="symbol_not_found")
    if first == second:
        raise CorrelationInvalid("A symbol moves with itself.", errors={"second": ["is the same symbol"]})
    low, high = sorted(ids.values())
    return Correlation.objects.get_or_create(first_id=low, second_id=high)[0]


def _set(correlation_id: int, value: Decimal | None, reason: str) -> Correlation:
    with transaction.atomic():
        row = Correlation.objects.select_for_update().filter(pk=correlation_id).first()
        if row is None:
            raise NotFound("There is no such pair.", code="correlation_not_found")
        row.override, row.override_reason = value, reason
        row.save(update_fields=["override", "override_reason"])
    return row
