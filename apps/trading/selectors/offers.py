"""What a client may trade and at which prices: symbols and quotes under the terms of the client's group."""

from typing import Any

from apps.groups.domain.terms import Terms
from apps.market.domain.symbols import SwapMode
from apps.trading.selectors.markets import Markets, markets
from rtx.kernel import clock
from rtx.kernel.clock import from_ms, rfc3339
from rtx.kernel.money import plain, text

Payload = dict[str, Any]


def symbol_view(terms: Terms, views: Markets) -> Payload:
    """Return one symbol with the terms of one group."""
    symbol = terms.symbol
    view = views.of_group(terms.group.id)
    return {
        "symbol": symbol.name,
        "description": symbol.description,
        "asset_class": symbol.asset_class,
        "base_currency": symbol.base_currency,
        "profit_currency": symbol.profit_currency,
        "margin_currency": symbol.margin_currency,
        "digits": symbol.digits,
        "contract_size": plain(symbol.contract_size),
        "volume_min": plain(terms.volume_min),
        "volume_max": plain(terms.volume_max),
        "volume_step": plain(symbol.volume_step),
        "stop_level_points": terms.stop_level_points,
        "freeze_level_points": terms.freeze_level_points,
        "margin_mode": symbol.margin_mode.value,
        "leverage": terms.leverage_max,
        "trade_mode": terms.trade_mode.value,
        "in_session": view.in_session(symbol.name),
        "sessions": {
            "timezone": symbol.calendar.timezone,
            "always_open": symbol.calendar.always_open,
            "hours": [
                {
                    "weekday": opening.weekday,
                    "opens_at": opening.opens_at.strftime("%H:%M"),
                    "closes_at": opening.closes_at.strftime("%H:%M"),
                }
                for opening in symbol.calendar.hours
            ],
        },
        "commission": {
            "mode": terms.commission.mode.value,
            "value": text(terms.commission.value),
            "charge": terms.commission.charge.value,
            "minimum": text(terms.commission.minimum),
            "tiers": [
                {"from": plain(start), "value": text(value)} for start, value in terms.commission.tiers
            ],
            "currency": terms.group.currency,
        },
        "swap": _swap(terms),
    }


def _swap(terms: Terms) -> Payload | None:
    """Return what a night costs or pays; None: nothing. A swap-free group charges its fee instead."""
    group, swap = terms.group, terms.swap
    rollover = {
        "rollover_time": group.rollover.time.strftime("%H:%M"),
        "timezone": group.rollover.timezone,
    }
    if group.swap_free:
        fee = group.admin_fee
        return {
            "mode": "admin_fee",
            "per_lot": text(fee.per_lot),
            "after_nights": fee.after_nights,
            "currency": group.currency,
            **rollover,
        }
    if swap.mode is SwapMode.NONE:
        return None
    return {
        "mode": swap.mode.value,
        "long": text(swap.long),
        "short": text(swap.short),
        "multipliers": list(swap.multipliers),
        **rollover,
    }


def names(*, group_id: int) -> list[str]:
    """Return the names of what a group trades."""
    known = markets(now=clock.now()).book.terms.get(group_id, {})
    return sorted(name for name, terms in known.items() if terms.is_offered)


def symbols(*, group_id: int) -> list[Payload]:
    """Return what a group trades, by name."""
    views = markets(now=clock.now())
    known = views.book.terms.get(group_id, {})
    return [symbol_view(terms, views) for _, terms in sorted(known.items()) if terms.is_offered]


def quotes(*, group_id: int, names: list[str] | None = None) -> list[Payload]:
    """
    Return the group's present prices of the named symbols, or of all it trades; without a price it is left
    out.
    """
    views = markets(now=clock.now())
    view = views.of_group(group_id)
    wanted = sorted(views.book.terms.get(group_id, {})) if names is None else names
    shown = []
    for name in wanted:
        terms = view.terms(name)
        quote = view.client(name) if terms and terms.is_offered else None
        if quote is not None:
            shown.append(
                {
                    "symbol": name,
                    "bid": text(quote.bid),
                    "ask": text(quote.ask),
                    "time": rfc3339(from_ms(quote.time_ms)),
                }
            )
    return shown
