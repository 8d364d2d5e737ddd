"""Risk: kill switches, limits, breakers, margin, liquidations, estimates."""

from typing import Any

from apps.market.models import Symbol

PAGES = """
                             superadmin admin dealer support auditor
risk.accountrisk       reach v          v     v      -       v
risk.accountriskday    reach v          v     v      -       v
risk.riskalarm         reach v          v     v      -       v
risk.sweeprun          house v          v     v      -       v
risk.killswitch        reach va         va    va     -       v
risk.risklimit         reach vacd       vacd  v      -       v
risk.tradinghours      reach vacd       vacd  v      -       v
risk.breaker           reach vac        vac   v      -       v
risk.breakerstate      reach v          v     v      -       v
risk.breakerchange     reach v          v     v      -       v
risk.correlation       house v          v     v      -       v
risk.valueatrisk       house v          v     -      -       v
risk.liquidation       reach v          v     v      -       v
risk.queuedliquidation reach v          v     v      -       v
risk.monitorstatus     house v          v     v      -       v
risk.margincall        reach v          v     v      -       v
risk.controlsversion   house v          v     v      -       v
"""

ACTIONS = """
                                       superadmin admin dealer support auditor
risk.breakerstate      reset           x          x     x      -       -
risk.correlation       remove_override x          x     -      -       -
risk.correlation       set_override    x          x     -      -       -
risk.killswitch        also_work       x          x     x      -       -
risk.killswitch        release         x          x     -      -       -
risk.queuedliquidation retry_now       x          x     x      -       -
risk.riskalarm         acknowledge     x          x     x      -       -
"""

INLINES = """
                               superadmin admin dealer support auditor
risk.breaker      StateInline  v          v     v      -       v
risk.breakerstate ChangeInline v          v     v      -       v
"""

LOOKUPS = """
                         superadmin admin dealer support auditor
risk.breaker      symbol x          x     x      x       x
risk.killswitch   group  x          x     x      x       x
risk.killswitch   symbol x          x     x      x       x
risk.risklimit    group  x          x     x      x       x
risk.risklimit    symbol x          x     x      x       x
risk.tradinghours group  x          x     x      x       x
risk.tradinghours symbol x          x     x      x       x
"""

ROUTES = """
                                                        superadmin admin   dealer  support auditor trader anonymous
GET    admin/risk/exposure/                             ok         ok      ok      ok      ok      login  login
POST   admin/risk/exposure/                             405        405     405     405     405     login  login
GET    admin/risk/exposure/live/                        ok         ok      ok      ok      ok      login  login
POST   admin/risk/exposure/live/                        405        405     405     405     405     login  login
GET    admin/risk/heatmap/                              ok         ok      ok      403     ok      login  login
POST   admin/risk/heatmap/                              405        405     405     405     405     login  login
GET    admin/risk/marketopen/                           ok         ok      ok      ok      ok      login  login
POST   admin/risk/marketopen/                           405        405     405     405     405     login  login
GET    admin/risk/overview/                             ok         ok      ok      403     ok      login  login
POST   admin/risk/overview/                             405        405     405     405     405     login  login
GET    admin/risk/var/                                  ok         ok      403     403     ok      login  login
POST   admin/risk/var/                                  ok         ok      403     403     403     login  login
GET    admin/risk/whatif/                               ok         ok      ok      403     ok      login  login
POST   admin/risk/whatif/                               ok         ok      ok      403     ok      login  login
GET    api/admin/risk/account/<int:login>               ok         ok/404  ok/404  403/404 ok/404  403    401
GET    api/admin/risk/alarms                            ok         ok      ok      403     ok      403    401
POST   api/admin/risk/breaker/<int:state_id>/reset      409        409/404 409/404 403/404 403/404 403    401
GET    api/admin/risk/breakers                          ok         ok      ok      403     ok      403    401
GET    api/admin/risk/correlations                      ok         ok      ok      403     ok      403    401
PUT    api/admin/risk/correlations                      400        400     403     403     403     403    401
GET    api/admin/risk/exposure                          ok         ok      ok      ok      ok      403    401
GET    api/admin/risk/kill-switch                       ok         ok      ok      403     ok      403    401
POST   api/admin/risk/kill-switch                       409        409/404 409/404 403/404 403/404 403    401
GET    api/admin/risk/limits                            ok         ok      ok      403     ok      403    401
GET    api/admin/risk/liquidations                      ok         ok      ok      403     ok      403    401
GET    api/admin/risk/liquidations/<int:liquidation_id> ok         ok/404  ok/404  403/404 ok/404  403    401
GET    api/admin/risk/margin                            ok         ok      ok      403     ok      403    401
GET    api/admin/risk/market-open                       ok         ok      ok      ok      ok      403    401
GET    api/admin/risk/monitor                           ok         ok      ok      403     ok      403    401
GET    api/admin/risk/sweeps                            ok         ok      ok      403     ok      403    401
GET    api/admin/risk/value-at-risk                     ok         ok      403     403     ok      403    401
POST   api/admin/risk/value-at-risk                     ok         ok      403     403     403     403    401
POST   api/admin/risk/what-if                           ok         ok      ok      403     ok      403    401
"""

ROWS = {
    "risk.killswitch": lambda side: {"scope": "group", "group": side.group},
    "risk.risklimit": lambda side: {"scope": "group", "group": side.group},
    "risk.tradinghours": lambda side: {"scope": "group", "group": side.group},
    "risk.breaker": lambda side: {"scope": "account", "account": side.account, "kind": "reject_rate"},
    "risk.breakerstate": lambda side: {"account": side.account},
    "risk.riskalarm": lambda side: {"account": side.account},
    "risk.correlation": lambda side: {
        "first": Symbol.objects.get(name="EURUSD"),
        "second": Symbol.objects.get(name="USDJPY"),
    },
}

IDS = {
    "api/admin/risk/account/<int:login>": "accounts.tradingaccount:login",
    "api/admin/risk/liquidations/<int:liquidation_id>": "risk.liquidation",
    "api/admin/risk/breaker/<int:state_id>/reset": "risk.breakerstate",
}


def _kill_switch(side: Any) -> dict[str, Any]:
    return {"action": "engage", "scope": "group", "group": side.group.name, "reason": "to be refused"}


ASKED = {
    "POST api/admin/risk/kill-switch": _kill_switch,
    "POST api/admin/risk/breaker/<int:state_id>/reset": lambda side: {"reason": "to be seen"},
}
