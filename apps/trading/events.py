"""
What the trading app tells others: signals inside the transaction, and the messages of the account stream.
"""

from datetime import datetime
from typing import Any

import orjson
from django.dispatch import Signal

from apps.trading.domain import journal

# Sent once per batch, inside the transaction, with `events`: a list of `apps.trading.services.rows.EventRow`.
account_events_appended = Signal()


def account_channel(account_id: int) -> str:
    """Return the Redis channel that carries an account's messages."""
    return f"rtx:account:{account_id}"


def stream_message(*, login: int, seq: int, type_: str, at: datetime, payload: dict[str, Any]) -> bytes:
    """Return the WebSocket message of one journal event, without the house's part."""
    return orjson.dumps(
        {
            "ch": "account",
            "account": login,
            "seq": seq,
            "type": type_,
            "at": journal.instant(at),
            **journal.public(payload),
        }
    )
