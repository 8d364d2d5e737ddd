"""
Value at risk and expected shortfall of the house's own book, estimated from candles and kept.

The house holds the opposite of its B-book clients: exposure of a symbol is its net notional at mid prices in
USD. One step's result is the sum of exposure x (e^return - 1), conversion rates held still. Historical: the
loss of the step that leaves (1 - confidence) of all steps beyond it; expected shortfall is the mean of it and
of what lies beyond. Parametric: steps are normal around zero with the sample covariance of the returns. A
horizon of n days scales either by the square root of its number of steps. Symbols without enough history are
left out and named, never ignored silently.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from math import ceil, sqrt
from statistics import NormalDist
from typing import Any

import numpy as np

from apps.groups.selectors import terms_book
from apps.risk.domain.exposure import exposure
from apps.risk.domain.rates import SHOWN_CURRENCY
from apps.risk.models import ValueAtRisk
from apps.risk.selectors.exposure import held, present_rates
from apps.risk.selectors.price_history import (
    BARS_A_DAY,
    INTERVALS,
    Closes,
    Floats,
    aligned_returns,
    closes,
)
from rtx.kernel.errors import Invalid
from rtx.kernel.money import rounded, text

OBSERVATIONS_MIN = 30
CONFIDENCE_MIN, CONFIDENCE_MAX = Decimal(50), Decimal("99.99")
HORIZON_MAX = 60
DAILY = ((Decimal(95), 1), (Decimal(99), 1), (Decimal(99), 10))  # confidence and days of the daily task


class ValueAtRiskInvalid(Invalid):
    """Confidence, horizon, method or interval are not what can be computed."""

    code = "value_at_risk_invalid"
    title = "Value at risk not accepted"


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss that is not exceeded with the confidence, and the mean of what exceeds it; never negative."""

    amount: float
    shortfall: float


@dataclass(slots=True)
class Basis:
    """What an estimate is computed from: exposure in USD by symbol, returns by step, and what is missing."""

    interval: str
    exposures: dict[str, Decimal]
    names: list[str]
    returns: Floats
    since_ms: int | None = None
    until_ms: int | None = None
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def weights(self) -> Floats:
        """The exposures in the order of the returns' columns."""
        return np.array([float(self.exposures[name]) for name in self.names])


def house_exposures() -> tuple[dict[str, Decimal], list[str]]:
    """Return what the house holds of each symbol, in USD, and the symbols that have no price."""
    book = terms_book()
    own = [one for one in held(None, book=book) if one.book == "b"]
    found = exposure(own, symbols=book.symbols, rates=present_rates(book))
    known = {name: -line.net for name, line in found.symbols.items() if line.net is not None}
    return {name: amount for name, amount in known.items() if amount}, sorted(found.unpriced)


def basis(*, interval: str, now: datetime) -> Basis:
    """Read exposures and returns; a symbol without a price or with too few candles is left out and named."""
    exposures, unpriced = house_exposures()
    series = closes(symbols=exposures, interval=interval, now=now)
    left_out = dict.fromkeys(unpriced, "no price")
    usable: dict[str, Closes] = {}
    for name in exposures:
        count = len(series[name]) if name in series else 0
        if count > OBSERVATIONS_MIN:
            usable[name] = series[name]
        else:
            left_out[name] = f"{count} candles of {interval}, {OBSERVATIONS_MIN + 1} needed"
    names, returns, steps = aligned_returns(usable)
    while names and len(returns) < OBSERVATIONS_MIN:
        youngest = max(names, key=lambda name: int(usable[name].opened_ms[0]))
        del usable[youngest]
        left_out[youngest] = f"begins too late: {len(returns)} common returns, {OBSERVATIONS_MIN} needed"
        names, returns, steps = aligned_returns(usable)
    known = bool(len(steps))
    return Basis(
        interval,
        exposures,
        names,
        returns,
        since_ms=int(steps[0]) if known else None,
        until_ms=int(steps[-1]) if known else None,
        left_out=left_out,
    )


def historical(results: Floats, *, confidence: float) -> Loss:
    """Return the loss that the share `confidence` of the results does not exceed, and the mean beyond."""
    losses = np.sort(-results)
    place = min(ceil(confidence * len(losses) - 1e-9), len(losses)) - 1
    return Loss(max(float(losses[place]), 0.0), max(float(losses[place:].mean()), 0.0))


def parametric(weights: Floats, returns: Floats, *, confidence: float) -> Loss:
    """Return the loss of a normal result with mean zero: z x sigma, and sigma x density / tail beyond it."""
    covariance = np.atleast_2d(np.cov(returns, rowvar=False))
    sigma = sqrt(max(float(weights @ covariance @ weights), 0.0))
    normal = NormalDist()
    z = normal.inv_cdf(confidence)
    return Loss(z * sigma, sigma * normal.pdf(z) / (1 - confidence))


def checked(*, confidence_pct: Decimal, horizon_days: int, interval: str) -> None:
    """
    Refuse what cannot be computed.

    :raises ValueAtRiskInvalid: naming the value.
    """
    if not confidence_pct.is_finite() or not CONFIDENCE_MIN <= confidence_pct <= CONFIDENCE_MAX:
        told = f"{CONFIDENCE_MIN} to {CONFIDENCE_MAX}"
        raise ValueAtRiskInvalid(f"Confidence is {told} percent.", errors={"confidence_pct": [told]})
    if not 1 <= horizon_days <= HORIZON_MAX:
        told = f"1 to {HORIZON_MAX}"
        raise ValueAtRiskInvalid(f"The horizon is {told} days.", errors={"horizon_days": [told]})
    if interval not in INTERVALS:
        told = f"one of {', '.join(INTERVALS)}"
        raise ValueAtRiskInvalid(f"The interval is {told}.", errors={"interval": [told]})


def run(
    *, method: str, confidence_pct: Decimal, horizon_days: int, interval: str, now: datetime
) -> ValueAtRisk:
    """
    Estimate once and keep it.

    :raises ValueAtRiskInvalid: a value cannot be computed with.
    """
    checked(confidence_pct=confidence_pct, horizon_days=horizon_days, interval=interval)
    if method not in ValueAtRisk.Method.values:
        raise ValueAtRiskInvalid("The method is unknown.", errors={"method": ["historical or parametric"]})
    found = basis(interval=interval, now=now)
    return _kept(found, method=method, confidence_pct=confidence_pct, horizon_days=horizon_days, now=now)


def run_daily(*, now: datetime) -> list[ValueAtRisk]:
    """Estimate the usual figures by both methods, from daily candles, or hourly ones when those are short."""
    found = basis(interval="1d", now=now)
    if found.exposures and not found.names:
        found = basis(interval="1h", now=now)
    return [
        _kept(found, method=method, confidence_pct=confidence, horizon_days=days, now=now)
        for method in ValueAtRisk.Method.values
        for confidence, days in DAILY
    ]


def _kept(
    found: Basis, *, method: str, confidence_pct: Decimal, horizon_days: int, now: datetime
) -> ValueAtRisk:
    loss = _loss(found, method=method, confidence=float(confidence_pct) / 100)
    scale = sqrt(horizon_days * BARS_A_DAY[found.interval])
    return ValueAtRisk.objects.create(
        at=now,
        method=method,
        confidence_pct=confidence_pct,
        horizon_days=horizon_days,
        amount=_money(loss.amount * scale),
        currency=SHOWN_CURRENCY,
        observations=len(found.returns),
        detail={
            "interval": found.interval,
            "expected_shortfall": text(_money(loss.shortfall * scale)),
            "exposures": {name: text(rounded(value, 2)) for name, value in found.exposures.items()},
            "left_out": found.left_out,
            "from": _instant(found.since_ms),
            "to": _instant(found.until_ms),
            "alone": _alone(found, method=method, confidence=float(confidence_pct) / 100, scale=scale),
        },
    )


def _loss(found: Basis, *, method: str, confidence: float) -> Loss:
    if not found.names:
        return Loss(0.0, 0.0)
    if method == ValueAtRisk.Method.HISTORICAL:
        return historical(np.expm1(found.returns) @ found.weights, confidence=confidence)
    return parametric(found.weights, found.returns, confidence=confidence)


def _alone(found: Basis, *, method: str, confidence: float, scale: float) -> Mapping[str, Any]:
    """Return what each symbol would risk alone; the rest of their sum is diversification."""
    alone = {}
    for place, name in enumerate(found.names):
        only = Basis(found.interval, found.exposures, [name], found.returns[:, place : place + 1])
        alone[name] = text(_money(_loss(only, method=method, confidence=confidence).amount * scale))
    return alone


def _money(amount: float) -> Decimal:
    return rounded(Decimal(repr(amount)), 2)


def _instant(at_ms: int | None) -> str | None:
    return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()
