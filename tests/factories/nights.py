"""A broker at chosen times: a clock that tests set, stored ticks, and what rollovers charged."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.groups.models import TradingGroup
from apps.market.models import Symbol
from apps.market.services import ticks
from apps.market.services.ticks import StoredTick
from apps.trading.models import SwapCharge
from rtx.kernel import clock
from tests.factories import rows
from tests.factories.rows import Holder

TUESDAY = 1


def coming_tuesday() -> datetime:
    """Return 12:00 UTC of a Tuesday more than a week ahead: the database's own clock lies before it."""
    day = datetime.now(UTC) + timedelta(days=8)
    day += timedelta(days=(TUESDAY - day.weekday()) % 7)
    return day.replace(hour=12, minute=0, second=0, microsecond=0)


@dataclass(slots=True)
class Nights:
    """Symbols with swaps, and a clock. Groups roll at 22:00 UTC."""

    symbols: dict[str, Symbol]
    noon: datetime
    set_clock: Callable[[datetime], None]

    def go(self, moment: datetime, prices: dict[str, tuple[str, str]] | None = None) -> None:
        """Set the clock; show prices with that time and store them as ticks."""
        self.set_clock(moment)
        shown = prices or rows.PRICES
        rows.show(shown)
        ticks.ensure_days([moment.date()])
        ticks.append(
            StoredTick(self.symbols[name].pk, moment, 0, "test", Decimal(bid), Decimal(ask))
            for name, (bid, ask) in shown.items()
        )

    def rolled_at(self, days: int = 0) -> datetime:
        """Return the rollover of the first day, or of so many days later."""
        return self.noon.replace(hour=22) + timedelta(days=days)

    def group(self, name: str = "standard", **values: Any) -> TradingGroup:
        """Create a group that rolls at 22:00 UTC."""
        return rows.make_group(
            name, **{"rollover_time": "22:00", "rollover_timezone": "UTC", "leverage_max": 500, **values}
        )


@pytest.fixture
def nights(db: None, monkeypatch: pytest.MonkeyPatch) -> Nights:
    """Five points a night for a buy of EURUSD, two for a sell; it is Tuesday noon."""

    def set_clock(moment: datetime) -> None:
        monkeypatch.setattr(clock, "now", lambda: moment)
        monkeypatch.setattr(clock, "now_ms", lambda: int(moment.timestamp() * 1000))

    symbols = rows.make_symbols(swap_mode="points", swap_long=Decimal(-5), swap_short=Decimal(2))
    made = Nights(symbols=symbols, noon=coming_tuesday(), set_clock=set_clock)
    made.go(made.noon)
    return made


def charges_of(holder: Holder) -> list[tuple[str, int, Decimal, bool]]:
    """Return (weekday, days charged, amount, settled at once) of an account's charges, oldest first."""
    found = SwapCharge.objects.filter(account_id=holder.id).order_by("rolled_at", "position_id")
    return [(f"{row.date:%a}", row.multiplier, row.amount, row.is_settled) for row in found]
