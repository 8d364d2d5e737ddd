"""Reads of symbols: the catalog as the domain sees it. The demo's always-open switch acts here."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings

from apps.market.domain.sessions import Calendar, ClosedDay, Hours
from apps.market.domain.symbols import MarginMode, SwapMode, SymbolSpec, TradeMode
from apps.market.models import Holiday, SessionHours, Symbol, TermsVersion, TradingSession

DEMO_SESSION_NAME = "Demo session (always open)"
DEMO_CALENDAR = Calendar(always_open=True)


def symbol_specs() -> dict[str, SymbolSpec]:
    """Return every symbol by name; one that is not active cannot be traded but still values its positions."""
    calendars = session_calendars()
    return {row.name: spec_of(row, calendars[row.session_id]) for row in Symbol.objects.order_by("name")}


@dataclass(frozen=True, slots=True)
class FedSymbol:
    """A symbol as the engine needs it."""

    spec: SymbolSpec
    spike_max_pct: Decimal


def fed_symbols() -> dict[str, FedSymbol]:
    """Return the symbols that the engine prices: the active ones, by name."""
    specs = symbol_specs()
    active = Symbol.objects.filter(is_active=True).values_list("name", "spike_max_pct")
    return {name: FedSymbol(specs[name], limit) for name, limit in active if name in specs}


def is_known(name: str) -> bool:
    """Tell whether there is a symbol of this name."""
    return Symbol.objects.filter(name=name).exists()


def terms_version() -> int:
    """Return the number that moves with every change of symbols, sessions and terms."""
    return TermsVersion.objects.values_list("version", flat=True).filter(pk=1).first() or 0


def session_calendars() -> dict[int, Calendar]:
    """Return the calendar of every session by its id; all always open when the demo's setting says so."""
    sessions = TradingSession.objects.prefetch_related("hours", "holidays")
    if settings.SESSIONS_ALWAYS_OPEN:
        return {session.pk: DEMO_CALENDAR for session in sessions}
    return {
        session.pk: calendar_of(session, session.hours.all(), session.holidays.all()) for session in sessions
    }


def session_label(session: TradingSession) -> str:
    """Return the name under which a person sees a session: the demo's open one is called what it is."""
    return DEMO_SESSION_NAME if settings.SESSIONS_ALWAYS_OPEN else session.name


def calendar_of(
    session: TradingSession, hours: Iterable[SessionHours], holidays: Iterable[Holiday]
) -> Calendar:
    """Return a session's calendar from its rows."""
    return Calendar(
        timezone=session.timezone,
        always_open=session.always_open,
        hours=tuple(
            sorted(
                (Hours(row.weekday, row.opens_at, row.closes_at) for row in hours),
                key=lambda entry: (entry.weekday, entry.opens_at),
            )
        ),
        holidays=tuple(
            sorted((ClosedDay(row.date, row.closes_at) for row in holidays), key=lambda closed: closed.date)
        ),
    )


def spec_of(row: Symbol, calendar: Calendar) -> SymbolSpec:
    """Return a symbol's facts from its row."""
    covered = row.hedged_contract_size
    return SymbolSpec(
        id=row.pk,
        name=row.name,
        base_currency=row.base_currency,
        profit_currency=row.profit_currency,
        margin_currency=row.margin_currency,
        digits=row.digits,
        contract_size=row.contract_size,
        volume_min=row.volume_min,
        volume_max=row.volume_max,
        volume_step=row.volume_step,
        margin_mode=MarginMode(row.margin_mode),
        margin_rate_buy=row.margin_rate_buy,
        margin_rate_sell=row.margin_rate_sell,
        margin_initial=row.margin_initial,
        hedged_contract_size=row.contract_size if covered is None else covered,
        tick_size=row.tick_size,
        tick_price=row.tick_price,
        trade_mode=TradeMode(row.trade_mode) if row.is_active else TradeMode.DISABLED,
        quote_age_max_ms=row.quote_age_max_s * 1000,
        calendar=calendar,
        margin_rate_pending=row.margin_rate_pending,
        stop_level_points=row.stop_level_points,
        freeze_level_points=row.freeze_level_points,
        swap_mode=SwapMode(row.swap_mode),
        swap_long=row.swap_long,
        swap_short=row.swap_short,
        swap_multipliers=tuple(row.swap_multipliers),
        description=row.description,
        asset_class=row.asset_class,
    )
