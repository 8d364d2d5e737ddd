"""
Makes a statement out of an account's events: replays them, cuts the period out, checks every amount. Pure.

The rules that derive the account are those that booked the events (`Replay`).
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from apps.accounts.domain.ledger import BalanceKind
from apps.groups.domain.terms import PositionMode
from apps.trading.domain import journal, profit
from apps.trading.domain.holdings import Account
from apps.trading.domain.journal import Payload
from apps.trading.domain.orders import Position, Side
from apps.trading.domain.pricing import MarketView
from apps.trading.domain.replaying import Replay
from apps.trading.domain.statements import (
    Closing,
    CurvePoint,
    Cut,
    DealLine,
    Difference,
    JournalEvent,
    Money,
    Movement,
    OpenPosition,
    Period,
    Statement,
    SwapLine,
)
from rtx.kernel.money import ZERO, booked

DEALING = frozenset(
    {"order_filled", "positions_closed", "positions_closed_by", "position_reversed", "stopped_out"}
)
PROTECTING = frozenset({"stopped_out", "balance_protected"})
PROTECTION = "Negative balance protection"

Views = Callable[[datetime, Collection[Position]], MarketView | None]


class Compiler:
    """
    Takes an account's events from the first one on and makes the statement of a period.

    `points` are the cuts of the equity curve: the first is the period's start, the last its end (or now).
    `views` gives the market as the account's group saw it at an instant, with the prices that value the
    positions; None when nothing is stored.
    """

    def __init__(self, *, account: Account, period: Period, points: Sequence[Cut], views: Views) -> None:
        self._facts = account
        self._replay = Replay(account=account)
        self._views = views
        self._points = list(points)
        self._running = ZERO
        self._is_within = False
        self.statement = Statement(
            login=account.login,
            currency=account.currency,
            period=period,
            opening=Money(),
            closing=Closing(points[-1].at, Money()),
        )

    def compile(self, events: Iterable[JournalEvent]) -> Statement:
        """
        Return the statement.

        :raises Divergence: the journal does not replay.
        :raises Difference: the ledger, or what the statement shows, does not agree with it.
        """
        last = self._points[-1].seq
        for event in events:
            if event.seq > last:
                break
            self._mark(event.seq)
            self._take(event)
        self._mark(None)
        self.statement.check()
        return self.statement

    # -- events
    # ---------------------------------------------------------------------------------------------

    def _take(self, event: JournalEvent) -> None:
        if event.type == "account_opened":
            self._open(event.payload)
        self._replay.replay(seq=event.seq, type_=event.type, payload=event.payload)
        if not self._is_within:
            return
        amount, credit = self._lines(event)
        self._same(event, "amount", amount, event.client)
        self._same(event, "credit", credit, event.credit)
        self._same(event, "balance", self._running, self._replay.account.balance)

    def _open(self, payload: Payload) -> None:
        facts = self._facts
        self._replay = Replay(
            account=Account(
                id=facts.id,
                login=facts.login,
                group_id=payload.get("house", {}).get("group_id", 0),  # 0: opened before it was told
                currency=payload["currency"],
                position_mode=PositionMode(payload["position_mode"]),
                leverage=payload["leverage"],
            )
        )

    def _lines(self, event: JournalEvent) -> tuple[Decimal, Decimal]:
        """Add what an event booked to the statement; return its effect on balance and credit."""
        before = self._running
        if event.type in DEALING:
            for order in journal.orders_told(event.payload):
                for deal in order["deals"]:
                    self._add_deal(event, order, deal)
        if event.type in PROTECTING:
            credit_used = self._add_protection(event)
            return self._running - before, -credit_used
        if event.type == "balance_changed":
            return self._add_movement(event)
        if event.type == "swaps_charged":
            for charge in event.payload["charges"]:
                self._add_swap(event, charge)
        return self._running - before, ZERO

    def _add_deal(self, event: JournalEvent, order: Payload, deal: Payload) -> None:
        amounts = {name: Decimal(deal[name]) for name in ("profit", "commission", "swap")}
        self._running += sum(amounts.values(), ZERO)
        self.statement.deals.append(
            DealLine(
                seq=event.seq,
                at=event.at,
                id=deal["id"],
                order_id=deal["order_id"],
                position_id=deal["position_id"],
                client_order_id=order["client_order_id"],
                reason=order.get("reason", "client"),
                symbol=deal["symbol"],
                entry=deal["entry"],
                side=deal["side"],
                volume=Decimal(deal["volume"]),
                price=Decimal(deal["price"]),
                balance=self._running,
                comment=order.get("comment", ""),
                **amounts,
            )
        )

    def _add_protection(self, event: JournalEvent) -> Decimal:
        """Add what made good a debt: the credit that was used up, and the amount; return the credit."""
        credit_used = Decimal(event.payload["credit_used"])
        made_good = credit_used + Decimal(event.payload["compensation"])
        self._running += made_good
        for kind, amount in ((BalanceKind.CREDIT, -credit_used), (BalanceKind.COMPENSATION, made_good)):
            if amount:
                self._move(event, kind, amount, comment=PROTECTION)
        return credit_used

    def _add_movement(self, event: JournalEvent) -> tuple[Decimal, Decimal]:
        payload = event.payload
        kind, amount = BalanceKind(payload["kind"]), Decimal(payload["amount"])
        is_credit = kind is BalanceKind.CREDIT
        self._running += ZERO if is_credit else amount
        self._move(
            event,
            kind,
            amount,
            reference=payload.get("reference", ""),
            comment=payload.get("comment", ""),
        )
        return (ZERO, amount) if is_credit else (amount, ZERO)

    def _move(
        self,
        event: JournalEvent,
        kind: BalanceKind,
        amount: Decimal,
        *,
        reference: str = "",
        comment: str = "",
    ) -> None:
        self.statement.movements.append(
            Movement(
                seq=event.seq,
                at=event.at,
                kind=kind,
                amount=amount,
                reference=reference,
                comment=comment,
                balance=self._running,
                credit=self._replay.account.credit,
            )
        )

    def _add_swap(self, event: JournalEvent, charge: Payload) -> None:
        amount = Decimal(charge["amount"])
        if charge["is_settled"]:
            self._running += amount
        self.statement.swaps.append(
            SwapLine(
                seq=event.seq,
                at=event.at,
                date=event.payload["date"],
                position_id=charge["position_id"],
                symbol=charge["symbol"],
                kind=charge["kind"],
                side=charge["side"],
                volume=Decimal(charge["volume"]),
                multiplier=charge["multiplier"],
                amount=amount,
                is_settled=charge["is_settled"],
                balance=self._running,
            )
        )

    def _same(self, event: JournalEvent, name: str, derived: Decimal, told: Decimal) -> None:
        if derived != told:
            raise Difference(
                f"account {self._facts.login}: {name} of event {event.seq} adds up to {derived}, "
                f"the books say {told}"
            )

    # -- instants
    # -------------------------------------------------------------------------------------------

    def _mark(self, seq: int | None) -> None:
        """Record the points that lie before the event `seq` (None: all that are left)."""
        while self._points and (seq is None or self._points[0].seq < seq):
            point = self._points.pop(0)
            self._record(point.at, is_last=not self._points)

    def _record(self, at: datetime, *, is_last: bool) -> None:
        account, told = self._replay.account, self.statement
        money = Money(account.balance, account.credit)
        if not self._is_within:
            self._is_within = True
            told.opening, self._running = money, account.balance
        held = self._replay.positions.values()
        view = self._views(at, held) if held else None
        floating = self._floating(view)
        equity = None if floating is None else account.balance + account.credit + floating
        told.curve.append(CurvePoint(at, account.balance, equity))
        if not is_last:
            return
        told.closing = Closing(
            at=at,
            money=money,
            margin=account.margin,
            leverage=account.leverage,
            status=account.status,
            floating=floating,
            equity=equity,
            free_margin=None if equity is None else equity - account.margin,
        )
        told.positions = [self._shown(position, view) for position in self._replay.positions.values()]
        told.orders = list(self._replay.orders.values())

    def _floating(self, view: MarketView | None) -> Decimal | None:
        """Return floating profit with carried swap, rounded to the currency; None without a price."""
        held = self._replay.positions.values()
        if not held:
            return ZERO
        total = None if view is None else self._replay.floating(held, view)
        return None if total is None else booked(total, self.statement.currency)

    def _shown(self, position: Position, view: MarketView | None) -> OpenPosition:
        quote = None if view is None else view.client(position.symbol)
        if view is None or quote is None:
            return OpenPosition(replace(position), None, None)
        currency = self.statement.currency
        amount = profit.floating(position, market=view, currency=currency)
        price = quote.bid if position.side is Side.BUY else quote.ask
        return OpenPosition(replace(position), price, None if amount is None else booked(amount, currency))
