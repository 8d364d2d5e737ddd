"""Statements as the public interface shows them: decimals are strings, instants RFC 3339."""

from dataclasses import asdict
from decimal import Decimal
from typing import Any

from apps.trading.domain import journal
from apps.trading.domain.statements import Heading, OpenPosition, Statement, Totals
from rtx.kernel.clock import rfc3339
from rtx.kernel.money import digits, plain, rounded, text

Payload = dict[str, Any]
AMOUNTS = frozenset({"profit", "commission", "swap", "amount", "balance", "credit"})


def view(statement: Statement, heading: Heading) -> Payload:
    """Return a statement as JSON values."""
    money = _Money(statement.currency)
    closing = statement.closing
    return {
        "broker": heading.broker,
        "account": {
            "login": heading.login,
            "holder": heading.holder,
            "group": heading.group,
            "currency": heading.currency,
            "position_mode": heading.position_mode,
            "leverage": closing.leverage,
        },
        "period": {"from": rfc3339(statement.period.start), "to": rfc3339(statement.period.end)},
        "generated_at": rfc3339(heading.generated_at),
        "opening": {"balance": money(statement.opening.balance), "credit": money(statement.opening.credit)},
        "closing": {
            "at": rfc3339(closing.at),
            "balance": money(closing.money.balance),
            "credit": money(closing.money.credit),
            "margin": money(closing.margin),
            "profit": money(closing.floating),
            "equity": money(closing.equity),
            "free_margin": money(closing.free_margin),
        },
        "totals": {
            **_totals(statement.totals(), money),
            **{
                f"{kind.value}s": money(statement.moved(kind))
                for kind in sorted({move.kind for move in statement.movements})
            },
        },
        "symbols": [
            {"symbol": name, **_totals(totals, money)}
            for name, totals in statement.totals_by_symbol().items()
        ],
        "deals": [_line(deal, money) for deal in statement.deals],
        "movements": [_line(move, money) for move in statement.movements],
        "swaps": [_line(line, money) for line in statement.swaps],
        "positions": [_position(shown, money) for shown in statement.positions],
        "orders": [_order(order) for order in statement.orders],
        "curve": [
            {"time": rfc3339(point.at), "balance": money(point.balance), "equity": money(point.equity)}
            for point in statement.curve
        ],
    }


class _Money:
    """Shows amounts with the digits of the account's currency; an amount that is not known is null."""

    def __init__(self, currency: str) -> None:
        self._digits = digits(currency)

    def __call__(self, amount: Decimal | None) -> str | None:
        return None if amount is None else text(rounded(amount, self._digits))


def _totals(totals: Totals, money: _Money) -> Payload:
    return {
        "deals": totals.deals,
        "volume": plain(totals.volume),
        "profit": money(totals.profit),
        "commission": money(totals.commission),
        "swap": money(totals.swap),
        "net": money(totals.net),
        "swap_charged": money(totals.swap_charged),
        "fees_charged": money(totals.fees_charged),
    }


def _line(line: Any, money: _Money) -> Payload:
    """Return a deal, a movement or a swap."""
    shown = asdict(line)
    for name, value in shown.items():
        if name in AMOUNTS:
            shown[name] = money(value)
        elif isinstance(value, Decimal):
            shown[name] = plain(value) if name == "volume" else text(value)
    shown["at"] = rfc3339(line.at)
    return shown


def _position(shown: OpenPosition, money: _Money) -> Payload:
    return {
        **journal.position_payload(shown.position),
        "current_price": None if shown.price is None else text(shown.price),
        "profit": money(shown.profit),
    }


def _order(order: Any) -> Payload:
    kept = journal.order_payload(order)
    return {"id": order.id, **{name: kept[name] for name in journal.ORDER_FIELDS if name in kept}}
