"""
Did an order ever open what the account could not carry? Values fills anew from the journal, with the prices
that the deal keeps and, for other symbols, those stored for the instant.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from apps.accounts.models import AccountEvent, TradingAccount
from apps.groups.domain.terms import PositionMode
from apps.groups.selectors import terms_book
from apps.market.domain.quotes import Quote
from apps.market.selectors.history_quotes import quotes_at
from apps.trading.domain.holdings import Account
from apps.trading.domain.replaying import Replay
from apps.trading.selectors.markets import Markets

ACCOUNTS = 20
TOLERANCE = Decimal("0.02")  # of the margin: prices of other symbols may be some ticks off

Fill = tuple[TradingAccount, int, datetime, dict[str, Quote], Replay]


def opened_beyond_means(*, fills_per_account: int) -> tuple[list[str], int]:
    """Return the fills that left free margin below zero, in words, and how many fills were looked at."""
    found, checked = [], 0
    book = terms_book()
    accounts = list(TradingAccount.objects.order_by("login"))
    for account in accounts[:: max(1, len(accounts) // ACCOUNTS)]:
        for _, seq, at, quoted, replay in _openings(account, fills_per_account):
            quotes = {name: past.quote for name, past in quotes_at(at).items()} | quoted
            value = replay.valuation(Markets(book=book, now=at, quotes=quotes).of_group(account.group_id))
            if value is None:
                continue
            checked += 1
            if value.free_margin < -replay.account.margin * TOLERANCE:
                found.append(f"account {account.login} event {seq}: free margin {value.free_margin:.2f}")
    return found, checked


def _openings(account: TradingAccount, most: int) -> Iterator[Fill]:
    """Yield the fills that raised the margin, with the account as it stood right after each."""
    replay: Replay | None = None
    for seq, type_, at, payload in (
        AccountEvent.objects.filter(account=account)
        .order_by("seq")
        .values_list("seq", "type", "at", "payload")
        .iterator()
    ):
        if replay is None:
            replay = _opened(account, payload)
        before = replay.account.margin
        replay.replay(seq=seq, type_=type_, payload=payload)
        if most and type_ == "order_filled" and replay.account.margin > before:
            most -= 1
            yield account, seq, at, _quotes(payload), replay


def _opened(account: TradingAccount, payload: dict[str, Any]) -> Replay:
    return Replay(
        account=Account(
            id=account.pk,
            login=account.login,
            group_id=account.group_id,
            currency=account.currency,
            position_mode=PositionMode(account.position_mode),
            leverage=payload["leverage"],
        )
    )


def _quotes(payload: dict[str, Any]) -> dict[str, Quote]:
    """Return the raw quotes that an event's deals were made on."""
    return {
        deal["symbol"]: Quote(
            deal["symbol"],
            Decimal(payload["house"][str(deal["id"])]["raw_bid"]),
            Decimal(payload["house"][str(deal["id"])]["raw_ask"]),
            deal["quote_time"],
        )
        for deal in payload["order"]["deals"]
    }
