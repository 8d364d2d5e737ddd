"""Quotes and the filters that refuse bad ticks. Pure: the present comes in as an argument."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Quote:
    """One bid/ask update of a symbol; `time_ms` is milliseconds since the epoch, UTC."""

    symbol: str
    bid: Decimal
    ask: Decimal
    time_ms: int
