"""
Orders over `/ws`: the same input, the same command and the same answer as over REST, without blocking the
loop.
"""

import asyncio
from typing import TYPE_CHECKING, Any

from django.conf import settings

from apps.trading.api import operations
from apps.trading.api.operations import OPERATIONS, Asked
from apps.trading.consumers import access
from apps.trading.consumers.requests import Trade
from apps.trading.consumers.threads import off_loop
from apps.trading.domain.commands import Command, Outcome
from apps.trading.services import executor
from rtx.kernel.errors import RtxError

if TYPE_CHECKING:
    from apps.trading.consumers.session import Session


async def perform(session: "Session", request: Trade) -> dict[str, Any]:
    """
    Run a trading request and return its outcome, refused orders included.

    :raises RtxError: as the input, the account's lookup and the service do.
    """
    operation = OPERATIONS[request.op]
    given: Any = operation.input.validated(bytes(request.data))
    grant = session.granted()
    target = operation.target_of(given)
    if operation.find is None:
        account_id, login = await access.account_id(grant, given.account), given.account
    else:
        account = await off_loop(
            operations.account_of, operation, user_id=grant.user_id, given=given, target=target
        )
        account_id, login = account.id, account.login
    asked = Asked(
        account_id=account_id,
        actor=session.actor(),
        given=given,
        target=target,
        key=given.client_order_id,
    )
    try:
        outcome = await _outcome(operation.command(asked))
    except RtxError as error:
        if operation.instead is None:
            raise
        return await off_loop(operation.instead, grant.user_id, target, error)
    return operation.answer(outcome, login)


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
