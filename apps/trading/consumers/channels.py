"""
The channels of `/ws`: quotes, account and candles. Checks what a request may have and hands it to the feeds.
"""

from typing import TYPE_CHECKING, Any

from apps.trading.consumers import access
from apps.trading.consumers.candle_feed import INTERVALS
from apps.trading.consumers.requests import SYMBOLS_MAX, RequestError, Subscribe, Unsubscribe

if TYPE_CHECKING:
    from apps.trading.consumers.session import Session

FIELDS = {
    "quotes": frozenset({"symbols", "account"}),
    "account": frozenset({"account", "since"}),
    "candles": frozenset({"symbol", "interval", "account"}),
}
CHANNELS = tuple(FIELDS)


async def subscribe(session: "Session", request: Subscribe) -> None:
    """
    Start a channel: reply, then what is known now, then what comes.

    :raises RequestError: unknown channel, missing or foreign fields, symbols that are not offered.
    """
    _check_fields(request, {"symbols", "account", "since", "symbol", "interval"})
    if request.channel == "quotes":
        await _subscribe_quotes(session, request)
    elif request.channel == "account":
        await _subscribe_account(session, request)
    else:
        await _subscribe_candles(session, request)


async def unsubscribe(session: "Session", request: Unsubscribe) -> dict[str, Any]:
    """Stop a channel, or the named part of it. Stopping what was not started is no error."""
    _check_fields(request, {"symbols", "account", "symbol", "interval"})
    process, connection = session.process, session.connection
    if request.channel == "quotes":
        process.hub.unsubscribe(connection, request.symbols)
        return {"channel": "quotes", "symbols": process.hub.subscribed(connection)}
    if request.channel == "account":
        if request.account is None:
            process.accounts.leave(connection)
        else:
            account_id = await access.account_id(session.granted(), request.account)
            process.accounts.unsubscribe(connection, account_id)
        return {"channel": "account"}
    process.candles.unsubscribe(connection, symbol=request.symbol, interval=request.interval)
    return {"channel": "candles"}


async def _subscribe_quotes(session: "Session", request: Subscribe) -> None:
    symbols = list(dict.fromkeys(request.symbols or ()))
    if not 1 <= len(symbols) <= SYMBOLS_MAX:
        raise RequestError("invalid", f"`symbols` names 1 to {SYMBOLS_MAX} symbols")
    account_id, group_id = await _account_of(session, request)
    process, connection = session.process, session.connection
    _check_offered(session, group_id, symbols)
    simulated = [symbol for symbol in symbols if process.is_simulated(symbol)]
    session.reply(request, {"channel": "quotes", "symbols": symbols, "simulated": simulated})
    session.priced_by.update(dict.fromkeys(symbols, account_id))
    process.hub.subscribe(connection, group_id=group_id, symbols=symbols)


async def _subscribe_account(session: "Session", request: Subscribe) -> None:
    if request.account is None:
        raise RequestError("invalid", "`account` is missing")
    account = await access.account(session.granted(), request.account)
    feed = session.process.accounts
    subscription = await feed.subscribe(
        session.connection, account_id=account.id, login=account.login, since=request.since
    )
    session.reply(request, {"channel": "account", "account": account.login, "seq": subscription.seq})
    feed.start(subscription)


async def _subscribe_candles(session: "Session", request: Subscribe) -> None:
    symbol, interval = request.symbol, request.interval
    if symbol is None:
        raise RequestError("invalid", "`symbol` is missing")
    if interval not in INTERVALS:
        raise RequestError("invalid", f"`interval` is one of {', '.join(INTERVALS)}")
    _check_offered(session, (await _account_of(session, request))[1], [symbol])
    session.reply(request, {"channel": "candles", "symbol": symbol, "interval": interval})
    session.process.candles.subscribe(session.connection, symbol=symbol, interval=interval)


async def _account_of(session: "Session", request: Subscribe) -> tuple[int, int]:
    """
    Return the account whose prices are asked for, the named one or the user's first, and its present group.
    """
    grant = session.granted()
    if request.account is not None:
        account = await access.account(grant, request.account)
    else:
        account = await access.first_account(grant)
    return account.id, await access.group_of(account.id)


def _check_offered(session: "Session", group_id: int, symbols: list[str]) -> None:
    if not session.process.knows_terms:
        raise RequestError("unavailable", "terms are not known yet")
    unknown = [symbol for symbol in symbols if not session.process.hub.offered(group_id, symbol)]
    if unknown:
        shown = ", ".join(symbol[:32] for symbol in unknown[:5])
        raise RequestError("symbol_not_found", f"not offered: {shown}")


def _check_fields(request: Subscribe | Unsubscribe, known: set[str]) -> None:
    allowed = FIELDS.get(request.channel)
    if allowed is None:
        raise RequestError("unknown_channel", f"channels are {', '.join(CHANNELS)}")
    foreign = [name for name in sorted(known - allowed) if getattr(request, name) is not None]
    if foreign:
        raise RequestError("invalid", f"{request.channel} takes no `{foreign[0]}`")
