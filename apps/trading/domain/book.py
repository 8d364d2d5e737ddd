"""
The account book: one trading account with its open positions, as pure rules.

It alone decides what a command does to an account. It knows no database and no clock. What it decides is
an event; `Holdings.replay`, which it inherits, derives the account again from such events.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from decimal import Decimal

from apps.accounts.domain import ledger
from apps.accounts.domain.ledger import BalanceKind, Line
from apps.groups.domain.terms import PositionMode, Terms
from apps.trading.domain import checks, deals, journal
from apps.trading.domain.commands import (
    ChangeAccount,
    ChangeBalance,
    ClosePosition,
    Command,
    Outcome,
    PlaceMarket,
)
from apps.trading.domain.deals import Settlement
from apps.trading.domain.holdings import Account, Holdings
from apps.trading.domain.orders import (
    ContractTerms,
    Deal,
    Entry,
    Order,
    OrderStatus,
    OrderType,
    Position,
    RejectReason,
    Side,
)
from apps.trading.domain.pricing import MarketView
from rtx.kernel.errors import Invalid, NotFound
from rtx.kernel.money import ZERO, booked, text


class PositionNotFound(NotFound):
    """The account has no such open position."""

    code = "position_not_found"
    title = "No such open position"


class SymbolNotOffered(NotFound):
    """The account's group does not trade this symbol."""

    code = "symbol_not_found"
    title = "Symbol not offered"


class AmountInvalid(Invalid):
    """An amount is zero, has the wrong sign for its kind, or more decimals than its currency."""

    code = "invalid_amount"
    title = "Invalid amount"


class AccountBook(Holdings):
    """One trading account with its positions. Applies commands; a refusal changes nothing but the journal."""

    def __init__(
        self, *, account: Account, positions: Iterable[Position] = (), tickets: Iterator[int]
    ) -> None:
        super().__init__(account=account, positions=positions)
        self._tickets = tickets
        self._handlers: dict[type, Callable[..., Outcome]] = {
            PlaceMarket: self._place_market,
            ClosePosition: self._close_position,
            ChangeBalance: self._change_balance,
            ChangeAccount: self._change_account,
        }

    def grows_risk(self, command: Command) -> bool:
        """Say whether a command may add exposure: only then do pre-trade guards have a say."""
        if not isinstance(command, PlaceMarket):
            return False
        held = self._net_position(command.symbol)
        return held is None or held.side is command.side or command.volume > held.volume

    def _net_position(self, symbol: str) -> Position | None:
        if self.account.position_mode is PositionMode.HEDGING:
            return None
        return next(iter(self.of_symbol(symbol)), None)

    def apply(self, command: Command, *, market: MarketView, now: datetime) -> Outcome:
        """
        Decide one command and change the book accordingly. A refusal changes nothing but the journal.

        :raises PositionNotFound: the command names a position that is not open.
        :raises SymbolNotOffered: the command names a symbol that the group does not trade.
        """
        return self._handlers[type(command)](command, market, now)

    def refuse(self, command: Command, reason: RejectReason, *, market: MarketView, now: datetime) -> Outcome:
        """Refuse an order for a reason that lies outside the book (a guard)."""
        if not isinstance(command, PlaceMarket):
            raise TypeError(f"only orders are guarded, not {type(command).__name__}")
        self._terms(command.symbol, market, is_held=False)
        return self._rejected(self._order_of(command, now), reason)

    def _place_market(self, command: PlaceMarket, market: MarketView, now: datetime) -> Outcome:
        held = self._net_position(command.symbol)
        terms = self._terms(command.symbol, market, is_held=held is not None)
        order = self._order_of(command, now)
        side, lots = command.side, command.volume
        reduces = held is not None and held.side is not side and lots <= held.volume
        reason = (
            checks.permission(
                status=self.account.status,
                terms=terms,
                side=side,
                reduces=reduces,
                actor=command.actor.kind,
            )
            or checks.volume(lots, terms=terms)
            or checks.tradable(command.symbol, market=market)
        )
        if not reason and not checks.on_grid(command.price, terms=terms):
            reason = RejectReason.INVALID_PRICE
        if reason:
            return self._rejected(order, reason)
        quote = market.client(command.symbol)
        assert quote is not None  # `tradable` has seen it
        fill = quote.ask if side is Side.BUY else quote.bid
        if checks.slips(fill=fill, wanted=command.price, deviation=command.deviation, side=side, terms=terms):
            order.requote_price = fill
            return self._rejected(order, RejectReason.REQUOTE)
        reason = checks.stops(
            side=side,
            quote=quote,
            stop_loss=command.stop_loss,
            take_profit=command.take_profit,
            terms=terms,
        )
        if not reason and held is None and len(self.positions) >= terms.group.positions_max:
            reason = RejectReason.LIMIT_POSITIONS
        if not reason and held is not None and not reduces and not held.terms.is_same_contract(terms.symbol):
            reason = RejectReason.CLOSE_ONLY
        if reason:
            return self._rejected(order, reason)
        return self._fill(order, held=held, price=fill, terms=terms, market=market)

    def _close_position(self, command: ClosePosition, market: MarketView, now: datetime) -> Outcome:
        held = self.positions.get(command.position_id)
        if held is None:
            raise PositionNotFound(
                f"Position {command.position_id} is not open on account {self.account.login}."
            )
        terms = self._terms(held.symbol, market, is_held=True)
        lots = held.volume if command.volume is None else command.volume
        order = Order(
            id=next(self._tickets),
            client_order_id=command.client_order_id,
            symbol=held.symbol,
            side=held.side.opposite,
            type=OrderType.MARKET,
            volume=lots,
            status=OrderStatus.NEW,
            created_at=now,
            position_id=held.id,
        )
        reason = checks.permission(
            status=self.account.status,
            terms=terms,
            side=order.side,
            reduces=True,
            actor=command.actor.kind,
        )
        if not reason and lots != held.volume:
            reason = RejectReason.INVALID_VOLUME if lots > held.volume else checks.volume(lots, terms=terms)
        reason = reason or checks.tradable(held.symbol, market=market)
        if reason:
            return self._rejected(order, reason)
        quote = market.client(held.symbol)
        assert quote is not None  # `tradable` has seen it
        price = quote.bid if held.side is Side.BUY else quote.ask
        return self._fill(order, held=held, price=price, terms=terms, market=market)

    def _fill(
        self, order: Order, *, held: Position | None, price: Decimal, terms: Terms, market: MarketView
    ) -> Outcome:
        """Fill an order whole at one price, unless money or a conversion rate is missing."""
        deal = self._draft(order, held=held, price=price, terms=terms, market=market)
        if deal is None:
            return self._rejected(order, RejectReason.OFF_QUOTES)
        result = deals.settle(deal, position=held, currency=self.account.currency)
        reason = None if deal.entry is Entry.OUT else self._lacks_money(deal, result, market)
        if reason:
            return self._rejected(order, reason)
        lines = self.book_deal(deal, result)
        order.status = OrderStatus.FILLED
        order.filled_volume = order.volume
        order.average_price = price
        order.position_id = deal.position_id
        order.deals.append(deal)
        payload = {
            "order": journal.order_payload(order),
            "position": journal.position_payload(result.position) if result.position else None,
            **self.money(),
            "house": {str(deal.id): journal.house_payload(deal)},
        }
        return self._outcome("order_filled", payload, order=order, lines=lines)

    def _draft(
        self, order: Order, *, held: Position | None, price: Decimal, terms: Terms, market: MarketView
    ) -> Deal | None:
        """
        Return the deal that would fill an order, its outcome still open; None when a rate is missing or
        stale.
        """
        account, symbol = self.account, terms.symbol
        entry, leaving = Entry.IN, ZERO
        if held is not None and held.side is not order.side:
            leaving = min(held.volume, order.volume)
            entry = Entry.OUT if order.volume <= held.volume else Entry.INOUT
        gains = True
        if held is not None and leaving:
            moved = price * held.volume - held.cost
            gains = (moved if held.side is Side.BUY else -moved) > 0
        earned_in = held.terms.profit_currency if held is not None and leaving else symbol.profit_currency
        profit_rate = market.rate(earned_in, account.currency, selling=gains, fresh=True)
        margin_rate = market.rate(
            symbol.margin_currency, account.currency, selling=order.side is Side.SELL, fresh=True
        )
        raw, shown = market.raw(order.symbol), market.client(order.symbol)
        if profit_rate is None or margin_rate is None or raw is None or shown is None:
            return None
        rule = terms.commission
        commission = deals.commission_due(
            rule,
            entering=order.volume - leaving,
            leaving=leaving,
            notional_per_lot=symbol.contract_size * price * profit_rate,
            currency=account.currency,
        )
        return Deal(
            id=next(self._tickets),
            order_id=order.id,
            position_id=held.id if held else next(self._tickets),
            symbol=order.symbol,
            entry=entry,
            side=order.side,
            volume=order.volume,
            price=price,
            profit_rate=profit_rate,
            margin_rate=margin_rate,
            terms=ContractTerms.of(terms, account_leverage=account.leverage),
            commission=-commission,
            markup=deals.markup_earned(
                terms=terms,
                side=order.side,
                volume=order.volume,
                rate=profit_rate,
                currency=account.currency,
            ),
            raw_bid=raw.bid,
            raw_ask=raw.ask,
            client_bid=shown.bid,
            client_ask=shown.ask,
            quote_time_ms=raw.time_ms,
            rule=f"{rule.mode}:{text(rule.value)}:{rule.charge}",
            terms_version=terms.version,
            book=terms.book,
            at=order.created_at,
            stop_loss=order.stop_loss,
            take_profit=order.take_profit,
        )

    def _lacks_money(self, deal: Deal, result: Settlement, market: MarketView) -> RejectReason | None:
        """
        Refuse a deal that needs more margin than the account can carry after it.

        Free margin after the deal counts everything the deal brings: commission, its opening spread, its
        margin. A deal that does not raise the margin is never refused.
        """
        after = self.positions_after(deal, result)
        need = self.margin_with((p for p in after if p.symbol == deal.symbol), deal.symbol)
        if need <= self.account.margin:
            return None
        floating = self.floating(after, market)
        if floating is None:
            return RejectReason.OFF_QUOTES
        account = self.account
        equity = account.balance + account.credit + floating + result.profit + result.swap + deal.commission
        return RejectReason.NO_MONEY if equity < need else None

    def _change_balance(self, command: ChangeBalance, market: MarketView, now: datetime) -> Outcome:
        account, amount = self.account, command.amount
        if not amount or amount != booked(amount, account.currency):
            raise AmountInvalid(f"An amount in {account.currency} cannot be {text(amount)}.")
        takes = amount < 0
        if takes is not (command.kind is BalanceKind.WITHDRAWAL) and command.kind in (
            BalanceKind.DEPOSIT,
            BalanceKind.WITHDRAWAL,
        ):
            raise AmountInvalid(f"A {command.kind} of {text(amount)} has the wrong sign.")
        payload: journal.Payload = {
            "kind": command.kind.value,
            "amount": text(booked(amount, account.currency)),
            "reference": command.reference,
            "comment": command.comment,
        }
        if command.kind is BalanceKind.WITHDRAWAL and -amount > self._withdrawable(market):
            payload["reject_reason"] = RejectReason.NO_MONEY.value
            return self._outcome("balance_rejected", payload, refusal=RejectReason.NO_MONEY)
        lines = ledger.balance_lines(kind=command.kind, amount=booked(amount, account.currency))
        self.post(lines)
        return self._outcome("balance_changed", {**payload, **self.money()}, lines=lines)

    def _withdrawable(self, market: MarketView) -> Decimal:
        """
        Return what may leave: neither credit nor floating profit, and nothing that margin or a loss needs.
        """
        floating = self.floating(self.positions.values(), market)
        if floating is None:
            return ZERO
        return self.account.balance + min(floating, ZERO) - self.account.margin

    def _change_account(self, command: ChangeAccount, market: MarketView, now: datetime) -> Outcome:
        account = self.account
        leverage = command.leverage or account.leverage
        terms: dict[int, ContractTerms] = {}
        if leverage != account.leverage:
            for position in self.positions.values():
                present = self._terms(position.symbol, market, is_held=True)
                terms[position.id] = ContractTerms.of(present, account_leverage=leverage)
        account.status = command.status or account.status
        self.set_leverage(leverage, terms)
        payload = {
            "leverage": leverage,
            "status": account.status,
            **self.money(),
            "house": {"terms": {str(key): kept.encoded() for key, kept in terms.items()}},
        }
        return self._outcome("account_changed", payload)

    # -- building blocks
    # --------------------------------------------------------------------------------------

    def _terms(self, symbol: str, market: MarketView, *, is_held: bool) -> Terms:
        """Return a symbol's terms; one that is no longer offered has them only for what is held."""
        terms = market.terms(symbol)
        if terms is None or not (terms.is_offered or is_held):
            raise SymbolNotOffered(f"{symbol} is not traded on account {self.account.login}.")
        return terms

    def _order_of(self, command: PlaceMarket, now: datetime) -> Order:
        return Order(
            id=next(self._tickets),
            client_order_id=command.client_order_id,
            symbol=command.symbol,
            side=command.side,
            type=OrderType.MARKET,
            volume=command.volume,
            status=OrderStatus.NEW,
            created_at=now,
            price=command.price,
            deviation=command.deviation,
            stop_loss=command.stop_loss,
            take_profit=command.take_profit,
            comment=command.comment,
        )

    def _rejected(self, order: Order, reason: RejectReason) -> Outcome:
        order.status = OrderStatus.REJECTED
        order.reject_reason = reason
        payload = {"order": journal.order_payload(order), **self.money()}
        return self._outcome("order_rejected", payload, order=order, refusal=reason)

    def _outcome(
        self,
        type_: str,
        payload: journal.Payload,
        *,
        order: Order | None = None,
        lines: list[Line] | None = None,
        refusal: RejectReason | None = None,
    ) -> Outcome:
        """Number the event that answers a command."""
        self.account.seq += 1
        return Outcome(
            seq=self.account.seq,
            type=type_,
            payload=payload,
            orders=[order] if order else [],
            lines=lines or [],
            refusal=refusal,
        )
