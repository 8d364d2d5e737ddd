"""
What a change of terms does to accounts, before it is saved: who would be called or closed by it. Pure values;
the risk app computes them, pages and interfaces show them.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from rtx.kernel.money import booked, rounded, text

VERDICTS = ("free", "called", "closed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """
    One account that a change would push into a margin call (`called`) or to its stop-out (`closed`). Amounts
    are in its currency; a level is None without margin.
    """

    account_id: int
    login: int
    group: str
    currency: str
    before: str
    after: str
    equity_before: Decimal
    equity_after: Decimal
    margin_before: Decimal
    margin_after: Decimal
    level_before_pct: Decimal | None
    level_after_pct: Decimal | None

    def as_json(self) -> dict[str, Any]:
        """Return it as interfaces show it."""
        return {
            "account": self.login,
            "group": self.group,
            "currency": self.currency,
            "before": self.before,
            "after": self.after,
            "equity_before": text(booked(self.equity_before, self.currency)),
            "equity_after": text(booked(self.equity_after, self.currency)),
            "margin_before": text(booked(self.margin_before, self.currency)),
            "margin_after": text(booked(self.margin_after, self.currency)),
            "level_before_pct": _level(self.level_before_pct),
            "level_after_pct": _level(self.level_after_pct),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """
    How many accounts a change newly calls and closes, wherever they are; the worst of those within the
    reach of whoever asks. `notes` say what the figures rest on.
    """

    called: int = 0
    closed: int = 0
    hits: tuple[Hit, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def hurts(self) -> bool:
        """Whether it pushes anybody."""
        return bool(self.called or self.closed)

    def exceeds(self, called: int, closed: int) -> bool:
        """Say whether it is worse than what somebody has confirmed."""
        return self.closed > closed or self.called + self.closed > called + closed

    def as_json(self) -> dict[str, Any]:
        """Return it as interfaces show it."""
        return {
            "called": self.called,
            "closed": self.closed,
            "accounts": [hit.as_json() for hit in self.hits],
            "notes": list(self.notes),
        }


def _level(level: Decimal | None) -> str | None:
    return None if level is None else text(rounded(level, 2))
