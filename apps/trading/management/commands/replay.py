"""`manage.py replay --account N --at TIME`: an account as it stood then, and the quotes that valued it."""

import json
from argparse import ArgumentTypeError
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.trading.selectors import replays
from apps.trading.selectors.replays import AccountUnknown
from rtx.kernel import clock

NOTHING = "-"
MONEY = ("balance", "credit", "profit", "equity", "margin", "free_margin", "margin_level")
POSITION_COLUMNS = {
    "id": "id",
    "symbol": "symbol",
    "side": "side",
    "volume": "lots",
    "open_price": "open price",
    "current_price": "price",
    "stop_loss": "stop loss",
    "take_profit": "take profit",
    "swap": "swap",
    "profit": "profit",
    "opened_at": "opened at",
}
ORDER_COLUMNS = {
    "id": "id",
    "symbol": "symbol",
    "side": "side",
    "type": "type",
    "volume": "lots",
    "price": "price",
    "stop_limit_price": "limit",
    "stop_loss": "stop loss",
    "take_profit": "take profit",
    "time_in_force": "in force",
    "expires_at": "expires at",
}
QUOTE_COLUMNS = {
    "symbol": "symbol",
    "bid": "bid",
    "ask": "ask",
    "raw_bid": "raw bid",
    "raw_ask": "raw ask",
    "time": "time",
    "age_s": "age, s",
    "origin": "from",
    "source": "source",
}
RATE_COLUMNS = {"from": "from", "to": "to", "side": "side", "rate": "rate", "through": "through"}


def moment(given: str) -> datetime:
    """
    Return an RFC 3339 instant.

    :raises ArgumentTypeError: it is none, or has no offset.
    """
    try:
        found = datetime.fromisoformat(given)
    except ValueError as error:
        raise ArgumentTypeError(f"{given!r} is no RFC 3339 time, such as 2026-11-18T21:59:59Z") from error
    if found.tzinfo is None:
        raise ArgumentTypeError(f"{given!r} has no offset: end it with Z for UTC")
    return found


class Command(BaseCommand):
    """Reads the journal, stored ticks and the history of the configuration; writes nothing."""

    help = "Rebuild an account as of an instant: balance, equity, positions and the quotes it used."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take a login and an instant."""
        parser.add_argument("--account", type=int, required=True, help="login of the account")
        parser.add_argument("--at", type=moment, required=True, metavar="TIME", help="RFC 3339 instant")
        parser.add_argument("--json", action="store_true", help="print JSON instead of tables")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the account."""
        at: datetime = options["at"]
        if at > clock.now():
            raise CommandError(f"{clock.rfc3339(at)} lies in the future.")
        try:
            told = replays.account_replay(login=options["account"], at=at)
        except AccountUnknown as unknown:
            raise CommandError(unknown.detail) from unknown
        if options["json"]:
            self.stdout.write(json.dumps(told, indent=2))
            return
        for line in _lines(told):
            self.stdout.write(line)


def _lines(told: dict[str, Any]) -> Iterable[str]:
    account = told["account"]
    yield (
        f"Account {account['login']} ({account['group']}, {account['currency']}, 1:{account['leverage']}, "
        f"{account['position_mode']}, {account['status']}) at {told['at']}, after event {account['seq']}"
    )
    yield ""
    for name in MONEY:
        unit = "%" if name == "margin_level" else account["currency"]
        yield f"  {name.replace('_', ' '):12} {_shown(account[name]):>16} {unit}"
    yield from _table("Positions", told["positions"], POSITION_COLUMNS)
    yield from _table("Working orders", told["orders"], ORDER_COLUMNS)
    yield from _table("Quotes of the group", told["quotes"], QUOTE_COLUMNS)
    yield from _table("Conversion rates", told["rates"], RATE_COLUMNS)
    yield ""
    yield f"Terms: {told['terms']}."
    for lack in told["missing"]:
        yield f"Not valued: {lack}."


def _table(title: str, rows: Sequence[dict[str, Any]], columns: dict[str, str]) -> Iterable[str]:
    yield ""
    if not rows:
        yield f"{title}: none"
        return
    yield f"{title}:"
    cells = [list(columns.values()), *([_shown(row[name]) for name in columns] for row in rows)]
    widths = [max(len(line[number]) for line in cells) for number in range(len(columns))]
    for line in cells:
        yield "  " + "  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()


def _shown(value: Any) -> str:
    if value is None or value == "":
        return NOTHING
    return ", ".join(value) if isinstance(value, list) else str(value)
