"""A dossier as the page of a liquidation shows it: figures, chart, tables. It computes nothing."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from apps.risk.domain import stories
from rtx.kernel.admin_display import EMPTY, badge, grouped
from rtx.kernel.clock import from_ms

Told = Mapping[str, Any]
STATE_TONES = {"open": "good"}


def page_of(told: Told) -> dict[str, Any]:
    """Return everything that the template of a dossier needs."""
    return {
        "figures": _figures(told),
        "chart": _chart(told),
        "sections": [
            _steps(told),
            _positions(told),
            _orders(told),
            _prices(told),
            _rates(told),
        ],
        "left": [f"#{one['position_id']} {one['symbol']}: {_words(one['reason'])}" for one in told["left"]],
        "stop_out_pct": told["stop_out_pct"],
    }


def _figures(told: Told) -> list[dict[str, str]]:
    before, after, currency = told["before"], told["after"], told["account"]["currency"]
    cells = [
        ("Level before", stories.level(before)),
        ("Level after", stories.level(after)),
        ("Stop-out at", f"{told['stop_out_pct']} %"),
        (f"Equity before, {currency}", _money(before["equity"])),
        (f"Equity after, {currency}", _money(after["equity"])),
        (f"Margin before, {currency}", _money(before["margin"])),
        (f"Made good, {currency}", _money(told["compensation"])),
    ]
    return [{"title": title, "value": value} for title, value in cells]


def _chart(told: Told) -> dict[str, Any]:
    """Return level, equity and margin before the first step and after each."""
    points = [("before", told["before"]), *((_name(step), step["after"]) for step in told["steps"])]
    return {
        "labels": [name for name, _ in points],
        "level": [
            None if one["level_pct"] is None else stories.amount(one["level_pct"]) for _, one in points
        ],
        "equity": [stories.amount(one["equity"]) for _, one in points],
        "margin": [stories.amount(one["margin"]) for _, one in points],
        "stop_out": told["stop_out_pct"],
        "currency": told["account"]["currency"],
    }


def _name(step: Told) -> str:
    return f"{step['action']} #{step.get('position_id', step.get('order_id'))}"


def _steps(told: Told) -> dict[str, Any]:
    rows = []
    for number, step in enumerate(told["steps"], 1):
        is_close = step["action"] == "close"
        runner_up = step["runner_up"]
        lots = step["volume"]
        if is_close and step["volume"] != step["of_volume"]:
            lots = f"{step['volume']} of {step['of_volume']}"
        rows.append(
            [
                str(number),
                _name(step),
                step["symbol"],
                _side(step["side"]),
                lots,
                step["price"] if is_close else EMPTY,
                _money(step["profit"]) if is_close else EMPTY,
                _money(step["swap"]) if is_close else EMPTY,
                _money(step["commission"]) if is_close else EMPTY,
                f"{step['chosen_by']}: {_value(step['value'])}",
                EMPTY if runner_up is None else f"#{runner_up['id']}: {_value(runner_up['value'])}",
                f"{stories.level(step['before'])} → {stories.level(step['after'])}",
            ]
        )
    headers = ["", "Step", "Symbol", "Side", "Lots", "Price", "Profit", "Swap", "Commission", "Chosen by"]
    return _section(
        "Steps", [*headers, "Runner-up", "Level"], rows, "Nothing was open: the debt was made good."
    )


def _positions(told: Told) -> dict[str, Any]:
    rows = [
        [
            f"#{one['id']}",
            one["symbol"],
            _side(one["side"]),
            one["volume"],
            one["open_price"],
            one["price"],
            _money(one["profit"]),
            _money(one["swap"]),
            _money(one["margin"]),
            one["opened_at"][:19].replace("T", " "),
        ]
        for one in told["positions"]
    ]
    headers = [
        "Position",
        "Symbol",
        "Side",
        "Lots",
        "Open price",
        "Price",
        "Profit",
        "Swap",
        "Margin",
        "Opened (UTC)",
    ]
    return _section("Positions before", headers, rows, "None was open.")


def _orders(told: Told) -> dict[str, Any]:
    rows = [
        [
            f"#{one['id']}",
            one["symbol"],
            _side(one["side"]),
            one["volume"],
            one["price"],
            _money(one["margin"]),
        ]
        for one in told["orders"]
    ]
    return _section(
        "Working orders before", ["Order", "Symbol", "Side", "Lots", "Price", "Margin"], rows, "None worked."
    )


def _prices(told: Told) -> dict[str, Any]:
    rows = []
    for symbol, price in told["prices"].items():
        quoted = price.get("quote_time_ms")
        rows.append(
            [
                symbol,
                price.get("bid", EMPTY),
                price.get("ask", EMPTY),
                price.get("raw_bid", EMPTY),
                price.get("raw_ask", EMPTY),
                EMPTY if quoted is None else f"{from_ms(quoted):%Y-%m-%d %H:%M:%S.%f}"[:-3],
                badge(_words(price["state"]), STATE_TONES.get(price["state"], "bad")),
            ]
        )
    headers = ["Symbol", "Client bid", "Client ask", "Feed bid", "Feed ask", "Quoted (UTC)", "State"]
    return _section("Prices", headers, rows, "None was needed.")


def _rates(told: Told) -> dict[str, Any]:
    rows = [
        [*pair.split(">"), _rate(rate["gain"]), _rate(rate["loss"])] for pair, rate in told["rates"].items()
    ]
    return _section("Conversion rates", ["From", "To", "Of a profit", "Of a loss"], rows, "None was needed.")


def _section(title: str, headers: list[str], rows: list[list[Any]], empty: str) -> dict[str, Any]:
    return {"title": title, "headers": headers, "rows": rows, "empty": empty}


def _side(side: str) -> Any:
    return badge(side.capitalize(), "good" if side == "buy" else "bad")


def _money(value: str | None) -> str:
    return EMPTY if value is None else grouped(stories.amount(value))


def _rate(value: str | None) -> str:
    """Write a rate to ten significant digits: an inverted one never ends."""
    return EMPTY if value is None else f"{Decimal(value):.10g}"


def _value(value: str) -> str:
    """Write what the rule ranked by: an amount, or a time."""
    try:
        Decimal(value)
    except ArithmeticError:
        return value
    return _money(value)


def _words(reason: str) -> str:
    return reason.replace("_", " ")
