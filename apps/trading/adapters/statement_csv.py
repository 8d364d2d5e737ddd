"""
Statements as CSV (RFC 4180): one table, one line per record, `record` says of which kind. Computes nothing.

UTF-8 with a byte order mark, because Excel reads a CSV file without one in the machine's old code page. Times
are UTC in a form that spreadsheets read. Every column holds either numbers or texts: a number is written from
a Decimal, so that a negative amount stays a number; a text that a spreadsheet would take for a formula gets
an apostrophe in front, also after a separator inside it, because other locales split cells at `;`, and before
quotes that would open such a cell.
"""

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from apps.trading.domain.statements import Heading, Statement, Totals
from rtx.kernel.money import booked, plain, text

COLUMNS = (
    "record",
    "time_utc",
    "seq",
    "ticket",
    "order",
    "position",
    "symbol",
    "kind",
    "side",
    "volume",
    "price",
    "profit",
    "commission",
    "swap",
    "amount",
    "balance",
    "credit",
    "equity",
    "reference",
    "text",
)
MONEY = frozenset({"profit", "commission", "swap", "amount", "balance", "credit", "equity"})
FORMULA = re.compile(r"(^|[;,|\t\r\n])(?=[\s\"]*[=+\-@＝＋－＠])|^(?=[\t\r\n])")

Record = dict[str, Any]


def rendered(statement: Statement, heading: Heading) -> bytes:
    """Return a statement as the bytes of a CSV file."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for record in _records(statement, heading):
        writer.writerow([_cell(_shown(name, record.get(name), statement.currency)) for name in COLUMNS])
    return out.getvalue().encode("utf-8-sig")


def harmless(given: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return FORMULA.sub(r"\1'", given)


def _shown(name: str, value: Any, currency: str) -> Any:
    """Give money the digits of its currency."""
    return booked(value, currency) if name in MONEY and isinstance(value, Decimal) else value


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return text(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    if isinstance(value, int):
        return str(value)
    return harmless(str(value))


def _records(statement: Statement, heading: Heading) -> Iterator[Record]:
    yield from _heading(statement, heading)
    opening, closing = statement.opening, statement.closing
    yield {
        "record": "opening",
        "time_utc": statement.period.start,
        "balance": opening.balance,
        "credit": opening.credit,
    }
    lines = [*_deals(statement), *_movements(statement), *_swaps(statement)]
    yield from sorted(lines, key=lambda record: int(record["seq"]))
    yield {
        "record": "closing",
        "time_utc": closing.at,
        "balance": closing.money.balance,
        "credit": closing.money.credit,
        "equity": closing.equity,
        "profit": closing.floating,
    }
    yield from _positions(statement)
    yield from _orders(statement)
    yield from _totals(statement)
    for point in statement.curve:
        yield {"record": "curve", "time_utc": point.at, "balance": point.balance, "equity": point.equity}


def _heading(statement: Statement, heading: Heading) -> Iterator[Record]:
    facts = {
        "broker": heading.broker,
        "holder": heading.holder,
        "account": str(heading.login),
        "group": heading.group,
        "currency": heading.currency,
        "positions": heading.position_mode,
        "leverage": str(statement.closing.leverage),
        "from": _cell(statement.period.start),
        "to": _cell(statement.period.end),
        "generated": _cell(heading.generated_at),
    }
    for name, value in facts.items():
        yield {"record": "heading", "reference": name, "text": value}


def _deals(statement: Statement) -> Iterator[Record]:
    for deal in statement.deals:
        yield {
            "record": "deal",
            "time_utc": deal.at,
            "seq": deal.seq,
            "ticket": deal.id,
            "order": deal.order_id,
            "position": deal.position_id,
            "symbol": deal.symbol,
            "kind": deal.entry,
            "side": deal.side,
            "volume": deal.volume,
            "price": deal.price,
            "profit": deal.profit,
            "commission": deal.commission,
            "swap": deal.swap,
            "amount": deal.amount,
            "balance": deal.balance,
            "reference": deal.client_order_id,
            "text": deal.comment,
        }


def _movements(statement: Statement) -> Iterator[Record]:
    for move in statement.movements:
        yield {
            "record": "movement",
            "time_utc": move.at,
            "seq": move.seq,
            "kind": move.kind.value,
            "amount": move.amount,
            "balance": move.balance,
            "credit": move.credit,
            "reference": move.reference,
            "text": move.comment,
        }


def _swaps(statement: Statement) -> Iterator[Record]:
    for line in statement.swaps:
        yield {
            "record": line.kind,
            "time_utc": line.at,
            "seq": line.seq,
            "position": line.position_id,
            "symbol": line.symbol,
            "kind": "booked" if line.is_settled else "carried",
            "side": line.side,
            "volume": line.volume,
            "amount": line.amount,
            "balance": line.balance,
            "text": f"{line.date} x {line.multiplier}",
        }


def _positions(statement: Statement) -> Iterator[Record]:
    for shown in statement.positions:
        held = shown.position
        yield {
            "record": "position",
            "time_utc": held.opened_at,
            "position": held.id,
            "symbol": held.symbol,
            "side": held.side.value,
            "volume": held.volume,
            "price": held.open_price,
            "profit": shown.profit,
            "swap": held.swap,
        }


def _orders(statement: Statement) -> Iterator[Record]:
    for order in statement.orders:
        yield {
            "record": "order",
            "time_utc": order.created_at,
            "order": order.id,
            "symbol": order.symbol,
            "kind": order.type.value,
            "side": order.side.value,
            "volume": order.volume,
            "price": order.price,
            "reference": order.client_order_id,
            "text": order.comment,
        }


def _totals(statement: Statement) -> Iterator[Record]:
    everything = statement.totals()
    for symbol, totals in statement.totals_by_symbol().items():
        yield {"record": "total", "symbol": symbol, **_sums(totals)}
    yield {"record": "total", **_sums(everything)}
    paid = {move.kind for move in statement.movements}
    for kind in sorted(paid):
        yield {"record": "total", "kind": kind.value, "amount": statement.moved(kind)}


def _sums(totals: Totals) -> Record:
    return {
        "kind": "trading",
        "volume": Decimal(plain(totals.volume)),
        "profit": totals.profit,
        "commission": totals.commission,
        "swap": totals.swap,
        "amount": totals.net,
    }
