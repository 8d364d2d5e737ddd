"""The admin site itself: sign-in, dashboard; rights, reach and logs of staff; health and documentation."""

from django.contrib.auth.models import Permission

PAGES = """
                                        superadmin admin dealer support auditor
auth.group                     house    va         v     -      -       v
auth.permission                house    v          v     -      -       v
guardian.userobjectpermission  house    v          v     -      -       v
guardian.groupobjectpermission house    v          v     -      -       v
auditlog.logentry              personal v          v     -      -       v
axes.accessattempt             house    v          v     -      v       v
axes.accesslog                 house    v          v     -      v       v
axes.accessfailurelog          house    v          v     -      v       v
console.savedfilter            personal v          v     -      -       -
"""

ACTIONS = """
                          superadmin admin dealer support auditor
axes.accessattempt unlock x          x     -      x       -
"""

LOOKUPS = """
                       superadmin admin dealer support auditor
auth.group permissions x          x     -      -       x
"""

PARTS = """
           superadmin admin dealer support auditor
accounts   x          x     x      x       x
exposure   x          x     x      x       x
house      x          x     x      x       x
orders     x          x     x      x       x
risk       x          x     x      -       x
approvals  x          x     x      -       x
reviews    x          x     -      x       x
requests   x          x     x      x       x
letters    x          x     -      -       x
connections x         x     -      -       x
"""

ROUTES = """
                                                        superadmin admin   dealer  support auditor trader anonymous
DELETE /                                                ok         ok      ok      ok      ok      login  ok
GET    /                                                moved      moved   moved   moved   moved   login  moved
PATCH  /                                                ok         ok      ok      ok      ok      login  ok
POST   /                                                ok         ok      ok      ok      ok      login  ok
PUT    /                                                ok         ok      ok      ok      ok      login  ok
GET    admin/                                           ok         ok      ok      ok      ok      login  login
POST   admin/                                           ok         ok      ok      ok      ok      login  login
GET    admin/<app_label>/                               ok         ok      ok      ok      ok      login  login
POST   admin/<app_label>/                               ok         ok      ok      ok      ok      login  login
GET    admin/<url>                                      404        404     404     404     404     login  login
POST   admin/<url>                                      404        404     404     404     404     login  login
GET    admin/autocomplete/                              403        403     403     403     403     login  login
POST   admin/autocomplete/                              405        405     405     405     405     login  login
GET    admin/find/                                      405        405     405     405     405     login  login
POST   admin/find/                                      400        400     400     400     400     login  login
GET    admin/jsi18n/                                    ok         ok      ok      ok      ok      login  login
POST   admin/jsi18n/                                    405        405     405     405     405     login  login
GET    admin/live/                                      ok         ok      ok      ok      ok      login  login
POST   admin/live/                                      ok         ok      ok      ok      ok      login  login
GET    admin/live/ticket/                               405        405     405     405     405     login  login
POST   admin/live/ticket/                               ok         ok      ok      ok      ok      login  login
GET    admin/login/                                     moved      moved   moved   moved   moved   ok     ok
POST   admin/login/                                     ok         ok      ok      ok      ok      ok     ok
PUT    admin/login/                                     ok         ok      ok      ok      ok      ok     ok
GET    admin/login/cancel/                              405        405     405     405     405     login  405
POST   admin/login/cancel/                              login      login   login   login   login   login  login
GET    admin/login/code/                                moved      moved   moved   moved   moved   login  login
POST   admin/login/code/                                ok         ok      ok      ok      ok      login  login
GET    admin/logout/                                    405        405     405     405     405     login  moved
POST   admin/logout/                                    ok         ok      ok      ok      ok      login  ok
GET    admin/password_change/                           ok         ok      ok      ok      ok      login  login
POST   admin/password_change/                           ok         ok      ok      ok      ok      login  login
GET    admin/password_change/done/                      ok         ok      ok      ok      ok      login  login
POST   admin/password_change/done/                      405        405     405     405     405     login  login
GET    admin/prove/                                     403        403     403     403     403     login  login
POST   admin/prove/                                     403        403     403     403     403     login  login
PUT    admin/prove/                                     403        403     403     403     403     login  login
GET    admin/prove/passkey/                             403        403     403     403     403     login  login
POST   admin/prove/passkey/                             403        403     403     403     403     login  login
PUT    admin/prove/passkey/                             403        403     403     403     403     login  login
GET    admin/r/<path:content_type_id>/<path:object_id>/ 404        404     404     404     404     login  login
POST   admin/r/<path:content_type_id>/<path:object_id>/ 404        404     404     404     404     login  login
GET    admin/saved-filters/<int:filter_id>/drop/        405        405     405     405     405     login  login
POST   admin/saved-filters/<int:filter_id>/drop/        404        404     404     404     404     login  login
GET    admin/saved-filters/keep/                        405        405     405     405     405     login  login
POST   admin/saved-filters/keep/                        404        404     404     404     404     login  login
GET    admin/search/                                    ok         ok      ok      ok      ok      login  login
POST   admin/search/                                    ok         ok      ok      ok      ok      login  login
GET    admin/second-factor/                             ok         ok      ok      ok      ok      login  login
GET    admin/second-factor/app/                         ok         ok      ok      ok      ok      login  login
POST   admin/second-factor/app/                         ok         ok      ok      ok      ok      login  login
PUT    admin/second-factor/app/                         ok         ok      ok      ok      ok      login  login
GET    admin/second-factor/app/remove/                  404        404     404     404     404     login  login
POST   admin/second-factor/app/remove/                  404        404     404     404     404     login  login
PUT    admin/second-factor/app/remove/                  404        404     404     404     404     login  login
GET    admin/second-factor/passkey/                     ok         ok      ok      ok      ok      login  login
POST   admin/second-factor/passkey/                     ok         ok      ok      ok      ok      login  login
PUT    admin/second-factor/passkey/                     ok         ok      ok      ok      ok      login  login
DELETE admin/second-factor/passkey/<int:pk>/remove/     404        404     404     404     404     login  login
GET    admin/second-factor/passkey/<int:pk>/remove/     404        404     404     404     404     login  login
POST   admin/second-factor/passkey/<int:pk>/remove/     404        404     404     404     404     login  login
DELETE admin/second-factor/passkeys/                    ok         ok      ok      ok      ok      login  ok
GET    admin/second-factor/passkeys/                    moved      moved   moved   moved   moved   login  moved
PATCH  admin/second-factor/passkeys/                    ok         ok      ok      ok      ok      login  ok
POST   admin/second-factor/passkeys/                    ok         ok      ok      ok      ok      login  ok
PUT    admin/second-factor/passkeys/                    ok         ok      ok      ok      ok      login  ok
GET    admin/second-factor/recovery-codes/              404        404     404     404     404     login  login
GET    admin/second-factor/recovery-codes/new/          ok         ok      ok      ok      ok      login  login
POST   admin/second-factor/recovery-codes/new/          ok         ok      ok      ok      ok      login  login
PUT    admin/second-factor/recovery-codes/new/          ok         ok      ok      ok      ok      login  login
GET    admin/second-factor/sessions/                    405        405     405     405     405     login  login
POST   admin/second-factor/sessions/                    ok         ok      ok      ok      ok      login  login
GET    api/admin/account/<int:login>                    ok         ok/404  ok/404  ok/404  ok/404  403    401
PUT    api/admin/account/<int:login>                    400        400/404 403/404 403/404 403/404 403    401
GET    api/admin/orders                                 ok         ok      ok      ok      ok      403    401
GET    api/admin/positions                              ok         ok      ok      ok      ok      403    401
GET    api/docs                                         ok         ok      ok      ok      ok      ok     ok
GET    api/schema                                       ok         ok      ok      ok      ok      ok     ok
GET    metrics                                          404        404     404     404     404     login  404
POST   metrics                                          404        404     404     404     404     login  404
GET    ready                                            ok         ok      ok      ok      ok      login  ok
POST   ready                                            ok         ok      ok      ok      ok      login  ok
"""

ROWS = {
    "guardian.groupobjectpermission": lambda side: {
        "object_pk": str(side.group.pk),
        "permission": Permission.objects.get(codename="manage_group"),
    },
}

IDS = {
    "admin/saved-filters/<int:filter_id>/drop/": "=1",
    "admin/second-factor/passkey/<int:pk>/remove/": "=1",
    "admin/<app_label>/": "=trading",
    "admin/<url>": "=nothing/is/here/",
    "admin/r/<path:content_type_id>/<path:object_id>/": {"content_type_id": "=1", "object_id": "=1"},
}
