"""Audit: the staff log, what waits for a second person, requests by key."""

from datetime import timedelta

from rtx.kernel import clock

PAGES = """
                              superadmin admin dealer support auditor
audit.staffaction    reach    v          v     -      -       v
audit.approval       reach    v          v     v      -       v
audit.staffrequest   personal v          v     -      -       v
audit.checkpoint     house    v          v     -      -       v
audit.integritycheck house    v          v     -      -       v
"""

ACTIONS = """
                             superadmin admin dealer support auditor
audit.approval    approve    x          x     -      -       -
audit.approval    cancel     x          x     x      -       -
audit.approval    reject     x          x     -      -       -
audit.staffaction export_csv x          x     -      -       x
"""

ROUTES = """
                                                     superadmin admin   dealer  support auditor trader anonymous
GET    admin/audit/integrity/                        ok         ok      403     403     ok      login  login
POST   admin/audit/integrity/                        ok         ok      403     403     ok      login  login
GET    admin/audit/integrity/live/                   ok         ok      403     403     ok      login  login
POST   admin/audit/integrity/live/                   405        405     405     405     405     login  login
POST   api/admin/approval/<uuid:approval_id>/approve 400        400/404 400/404 403/404 403/404 403    401
POST   api/admin/approval/<uuid:approval_id>/reject  400        400/404 400/404 403/404 403/404 403    401
GET    api/admin/approvals                           ok         ok      ok      403     ok      403    401
GET    api/admin/audit                               ok         ok      403     403     ok      403    401
GET    api/admin/audit/verify                        ok         ok      403     403     ok      403    401
POST   api/admin/audit/verify                        ok         ok      403     403     ok      403    401
"""

ROWS = {
    "audit.staffaction": lambda side: {"group_id": side.group.pk},
    "audit.approval": lambda side: {
        "group_id": side.group.pk,
        "content": "{}",
        "content_hash": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "expires_at": clock.now() + timedelta(hours=1),
    },
}

IDS = {
    "api/admin/approval/<uuid:approval_id>/approve": "audit.approval",
    "api/admin/approval/<uuid:approval_id>/reject": "audit.approval",
}

ASKED = {
    "POST api/admin/approval/<uuid:approval_id>/approve": lambda side: {"reason": "to be seen"},
    "POST api/admin/approval/<uuid:approval_id>/reject": lambda side: {"reason": "to be seen"},
}
