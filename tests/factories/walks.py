"""Random walks through an account book: steps that hypothesis draws, as commands on moving prices."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from apps.accounts.domain.ledger import BalanceKind
from apps.groups.domain.schedules import MarginSchedule, ScheduleKind
from apps.groups.domain.terms import (
    Commission,
    CommissionCharge,
    CommissionMode,
    GroupSpec,
    PositionMode,
    resolve,
)
from apps.market.domain.quotes import Quote
from apps.trading.domain import commands as c
from apps.trading.domain.book import AccountBook
from apps.trading.domain.closing import PositionsDoNotMatch
from apps.trading.domain.filling import OrderNotWorking, PositionNotFound
from apps.trading.domain.holdings import Account
from apps.trading.domain.operations import AmountInvalid
from apps.trading.domain.orders import Order, OrderReason, OrderType, Side, TimeInForce
from apps.trading.domain.pending_orders import OrderTypeInvalid, TimeInForceInvalid
from apps.trading.domain.pricing import ConversionTable, MarketView
from apps.trading.domain.triggers import TriggerVoid
from rtx.kernel.actor import Actor
from rtx.kernel.money import booked
from tests.factories.books import DEALER, GROUP, NOON, QUOTES, SYMBOLS, TRADER

D = Decimal
ENGINE = Actor.system("triggers")
CURRENCIES = ["USD", "EUR", "GBP", "JPY"]
MISTAKES = (
    PositionNotFound,
    AmountInvalid,
    OrderNotWorking,
    TriggerVoid,
    PositionsDoNotMatch,
    TimeInForceInvalid,
    OrderTypeInvalid,
)  # what a caller did wrong: no event

_schedules = st.sampled_from(
    [
        None,
        MarginSchedule.of(
            name="volume",
            kind=ScheduleKind.VOLUME,
            is_pooled=False,
            bands=[(D(1), D(1)), (D(3), D(2)), (None, D(3))],
        ),
        MarginSchedule.of(
            name="pool",
            kind=ScheduleKind.NOTIONAL,
            is_pooled=True,
            bands=[(D(100_000), D(500)), (D(300_000), D(200)), (None, D(50))],
        ),
    ]
)
_commissions = st.builds(
    Commission,
    st.sampled_from(list(CommissionMode)),
    st.decimals("0", "20", places=2),
    st.sampled_from(list(CommissionCharge)),
    st.sampled_from([D(0), D("1.50")]),
    st.sampled_from([(), ((D(1), D("2.5")), (D(2), D(1)))]),
)
groups = st.builds(
    lambda mode, currency, commission, bid, ask, leverage, schedule, fifo, hedging: replace(
        GROUP,
        position_mode=mode,
        currency=currency,
        commission=commission,
        markup_bid_points=D(bid),
        markup_ask_points=D(ask),
        leverage_max=leverage,
        margin_schedule=schedule,
        closes_fifo=fifo,
        allows_hedging=hedging,
    ),
    st.sampled_from(list(PositionMode)),
    st.sampled_from(CURRENCIES),
    _commissions,
    st.integers(0, 9),
    st.integers(0, 9),
    st.sampled_from([30, 100, 500]),
    _schedules,
    st.booleans(),
    st.booleans(),
)
_lots = st.integers(1, 300).map(lambda number: D(number) / 100)
_symbols = st.sampled_from(sorted(SYMBOLS))
_sides = st.sampled_from(list(Side))
_points = st.integers(-250, 250)
_which = st.integers(0, 5)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("market"), _symbols, _sides, _lots, st.integers(0, 200)),
        st.tuples(
            st.just("pending"),
            _symbols,
            _sides,
            _lots,
            st.sampled_from(["limit", "stop", "stop_limit"]),
            _points,
            st.sampled_from(list(TimeInForce)),
            st.sampled_from([0, 40, 120]),
        ),
        st.tuples(st.just("modify"), _which, _points, st.none() | _lots),
        st.tuples(st.just("cancel"), _which),
        st.tuples(st.just("expire"), _which, st.integers(0, 30)),
        st.tuples(st.just("trigger"), _which),
        st.tuples(st.just("stops"), _which, st.integers(1, 200), st.sampled_from([0, 30, 90])),
        st.tuples(st.just("stop_hit"), _which, st.booleans()),
        st.tuples(st.just("trail"), _which),
        st.tuples(st.just("close"), _which, st.none() | _lots),
        st.tuples(st.just("close_by"), _which, _which),
        st.tuples(st.just("close_all"), st.none() | _symbols),
        st.tuples(st.just("reverse"), _which),
        st.tuples(st.just("swaps"), st.integers(-900, 300)),
        st.tuples(st.just("quote"), _symbols, st.integers(-300, 300), st.integers(1, 30)),
        st.tuples(st.just("money"), st.sampled_from(list(BalanceKind)), st.integers(-900_000, 900_000)),
        st.tuples(st.just("leverage"), st.sampled_from([10, 50, 200])),
    ),
    min_size=1,
    max_size=30,
)
Step = tuple[Any, ...]


def new_account(group: GroupSpec) -> Account:
    """Return the account that a walk begins with."""
    return Account(
        id=1,
        login=100001,
        group_id=1,
        currency=group.currency,
        position_mode=group.position_mode,
        leverage=100,
    )


class Walk:
    """A book driven by steps. Prices and time move between them; `outcomes` is the journal."""

    def __init__(self, group: GroupSpec, *, reserve: str = "1") -> None:
        self.group = group
        self.account = new_account(group)
        self.book = AccountBook(account=self.account, tickets=count(1))
        self.prices = {name: (D(bid), D(ask)) for name, (bid, ask) in QUOTES.items()}
        self.now = NOON
        self.outcomes: list[c.Outcome] = []
        self._numbers = count(1)
        self._symbols = {
            name: replace(spec, margin_rate_pending=D(reserve)) for name, spec in SYMBOLS.items()
        }
        self._terms = {
            name: resolve(symbol=spec, group=group, override=None, version=1)
            for name, spec in self._symbols.items()
        }
        self._conversions = ConversionTable(self._symbols.values())

    def market(self) -> MarketView:
        """Return the present prices."""
        now_ms = int(self.now.timestamp() * 1000)
        return MarketView(
            quotes={name: Quote(name, bid, ask, now_ms) for name, (bid, ask) in self.prices.items()},
            terms=self._terms,
            symbols=self._symbols,
            conversions=self._conversions,
            now=self.now,
            now_ms=now_ms,
            version=1,
        )

    def apply(self, command: c.Command) -> c.Outcome:
        """Let the book decide a command at the present prices."""
        return self.book.apply(command, market=self.market(), now=self.now)

    def taken(self, drawn: list[Step]) -> Iterator[tuple[c.Command, c.Outcome]]:
        """Take the steps, after a first deposit; yield each command that made an event."""
        for step in [("money", BalanceKind.DEPOSIT, 2_000_000), *drawn]:
            if step[0] == "quote":
                self._move(*step[1:])
                continue
            command = self.command(*step)
            if command is None:
                continue
            try:
                outcome = self.apply(command)
            except MISTAKES:
                continue
            self.outcomes.append(outcome)
            yield command, outcome

    def _move(self, name: str, points: int, spread: int) -> None:
        point = SYMBOLS[name].point
        bid = self.prices[name][0] + points * point
        self.prices[name] = (bid, bid + spread * point)
        self.now += timedelta(seconds=1)

    def command(self, kind: str, *values: Any) -> c.Command | None:
        """Return the command of a step, or None when it has nothing to be about."""
        number = next(self._numbers)
        base: dict[str, Any] = {
            "account_id": self.account.id,
            "command_id": UUID(int=self.account.id << 64 | number),
            "actor": TRADER,
        }
        made: c.Command | None = getattr(self, f"_{kind}")(base, str(number), *values)
        return made

    def _order(self, which: int) -> Order | None:
        waiting = sorted(self.book.orders)
        return self.book.orders[waiting[which % len(waiting)]] if waiting else None

    def _position_id(self, which: int) -> int:
        held = sorted(self.book.positions)
        return held[which % len(held)] if held else 0

    def _at(self, symbol: str, side: Side, points: int) -> Decimal:
        bid, ask = self.prices[symbol]
        return (ask if side is Side.BUY else bid) + points * SYMBOLS[symbol].point

    def _market(self, base: Any, number: str, symbol: str, side: Side, lots: D, stop: int) -> c.Command:
        sign = -1 if side is Side.BUY else 1
        level = self._at(symbol, side, sign * stop) if stop else None
        return c.PlaceMarket(
            **base, client_order_id=number, symbol=symbol, side=side, volume=lots, stop_loss=level
        )

    def _pending(
        self,
        base: Any,
        number: str,
        symbol: str,
        side: Side,
        lots: D,
        type_: str,
        points: int,
        time_in_force: TimeInForce,
        trailing: int,
    ) -> c.Command:
        price = self._at(symbol, side, points)
        sign = -1 if side is Side.BUY else 1
        return c.PlacePending(
            **base,
            client_order_id=number,
            symbol=symbol,
            side=side,
            volume=lots,
            type=OrderType(type_),
            price=price,
            stop_limit_price=price + sign * 20 * SYMBOLS[symbol].point if type_ == "stop_limit" else None,
            time_in_force=time_in_force,
            expires_at=self.now + timedelta(minutes=10) if time_in_force is TimeInForce.GTD else None,
            trailing_points=trailing or None,
        )

    def _modify(self, base: Any, number: str, which: int, points: int, lots: D | None) -> c.Command | None:
        order = self._order(which)
        if order is None or order.price is None:
            return None
        return c.ModifyOrder(
            **base,
            order_id=order.id,
            price=order.price + points * SYMBOLS[order.symbol].point,
            volume=lots or c.KEEP,
        )

    def _cancel(self, base: Any, number: str, which: int) -> c.Command | None:
        order = self._order(which)
        return c.CancelOrder(**base, order_id=order.id) if order else None

    def _expire(self, base: Any, number: str, which: int, minutes: int) -> c.Command | None:
        self.now += timedelta(minutes=minutes)
        order = self._order(which)
        return c.ExpireOrder(**{**base, "actor": ENGINE}, order_id=order.id) if order else None

    def _quote(self, symbol: str) -> Quote:
        bid, ask = self.prices[symbol]
        return Quote(symbol, bid, ask, int(self.now.timestamp() * 1000))

    def _trigger(self, base: Any, number: str, which: int) -> c.Command | None:
        order = self._order(which)
        if order is None or order.waits_for is None:
            return None
        return c.TriggerOrder(
            **{**base, "actor": ENGINE},
            order_id=order.id,
            armed_price=order.waits_for,
            raw=self._quote(order.symbol),
        )

    def _stops(self, base: Any, number: str, which: int, points: int, trailing: int) -> c.Command:
        held = self.book.positions.get(self._position_id(which))
        if held is None:
            return c.ModifyPosition(**base, position_id=0)
        bid, ask = self.prices[held.symbol]
        step = points * SYMBOLS[held.symbol].point
        below, above = bid - step, ask + step
        is_buy = held.side is Side.BUY
        return c.ModifyPosition(
            **base,
            position_id=held.id,
            stop_loss=below if is_buy else above,
            take_profit=above if is_buy else below,
            trailing_points=trailing or None,
        )

    def _stop_hit(self, base: Any, number: str, which: int, is_loss: bool) -> c.Command | None:
        held = self.book.positions.get(self._position_id(which))
        level = None if held is None else held.stop_loss if is_loss else held.take_profit
        if held is None or level is None:
            return None
        return c.TriggerStop(
            **{**base, "actor": ENGINE},
            position_id=held.id,
            kind=OrderReason.STOP_LOSS if is_loss else OrderReason.TAKE_PROFIT,
            armed_price=level,
            raw=self._quote(held.symbol),
        )

    def _trail(self, base: Any, number: str, which: int) -> c.Command | None:
        held = self.book.positions.get(self._position_id(which))
        if held is None:
            return None
        return c.TrailStop(**{**base, "actor": ENGINE}, position_id=held.id, raw=self._quote(held.symbol))

    def _close(self, base: Any, number: str, which: int, lots: D | None) -> c.Command:
        return c.ClosePosition(
            **base, client_order_id=number, position_id=self._position_id(which), volume=lots
        )

    def _close_by(self, base: Any, number: str, which: int, other: int) -> c.Command:
        return c.CloseBy(
            **base,
            client_order_id=number,
            position_id=self._position_id(which),
            opposite_id=self._position_id(other),
        )

    def _close_all(self, base: Any, number: str, symbol: str | None) -> c.Command:
        return c.CloseAll(**base, client_order_id=number, symbol=symbol)

    def _reverse(self, base: Any, number: str, which: int) -> c.Command | None:
        held = self.book.positions.get(self._position_id(which))
        if held is None:
            return None
        bid, ask = self.prices[held.symbol]
        asked = {"position_id": held.id, "side": held.side, "volume": held.volume, "deviation": 9}
        return c.ReversePosition(
            **{**base, "actor": DEALER}, **asked, price=bid if held.side is Side.BUY else ask
        )

    def _swaps(self, base: Any, number: str, cents: int) -> c.Command | None:
        held = list(self.book.positions.values())
        amount = booked(D(cents) / 100, self.group.currency)
        gone = [replace(one, id=self.account.id * 10**12 + int(number)) for one in held[:1]]  # closed since
        return c.ChargeSwaps(
            **base,
            date=NOON.date() + timedelta(days=int(number)),
            rolled_at=self.now,
            charges=tuple(
                c.SwapDue(
                    position_id=position.id,
                    symbol=position.symbol,
                    kind="swap",
                    side=position.side,
                    volume=position.volume,
                    mode="money",
                    value=D(cents),
                    multiplier=1,
                    price=None,
                    rate=D(1),
                    amount=amount,
                    terms_version=1,
                )
                for position in (*held, *gone)
            ),
        )

    def _money(self, base: Any, number: str, kind: BalanceKind, cents: int) -> c.Command:
        amount = booked(D(cents) / 100, self.group.currency)
        return c.ChangeBalance(**base, kind=kind, amount=amount, reference=number)

    def _leverage(self, base: Any, number: str, leverage: int) -> c.Command:
        return c.ChangeAccount(**base, leverage=leverage)
