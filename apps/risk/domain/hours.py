"""Hours in which exposure may be added: per platform, group, symbol and account. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from apps.market.domain.sessions import Calendar

Target = tuple[str, object]  # (scope, group id, symbol name or account id; None: platform)
PLATFORM: Target = ("platform", None)


@dataclass(frozen=True, slots=True)
class TradingTimes:
    """
    Calendars per target. The hours of one target add up, those of several targets must all be open; a target
    without hours is not narrowed.
    """

    calendars: Mapping[Target, tuple[Calendar, ...]] = field(default_factory=dict)
    _memo: dict[tuple[int, int, str], tuple[datetime, bool]] = field(default_factory=dict, compare=False)

    def is_open(self, *, account_id: int, group_id: int, symbol: str, now: datetime) -> bool:
        """Say whether an account may add exposure to a symbol at an instant; a batch asks once."""
        if not self.calendars:
            return True
        own: Target = ("account", account_id)
        key = (account_id if own in self.calendars else 0, group_id, symbol)
        known = self._memo.get(key)
        if known is not None and known[0] == now:
            return known[1]
        targets = (PLATFORM, ("group", group_id), ("symbol", symbol), own)
        found = all(
            any(calendar.is_open(now) for calendar in self.calendars[target])
            for target in targets
            if target in self.calendars
        )
        self._memo[key] = (now, found)
        return found
