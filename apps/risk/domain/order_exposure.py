"""
What an order would add to what is held: lots, notional per symbol and currency, exposure by correlation.
Pure.

An order counts as if it were filled. Working orders count in the worst case: all of one direction may fill.
Notional is lots x contract x ask, converted at the dearer side, so that it is never told too small. What
cannot be priced is None: whoever asks must then take the safe way.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from apps.market.domain.symbols import MarginMode, SymbolSpec
from apps.trading.domain.book import AccountBook
from apps.trading.domain.commands import (
    KEEP,
    Command,
    ModifyOrder,
    PlaceMarket,
    PlacePending,
    ReversePosition,
    TriggerOrder,
)
from apps.trading.domain.orders import Position, Side
from apps.trading.domain.pricing import MarketView
from rtx.kernel.money import ZERO

ONE = Decimal(1)
Correlations = Mapping[tuple[str, str], Decimal]
Legs = tuple[tuple[str, Decimal | None], ...]
BUY = Side.BUY


class Asked(NamedTuple):
    """
    An order that may add exposure. `fills`: it fills now, else it waits; `order_id`: the working order that
    it fills or changes (0: none); `replaced_lots`: what that one was; `closes`: the position that leaves
    before it (a reversal).
    """

    symbol: str
    side: Side
    volume: Decimal
    fills: bool
    is_new: bool
    order_id: int = 0
    replaced_lots: Decimal = ZERO
    closes: Position | None = None


def asked_of(command: Command, book: AccountBook) -> Asked | None:
    """Return what a guarded command asks for; None: it names what is no longer there."""
    if isinstance(command, PlaceMarket):
        return Asked(command.symbol, command.side, command.volume, True, True)
    if isinstance(command, PlacePending):
        return Asked(command.symbol, command.side, command.volume, False, True)
    if isinstance(command, ReversePosition):
        held = book.positions.get(command.position_id)
        if held is None:
            return None
        return Asked(held.symbol, held.side.opposite, held.volume, True, False, closes=held)
    if not isinstance(command, TriggerOrder | ModifyOrder):
        return None
    order = book.orders.get(command.order_id)
    if order is None:
        return None
    volume, fills = order.volume, isinstance(command, TriggerOrder)
    if isinstance(command, ModifyOrder) and command.volume is not KEEP:
        volume = command.volume
    return Asked(order.symbol, order.side, volume, fills, False, order.id, order.volume)


class Lots(NamedTuple):
    """What is held and what waits on one symbol, in lots, and the number of positions."""

    buys: Decimal = ZERO
    sells: Decimal = ZERO
    positions: int = 0
    waiting_buys: Decimal = ZERO
    waiting_sells: Decimal = ZERO

    @property
    def net(self) -> Decimal:
        """Lots held, negative for short."""
        return self.buys - self.sells

    @property
    def net_worst(self) -> Decimal:
        """The largest net lots that can come of it when working orders fill."""
        net = self.buys - self.sells
        if not self.waiting_buys and not self.waiting_sells:
            return abs(net)
        return max(abs(net), abs(net + self.waiting_buys), abs(net - self.waiting_sells))

    def open_lots(self, *, is_netting: bool) -> Decimal:
        """
        Return the lots that are open or may become so: both directions together, or on a netting account,
        where opposite ones cancel out, the worst net.
        """
        if is_netting:
            return self.net_worst
        return self.buys + self.sells + self.waiting_buys + self.waiting_sells

    def plus(self, other: "Lots", *, minus: "Lots | None" = None) -> "Lots":
        """Return both added up, less what `minus` holds."""
        less = minus or NOTHING
        return Lots(
            self.buys + other.buys - less.buys,
            self.sells + other.sells - less.sells,
            self.positions + other.positions - less.positions,
            self.waiting_buys + other.waiting_buys - less.waiting_buys,
            self.waiting_sells + other.waiting_sells - less.waiting_sells,
        )

    def after(self, asked: Asked, *, is_netting: bool, filled: bool | None = None) -> "Lots":
        """Return what is there once an order is done; `filled` overrides whether it fills or waits."""
        buys, sells, positions, waiting_buys, waiting_sells = self
        _, side, volume, fills, _, _, replaced_lots, closes = asked
        is_buy = side is BUY
        if closes is not None:
            positions -= 1
            if is_buy:
                sells -= closes.volume
            else:
                buys -= closes.volume
        if replaced_lots:
            if is_buy:
                waiting_buys -= replaced_lots
            else:
                waiting_sells -= replaced_lots
        if fills if filled is None else filled:
            if is_buy:
                buys += volume
            else:
                sells += volume
            positions += 1
            if is_netting:
                net = buys - sells
                buys, sells, positions = max(net, ZERO), max(-net, ZERO), 1 if net else 0
        elif is_buy:
            waiting_buys += volume
        else:
            waiting_sells += volume
        return Lots(buys, sells, positions, waiting_buys, waiting_sells)


NOTHING = Lots()
Holding = Mapping[str, Lots]


def lots_of(book: AccountBook, symbol: str) -> Lots:
    """Return what one account holds on a symbol."""
    buys = sells = waiting_buys = waiting_sells = ZERO
    held = book.of_symbol(symbol)
    for position in held:
        if position.side is BUY:
            buys += position.volume
        else:
            sells += position.volume
    if book.orders:
        for order in book.orders.values():
            if order.symbol == symbol:
                if order.side is BUY:
                    waiting_buys += order.volume
                else:
                    waiting_sells += order.volume
    return Lots(buys, sells, len(held), waiting_buys, waiting_sells)


def symbols_of(book: AccountBook) -> set[str]:
    """Return every symbol that an account holds or has a working order on."""
    held = {position.symbol for position in book.positions.values()}
    return held | {order.symbol for order in book.orders.values()}


def _factor(spec: SymbolSpec) -> Decimal:
    if spec.margin_mode is MarginMode.INDEX and spec.tick_size:
        return spec.tick_price / spec.tick_size
    return ONE


def lot_value(symbol: str, *, currency: str, market: MarketView) -> Decimal | None:
    """Return the notional of one lot in `currency`, unrounded: contract x ask; None without price or rate."""
    quote = market.client(symbol)
    return None if quote is None else _lot_value(symbol, quote.ask, currency=currency, market=market)


def lot_value_at_cost(
    symbol: str, *, currency: str, market: MarketView, cost: Decimal | None
) -> Decimal | None:
    """
    Return the notional of one lot as `lot_value` does; of a symbol that nobody has a price of, the contract
    in its base currency, or what it did cost.
    """
    spec = market.spec(symbol)
    if spec is None or market.client(symbol) is not None:
        return lot_value(symbol, currency=currency, market=market)
    if spec.base_currency != spec.profit_currency:
        rate = market.rate(spec.base_currency, currency, selling=False)
        if rate is not None:
            return spec.contract_size * rate
    return None if cost is None else _lot_value(symbol, cost, currency=currency, market=market)


def _lot_value(symbol: str, price: Decimal, *, currency: str, market: MarketView) -> Decimal | None:
    spec = market.spec(symbol)
    if spec is None:
        return None
    rate = market.rate(spec.profit_currency, currency, selling=False)
    return None if rate is None else spec.contract_size * _factor(spec) * price * rate


def legs(symbol: str, *, market: MarketView, cost: Decimal | None = None) -> Legs | None:
    """
    Return what one lot bought means in currencies: (base, + contract), (profit, - contract x ask), the second
    None without a price (nor `cost`). A contract whose base is its profit currency (an index, a stock)
    exposes to none. None: no such symbol.
    """
    spec, quote = market.spec(symbol), market.client(symbol)
    if spec is None:
        return None
    price = cost if quote is None else quote.ask
    if spec.base_currency == spec.profit_currency:
        return ()
    sold = None if price is None else -spec.contract_size * _factor(spec) * price
    return ((spec.base_currency, spec.contract_size), (spec.profit_currency, sold))


class Swing(NamedTuple):
    """An amount of one currency: the net of what is held, and how far working orders may move it."""

    net: Decimal = ZERO
    up: Decimal = ZERO
    down: Decimal = ZERO

    @property
    def worst(self) -> Decimal:
        """The largest net amount that can come of it."""
        return max(abs(self.net), abs(self.net + self.up), abs(self.net - self.down))

    def plus(self, lots: Lots, per_lot: Decimal) -> "Swing":
        """Add what a symbol brings; `per_lot` is what one lot bought means in the currency."""
        rising, falling = lots.waiting_buys * per_lot, lots.waiting_sells * per_lot
        return Swing(
            self.net + lots.net * per_lot,
            self.up + max(rising, -falling),
            self.down + max(falling, -rising),
        )


STILL = Swing()


def correlated(exposures: Sequence[tuple[str, Decimal]], correlations: Correlations) -> Decimal:
    """
    Return sqrt(e' C e): `exposures` are the signed notional of each symbol, C how they move together.

    Two symbols of unknown correlation are taken to move against the account together (the safe way). Source:
    variance of a sum of correlated exposures.
    """
    if len(exposures) < 2:
        return abs(exposures[0][1]) if exposures else ZERO
    total = sum((amount * amount for _, amount in exposures), ZERO)
    for index, (one, first) in enumerate(exposures):
        for other, second in exposures[index + 1 :]:
            known = correlations.get((one, other), correlations.get((other, one)))
            product = first * second
            total += 2 * (abs(product) if known is None else product * known)
    return max(total, ZERO).sqrt()
