"""
Swaps: what a position is charged or paid for one night. Pure; changes nothing, the account book books it.

Everything is as of the rollover's instant: the group's terms, prices and conversion rates are those of the
market view that is given. Source of the formulas: the MetaTrader 5 help ("Swaps"), with RTX's own rules for
holidays: the multiplier of a day without trading moves to the last trading day before it.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from apps.groups.domain.terms import Rollover, Terms
from apps.market.domain.sessions import Calendar
from apps.market.domain.symbols import SwapMode
from apps.trading.domain import rollover as rollovers
from apps.trading.domain.commands import SwapDue
from apps.trading.domain.orders import Position, Side
from apps.trading.domain.pricing import MarketView
from apps.trading.domain.rollover import TradingDay
from rtx.kernel.money import booked, quantum

DAY = timedelta(days=1)
ONE = Decimal(1)
DAYS_A_YEAR = Decimal(365)
HUNDRED = Decimal(100)
CLOSED_DAYS_MAX = 31  # whoever is closed for longer has no trading day to move a multiplier to

SWAP = "swap"
ADMIN_FEE = "admin_fee"


class Unpriced(Exception):
    """A charge lacks a price or a conversion as of its instant: it waits, it is never left out."""


def trades_on(calendar: Calendar, *, rollover: Rollover, day: date) -> bool:
    """
    Say whether a symbol trades on a group's trading day: any time between the rollovers around it.

    A date that the calendar names as closed all day never does, even when its evening before was open.
    """
    if any(closed.date == day and closed.closes_at is None for closed in calendar.holidays):
        return calendar.always_open
    begins = rollovers.rolled_at(rollover, day - DAY)
    ends = rollovers.rolled_at(rollover, day)
    if calendar.is_open(begins):
        return True
    opens = calendar.next_change(begins)
    return opens is not None and opens < ends


def days_charged(calendar: Calendar, *, rollover: Rollover, multipliers: tuple[int, ...], day: date) -> int:
    """
    Return how many days the rollover at the end of a trading day charges.

    `multipliers` are those of Monday to Sunday. A day without trading charges nothing: its multiplier, and
    that of every further day without trading, counts on the trading day before.
    """
    if not trades_on(calendar, rollover=rollover, day=day):
        return 0
    charged = multipliers[day.weekday()]
    for offset in range(1, CLOSED_DAYS_MAX + 1):
        following = day + offset * DAY
        if trades_on(calendar, rollover=rollover, day=following):
            break
        charged += multipliers[following.weekday()]
    return charged


@dataclass(frozen=True, slots=True)
class _Rate:
    """What one side of a symbol is charged for the night: negative values cost the client."""

    kind: str
    mode: SwapMode
    value: Decimal
    multiplier: int


class Night:
    """One group's rollover: the market at its instant, and what follows from it for each symbol."""

    def __init__(self, *, day: TradingDay, rollover: Rollover, market: MarketView) -> None:
        self.day = day
        self._rollover = rollover
        self._market = market
        self._rates: dict[tuple[str, Side], _Rate | None] = {}

    def charges(self, positions: list[Position], *, currency: str) -> tuple[SwapDue, ...]:
        """
        Return what an account's positions owe for the night, by position id; those that owe nothing are left
        out.

        :raises Unpriced: one lacks a price or a conversion; then none is due yet.
        """
        ordered = sorted(positions, key=lambda position: position.id)
        found = (self.due(position, currency=currency) for position in ordered)
        return tuple(due for due in found if due is not None)

    def due(self, position: Position, *, currency: str) -> SwapDue | None:
        """
        Return what one position is charged (negative) or paid, rounded once; None: nothing.

        :raises Unpriced: a price or a conversion is missing.
        """
        rate = self._rate(position)
        if rate is None or (rate.kind == ADMIN_FEE and not self._fee_begun(position)):
            return None
        price = self._closing_price(position) if rate.mode is SwapMode.PERCENT else None
        amount = _amount(position, rate, price)
        converted = ONE
        if rate.mode is not SwapMode.MONEY:
            converted = self._conversion(position.terms.profit_currency, currency, receives=amount > 0)
        final = booked(amount * converted, currency)
        if not final:
            return None
        return SwapDue(
            position_id=position.id,
            symbol=position.symbol,
            kind=rate.kind,
            side=position.side,
            volume=position.volume,
            mode=rate.mode.value,
            value=rate.value,
            multiplier=rate.multiplier,
            price=price,
            rate=converted,
            amount=final,
            terms_version=self._market.version,
        )

    def _rate(self, position: Position) -> _Rate | None:
        key = (position.symbol, position.side)
        if key not in self._rates:
            self._rates[key] = self._rate_of(*key)
        return self._rates[key]

    def _rate_of(self, symbol: str, side: Side) -> _Rate | None:
        terms = self._market.terms(symbol)
        if terms is None:
            raise Unpriced(f"the group had no terms of {symbol}")
        kind, mode, value = _rule(terms, side)
        if mode is SwapMode.NONE or not value:
            return None
        days = days_charged(
            terms.symbol.calendar,
            rollover=self._rollover,
            multipliers=terms.swap.multipliers,
            day=self.day.date,
        )
        return _Rate(kind, mode, value, days) if days else None

    def _fee_begun(self, position: Position) -> bool:
        """Say whether a position has been held for more nights than the admin fee leaves free."""
        terms = self._market.terms(position.symbol)
        free = terms.group.admin_fee.after_nights if terms else 0
        at = position.opened_at
        for _ in range(free + 1):
            at = rollovers.next_instant(self._rollover, after=at)
        return at <= self.day.rolled_at

    def _closing_price(self, position: Position) -> Decimal:
        quote = self._market.client(position.symbol)
        if quote is None or quote.bid <= 0:
            raise Unpriced(f"{position.symbol} had no price")
        return quote.bid if position.side is Side.BUY else quote.ask

    def _conversion(self, source: str, target: str, *, receives: bool) -> Decimal:
        rate = self._market.rate(source, target, selling=receives)
        if rate is None:
            raise Unpriced(f"{source} could not be converted to {target}")
        return rate


def _rule(terms: Terms, side: Side) -> tuple[str, SwapMode, Decimal]:
    """Return what is charged, how, and the value: negative costs the client."""
    if terms.group.swap_free:
        return ADMIN_FEE, SwapMode.MONEY, -terms.group.admin_fee.per_lot
    return SWAP, terms.swap.mode, terms.swap.long if side is Side.BUY else terms.swap.short


def _amount(position: Position, rate: _Rate, price: Decimal | None) -> Decimal:
    """
    Return a night's charge, unrounded: in the account's currency for money, else in the profit currency.

    points: value x point x contract x lots; money: value x lots; percent: lots x contract x price x value /
    100 / 365; each times the days charged.
    """
    contract = position.terms
    units = position.volume * contract.contract_size * contract.tick_factor
    match rate.mode:
        case SwapMode.POINTS:
            return rate.value * quantum(contract.digits) * units * rate.multiplier
        case SwapMode.MONEY:
            return rate.value * position.volume * rate.multiplier
    assert price is not None  # a percentage is of a price
    return units * price * rate.value / HUNDRED / DAYS_A_YEAR * rate.multiplier
