"""
Statements of an account: what the journal says about a period, added up and checked to the cent. Pure.

An event belongs to a period by its place in the journal: the boundary at an instant is the last event that
happened before it, so that periods that follow each other share each event exactly once, even if a clock was
once set back. A sum that differs from the journal raises `Difference`; it is never shown.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from apps.accounts.domain.ledger import BalanceKind
from apps.trading.domain.journal import Payload
from apps.trading.domain.orders import Order, Position
from rtx.kernel.errors import Invalid
from rtx.kernel.money import ZERO

PERIOD_DAYS_MAX = 366
HOURLY_UP_TO = timedelta(days=7)
DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,6})?([Zz]|[+-]\d{2}:\d{2})?", re.ASCII)


class PeriodInvalid(Invalid):
    """A period's ends are no instants, stand in the wrong order, lie too far apart, or both in the future."""

    code = "invalid_period"
    title = "Invalid period"


class Difference(Exception):
    """What a statement adds up to is not what the journal says: a broken invariant."""


@dataclass(frozen=True, slots=True)
class Period:
    """From an instant up to, and without, another."""

    start: datetime
    end: datetime

    @classmethod
    def read(cls, start: str | None, end: str | None) -> "Period":
        """
        Return the period between two texts: RFC 3339 instants (UTC when they name no offset) or dates. A date
        means its beginning, as `end` its end, both in UTC.

        :raises PeriodInvalid: a text is missing or none of these, or the period is empty or too long.
        """
        found = cls(_instant("from", start), _instant("to", end, is_end=True))
        if found.start >= found.end:
            raise PeriodInvalid("from must lie before to.", errors={"from": ["must lie before to"]})
        if found.end - found.start > timedelta(days=PERIOD_DAYS_MAX):
            raise PeriodInvalid(
                f"A statement covers at most {PERIOD_DAYS_MAX} days.",
                errors={"to": [f"at most {PERIOD_DAYS_MAX} days after from"]},
            )
        return found


def _instant(name: str, text: str | None, *, is_end: bool = False) -> datetime:
    if not text:
        raise PeriodInvalid(f"{name} is missing.", errors={name: ["is required"]})
    try:
        if DATE.fullmatch(text):
            day = datetime.fromisoformat(text).replace(tzinfo=UTC)
            return day + timedelta(days=1) if is_end else day
        if INSTANT.fullmatch(text):
            at = datetime.fromisoformat(text.upper())
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise PeriodInvalid(
        f"{name} is neither a date nor an instant.", errors={name: ["must be a date or RFC 3339"]}
    )


@dataclass(frozen=True, slots=True)
class Cut:
    """An instant, and the `seq` of the last event before it (0: none)."""

    at: datetime
    seq: int


@dataclass(frozen=True, slots=True)
class JournalEvent:
    """One event, with what the ledger booked to the client's balance and credit for it."""

    seq: int
    type: str
    at: datetime
    payload: Payload
    client: Decimal = ZERO
    credit: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class DealLine:
    """One deal; `balance` is what stood after it."""

    seq: int
    at: datetime
    id: int
    order_id: int
    position_id: int
    client_order_id: str
    reason: str
    symbol: str
    entry: str
    side: str
    volume: Decimal
    price: Decimal
    profit: Decimal
    commission: Decimal
    swap: Decimal
    balance: Decimal
    comment: str

    @property
    def amount(self) -> Decimal:
        """What the deal did to the balance."""
        return self.profit + self.commission + self.swap


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """One deposit, withdrawal, adjustment, compensation, or change of the credit."""

    seq: int
    at: datetime
    kind: BalanceKind
    amount: Decimal
    reference: str
    comment: str
    balance: Decimal
    credit: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapLine:
    """
    One night's swap (or admin fee) of a position. It waits on the position until that is closed, unless
    `is_settled`.
    """

    seq: int
    at: datetime
    date: str
    position_id: int
    symbol: str
    kind: str
    side: str
    volume: Decimal
    multiplier: int
    amount: Decimal
    is_settled: bool
    balance: Decimal


@dataclass(frozen=True, slots=True)
class OpenPosition:
    """A position open at the end, with its price and profit then; None: no price is stored."""

    position: Position
    price: Decimal | None
    profit: Decimal | None


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The account at one instant; no equity when a position had no price that is stored."""

    at: datetime
    balance: Decimal
    equity: Decimal | None


@dataclass(frozen=True, slots=True)
class Money:
    """What an account owned at one instant."""

    balance: Decimal = ZERO
    credit: Decimal = ZERO


@dataclass(slots=True)
class Totals:
    """Sums over lines. `swap` is what was booked; `swap_charged` and `fees_charged` what nights have cost."""

    deals: int = 0
    volume: Decimal = ZERO
    profit: Decimal = ZERO
    commission: Decimal = ZERO
    swap: Decimal = ZERO
    swap_charged: Decimal = ZERO
    fees_charged: Decimal = ZERO

    @property
    def net(self) -> Decimal:
        """What trading did to the balance."""
        return self.profit + self.commission + self.swap

    def add_deal(self, deal: DealLine) -> None:
        """Count a deal."""
        self.deals += 1
        self.volume += deal.volume
        self.profit += deal.profit
        self.commission += deal.commission
        self.swap += deal.swap

    def add_swap(self, line: SwapLine) -> None:
        """Count a night; what is settled is booked with it."""
        if line.kind == "swap":
            self.swap_charged += line.amount
        else:
            self.fees_charged += line.amount
        if line.is_settled:
            self.swap += line.amount


@dataclass(frozen=True, slots=True)
class Closing:
    """The account at the end, valued at the quotes stored then; None where one is missing."""

    at: datetime
    money: Money
    margin: Decimal = ZERO
    leverage: int = 0
    status: str = ""
    floating: Decimal | None = ZERO
    equity: Decimal | None = None
    free_margin: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """Whose statement it is, and who made it when. `holder` is empty for readers who may not see names."""

    broker: str
    holder: str
    login: int
    group: str
    currency: str
    position_mode: str
    generated_at: datetime


@dataclass(slots=True, kw_only=True)
class Statement:
    """All that a statement shows, exact and checked."""

    login: int
    currency: str
    period: Period
    opening: Money
    closing: Closing
    deals: list[DealLine] = field(default_factory=list)
    movements: list[Movement] = field(default_factory=list)
    swaps: list[SwapLine] = field(default_factory=list)
    positions: list[OpenPosition] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    curve: list[CurvePoint] = field(default_factory=list)

    def totals(self) -> Totals:
        """Return the sums over all lines."""
        found = Totals()
        for deal in self.deals:
            found.add_deal(deal)
        for line in self.swaps:
            found.add_swap(line)
        return found

    def totals_by_symbol(self) -> dict[str, Totals]:
        """Return the sums per symbol, by name."""
        found: dict[str, Totals] = {}
        for deal in self.deals:
            found.setdefault(deal.symbol, Totals()).add_deal(deal)
        for line in self.swaps:
            found.setdefault(line.symbol, Totals()).add_swap(line)
        return dict(sorted(found.items()))

    def moved(self, kind: BalanceKind) -> Decimal:
        """Return the sum of one kind of movement."""
        return sum((move.amount for move in self.movements if move.kind is kind), ZERO)

    def check(self) -> None:
        """
        Add everything up again.

        :raises Difference: opening, all lines and closing do not meet.
        """
        credit = self.moved(BalanceKind.CREDIT)
        paid = sum((move.amount for move in self.movements), ZERO) - credit
        for name, derived, told in (
            ("balance", self.opening.balance + paid + self.totals().net, self.closing.money.balance),
            ("credit", self.opening.credit + credit, self.closing.money.credit),
        ):
            if derived != told:
                raise Difference(
                    f"account {self.login}: {name} adds up to {derived}, the journal says {told}"
                )


def curve_instants(period: Period, *, until: datetime) -> list[datetime]:
    """
    Return the instants of the equity curve: both ends and each full hour between them, or each midnight (UTC)
    when the period is longer than a week; none after `until`, the present.

    :raises PeriodInvalid: the period has not begun: there is nothing to tell of it.
    """
    if period.start > until:
        raise PeriodInvalid("from lies in the future.", errors={"from": ["lies in the future"]})
    step = timedelta(hours=1) if period.end - period.start <= HOURLY_UP_TO else timedelta(days=1)
    last = max(period.start, min(period.end, until))
    found = [period.start]
    midnight = period.start.replace(hour=0, minute=0, second=0, microsecond=0)
    at = midnight + ((period.start - midnight) // step + 1) * step
    while at < last:
        found.append(at)
        at += step
    return found if last == period.start else [*found, last]


def cuts(times: Sequence[tuple[int, datetime]], instants: Iterable[datetime]) -> list[Cut]:
    """Return the cut at each instant (ascending), given the `(seq, at)` of an account's events in order."""
    earliest: list[datetime] = [at for _, at in times]
    for index in range(len(earliest) - 2, -1, -1):
        earliest[index] = min(earliest[index], earliest[index + 1])
    found, done = [], 0
    for instant in instants:
        while done < len(earliest) and earliest[done] < instant:
            done += 1
        found.append(Cut(instant, times[done - 1][0] if done else 0))
    return found
