"""
Margin schedules: floating leverage in bands. Pure.

By volume the bands multiply the margin rate (MetaTrader 5 help, "Floating margin"); by notional they set the
leverage of what lies within them (cTrader help, "Dynamic leverage").
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from rtx.kernel.money import ZERO, plain


class ScheduleKind(StrEnum):
    """What the bands of a schedule measure."""

    VOLUME = "volume"
    NOTIONAL = "notional"


@dataclass(frozen=True, slots=True)
class Band:
    """One band: `up_to` lots or notional (None: no end), `value` a margin rate or a leverage."""

    up_to: Decimal | None
    value: Decimal


@dataclass(frozen=True, slots=True)
class MarginSchedule:
    """Bands by ascending end; the last one's value also holds for whatever lies above it."""

    name: str
    kind: ScheduleKind
    is_pooled: bool
    bands: tuple[Band, ...]

    @classmethod
    def of(
        cls,
        *,
        name: str,
        kind: ScheduleKind,
        is_pooled: bool,
        bands: Iterable[tuple[Decimal | None, Decimal]],
    ) -> "MarginSchedule | None":
        """Return the schedule with its bands in order; None without bands."""
        ordered = sorted(bands, key=lambda band: (band[0] is None, band[0] or ZERO))
        if not ordered:
            return None
        return cls(name, kind, is_pooled, tuple(Band(*band) for band in ordered))

    def rated_lots(self, lots: Decimal) -> Decimal:
        """Return lots times margin rate: each band's lots at its own rate."""
        return sum((part * band.value for part, band in self._parts(lots)), ZERO)

    def margined(self, notional: Decimal, *, leverage_max: int) -> Decimal:
        """Return the margin of a notional: each band at its leverage, never above `leverage_max`."""
        most = Decimal(leverage_max)
        return sum((part / min(band.value, most) for part, band in self._parts(notional)), ZERO)

    def _parts(self, size: Decimal) -> Iterable[tuple[Decimal, Band]]:
        start = ZERO
        for number, band in enumerate(self.bands, start=1):
            is_last = number == len(self.bands)
            end = size if band.up_to is None or is_last else min(size, band.up_to)
            if end > start:
                yield end - start, band
                start = end

    def as_json(self) -> dict[str, Any]:
        """Return the schedule as plain JSON values."""
        return {
            "name": self.name,
            "kind": self.kind.value,
            "is_pooled": self.is_pooled,
            "bands": [
                [None if band.up_to is None else plain(band.up_to), plain(band.value)] for band in self.bands
            ],
        }

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> "MarginSchedule":
        """Return the schedule that `as_json` described."""
        return cls(
            name=kept["name"],
            kind=ScheduleKind(kept["kind"]),
            is_pooled=kept["is_pooled"],
            bands=tuple(
                Band(None if up_to is None else Decimal(up_to), Decimal(value))
                for up_to, value in kept["bands"]
            ),
        )
