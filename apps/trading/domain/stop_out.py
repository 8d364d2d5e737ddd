"""
Stop-out and negative-balance protection, as one account's rules. Pure.

A stop-out acts while the margin level is at or below the group's: working orders that hold margin are
canceled first, largest margin first, then positions are closed in the order of the group's rule
(stop_out_rules.py, smart_stop_out.py), each at the client's present price and at most the symbol's maximum
volume at a time; the level is looked at again after every step. What cannot be closed now is left and told.
Its full working is the dossier.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from apps.accounts.domain import ledger
from apps.groups.domain.terms import GroupSpec, StopOutRule
from apps.trading.domain import checks, dossiers, journal, margin, market_record, profit
from apps.trading.domain.commands import Outcome, StopOut
from apps.trading.domain.filling import Desk, Filled
from apps.trading.domain.orders import Order, OrderReason, OrderStatus, Position, RejectReason, Side
from apps.trading.domain.pricing import MarketView
from apps.trading.domain.smart_stop_out import Smart
from apps.trading.domain.stop_out_rules import (
    CHOSEN_BY,
    Candidate,
    Choice,
    Known,
    Standing,
    by_rule,
    first_of,
    frees_margin,
    margin_of_order,
    net_volumes,
    shown,
)
from rtx.kernel.errors import Conflict
from rtx.kernel.money import ZERO, booked, plain, text

Waiting = dict[int, tuple[str, str]]


class StopOutVoid(Conflict):
    """The account is above its stop-out level and owes nothing. Nothing is journaled."""

    code = "stop_out_void"
    title = "Nothing to liquidate"


class StopOutStuck(Conflict):
    """
    The account is below its stop-out level and nothing of it can be closed now. Nothing is journaled.

    `waiting` is position id -> (symbol, why); `level_pct` is None when it cannot be told.
    """

    code = "stop_out_stuck"
    title = "Nothing can be closed now"

    def __init__(self, waiting: Waiting, *, level_pct: Decimal | None) -> None:
        super().__init__(f"{len(waiting)} positions cannot be closed now.")
        self.waiting = waiting
        self.level_pct = level_pct


def stop_out(desk: Desk, command: StopOut, market: MarketView, now: datetime) -> Outcome:
    """
    Close by the group's rule until the level is above stop-out, then make good what a protected account owes.

    :raises StopOutVoid: the level is above stop-out, and nothing is owed that must be made good.
    :raises StopOutStuck: it is below, and neither an order nor a position can go now.
    """
    group = _group_of(desk, market)
    unpriced = {
        position.id: (position.symbol, market_record.NO_PRICE)
        for position in desk.positions.values()
        if profit.floating(position, market=market, currency=desk.account.currency) is None
    }
    if unpriced:
        raise StopOutStuck(unpriced, level_pct=None)
    run = _Run(desk, command, market, group, now)
    before = run.standing
    if not run.is_below and not run.owes:
        raise StopOutVoid(
            f"Account {desk.account.login} is above its stop-out level of {group.stop_out_pct} %."
        )
    with_markets = dossiers.opened(desk, command, market, group=group, now=now, results=run.results)
    run.close_all_that_must()
    if run.is_below and not run.steps:
        raise StopOutStuck(run.waiting, level_pct=before.level_pct)
    return run.outcome(with_markets, before)


def _group_of(desk: Desk, market: MarketView) -> GroupSpec:
    if market.group is None:
        raise StopOutVoid(f"The group of account {desk.account.login} has no terms.")
    return market.group


class _Run:
    """
    One stop-out under way. The market does not move: what a position would bring, and whether it can be
    closed, is found once, so that a step costs little however many positions there are.
    """

    def __init__(
        self, desk: Desk, command: StopOut, market: MarketView, group: GroupSpec, now: datetime
    ) -> None:
        self.desk, self.command, self.market, self.group, self.now = desk, command, market, group, now
        self.results = {position.id: self._result(position) for position in desk.positions.values()}
        self._floating = sum((self.results[key] for key in sorted(self.results)), ZERO)
        self._margins: dict[int, tuple[Decimal, Decimal]] = {}
        self._reserved = self._orders_by_margin()
        self._standing: Standing | None = None
        self._nets = net_volumes(desk.positions.values())
        self._states: dict[tuple[str, str], str] = {}
        self.waiting: Waiting = {}
        self._closable = dict(self._found_closable())
        self.steps: list[journal.Payload] = []
        self.closed: list[tuple[Order, Filled]] = []
        self.canceled: list[Order] = []

    def _result(self, position: Position) -> Decimal:
        amount = profit.floating(position, market=self.market, currency=self.desk.account.currency)
        assert amount is not None  # the caller has seen to it
        return amount + position.swap

    # -- how it stands

    @property
    def standing(self) -> Standing:
        """Equity and margin now; found once for each step."""
        if self._standing is None:
            account = self.desk.account
            self._standing = Standing(account.balance + account.credit + self._floating, account.margin)
        return self._standing

    @property
    def is_below(self) -> bool:
        """Whether the level is at or below stop-out."""
        return self.standing.is_at_most(self.group.stop_out_pct, is_exposed=bool(self.desk.positions))

    @property
    def owes(self) -> bool:
        """Whether nothing is open any more and the group makes good what the account owes."""
        return self.group.protects_balance and not self.desk.positions and self.desk.account.balance < 0

    # -- steps

    def close_all_that_must(self) -> None:
        """Cancel and close until the level is above stop-out or nothing is left that can go."""
        while self.is_below and (self._cancel_next() or self._close_next()):
            pass

    def _orders_by_margin(self) -> list[tuple[Order, Decimal]]:
        """Return the working orders that hold margin by themselves, the largest first."""
        held = [(order, margin_of_order(order)) for order in self.desk.orders.values()]
        return sorted(
            ((order, alone) for order, alone in held if alone > 0),
            key=lambda one: (-one[1], one[0].created_at, one[0].id),
        )

    def _cancel_next(self) -> bool:
        """Cancel the working order with the largest margin; False: none holds margin."""
        reserved = self._reserved
        place = next((i for i, (order, _) in enumerate(reserved) if frees_margin(self.desk, order)), None)
        if place is None:
            return False
        before = self.standing
        order, alone = reserved.pop(place)
        second = reserved[place] if place < len(reserved) else None
        ended = replace(order, deals=[])
        self.desk.drop_order(order.id)
        self._standing = None
        ended.move(OrderStatus.CANCELED)
        self.canceled.append(ended)
        self.steps.append(
            {
                "action": "cancel",
                "order_id": order.id,
                "symbol": order.symbol,
                "side": order.side.value,
                "volume": plain(order.volume),
                "chosen_by": "largest margin",
                "value": shown(alone),
                "runner_up": {"id": second[0].id, "value": shown(second[1])} if second else None,
                "before": dossiers.standing(before),
                "after": dossiers.standing(self.standing),
            }
        )
        return True

    def _close_next(self) -> bool:
        """Close what the rule names next; False: nothing can be closed (any more)."""
        while self._closable:
            choice = self._choice(list(self._closable.values()))
            before = self.standing
            held = choice.candidate.position
            result = self._closed_lots(held, choice.lots, before)
            if isinstance(result, RejectReason):
                self.waiting[held.id] = (held.symbol, result.value)
                del self._closable[held.id]
                continue
            self._tell(choice, result, before)
            return True
        return False

    def _choice(self, closable: list[Position]) -> Choice:
        rule, known = self.group.stop_out_rule, Known(self._known_result, self._margin_of, self._nets)
        if rule is not StopOutRule.SMART:
            return first_of(by_rule(rule, closable, known), chosen_by=CHOSEN_BY[rule], market=self.market)
        smart = Smart(
            desk=self.desk, market=self.market, group=self.group, standing=self.standing, known=known
        )
        return smart.choose(closable)

    def _margin_of(self, position: Position) -> Decimal:
        """Return what a position needs by itself, computed once for each volume."""
        volume, alone = self._margins.get(position.id, (None, ZERO))
        if volume != position.volume:
            alone = margin.of_symbol([position])
            self._margins[position.id] = (position.volume, alone)
        return alone

    def _known_result(self, position: Position) -> Decimal:
        return self.results[position.id]

    def _found_closable(self) -> Iterator[tuple[int, Position]]:
        """Yield the positions that can be closed now; the others wait, with the reason."""
        for position in self.desk.positions.values():
            state = self._state_of(position)
            if state == market_record.OPEN:
                yield position.id, position
            else:
                self.waiting[position.id] = (position.symbol, state)

    def _state_of(self, position: Position) -> str:
        """Return `open` when a position can be closed now, else why not."""
        kind = (position.symbol, position.terms.profit_currency)
        state = self._states.get(kind)
        if state is None:
            state = self._states[kind] = self._found_state(position)
        return state

    def _found_state(self, position: Position) -> str:
        """Look at a position's market; its deal needs fresh conversions as well."""
        market, currency = self.market, self.desk.account.currency
        state = market_record.state_of(market, position.symbol)
        terms = market.terms(position.symbol)
        if state != market_record.OPEN:
            return state
        if terms is None:
            return RejectReason.TRADE_DISABLED.value
        sources = (position.terms.profit_currency, terms.symbol.margin_currency)
        rates = [market.rate(source, currency, selling=True, fresh=True) for source in sources]
        return RejectReason.OFF_QUOTES.value if None in rates else state

    def _closed_lots(
        self, held: Position, lots: Decimal, before: Standing
    ) -> tuple[Order, Filled] | RejectReason:
        terms = self.desk.terms_of(held.symbol, self.market, is_held=True)
        quote = self.market.client(held.symbol)
        assert quote is not None  # it can be closed
        order = self.desk.closing_order(held, lots=lots, reason=OrderReason.STOP_OUT, now=self.now)
        order.comment = _comment(before, self.desk.account.currency)
        price = checks.closing_price(held.side, quote)
        result = self.desk.fill(order, held=held, price=price, terms=terms, market=self.market)
        if isinstance(result, RejectReason):
            self.desk.made.discard(order.id)  # no order comes of it
            return result
        self._standing = None
        self._floating -= self.results.pop(held.id)
        del self._closable[held.id]
        self._nets[held.symbol] -= result.deal.volume if held.side is Side.BUY else -result.deal.volume
        if result.position is not None:
            self._closable[held.id] = result.position
            self.results[held.id] = self._result(result.position)
            self._floating += self.results[held.id]
        self.closed.append((order, result))
        return order, result

    def _tell(
        self,
        choice: Choice,
        result: tuple[Order, Filled],
        before: Standing,
    ) -> None:
        held, deal = choice.candidate.position, result[1].deal
        self.steps.append(
            {
                "action": "close",
                "position_id": held.id,
                "symbol": held.symbol,
                "side": held.side.value,
                "volume": plain(deal.volume),
                "of_volume": plain(held.volume),
                "price": text(deal.price),
                "rate": text(deal.profit_rate),
                "profit": text(deal.profit),
                "swap": text(deal.swap),
                "commission": text(deal.commission),
                "chosen_by": choice.chosen_by,
                "value": choice.candidate.value,
                "runner_up": _named(choice.runner_up),
                "before": dossiers.standing(before),
                "after": dossiers.standing(self.standing),
            }
        )

    # -- the end

    def outcome(self, begun: journal.Payload, before: Standing) -> Outcome:
        """Protect the balance, and return the event with its dossier."""
        desk, currency = self.desk, self.desk.account.currency
        credit_used = compensation = booked(ZERO, currency)
        if self.owes:
            debt = -desk.account.balance
            credit_used = booked(min(max(desk.account.credit, ZERO), debt), currency)
            compensation = booked(debt - credit_used, currency)
        protection = ledger.protection_lines(credit_used=credit_used, compensation=compensation)
        desk.post(protection)
        left = [] if not self.is_below else self._left()
        payload: journal.Payload = {
            "orders": [journal.order_payload(order) for order, _ in self.closed],
            "canceled": [journal.order_payload(order) for order in self.canceled],
            "left": left,
            "margin_level": before.level_text or None,
            "credit_used": text(credit_used),
            "compensation": text(compensation),
            **desk.money(),
            "house": {str(one.deal.id): journal.house_payload(one.deal) for _, one in self.closed},
        }
        outcome = desk.outcome(
            "stopped_out" if self.steps else "balance_protected",
            payload,
            orders=[*self.canceled, *(order for order, _ in self.closed)],
            lines=[*(line for _, one in self.closed for line in one.lines), *protection],
        )
        outcome.dossier = {
            **begun,
            "before": dossiers.standing(before),
            "steps": self.steps,
            "after": dossiers.standing(self.standing),
            "left": left,
            "credit_used": text(credit_used),
            "compensation": text(compensation),
        }
        return outcome

    def _left(self) -> list[journal.Payload]:
        return [
            {"position_id": key, "symbol": symbol, "reason": reason}
            for key, (symbol, reason) in sorted(self.waiting.items())
        ]


def _named(runner_up: Candidate | None) -> journal.Payload | None:
    return None if runner_up is None else {"id": runner_up.position.id, "value": runner_up.value}


def _comment(standing: Standing, currency: str) -> str:
    """Return what the orders of a step are commented with, as MetaTrader does: level, equity, margin."""
    level = standing.level_text
    equity = text(booked(standing.equity, currency))
    return f"so: {level}%/{equity}/{text(standing.margin)}" if level else f"so: equity {equity}, no margin"
