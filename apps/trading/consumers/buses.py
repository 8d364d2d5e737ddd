"""
The account messages of one stream process, heard through one Redis connection.

Redis may be away or lose messages at any time: listening continues by itself, and nobody waits for it
longer than a moment. What was lost is found by the feed's poll.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from apps.trading import events

log = logging.getLogger(__name__)

IDLE_CHANNEL = "rtx:account:idle"  # keeps the connection in subscribed state when no account is
CONFIRM_TIMEOUT_S = 0.5
RETRY_S = 0.5
READ_TIMEOUT_S = 5.0

Received = Callable[[int, bytes], None]


class AccountBus:
    """Listens to the channels of the accounts that somebody subscribes to."""

    def __init__(self, url: str, received: Received) -> None:
        self._url = url
        self._received = received
        self._account_ids: dict[str, int] = {}
        self._confirmations: dict[str, asyncio.Future[None]] = {}
        self._pubsub: PubSub | None = None
        self._drops: set[asyncio.Task[None]] = set()
        self._is_away = False

    async def add(self, account_id: int) -> None:
        """
        Start listening for an account; returns once Redis confirmed it, or after a moment without Redis.
        """
        channel = events.account_channel(account_id)
        if channel in self._account_ids and channel not in self._confirmations:
            return
        self._account_ids[channel] = account_id
        confirmed = self._confirmations.get(channel)
        if confirmed is None:
            confirmed = self._confirmations[channel] = asyncio.get_running_loop().create_future()
            await self._tell("subscribe", channel)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(confirmed), CONFIRM_TIMEOUT_S)

    def remove(self, account_id: int) -> None:
        """Stop listening for an account."""
        channel = events.account_channel(account_id)
        if self._account_ids.pop(channel, None) is not None:
            self._confirm(channel)
            drop = asyncio.get_running_loop().create_task(self._drop(channel))
            self._drops.add(drop)
            drop.add_done_callback(self._drops.discard)

    async def run(self) -> None:
        """Listen until canceled. An outage is logged once."""
        while True:
            client = Redis.from_url(self._url, socket_connect_timeout=1, socket_timeout=READ_TIMEOUT_S * 2)
            try:
                await self._listen(client)
            except (RedisError, OSError) as error:
                if not self._is_away:
                    log.warning("account messages not heard: %s", type(error).__name__)
                self._is_away = True
            finally:
                self._pubsub = None
                await client.aclose()
            await asyncio.sleep(RETRY_S)

    async def _listen(self, client: "Redis") -> None:
        async with client.pubsub() as pubsub:
            await pubsub.subscribe(IDLE_CHANNEL, *self._account_ids)
            self._pubsub = pubsub
            if self._is_away:
                log.info("account messages are heard again")
            self._is_away = False
            while True:
                message = await pubsub.get_message(timeout=READ_TIMEOUT_S)
                if message is None:
                    await pubsub.ping()
                    continue
                if message["type"] == "message":
                    account_id = self._account_ids.get(message["channel"].decode())
                    if account_id is not None:
                        self._received(account_id, message["data"])
                elif message["type"] == "subscribe":
                    self._confirm(message["channel"].decode())

    async def _tell(self, command: str, channel: str) -> None:
        """Send a change of interest; a broken connection learns all of them when it is back."""
        if self._pubsub is None:
            return
        try:
            await getattr(self._pubsub, command)(channel)
        except (RedisError, OSError) as error:
            log.warning("%s not sent: %s", command, type(error).__name__)

    async def _drop(self, channel: str) -> None:
        if channel not in self._account_ids:
            await self._tell("unsubscribe", channel)

    def _confirm(self, channel: str) -> None:
        confirmation = self._confirmations.pop(channel, None)
        if confirmation is not None and not confirmation.done():
            confirmation.set_result(None)
