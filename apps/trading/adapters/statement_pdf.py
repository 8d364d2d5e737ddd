"""
Statements as PDF, for people: key figures, equity curve, tables. Computes nothing but where a line is drawn.

The same statement and heading give the same bytes.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from apps.accounts.domain.ledger import BalanceKind
from apps.trading.adapters import statement_chart as chart
from apps.trading.adapters.sheet import (
    ACCENT,
    INK,
    INNER,
    LEFT,
    LOSS,
    MUTED,
    RIGHT,
    TOP,
    Column,
    Sheet,
    fitted,
    one_at_a_time,
    printable,
)
from apps.trading.domain.statements import Heading, Period, Statement, Totals
from rtx.kernel.money import digits, plain, rounded, text

WITHOUT_PRICE = "–"
FIGURES = 7  # in a row
NAMES = {
    BalanceKind.DEPOSIT: "Deposits",
    BalanceKind.WITHDRAWAL: "Withdrawals",
    BalanceKind.ADJUSTMENT: "Adjustments",
    BalanceKind.CREDIT: "Change of credit",
    BalanceKind.COMPENSATION: "Compensation",
}

DEALS = (
    Column("Time (UTC)", 1.9),
    Column("Deal", 1.1),
    Column("Position", 1.1),
    Column("Symbol", 1.1),
    Column("Type", 1.2),
    Column("Lots", 0.8, True),
    Column("Price", 1.2, True),
    Column("Commission", 1.1, True),
    Column("Swap", 1.0, True),
    Column("Profit", 1.2, True),
    Column("Balance", 1.4, True),
    Column("Comment", 1.9),
)
MOVEMENTS = (
    Column("Time (UTC)", 1.9),
    Column("Kind", 1.3),
    Column("Reference", 3.0),
    Column("Comment", 4.0),
    Column("Amount", 1.5, True),
    Column("Balance", 1.5, True),
    Column("Credit", 1.3, True),
)
SWAPS = (
    Column("Night of", 1.3),
    Column("Position", 1.2),
    Column("Symbol", 1.2),
    Column("Kind", 1.2),
    Column("Side", 0.8),
    Column("Lots", 0.9, True),
    Column("Days", 0.7, True),
    Column("Amount", 1.2, True),
    Column("Booked", 1.6),
)
POSITIONS = (
    Column("Opened (UTC)", 1.9),
    Column("Position", 1.2),
    Column("Symbol", 1.2),
    Column("Side", 0.8),
    Column("Lots", 0.9, True),
    Column("Open price", 1.3, True),
    Column("Price", 1.3, True),
    Column("Stop loss", 1.2, True),
    Column("Take profit", 1.2, True),
    Column("Swap", 1.1, True),
    Column("Profit", 1.3, True),
)
ORDERS = (
    Column("Placed (UTC)", 1.9),
    Column("Order", 1.2),
    Column("Symbol", 1.2),
    Column("Type", 1.4),
    Column("Lots", 0.9, True),
    Column("Price", 2.1, True),
    Column("Stop loss", 1.2, True),
    Column("Take profit", 1.2, True),
    Column("Valid", 1.9),
    Column("Comment", 2.0),
)
SYMBOLS = (
    Column("Symbol", 1.4),
    Column("Deals", 0.8, True),
    Column("Lots", 1.0, True),
    Column("Profit", 1.3, True),
    Column("Commission", 1.3, True),
    Column("Swap", 1.3, True),
    Column("Net", 1.3, True),
    Column("Swap charged", 1.3, True),
)


def rendered(statement: Statement, heading: Heading) -> bytes:
    """
    Return a statement as the bytes of a PDF file.

    :raises Busy: it did not come to its turn in time.
    """
    with one_at_a_time():
        return _Document(statement, heading).made()


class _Document:
    """One statement on its way to paper."""

    def __init__(self, statement: Statement, heading: Heading) -> None:
        self.statement = statement
        self.heading = heading
        self.period = _period(statement.period)
        self._empty: list[str] = []
        self.sheet = Sheet(
            title=f"Statement of account {heading.login}",
            author=heading.broker,
            footer=printable(f"{heading.broker} · Account {heading.login} · {self.period} UTC"),
        )

    def made(self) -> bytes:
        """Draw everything and return the file."""
        self._head()
        self._figures()
        self._curve()
        self._symbols()
        self._table("Deals", DEALS, self._deals(), len(self.statement.deals), total=self._deal_total())
        self._table("Money in and out", MOVEMENTS, self._movements(), len(self.statement.movements))
        self._table("Swaps and fees", SWAPS, self._swaps(), len(self.statement.swaps))
        self._table(
            "Open positions",
            POSITIONS,
            self._positions(),
            len(self.statement.positions),
        )
        self._table("Working orders", ORDERS, self._orders(), len(self.statement.orders))
        self._notes()
        return self.sheet.finished()

    # -- the first page
    # --------------------------------------------------------------------------------------

    def _head(self) -> None:
        sheet, heading = self.sheet, self.heading
        sheet.text(LEFT, TOP - 14, fitted(heading.broker, 380, size=18), size=18, bold=True, color=ACCENT)
        sheet.text(LEFT, TOP - 30, "Account statement", size=11)
        sheet.text(LEFT, TOP - 43, f"{self.period} UTC", size=9, color=MUTED)
        holder = fitted(heading.holder, 340, size=11) if heading.holder else ""
        sheet.text(RIGHT, TOP - 14, holder, size=11, bold=True, right=True)
        mode = f"{heading.position_mode}, leverage 1:{self.statement.closing.leverage}"
        facts = f"Account {heading.login} · {heading.group} · {heading.currency} · {mode}"
        sheet.text(RIGHT, TOP - 29, fitted(facts, 400, size=9), size=9, right=True)
        made = f"Made on {_time(heading.generated_at)} UTC"
        sheet.text(RIGHT, TOP - 43, made, size=9, color=MUTED, right=True)
        sheet.y = TOP - 52
        sheet.rule(sheet.y, color=ACCENT, width=1.2)

    def _figures(self) -> None:
        told = self.statement
        totals, closing = told.totals(), told.closing
        by_kind = {move.kind: told.moved(move.kind) for move in told.movements}
        flow: list[tuple[str, Decimal | None]] = [
            ("Opening balance", told.opening.balance),
            *((NAMES[kind], amount) for kind, amount in sorted(by_kind.items())),
            ("Profit of deals", totals.profit),
            ("Commission", totals.commission),
            ("Swap", totals.swap),
            ("Closing balance", closing.money.balance),
        ]
        end: list[tuple[str, Decimal | None]] = [
            ("Credit", closing.money.credit),
            ("Floating profit", closing.floating),
            ("Equity", closing.equity),
            ("Margin", closing.margin),
            ("Free margin", closing.free_margin),
        ]
        rows = [flow[first : first + FIGURES] for first in range(0, len(flow), FIGURES)]
        for row in [*rows, end]:
            self.sheet.y -= 34
            for index, (title, amount) in enumerate(row):
                x = LEFT + index * INNER / FIGURES
                self.sheet.text(x, self.sheet.y + 13, title, color=MUTED)
                color = LOSS if amount is not None and amount < 0 else INK
                self.sheet.text(x, self.sheet.y, self._money(amount), size=11, bold=True, color=color)
        self.sheet.y -= 4

    def _curve(self) -> None:
        self.sheet.heading(f"Equity and balance, {self.heading.currency}", below=chart.HEIGHT)
        chart.draw(self.sheet, self.statement.curve)

    # -- tables
    # ----------------------------------------------------------------------------------------------

    def _table(
        self,
        title: str,
        columns: tuple[Column, ...],
        rows: Iterator[list[str]],
        count: int,
        *,
        total: list[str] | None = None,
    ) -> None:
        if count:
            self.sheet.heading(f"{title} ({count})")
            self.sheet.table(columns, rows, total=total)
        else:
            self._empty.append(title.lower())

    def _symbols(self) -> None:
        found = self.statement.totals_by_symbol()
        if not found:
            return
        self.sheet.heading("By symbol")
        rows = [self._sums(name, totals) for name, totals in found.items()]
        self.sheet.table(SYMBOLS, rows, total=self._sums("Total", self.statement.totals()))

    def _sums(self, name: str, totals: Totals) -> list[str]:
        amounts = (
            totals.profit,
            totals.commission,
            totals.swap,
            totals.net,
            totals.swap_charged + totals.fees_charged,
        )
        return [name, str(totals.deals), plain(totals.volume), *(self._money(amount) for amount in amounts)]

    def _deals(self) -> Iterator[list[str]]:
        for deal in self.statement.deals:
            yield [
                _time(deal.at),
                str(deal.id),
                str(deal.position_id),
                deal.symbol,
                f"{deal.side} {deal.entry.replace('_', ' ')}",
                plain(deal.volume),
                text(deal.price),
                self._money(deal.commission),
                self._money(deal.swap),
                self._money(deal.profit),
                self._money(deal.balance),
                deal.comment or ("" if deal.reason == "client" else deal.reason.replace("_", " ")),
            ]

    def _deal_total(self) -> list[str]:
        deals = self.statement.deals
        amounts = [
            self._money(sum((getattr(deal, name) for deal in deals), Decimal(0)))
            for name in ("commission", "swap", "profit")
        ]
        return ["Total", "", "", "", "", "", "", *amounts, "", ""]

    def _movements(self) -> Iterator[list[str]]:
        for move in self.statement.movements:
            amounts = [self._money(amount) for amount in (move.amount, move.balance, move.credit)]
            yield [_time(move.at), move.kind.value, move.reference, move.comment, *amounts]

    def _swaps(self) -> Iterator[list[str]]:
        for line in self.statement.swaps:
            yield [
                line.date,
                str(line.position_id),
                line.symbol,
                line.kind.replace("_", " "),
                line.side,
                plain(line.volume),
                str(line.multiplier),
                self._money(line.amount),
                "at once" if line.is_settled else "with the close",
            ]

    def _positions(self) -> Iterator[list[str]]:
        for shown in self.statement.positions:
            held = shown.position
            yield [
                _time(held.opened_at),
                str(held.id),
                held.symbol,
                held.side.value,
                plain(held.volume),
                text(held.open_price),
                _price(shown.price) or WITHOUT_PRICE,
                _price(held.stop_loss),
                _price(held.take_profit),
                self._money(held.swap),
                self._money(shown.profit),
            ]

    def _orders(self) -> Iterator[list[str]]:
        for order in self.statement.orders:
            price = text(order.price) if order.price is not None else ""
            if order.stop_limit_price is not None:
                price = f"{price} / {text(order.stop_limit_price)}"
            until = order.time_in_force.value.upper()
            yield [
                _time(order.created_at),
                str(order.id),
                order.symbol,
                f"{order.side.value} {order.type.value.replace('_', ' ')}",
                plain(order.volume),
                price,
                _price(order.stop_loss),
                _price(order.take_profit),
                _time(order.expires_at) if order.expires_at else until,
                order.comment,
            ]

    def _notes(self) -> None:
        told = self.statement
        self.sheet.y -= 6
        if self._empty:
            self.sheet.note(f"There were no {', no '.join(self._empty)}.")
        if told.positions:
            self.sheet.note(f"Open positions are valued at the prices of {_time(told.closing.at)} UTC.")
        self.sheet.note(
            "Opening balance, all lines and closing balance were added up and compared with the journal and "
            "the ledger."
        )
        if any(point.equity is None for point in told.curve) or told.closing.equity is None:
            self.sheet.note(
                "Where no quote is stored for an instant, floating profit and equity are not known: they are "
                "left out, the curve has a gap."
            )

    def _money(self, amount: Decimal | None) -> str:
        if amount is None:
            return WITHOUT_PRICE
        return f"{rounded(amount, digits(self.statement.currency)) + 0:,}"


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _price(price: Decimal | None) -> str:
    return "" if price is None else text(price)


def _period(period: Period) -> str:
    """Return a period as people say it: whole days by their dates."""
    midnights = all(
        at == at.replace(hour=0, minute=0, second=0, microsecond=0) for at in (period.start, period.end)
    )
    if not midnights:
        return f"{_time(period.start)} to {_time(period.end)}"
    last = period.end - timedelta(days=1)
    first = f"{period.start:%Y-%m-%d}"
    return first if last == period.start else f"{first} to {last:%Y-%m-%d}"
