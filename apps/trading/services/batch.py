"""
One batch of commands in one transaction: lock, load, decide, write.

Takes no queue and no thread: the executor calls it. Books are kept between batches and trusted only when the
locked state still has their `seq`; a batch that does not commit forgets the books it used.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from psycopg import Cursor

from apps.trading import events
from apps.trading.domain.book import AccountBook
from apps.trading.domain.commands import ChangeAccount, CloseAccount, Command, MoveAccount, Outcome
from apps.trading.domain.orders import Order
from apps.trading.selectors import rows as loaded
from apps.trading.selectors.markets import Markets, markets
from apps.trading.services import order_rows, rows, staff_log
from apps.trading.services.guarding import Guards
from apps.trading.services.rows import EventRow
from rtx.kernel import bulk, clock
from rtx.kernel.errors import Conflict, NotFound, RtxError

log = logging.getLogger(__name__)

BOOKS_KEPT = 4096
ID_BLOCK = 1024
TICKETS = "trading_ticket"
EVENT_IDS = "accounts_accountevent_id_seq"

# Runs inside the batch's transaction, once for all commands of the batch that carry the very same callable.
Effect = Callable[[list[tuple[Command, Outcome]]], None]


class AccountNotFound(NotFound):
    """There is no such account."""

    code = "account_not_found"
    title = "Account not found"


class ClientOrderIdReused(Conflict):
    """The id already names a command with other content."""

    code = "client_order_id_reused"
    title = "Id already used for something else"


@dataclass(slots=True)
class Submission:
    """A command waiting for its outcome, with effects to run inside its transaction."""

    command: Command
    effects: tuple[Effect, ...] = ()
    future: Future[Outcome] = field(default_factory=Future)
    deadline: float = 0.0


class IdBlock:
    """
    Numbers of a sequence, taken in blocks so that deciding rarely waits for the database: only a command that
    needs more of them than it was expected to.
    """

    def __init__(self, sequence: str) -> None:
        self._sequence = sequence
        self._free: list[int] = []
        self._cursor: Cursor[Any] | None = None

    def ensure(self, cursor: Cursor[Any], count: int) -> None:
        """Hold at least `count` numbers; more are taken through the same cursor until `let_go`."""
        self._cursor = cursor
        if len(self._free) < count:
            taken = rows.reserve(cursor, self._sequence, count + ID_BLOCK)
            self._free = [*reversed(taken), *self._free]

    def let_go(self) -> None:
        """Keep no cursor beyond its batch."""
        self._cursor = None

    def clear(self) -> None:
        """Give up the numbers held: after a lost connection the database may have gone back behind them."""
        self._free.clear()

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        if not self._free and self._cursor is not None:
            self.ensure(self._cursor, 1)
        return self._free.pop()


@dataclass(slots=True)
class _Written:
    """What a batch is about to write."""

    now: datetime
    orders: dict[int, tuple[Order, int]] = field(default_factory=dict)
    swaps: list[tuple[Any, ...]] = field(default_factory=list)
    deals: list[tuple[Any, ...]] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    lines: list[tuple[Any, ...]] = field(default_factory=list)
    answers: list[tuple[Submission, Outcome]] = field(default_factory=list)
    failures: list[tuple[Submission, RtxError]] = field(default_factory=list)
    changed_facts: set[int] = field(default_factory=set)
    actions: list[tuple[Any, ...]] = field(default_factory=list)
    effects: dict[Effect, list[tuple[Command, Outcome]]] = field(default_factory=dict)
    symbol_ids: dict[str, int] = field(default_factory=dict)


class BatchRunner:
    """Runs batches on one connection, one after another. Not thread safe: one executor owns it."""

    def __init__(self) -> None:
        self._tickets = IdBlock(TICKETS)
        self._event_ids = IdBlock(EVENT_IDS)
        self._books: OrderedDict[int, AccountBook] = OrderedDict()
        self._guards = Guards()
        self.committing = False

    def forget(self) -> None:
        """Drop everything kept between batches (after a lost connection)."""
        self._books.clear()
        self._tickets.clear()
        self._event_ids.clear()
        self._guards.forget()

    def run(self, submissions: list[Submission]) -> _Written:
        """
        Decide and commit a batch; the answers are true once this returns.

        :raises Exception: whatever broke the transaction; then nothing of the batch is booked, except that a
            connection lost during commit leaves its fate open (`committing` is then set).
        """
        self.committing = False
        used: dict[int, AccountBook] = {}
        try:
            with transaction.atomic():
                cursor = Cursor(connection.connection)
                written = self._decide(cursor, submissions, used)
                self._write(cursor, written, used)
                self.committing = True
        except BaseException:
            for account_id in used:
                self._books.pop(account_id, None)
            raise
        finally:
            self._tickets.let_go()
            self._event_ids.let_go()
        self.committing = False
        self._keep(used)
        return written

    def _keep(self, used: dict[int, AccountBook]) -> None:
        for account_id, book in used.items():
            book.touched.clear()
            book.touched_orders.clear()
            book.made.clear()
            self._books[account_id] = book
            self._books.move_to_end(account_id)
        while len(self._books) > BOOKS_KEPT:
            self._books.popitem(last=False)

    def _decide(
        self,
        cursor: Cursor[Any],
        submissions: list[Submission],
        used: dict[int, AccountBook],
    ) -> _Written:
        self._event_ids.ensure(cursor, len(submissions))
        account_ids = sorted({s.command.account_id for s in submissions})
        locked, version = rows.lock(cursor, account_ids)
        now = clock.now()  # under the lock, so that an account's events never go back in time
        known = rows.known_commands(cursor, [s.command.command_id for s in submissions])
        self._load(cursor, locked, used)
        self._tickets.ensure(cursor, _tickets_for(submissions, used))
        views = markets(now=now, version=version or None)
        self._guards.begin(cursor, [s.command for s in submissions], used, views, now)
        written = _Written(now=now, symbol_ids={name: spec.id for name, spec in views.book.symbols.items()})
        for submission in submissions:
            try:
                outcome = self._answer(submission, known, used, views, written)
            except RtxError as error:
                written.failures.append((submission, error))
            else:
                written.answers.append((submission, outcome))
        return written

    def _load(self, cursor: Cursor[Any], locked: dict[int, int], used: dict[int, AccountBook]) -> None:
        """Take the books that are still true, and read the others."""
        missing = []
        for account_id, seq in locked.items():
            book = self._books.get(account_id)
            if book is not None and book.account.seq == seq:
                used[account_id] = book
            else:
                missing.append(account_id)
        if missing:
            for account_id, held in loaded.load_accounts(cursor, missing).items():
                used[account_id] = AccountBook(
                    account=held.account,
                    positions=held.positions,
                    orders=held.orders,
                    tickets=self._tickets,
                )

    def _answer(
        self,
        submission: Submission,
        known: dict[UUID, rows.KnownCommand],
        used: dict[int, AccountBook],
        views: Markets,
        written: _Written,
    ) -> Outcome:
        command = submission.command
        book = used.get(command.account_id)
        if book is None:
            raise AccountNotFound
        fingerprint = command.fingerprint
        first = known.get(command.command_id)
        if first is not None:
            if first.fingerprint != fingerprint:
                raise ClientOrderIdReused("This id already names a request with other content.")
            return Outcome(seq=first.seq, type=first.type, payload=first.payload, repeated=True)
        group_id = command.group_id if isinstance(command, MoveAccount) else book.account.group_id
        view = views.of_group(group_id)  # a move is judged as the group sees it that it moves to
        before = staff_log.state_before(command, book)
        reason = self._guards.refusal(command, book, view)
        outcome = (
            book.refuse(command, reason, market=view, now=views.now)
            if reason
            else book.apply(command, market=view, now=views.now)
        )
        known[command.command_id] = rows.KnownCommand(
            fingerprint=fingerprint, seq=outcome.seq, type=outcome.type, payload=outcome.payload
        )
        self._guards.note(command, book, outcome)
        self._collect(command, fingerprint, outcome, book, views, written)
        if before is not None:
            written.actions.append(staff_log.action_row(command, outcome, book, before=before, now=views.now))
        for effect in submission.effects:
            written.effects.setdefault(effect, []).append((command, outcome))
        return outcome

    def _collect(
        self,
        command: Command,
        fingerprint: str,
        outcome: Outcome,
        book: AccountBook,
        views: Markets,
        written: _Written,
    ) -> None:
        account = book.account
        event = EventRow(
            id=next(self._event_ids),
            account_id=account.id,
            login=account.login,
            seq=outcome.seq,
            type=outcome.type,
            at=views.now,
            command_id=command.command_id,
            fingerprint=fingerprint,
            actor=command.actor.as_text(),
            request_id=command.actor.request_id,
            payload=outcome.payload,
        )
        written.events.append(event)
        written.lines.extend(
            rows.line_row(line, event=event, currency=account.currency) for line in outcome.lines
        )
        if isinstance(command, ChangeAccount | CloseAccount | MoveAccount):
            written.changed_facts.add(account.id)
        for order in outcome.orders:
            symbol_id = written.symbol_ids[order.symbol]
            written.orders[order.id] = (order, account.id)
            written.deals.extend(
                order_rows.deal_row(deal, account_id=account.id, symbol_id=symbol_id) for deal in order.deals
            )
        written.swaps.extend(
            order_rows.swap_row(charge, event=event, symbol_id=written.symbol_ids[charge.due.symbol])
            for charge in outcome.swaps
        )

    def _write(self, cursor: Cursor[Any], written: _Written, used: dict[int, AccountBook]) -> None:
        if not written.events:
            return
        self._write_orders(cursor, written, used)
        if written.deals:
            bulk.copy(cursor, "trading_deal", order_rows.DEAL_COLUMNS, written.deals)
        self._write_positions(cursor, written, used)
        bulk.copy(cursor, "accounts_accountevent", rows.EVENT_COLUMNS, map(rows.event_row, written.events))
        if written.swaps:
            bulk.copy(cursor, "trading_swapcharge", order_rows.SWAP_COLUMNS, written.swaps)
        if written.lines:
            bulk.copy(cursor, "accounts_ledgerline", rows.LINE_COLUMNS, written.lines)
        if written.actions:
            bulk.copy(cursor, staff_log.TABLE, staff_log.COLUMNS, written.actions)
        changed = {event.account_id for event in written.events}
        rows.write_states(cursor, (used[account_id].account for account_id in changed), now=written.now)
        for account_id in written.changed_facts:
            account = used[account_id].account
            cursor.execute(
                rows.UPDATE_ACCOUNT, (account.group_id, account.leverage, account.status, account_id)
            )
        for effect, answered in written.effects.items():
            effect(answered)
        if events.account_events_appended.receivers:
            events.account_events_appended.send(sender=BatchRunner, events=written.events)

    def _write_orders(self, cursor: Cursor[Any], written: _Written, used: dict[int, AccountBook]) -> None:
        """Insert the batch's new orders as they end up, and store what became of the others."""
        new, changed = [], []
        for order, account_id in written.orders.values():
            if order.id in used[account_id].made:
                symbol_id = written.symbol_ids[order.symbol]
                new.append(
                    order_rows.order_row(order, account_id=account_id, symbol_id=symbol_id, now=written.now)
                )
            else:
                changed.append(order_rows.order_change(order, now=written.now))
        if new:
            bulk.copy(cursor, "trading_order", order_rows.ORDER_COLUMNS, new)
        if changed:
            order_rows.write_order_changes(cursor, changed)

    def _write_positions(self, cursor: Cursor[Any], written: _Written, used: dict[int, AccountBook]) -> None:
        changed, closed = [], []
        for account_id, book in used.items():
            for position_id in book.touched:
                position = book.positions.get(position_id)
                if position is None:
                    closed.append(position_id)
                    continue
                changed.append(
                    rows.position_row(
                        position,
                        account_id=account_id,
                        symbol_id=written.symbol_ids[position.symbol],
                        now=written.now,
                    )
                )
        rows.write_positions(cursor, changed=changed, closed=closed)


def _tickets_for(submissions: list[Submission], used: dict[int, AccountBook]) -> int:
    """Return how many numbers the commands of a batch may take, with room for what they open themselves."""
    asked = 0
    for submission in submissions:
        book = used.get(submission.command.account_id)
        asked += book.tickets_for(submission.command) if book else 0
    return asked + 2 * len(submissions)
