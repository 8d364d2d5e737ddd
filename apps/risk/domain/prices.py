"""What lots are worth in one market view, each looked up once. Pure; as long-lived as the view."""

from collections.abc import Mapping
from decimal import Decimal

from apps.risk.domain import order_exposure as exposure
from apps.risk.domain.order_exposure import Legs
from apps.trading.domain.pricing import MarketView

LegValues = tuple[Decimal | None, ...]


class Prices:
    """Values of one lot. `costs`: what symbols did cost that nobody has a price of; totals count them so."""

    __slots__ = ("_costs", "_leg_values", "_legs", "_lot_values", "_market")

    def __init__(self, market: MarketView, costs: Mapping[str, Decimal]) -> None:
        self._market = market
        self._costs = costs
        self._lot_values: dict[tuple[str, str, bool], Decimal | None] = {}
        self._legs: dict[tuple[str, bool], Legs | None] = {}
        self._leg_values: dict[tuple[str, str, str], LegValues | None] = {}

    def lot_value(self, symbol: str, currency: str, *, at_cost: bool = False) -> Decimal | None:
        """Return the notional of one lot in `currency`; None without price or rate."""
        key = (symbol, currency, at_cost)
        known = self._lot_values
        if key not in known:
            if at_cost:
                cost = self._costs.get(symbol)
                known[key] = exposure.lot_value_at_cost(
                    symbol, currency=currency, market=self._market, cost=cost
                )
            else:
                known[key] = exposure.lot_value(symbol, currency=currency, market=self._market)
        return known[key]

    def legs(self, symbol: str, *, at_cost: bool = False) -> Legs | None:
        """Return what one lot bought means in currencies; None: no such symbol."""
        key = (symbol, at_cost)
        known = self._legs
        if key not in known:
            cost = self._costs.get(symbol) if at_cost else None
            known[key] = exposure.legs(symbol, market=self._market, cost=cost)
        return known[key]

    def leg_values(self, symbol: str, currency: str, *, exposed: str) -> LegValues | None:
        """
        Return what one net lot of either direction exposes to each of its currencies (to `exposed` alone,
        unless empty), in `currency`. None in place of an amount: no price or rate; None: no such symbol.
        """
        key = (symbol, currency, exposed)
        known = self._leg_values
        if key not in known:
            legs = self.legs(symbol)
            known[key] = (
                None
                if legs is None
                else tuple(
                    self._in(currency, name, per_lot) for name, per_lot in legs if exposed in ("", name)
                )
            )
        return known[key]

    def _in(self, currency: str, name: str, per_lot: Decimal | None) -> Decimal | None:
        rate = None if per_lot is None else self._market.rate(name, currency, selling=False)
        return None if per_lot is None or rate is None else abs(per_lot) * rate
