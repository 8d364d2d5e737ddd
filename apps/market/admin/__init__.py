"""
Admin pages of the market: symbols and sessions are edited, prices, feeds, leases and histories only shown.
"""

from apps.market.admin.engine import (
    ConfigurationChangeAdmin,
    EngineLeaseAdmin,
    TermsVersionAdmin,
    TickDayAdmin,
)
from apps.market.admin.prices import CandleAdmin, FeedStatusAdmin, LastQuoteAdmin
from apps.market.admin.sessions import HolidayAdmin, SessionHoursAdmin, TradingSessionAdmin
from apps.market.admin.symbols import SymbolAdmin

__all__ = [
    "CandleAdmin",
    "ConfigurationChangeAdmin",
    "EngineLeaseAdmin",
    "FeedStatusAdmin",
    "HolidayAdmin",
    "LastQuoteAdmin",
    "SessionHoursAdmin",
    "SymbolAdmin",
    "TermsVersionAdmin",
    "TickDayAdmin",
    "TradingSessionAdmin",
]
