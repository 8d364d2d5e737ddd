"""
Orders over `/ws`: the same input, the same command and the same answer as over REST, without blocking the
loop.
"""

import asyncio
from typing import TYPE_CHECKING, Any

from django.conf import settings

from apps.trading.api.inputs import ClosePositionIn, MarketOrderIn
from apps.trading.consumers import access
from apps.trading.consumers.requests import RequestError, Trade
from apps.trading.consumers.threads import off_loop
from apps.trading.domain.commands import Command, Outcome
from apps.trading.selectors import books
from apps.trading.services import executor, orders, positions

if TYPE_CHECKING:
    from apps.trading.consumers.session import Session


class PositionCloseIn(ClosePositionIn, kw_only=True):
    """`position.close`: as over REST, where the position stands in the address."""

    position_id: int


async def perform(session: "Session", request: Trade) -> dict[str, Any]:
    """
    Run a trading request and return its outcome: an order, refused ones included.

    :raises RtxError: as the services do.
    """
    if request.op == "order.market":
        return await _place_market(session, request)
    if request.op == "position.close":
        return await _close_position(session, request)
    raise RequestError("not_supported", f"{request.op} is not supported")


async def _place_market(session: "Session", request: Trade) -> dict[str, Any]:
    order = MarketOrderIn.validated(bytes(request.data))
    account_id = await access.account_id(session.granted(), order.account)
    command = orders.market_command(account_id=account_id, order=order.to_domain(), actor=session.actor())
    return books.order_answer(await _outcome(command), login=order.account)


async def _close_position(session: "Session", request: Trade) -> dict[str, Any]:
    close = PositionCloseIn.validated(bytes(request.data))
    account = await off_loop(
        books.closing_account,
        user_id=session.granted().user_id,
        position_id=close.position_id,
        client_order_id=close.client_order_id,
    )
    command = positions.close_command(
        account_id=account.id,
        position_id=close.position_id,
        volume=close.volume,
        client_order_id=close.client_order_id,
        actor=session.actor(),
    )
    return books.order_answer(await _outcome(command), login=account.login)


async def _outcome(command: Command) -> Outcome:
    """
    Wait for the executor. A socket that ends meanwhile does not take its order back.

    :raises Unavailable: no answer in time, and the command was taken back.
    :raises OutcomeUnknown: no answer in time; the command may still be booked.
    """
    submitted = executor.submit(command)
    answer = asyncio.wrap_future(submitted)
    try:
        async with asyncio.timeout(settings.EXECUTOR_RESULT_TIMEOUT_S):
            return await asyncio.shield(answer)
    except TimeoutError:
        raise executor.given_up(submitted) from None
