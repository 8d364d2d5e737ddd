"""
Account streams of one process: every event of a subscribed account, in `seq` order, without gap or repeat.

Redis messages are hints that may be lost, doubled or late; the journal is the truth. A subscription only
ever sends the event that follows the last one it sent, and reads the journal whenever it learns of a later
one that it lacks.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import msgspec
from django.db import Error as DatabaseError

from apps.trading.consumers.connection import Connection
from apps.trading.consumers.frames import text_frame
from apps.trading.consumers.requests import RequestError

log = logging.getLogger(__name__)

PAGE_EVENTS = 200
RECENT_EVENTS = 256
READ_RETRY_S = 1.0

ReadEvents = Callable[[int, int, int, int], Awaitable[list[tuple[int, bytes]]]]
ReadSeqs = Callable[[Iterable[int]], Awaitable[dict[int, int]]]


class Wakeups(Protocol):
    """Where messages of accounts come from (see `buses.AccountBus`)."""

    async def add(self, account_id: int) -> None:
        """Start listening for an account; returns once messages arrive, or when that cannot be had now."""

    def remove(self, account_id: int) -> None:
        """Stop listening for an account."""


class _Message(msgspec.Struct):
    """What must be known of a message to put it in order."""

    seq: int


_decoder = msgspec.json.Decoder(_Message)


class Subscription:
    """One socket's place in one account's journal."""

    __slots__ = ("account_id", "connection", "is_over", "login", "reader", "seq", "wanted")

    def __init__(self, *, connection: Connection, account_id: int, login: int, seq: int) -> None:
        self.connection = connection
        self.account_id = account_id
        self.login = login
        self.seq = seq
        self.wanted = seq
        self.reader: asyncio.Task[None] | None = None
        self.is_over = False


class _Account:
    """An account that somebody subscribes to, with its latest messages."""

    __slots__ = ("recent", "subscriptions")

    def __init__(self) -> None:
        self.subscriptions: dict[Connection, Subscription] = {}
        self.recent: dict[int, bytes] = {}

    def remember(self, seq: int, frame: bytes) -> None:
        self.recent[seq] = frame
        while len(self.recent) > RECENT_EVENTS:
            del self.recent[next(iter(self.recent))]


class AccountFeed:
    """Sends journal events to the sockets of this process."""

    def __init__(self, *, wakeups: Wakeups, read_events: ReadEvents, read_seqs: ReadSeqs) -> None:
        self._wakeups = wakeups
        self._read_events = read_events
        self._read_seqs = read_seqs
        self._accounts: dict[int, _Account] = {}

    async def subscribe(
        self, connection: Connection, *, account_id: int, login: int, since: int | None
    ) -> Subscription:
        """
        Register a socket for an account, listening first and reading second, so that nothing falls in
        between.

        Nothing is sent before `start`, which the caller calls after its reply.

        :raises RequestError: `since` lies beyond the journal's end.
        """
        account = self._accounts.setdefault(account_id, _Account())
        self._end(account.subscriptions.pop(connection, None))
        subscription = Subscription(connection=connection, account_id=account_id, login=login, seq=-1)
        account.subscriptions[connection] = subscription
        try:
            await self._wakeups.add(account_id)
            last = (await self._read_seqs([account_id])).get(account_id, 0)
            if since is not None and not 0 <= since <= last:
                raise RequestError("invalid", f"`since` must lie between 0 and {last}, the last event")
        except BaseException:
            self._remove(subscription)
            raise
        subscription.seq = last if since is None else since
        subscription.wanted = max(subscription.wanted, last)
        return subscription

    def start(self, subscription: Subscription) -> None:
        """Send what was missed, then what comes."""
        self._advance(subscription)

    def unsubscribe(self, connection: Connection, account_id: int) -> None:
        """Stop one account for a socket."""
        account = self._accounts.get(account_id)
        subscription = account.subscriptions.get(connection) if account else None
        if subscription is not None:
            self._remove(subscription)

    def leave(self, connection: Connection) -> None:
        """Forget a socket."""
        for account_id in [i for i, account in self._accounts.items() if connection in account.subscriptions]:
            self.unsubscribe(connection, account_id)

    def received(self, account_id: int, message: bytes) -> None:
        """Take one message from Redis."""
        account = self._accounts.get(account_id)
        if account is None:
            return
        try:
            seq = _decoder.decode(message).seq
        except msgspec.MsgspecError:
            log.warning("unreadable message for account %s", account_id)
            return
        frame = text_frame(message)
        account.remember(seq, frame)
        for subscription in account.subscriptions.values():
            if seq == subscription.seq + 1 and subscription.reader is None:
                subscription.seq = seq
                subscription.connection.send(frame)
            elif seq > subscription.wanted:
                subscription.wanted = seq
                if subscription.seq >= 0:
                    self._advance(subscription)

    async def poll(self) -> None:
        """Find events whose message was lost: one query for all accounts of this process."""
        if not self._accounts:
            return
        for account_id, last in (await self._read_seqs(list(self._accounts))).items():
            account = self._accounts.get(account_id)
            for subscription in list(account.subscriptions.values()) if account else ():
                if 0 <= subscription.seq < last:
                    subscription.wanted = max(subscription.wanted, last)
                    self._advance(subscription)

    def _advance(self, subscription: Subscription) -> None:
        """Send what is at hand; if that is not enough, read the journal in the background."""
        if subscription.reader is not None or subscription.is_over:
            return
        self._send_recent(subscription)
        if subscription.seq < subscription.wanted:
            subscription.reader = asyncio.get_running_loop().create_task(self._read(subscription))

    def _send_recent(self, subscription: Subscription) -> None:
        account = self._accounts.get(subscription.account_id)
        if account is None:
            return
        while (frame := account.recent.get(subscription.seq + 1)) is not None:
            subscription.seq += 1
            subscription.connection.send(frame)

    async def _read(self, subscription: Subscription) -> None:
        try:
            while subscription.seq < subscription.wanted and not subscription.is_over:
                await subscription.connection.drained()
                page = await self._page(subscription)
                if subscription.is_over:
                    return
                for seq, message in page:
                    subscription.seq = seq
                    subscription.connection.send(text_frame(message))
                self._send_recent(subscription)
                if not page and subscription.seq < subscription.wanted:
                    await asyncio.sleep(READ_RETRY_S)
        finally:
            subscription.reader = None

    async def _page(self, subscription: Subscription) -> list[tuple[int, bytes]]:
        try:
            return await self._read_events(
                subscription.account_id, subscription.login, subscription.seq, PAGE_EVENTS
            )
        except DatabaseError as error:
            # The stream continues once the database is back; the client loses nothing.
            log.warning("journal of account %s not read: %s", subscription.account_id, type(error).__name__)
            return []

    def _remove(self, subscription: Subscription) -> None:
        self._end(subscription)
        account = self._accounts.get(subscription.account_id)
        if account is None:
            return
        if account.subscriptions.get(subscription.connection) is subscription:
            del account.subscriptions[subscription.connection]
        if not account.subscriptions:
            del self._accounts[subscription.account_id]
            self._wakeups.remove(subscription.account_id)

    @staticmethod
    def _end(subscription: Subscription | None) -> None:
        if subscription is not None:
            subscription.is_over = True
            if subscription.reader is not None:
                subscription.reader.cancel()
