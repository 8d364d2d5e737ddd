"""CRM: connections with their mapping, what the sync did to clients, what CRMs sent."""

from typing import Any

from apps.accounts.models import Client
from apps.crm.models import (
    Connection,
    DeadLetter,
    Link,
    SyncEntry,
    SyncRun,
    WebhookDelivery,
    WebhookEvent,
)
from rtx.kernel import clock

PAGES = """
                             superadmin admin dealer support auditor
crm.connection         house vac        vac   -      -       v
crm.fieldmapping       house v          v     -      -       v
crm.syncrun            house v          v     -      -       v
crm.exchange           house v          v     -      -       v
crm.webhookdelivery    reach v          v     -      -       v
crm.webhookevent       reach v          v     -      -       v
crm.link               reach v          v     -      v       v
crm.syncentry          reach v          v     -      v       v
crm.conflict           reach v          v     -      -       v
crm.deadletter         reach v          v     -      -       v
"""

ACTIONS = """
                          superadmin admin dealer support auditor
crm.connection connect    x          x     -      -       -
crm.connection disconnect x          x     -      -       -
crm.connection mapping    x          x     -      -       x
crm.connection pause      x          x     -      -       -
crm.connection remove     x          x     -      -       -
crm.connection resume     x          x     -      -       -
crm.connection sync       x          x     -      -       -
crm.connection test       x          x     -      -       -
crm.conflict   reveal     x          x     -      -       -
crm.deadletter drop       x          x     -      -       -
crm.deadletter replay     x          x     -      -       -
crm.link       send_again x          x     -      -       -
crm.syncrun    cancel     x          x     -      -       -
"""

ROUTES = """
                                                                 superadmin admin     dealer  support auditor trader anonymous
GET    admin/crm/connection/callback/                            moved      moved     403     403     403     login  login
POST   admin/crm/connection/callback/                            405        405       405     405     405     login  login
GET    admin/crm/connection/<int:connection_id>/fields/          ok         ok        403     403     ok      login  login
POST   admin/crm/connection/<int:connection_id>/fields/          ok         ok        403     403     403     login  login
GET    admin/crm/connection/<int:connection_id>/live/            ok         ok        404     404     ok      login  login
POST   admin/crm/connection/<int:connection_id>/live/            ok         ok        404     404     ok      login  login
GET    admin/crm/connection/<int:connection_id>/preview/         ok         ok        403     403     403     login  login
POST   admin/crm/connection/<int:connection_id>/preview/         ok         ok        403     403     403     login  login
GET    admin/crm/syncrun/<int:run_id>/progress/                  ok         ok        404     404     ok      login  login
POST   admin/crm/syncrun/<int:run_id>/progress/                  ok         ok        404     404     ok      login  login
POST   api/admin/crm/config                                      400        400       403     403     403     403    401
DELETE api/admin/crm/config/<int:config_id>                      400        400       403     403     403     403    401
GET    api/admin/crm/config/<int:config_id>                      ok         ok        403     403     ok      403    401
PUT    api/admin/crm/config/<int:config_id>                      400        400       403     403     403     403    401
GET    api/admin/crm/configs                                     ok         ok        403     403     ok      403    401
POST   api/admin/crm/dead-letter/<int:dead_letter_id>/replay     ok         ok/404    403/404 403/404 403/404 403    401
GET    api/admin/crm/dead-letters                                ok         ok        403     403     ok      403    401
GET    api/admin/crm/mappings                                    ok         ok        403     403     ok      403    401
PUT    api/admin/crm/mappings                                    400        400       403     403     403     403    401
GET    api/admin/crm/oauth/callback                              moved      moved     moved   moved   moved   moved  moved
GET    api/admin/crm/oauth/start                                 ok         ok        403     403     403     403    401
POST   api/admin/crm/sync/<int:run_id>/cancel                    400        400       403     403     403     403    401
GET    api/admin/crm/sync/history                                ok         ok        403     403     ok      403    401
GET    api/admin/crm/sync/status                                 ok         ok        403     403     ok      403    401
POST   api/admin/crm/sync/trigger                                400        400       403     403     403     403    401
POST   api/admin/crm/test/<int:config_id>                        ok         ok        403     403     403     403    401
POST   api/webhooks/crm/hubspot                                  404        404       404     404     404     404    404
POST   api/webhooks/crm/salesforce                               404        404       404     404     404     404    404
POST   api/webhooks/crm/salesforce/<path:secret>                 404        404       404     404     404     404    404
POST   api/webhooks/crm/zoho                                     404        404       404     404     404     404    404
"""


def seed(side: Any) -> None:
    """Link the client of a side with a record, and let something be given up."""
    now = clock.now()
    connection, is_new = Connection.objects.get_or_create(
        provider="hubspot",
        defaults={"name": "HubSpot", "client_id": "app", "customer_object": "contacts", "created_at": now},
    )
    if is_new:
        connection.client_secret = "kept-by-nobody"
        connection.save()
        SyncRun.objects.create(
            connection=connection, kind="full", status="queued", asked_by="test", created_at=now
        )
    client = Client.objects.get(trading_accounts=side.account)
    link = Link.objects.create(
        connection=connection,
        provider="hubspot",
        client=client,
        crm_id=str(client.number),
        wanted_at=now,
        changed_at=now,
        due_at=now,
    )
    SyncEntry.objects.create(
        connection=connection, link=link, direction="push", action="created", cause="run", at=now
    )
    DeadLetter.objects.create(
        connection=connection, link=link, direction="push", error_code="call_refused", created_at=now
    )
    delivery = WebhookDelivery(connection=connection, digest=str(client.pk), due_at=now, received_at=now)
    delivery.seal(b"{}")
    delivery.save()
    WebhookEvent.objects.create(
        connection=connection,
        delivery=delivery,
        link=link,
        key=str(client.pk),
        object_name="contacts",
        crm_id=link.crm_id,
        what="changed",
        outcome="taken",
        at=now,
    )


ROWS = {
    "crm.conflict": lambda side: {"link": Link.objects.get(client__trading_accounts=side.account)},
}


def _letter(side: Any) -> int:
    return DeadLetter.objects.get(link__client__trading_accounts=side.account).pk


IDS = {
    "api/admin/crm/config/<int:config_id>": "crm.connection",
    "api/admin/crm/test/<int:config_id>": "crm.connection",
    "api/admin/crm/sync/<int:run_id>/cancel": "crm.syncrun",
    "api/admin/crm/dead-letter/<int:dead_letter_id>/replay": _letter,
    "api/webhooks/crm/salesforce/<path:secret>": "=guessed",
}

ASKED = {
    "GET api/admin/crm/mappings": lambda side: {"config": Connection.objects.get().pk},
    "GET api/admin/crm/oauth/start": lambda side: {"config": Connection.objects.get().pk},
    "POST api/admin/crm/dead-letter/<int:dead_letter_id>/replay": lambda side: {"reason": "to be seen"},
}
