"""
What a pre-trade guard is, and asking all of them: `TRADING_GUARDS` names classes of upper apps.

A guard may refuse a command that adds exposure. It reads what it needs once per batch, inside the batch's
transaction, and must not lock, write or wait. What an account itself holds it finds in the book, exactly as
it is at that moment of the batch. Refusing is all a guard can do; what a refusal means is the book's.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from django.conf import settings
from django.utils.module_loading import import_string
from psycopg import Cursor

from apps.trading.domain.book import AccountBook
from apps.trading.domain.commands import (
    ChangeBalance,
    Command,
    ModifyOrder,
    Outcome,
    PlaceMarket,
    PlacePending,
    ReversePosition,
    TriggerOrder,
)
from apps.trading.domain.orders import RejectReason
from apps.trading.domain.pricing import MarketView
from apps.trading.selectors.markets import Markets

GUARDED = (PlaceMarket, PlacePending, TriggerOrder, ModifyOrder, ReversePosition)
NOTED = (*GUARDED, ChangeBalance)  # money paid in or out moves what losses are measured against


class Asked(NamedTuple):
    """A command that may add exposure, with the book of its account as it is before the batch."""

    command: Command
    book: AccountBook


class Guard(Protocol):
    """One pre-trade check, one instance per executor. Called from its thread alone."""

    def begin(self, cursor: Cursor[Any], asked: Sequence[Asked], views: Markets, now: datetime) -> None:
        """Read what the checks of one batch need. Not called for a batch without such commands."""

    def refusal(self, command: Command, book: AccountBook, market: MarketView) -> RejectReason | None:
        """Say why a command must not add exposure now; None: no objection."""

    def note(self, command: Command, book: AccountBook, outcome: Outcome) -> None:
        """
        Learn what became of a command that `refusal` let pass, or of a balance operation: it counts for the
        rest of the batch.
        """

    def forget(self) -> None:
        """Drop what is kept between batches: the database may have gone back behind it."""


class Guards:
    """All guards of one executor, in the order of the setting: the first refusal holds."""

    def __init__(self) -> None:
        self._guards: list[Guard] = [import_string(path)() for path in settings.TRADING_GUARDS]

    def begin(
        self,
        cursor: Cursor[Any],
        commands: Sequence[Command],
        books: dict[int, AccountBook],
        views: Markets,
        now: datetime,
    ) -> None:
        """Let guards read what a batch needs, if it has commands that may add exposure."""
        if not self._guards:
            return
        asked = [
            Asked(command, books[command.account_id])
            for command in commands
            if isinstance(command, GUARDED) and command.account_id in books
        ]
        if asked:
            for guard in self._guards:
                guard.begin(cursor, asked, views, now)

    def refusal(self, command: Command, book: AccountBook, market: MarketView) -> RejectReason | None:
        """Return the first guard's refusal of a command that adds exposure."""
        if not self._guards or not isinstance(command, GUARDED) or not book.grows_risk(command):
            return None
        for guard in self._guards:
            reason = guard.refusal(command, book, market)
            if reason is not None:
                return reason
        return None

    def note(self, command: Command, book: AccountBook, outcome: Outcome) -> None:
        """Tell guards what became of a guarded command, or of a balance operation."""
        if isinstance(command, NOTED):
            for guard in self._guards:
                guard.note(command, book, outcome)

    def forget(self) -> None:
        """Drop what guards keep between batches."""
        for guard in self._guards:
            guard.forget()
