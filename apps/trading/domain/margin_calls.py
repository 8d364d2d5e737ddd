"""
Margin calls: what tells a client that the margin level has come to its group's level, and that it is over.
Pure. Closes nothing: that is stop_out.py.
"""

from datetime import datetime

from apps.trading.domain import journal
from apps.trading.domain.commands import CallMargin, Outcome
from apps.trading.domain.filling import Desk
from apps.trading.domain.pricing import MarketView
from apps.trading.domain.stop_out_rules import Standing
from rtx.kernel.errors import Conflict
from rtx.kernel.money import booked, plain, text


class MarginCallVoid(Conflict):
    """The margin level is not where the command says. Nothing is journaled."""

    code = "margin_call_void"
    title = "No margin call"


def call(desk: Desk, command: CallMargin, market: MarketView, now: datetime) -> Outcome:
    """
    Tell the client that the margin level has come to the margin-call level, or has recovered from it.

    :raises MarginCallVoid: the level is elsewhere by now, or cannot be told: no price, or an old one.
    """
    group = market.group
    if group is None:
        raise MarginCallVoid(f"The group of account {desk.account.login} has no terms.")
    value = desk.valuation(market)
    symbols = {position.symbol for position in desk.positions.values()}
    is_stale = any(market.in_session(symbol) and not market.is_usable(symbol) for symbol in symbols)
    if value is None or is_stale:
        raise MarginCallVoid(f"Account {desk.account.login} cannot be valued now.")
    standing = Standing(value.equity, desk.account.margin)
    level = group.margin_call_ends_pct if command.ends else group.margin_call_pct
    if standing.is_at_most(level, is_exposed=bool(desk.positions)) is command.ends:
        raise MarginCallVoid(f"Account {desk.account.login} has a margin level of {standing.level_text} %.")
    currency = desk.account.currency
    payload: journal.Payload = {
        "margin_level": standing.level_text or None,
        "margin_call_level": plain(group.margin_call_pct),
        "stop_out_level": plain(group.stop_out_pct),
        "equity": text(booked(value.equity, currency)),
        "free_margin": text(booked(value.free_margin, currency)),
        **desk.money(),
    }
    return desk.outcome("margin_call_ended" if command.ends else "margin_called", payload)
