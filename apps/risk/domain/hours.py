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

    def is_open(self, *, account_id: int, group_id: int, symbol: str, now: datetime) -> bool:
        """Say whether an account may add exposure to a symbol at an instant."""
        if not self.calendars:
            return True
        for target in (PLATFORM, ("group", group_id), ("symbol", symbol), ("account", account_id)):
            known = self.calendars.get(target)
            if known is not None and not any(calendar.is_open(now) for calendar in known):
                return False
        return True
