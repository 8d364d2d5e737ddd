"""
A dossier told in sentences, and the first place in which two dossiers differ. Pure.

Reads what a dossier says (trading/domain/dossiers.py) and adds nothing of its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from rtx.kernel.money import rounded, text

Told = Mapping[str, Any]
RULES = {
    "largest_loss": "the largest loss goes first",
    "largest_margin": "the largest margin goes first",
    "fifo": "the oldest goes first",
    "smart": "the smallest part that restores the level goes first",
}
CENTS = 2


def lines(told: Told) -> list[str]:
    """Return the story of a liquidation, one sentence or figure a line."""
    return [
        *_opening(told),
        "",
        "Prices",
        *_prices(told),
        *_rates(told),
        "",
        "What was held",
        *_held(told),
        "",
        "Steps",
        *(line for number, step in enumerate(told["steps"], 1) for line in _step(number, step, told)),
        *([] if told["steps"] else ["  none: nothing was open"]),
        "",
        *_ending(told),
    ]


def amount(value: str | None) -> str:
    """Return an amount to two decimals, for reading."""
    return "-" if value is None else text(rounded(Decimal(value), CENTS))


def level(standing: Told) -> str:
    """Return a margin level for reading."""
    found = standing["level_pct"]
    return "no margin" if found is None else f"{amount(found)} %"


def _opening(told: Told) -> Iterator[str]:
    account, asked, before = told["account"], told["asked"], told["before"]
    currency = account["currency"]
    yield f"Account {account['login']} in group {account['group']}, 1:{account['leverage']}, at {told['at']}"
    yield (
        f"Asked for by {asked['cause']}"
        + (f" on a quote of {asked['quote_time_ms']} ms" if asked["quote_time_ms"] is not None else "")
        + (f", leadership {asked['fence']}" if asked["fence"] else "")
    )
    yield (
        f"Balance {account['balance']} and credit {account['credit']} {currency}; equity "
        f"{amount(before['equity'])}, margin {before['margin']}, level {level(before)}"
    )
    yield (
        f"Stop-out at or below {told['stop_out_pct']} %: "
        f"{RULES.get(told['rule'], told['rule'])}"
        + ("; a debt is made good" if told["protects_balance"] else "")
    )


def _prices(told: Told) -> Iterator[str]:
    for symbol, price in told["prices"].items():
        if "bid" in price:
            yield (
                f"  {symbol:<10} {price['bid']} / {price['ask']}  (feed {price['raw_bid']} / "
                f"{price['raw_ask']}), {price['state']}"
            )
        else:
            yield f"  {symbol:<10} {price['state']}"


def _rates(told: Told) -> Iterator[str]:
    for pair, rate in told["rates"].items():
        source, target = pair.split(">")
        yield f"  one {source} of profit is {rate['gain']} {target}, of loss {rate['loss']} {target}"


def _held(told: Told) -> Iterator[str]:
    for one in told["positions"]:
        yield (
            f"  #{one['id']} {one['side']} {one['volume']} {one['symbol']} @ {one['open_price']}, now "
            f"{one['price']}: profit {amount(one['profit'])}, swap {one['swap']}, margin "
            f"{amount(one['margin'])}"
        )
    for order in told["orders"]:
        yield (
            f"  order #{order['id']} {order['side']} {order['volume']} {order['symbol']} @ {order['price']}, "
            f"margin {order['margin']}"
        )


def _step(number: int, step: Told, told: Told) -> Iterator[str]:
    if step["action"] == "cancel":
        yield (
            f"  {number}. cancel order #{step['order_id']} {step['side']} {step['volume']} {step['symbol']}, "
            f"{step['chosen_by']}: {amount(step['value'])}"
        )
    else:
        part = "" if step["volume"] == step["of_volume"] else f" of {step['of_volume']}"
        yield (
            f"  {number}. close {step['volume']}{part} lots of #{step['position_id']} {step['side']} "
            f"{step['symbol']} @ {step['price']}, {step['chosen_by']}: {step['value']}"
        )
        yield (
            f"     profit {step['profit']}, swap {step['swap']}, commission {step['commission']} "
            f"{told['account']['currency']} at rate {step['rate']}"
        )
    runner_up = step["runner_up"]
    if runner_up is not None:
        yield f"     next in line: #{runner_up['id']} ({runner_up['value']})"
    yield f"     level {level(step['before'])} -> {level(step['after'])}"


def _ending(told: Told) -> Iterator[str]:
    after, currency = told["after"], told["account"]["currency"]
    yield f"Afterwards equity {amount(after['equity'])}, margin {after['margin']}, level {level(after)}"
    if Decimal(told["credit_used"]):
        yield f"Credit used against the debt: {told['credit_used']} {currency}"
    if Decimal(told["compensation"]):
        yield f"Debt made good by the house: {told['compensation']} {currency}"
    for one in told["left"]:
        yield f"Left open: #{one['position_id']} {one['symbol']}, {one['reason']}"


def difference(first: Any, second: Any, *, path: str = "") -> str | None:
    """Return where two decoded JSON values first differ, with both values; None: they are equal."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in sorted({*first, *second}):
            place = f"{path}.{key}" if path else str(key)
            if key not in first or key not in second:
                return f"{place}: only in the {'first' if key in first else 'second'}"
            if (found := difference(first[key], second[key], path=place)) is not None:
                return found
        return None
    if _is_list(first) and _is_list(second):
        if len(first) != len(second):
            return f"{path}: {len(first)} entries, then {len(second)}"
        for number, (one, other) in enumerate(zip(first, second, strict=True)):
            if (found := difference(one, other, path=f"{path}[{number}]")) is not None:
                return found
        return None
    return None if first == second else f"{path}: {first!r}, then {second!r}"


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
