"""Clients, users, accounts and their journal; signing in over the API."""

from apps.accounts.models import User
from rtx.kernel import clock

PAGES = """
                                 superadmin admin dealer support auditor
accounts.client         reach    vac        vac   v      vc      v
accounts.accountstate   reach    v          v     v      v       v
accounts.accountevent   reach    v          v     v      v       v
accounts.ledgerline     reach    v          v     v      v       v
accounts.user           reach    vac        vac   v      vc      v
accounts.refreshtoken   reach    v          v     v      v       v
accounts.tradingaccount reach    v          v     v      v       v
accounts.staffsession   house    v          v     -      -       v
accounts.allowednetwork house    vacd       va    -      -       v
accounts.reachgrant     reach    vacd       va    -      -       v
accounts.kycreview      reach    v          v     -      v       v
accounts.kycdocument    reach    v          v     -      v       v
accounts.importrun      personal v          v     -      -       v
"""

ACTIONS = """
                                               superadmin admin dealer support auditor
accounts.client         add_document           x          x     -      -       -
accounts.client         change_person          x          x     -      x       -
accounts.client         disable_login          x          x     -      x       -
accounts.client         enable_login           x          x     -      x       -
accounts.client         export                 x          x     -      -       -
accounts.client         new_password           x          x     -      x       -
accounts.client         open_account           x          x     -      -       -
accounts.client         reveal                 x          x     -      -       -
accounts.client         submit_kyc             x          x     -      -       -
accounts.importrun      errors                 x          -     -      -       -
accounts.importrun      give_up                x          -     -      -       -
accounts.importrun      new_import             x          x     -      -       -
accounts.importrun      start                  x          -     -      -       -
accounts.kycdocument    download               x          x     -      -       -
accounts.kycreview      approve                x          x     -      -       -
accounts.kycreview      put_back               x          x     -      -       -
accounts.kycreview      reject                 x          x     -      -       -
accounts.kycreview      take                   x          x     -      -       -
accounts.staffsession   revoke                 x          x     -      -       -
accounts.staffsession   revoke_all             x          x     -      -       -
accounts.tradingaccount activate               x          x     -      -       -
accounts.tradingaccount adjust                 x          x     -      x       -
accounts.tradingaccount change_group           x          x     -      -       -
accounts.tradingaccount change_leverage        x          x     -      -       -
accounts.tradingaccount close_account          x          x     -      -       -
accounts.tradingaccount close_all              x          x     x      -       -
accounts.tradingaccount close_only             x          x     -      -       -
accounts.tradingaccount credit                 x          x     -      x       -
accounts.tradingaccount deposit                x          x     -      x       -
accounts.tradingaccount disable                x          x     -      -       -
accounts.tradingaccount export                 x          x     -      -       -
accounts.tradingaccount place_order            x          x     x      -       -
accounts.tradingaccount withdraw               x          x     -      x       -
accounts.user           change_role            x          x     -      -       -
accounts.user           grant_personal_data    x          x     -      -       -
accounts.user           new_password           x          x     -      x       -
accounts.user           reset_second_factors   x          x     -      -       -
accounts.user           withdraw_personal_data x          x     -      -       -
"""

INLINES = """
                                       superadmin admin dealer support auditor
accounts.accountevent LedgerLineInline v          v     v      v       v
"""

LOOKUPS = """
                                      superadmin admin dealer support auditor
accounts.allowednetwork user          x          x     x      x       x
accounts.reachgrant     trading_group x          x     x      x       x
accounts.reachgrant     user          x          x     x      x       x
accounts.user           groups        x          x     -      -       x
"""

ROUTES = """
                                                                 superadmin admin     dealer    support   auditor   trader anonymous
GET    admin/accounts/importrun/<int:run_id>/progress/           ok         404       404       404       404       login  login
POST   admin/accounts/importrun/<int:run_id>/progress/           ok         404       404       404       404       login  login
GET    admin/accounts/kycreview/take-next/                       moved      moved     403       403       403       login  login
POST   admin/accounts/kycreview/take-next/                       ok         ok        403       403       403       login  login
GET    admin/accounts/tradingaccount/<int:account_id>/equity/    ok         ok/404    ok/404    ok/404    ok/404    login  login
POST   admin/accounts/tradingaccount/<int:account_id>/equity/    ok         ok/404    ok/404    ok/404    ok/404    login  login
GET    admin/accounts/tradingaccount/<int:account_id>/live/      ok         ok/404    ok/404    ok/404    ok/404    login  login
POST   admin/accounts/tradingaccount/<int:account_id>/live/      ok         ok/404    ok/404    ok/404    ok/404    login  login
GET    admin/accounts/tradingaccount/<path:object_id>/price/     ok         ok/404    ok/404    ok/404    ok/404    login  login
POST   admin/accounts/tradingaccount/<path:object_id>/price/     ok         ok/404    ok/404    ok/404    ok/404    login  login
GET    admin/accounts/tradingaccount/<path:object_id>/statement/ moved      moved/404 moved/404 moved/404 moved/404 login  login
POST   admin/accounts/tradingaccount/<path:object_id>/statement/ ok         ok/404    ok/404    ok/404    ok/404    login  login
GET    admin/accounts/user/<id>/password/                        ok         ok/404    403       ok/404    403       login  login
POST   admin/accounts/user/<id>/password/                        ok         ok/404    403       ok/404    403       login  login
POST   api/admin/auth/login                                      400        400       400       400       400       400    400
DELETE api/admin/client/<uuid:client_id>                         400        400/404   403/404   400/404   403/404   403    401
GET    api/admin/client/<uuid:client_id>                         ok         ok/404    ok/404    ok/404    ok/404    403    401
PUT    api/admin/client/<uuid:client_id>                         400        400/404   403/404   400/404   403/404   403    401
POST   api/admin/client/<uuid:client_id>/account                 400        400/404   403/404   403/404   403/404   403    401
POST   api/admin/client/<uuid:client_id>/documents               400        400/404   403/404   403/404   403/404   403    401
POST   api/admin/client/<uuid:client_id>/reveal                  400        400/404   403/404   403/404   403/404   403    401
POST   api/admin/client/create                                   400        400       403       403       403       403    401
GET    api/admin/clients                                         ok         ok        ok        ok        ok        403    401
POST   api/admin/clients/search                                  400        400       400       400       400       403    401
GET    api/admin/kyc                                             ok         ok        403       ok        ok        403    401
POST   api/admin/kyc/<int:review_id>/decide                      400        400/404   403/404   403/404   403/404   403    401
POST   api/admin/kyc/<int:review_id>/take                        ok         ok/404    403/404   403/404   403/404   403    401
POST   api/admin/kyc/document/<uuid:document_id>                 400        400/404   403/404   403/404   403/404   403    401
DELETE api/admin/user/<int:user_id>                              400        400/404   403/404   400/404   403/404   403    401
GET    api/admin/user/<int:user_id>                              ok         ok/404    ok/404    ok/404    ok/404    403    401
PUT    api/admin/user/<int:user_id>                              400        400/404   403/404   400/404   403/404   403    401
POST   api/admin/user/<int:user_id>/password                     400        400/404   403/404   400/404   403/404   403    401
POST   api/admin/user/create                                     400        400       403       403       403       403    401
GET    api/admin/users                                           ok         ok        ok        ok        ok        403    401
POST   api/auth/login                                            400        400       400       400       400       400    400
POST   api/auth/logout                                           ok         ok        ok        ok        ok        ok     401
POST   api/auth/password                                         400        400       400       400       400       400    401
POST   api/auth/refresh                                          400        400       400       400       400       400    400
POST   api/auth/ws-ticket                                        ok         ok        ok        ok        ok        ok     401
"""

ROWS = {
    "accounts.importrun": lambda side: {"status": "done"},
    "accounts.allowednetwork": lambda side: {"network": "127.0.0.0/8"},
    "accounts.reachgrant": lambda side: {
        "user": User.objects.get(email="superadmin@matrix.example"),
        "trading_group": side.group,
        "given_at": clock.now(),
    },
}

IDS = {
    "api/admin/account/<int:login>": "accounts.tradingaccount:login",
    "api/admin/client/<uuid:client_id>": "accounts.client",
    "api/admin/client/<uuid:client_id>/account": "accounts.client",
    "api/admin/client/<uuid:client_id>/documents": "accounts.client",
    "api/admin/client/<uuid:client_id>/reveal": "accounts.client",
    "api/admin/kyc/<int:review_id>/decide": "accounts.kycreview",
    "api/admin/kyc/<int:review_id>/take": "accounts.kycreview",
    "api/admin/kyc/document/<uuid:document_id>": "accounts.kycdocument",
    "api/admin/user/<int:user_id>": "accounts.user",
    "api/admin/user/<int:user_id>/password": "accounts.user",
}
