"""Trading groups and their terms; who reaches a group."""

PAGES = """
                            superadmin admin dealer support auditor
groups.groupsymbol    reach vacd       vacd  v      v       v
groups.tradinggroup   reach vac        vac   v      v       v
groups.marginschedule house vacd       vacd  v      v       v
groups.marginband     house vacd       vacd  v      v       v
groups.commissiontier reach vacd       vacd  v      v       v
"""

ACTIONS = """
                                      superadmin admin dealer support auditor
groups.commissiontier versions        x          x     r      r       r
groups.groupsymbol    change_several  x          x     -      -       -
groups.groupsymbol    versions        x          x     r      r       r
groups.marginband     versions        x          x     r      r       r
groups.marginschedule versions        x          x     r      r       r
groups.tradinggroup   effective_terms x          x     x      x       x
groups.tradinggroup   versions        x          x     r      r       r
"""

INLINES = """
                                           superadmin admin dealer support auditor
groups.marginschedule MarginBandInline     vacd       vacd  v      v       v
groups.tradinggroup   CommissionTierInline vacd       vacd  v      v       v
groups.tradinggroup   GroupSymbolInline    vacd       vacd  v      v       v
"""

LOOKUPS = """
                               superadmin admin dealer support auditor
groups.commissiontier group    x          x     x      x       x
groups.commissiontier symbol   x          x     x      x       x
groups.groupsymbol    group    x          x     x      x       x
groups.groupsymbol    symbol   x          x     x      x       x
groups.marginband     schedule x          x     x      x       x
"""

ROUTES = """
                                                                    superadmin admin   dealer  support auditor trader anonymous
GET    admin/groups/tradinggroup/<int:group_id>/terms/              ok         ok/404  ok/404  ok/404  ok/404  login  login
POST   admin/groups/tradinggroup/<int:group_id>/terms/              ok         ok/404  ok/404  ok/404  ok/404  login  login
GET    admin/groups/tradinggroup/<int:group_id>/terms/live/         ok         ok/404  ok/404  ok/404  ok/404  login  login
POST   admin/groups/tradinggroup/<int:group_id>/terms/live/         ok         ok/404  ok/404  ok/404  ok/404  login  login
GET    admin/groups/tradinggroup/bulk-terms/                        ok         ok      403     403     403     login  login
POST   admin/groups/tradinggroup/bulk-terms/                        ok         ok      403     403     403     login  login
GET    admin/groups/tradinggroup/symbol/<int:symbol_id>/terms/      ok         ok      ok      ok      ok      login  login
POST   admin/groups/tradinggroup/symbol/<int:symbol_id>/terms/      ok         ok      ok      ok      ok      login  login
GET    admin/groups/tradinggroup/symbol/<int:symbol_id>/terms/live/ ok         ok      ok      ok      ok      login  login
POST   admin/groups/tradinggroup/symbol/<int:symbol_id>/terms/live/ ok         ok      ok      ok      ok      login  login
DELETE api/admin/group/<int:group_id>                               400        400/404 403/404 403/404 403/404 403    401
PUT    api/admin/group/<int:group_id>                               400        400/404 403/404 403/404 403/404 403    401
POST   api/admin/group/create                                       400        400     403     403     403     403    401
GET    api/admin/groups                                             ok         ok      ok      ok      ok      403    401
"""

IDS = {"api/admin/group/<int:group_id>": "groups.tradinggroup"}
