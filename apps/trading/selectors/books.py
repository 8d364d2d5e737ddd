"""Reads of accounts and positions, valued at the present prices of their group."""

from collections.abc import Sequence
from typing import Any

from django.db import connection
from psycopg import Cursor

from apps.accounts.selectors.accounts import AccountRef, accounts_of
from apps.trading.domain import journal, margin, profit
from apps.trading.domain.commands import Outcome
from apps.trading.domain.holdings import Holdings
from apps.trading.domain.orders import Position, Side
from apps.trading.domain.pricing import MarketView
from apps.trading.models import Deal as DealRow
from apps.trading.models import Position as PositionRow
from apps.trading.selectors.markets import Markets, markets
from apps.trading.selectors.rows import load_accounts
from rtx.kernel import clock
from rtx.kernel.errors import NotFound
from rtx.kernel.money import booked, text

Payload = dict[str, Any]


def holdings(account_ids: Sequence[int]) -> list[Holdings]:
    """Return accounts with their open positions, by ascending id."""
    connection.ensure_connection()
    with Cursor(connection.connection) as cursor:
        found = load_accounts(cursor, account_ids)
    return [
        Holdings(account=held.account, positions=held.positions, orders=held.orders)
        for _, held in sorted(found.items())
    ]


def account_views(account_ids: Sequence[int]) -> list[Payload]:
    """Return accounts as the public interface shows them."""
    views = markets(now=clock.now())
    return [account_view(held, views) for held in holdings(account_ids)]


def account_view(held: Holdings, views: Markets) -> Payload:
    """Return one account; what needs a missing price is null."""
    account = held.account
    group = views.book.groups[account.group_id]
    value = held.valuation(views.of_group(account.group_id))
    shown: Payload = {
        "login": account.login,
        "group": group.name,
        "currency": account.currency,
        "leverage": account.leverage,
        "status": account.status,
        "position_mode": account.position_mode.value,
        "balance": text(booked(account.balance, account.currency)),
        "credit": text(booked(account.credit, account.currency)),
        "margin": text(booked(account.margin, account.currency)),
        "profit": None,
        "equity": None,
        "free_margin": None,
        "margin_level": None,
        "seq": account.seq,
    }
    if value is not None:
        shown["profit"] = text(booked(value.profit, account.currency))
        shown["equity"] = text(booked(value.equity, account.currency))
        shown["free_margin"] = text(booked(value.free_margin, account.currency))
        if value.level_pct is not None:
            shown["margin_level"] = text(booked(value.level_pct, "USD"))
    return shown


def position_views(account_ids: Sequence[int], *, position_id: int | None = None) -> list[Payload]:
    """Return open positions, oldest first, or the one with that id."""
    views = markets(now=clock.now())
    return [
        position_view(position, held, views.of_group(held.account.group_id))
        for held in holdings(account_ids)
        for position in held.positions.values()
        if position_id is None or position.id == position_id
    ]


def position_view(position: Position, held: Holdings, market: MarketView) -> Payload:
    """
    Return one position with its present price, profit and margin (alone, without what an opposite one
    covers).

    Profit is null without a price or a conversion.
    """
    currency = held.account.currency
    quote = market.client(position.symbol)
    amount = profit.floating(position, market=market, currency=currency)
    closing = None if quote is None else quote.bid if position.side is Side.BUY else quote.ask
    return {
        **journal.position_payload(position),
        "account": held.account.login,
        "current_price": None if closing is None else text(closing),
        "profit": None if amount is None else text(booked(amount, currency)),
        "margin": text(booked(margin.of_symbol([position]), currency)),
    }


def order_answer(outcome: Outcome, *, login: int) -> Payload:
    """
    Return the order of an outcome as the interfaces answer it, the same for a first and a repeated request.
    """
    return _order_shown(outcome.payload["order"], login=login)


def close_all_answer(outcome: Outcome, *, login: int) -> Payload:
    """Return what became of closing everything: the closing orders, and what stayed open with its reason."""
    payload = outcome.payload
    return {
        "account": login,
        "orders": [_order_shown(order, login=login) for order in payload.get("orders", [])],
        "failed": payload.get("failed", []),
    }


def position_answer(outcome: Outcome, *, login: int) -> Payload:
    """Return the position of an outcome: its own values, without what moves with the market."""
    return {**outcome.payload["position"], "account": login}


def _order_shown(order: Payload, *, login: int) -> Payload:
    shown = {"id": order["id"], "account": login}
    shown |= {name: order[name] for name in journal.ORDER_FIELDS if name in order}
    shown["deals"] = [{name: deal[name] for name in journal.DEAL_FIELDS} for deal in order["deals"]]
    return shown


def account_of_position(*, user_id: int, position_id: int) -> AccountRef:
    """
    Return the client's account that holds a position, or held it: an answer may be asked for again.

    :raises NotFound: unknown, or somebody else's.
    """
    mine = {"account__client__user_id": user_id}
    account_id = (
        PositionRow.objects.filter(pk=position_id, **mine).values_list("account_id", flat=True).first()
    )
    if account_id is None:
        held = DealRow.objects.filter(position_id=position_id, **mine)
        account_id = held.values_list("account_id", flat=True).first()
    found = next((a for a in accounts_of(user_id=user_id) if a.id == account_id), None)
    if found is None:
        raise NotFound("There is no such open position.", code="position_not_found")
    return found
