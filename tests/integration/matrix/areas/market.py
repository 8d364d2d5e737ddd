"""Market data: symbols, sessions, prices, the engine."""

from datetime import time

PAGES = """
                                 superadmin admin dealer support auditor
market.enginelease         house v          v     v      v       v
market.termsversion        house v          v     v      v       v
market.tickday             house v          v     v      v       v
market.configurationchange house v          -     -      -       -
market.lastquote           house v          v     v      v       v
market.feedstatus          house v          v     v      v       v
market.candle              house v          v     v      v       v
market.tradingsession      house vacd       vacd  v      v       v
market.sessionhours        house vacd       vacd  v      v       v
market.holiday             house vacd       vacd  v      v       v
market.symbol              house vac        vac   v      v       v
"""

ACTIONS = """
                                     superadmin admin dealer support auditor
market.symbol         terms_by_group x          x     x      x       x
market.symbol         versions       x          x     r      r       r
market.tradingsession versions       x          x     r      r       r
"""

INLINES = """
                                         superadmin admin dealer support auditor
market.tradingsession HolidayInline      vacd       vacd  v      v       v
market.tradingsession SessionHoursInline vacd       vacd  v      v       v
"""

LOOKUPS = """
                            superadmin admin dealer support auditor
market.holiday      session x          x     x      x       x
market.sessionhours session x          x     x      x       x
market.symbol       session x          x     x      x       x
"""

ROUTES = """
                   superadmin admin dealer support auditor trader anonymous
GET    api/candles ok         ok    ok     ok      ok      ok     401
"""

ROWS = {
    "market.sessionhours": lambda side: {"opens_at": time(9), "closes_at": time(10)},
}
