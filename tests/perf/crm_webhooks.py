"""
Webhooks over HTTP into the running broker: `webhook_per_s`, of the new ones, and `webhook_p99_ms`, of all.

Afterwards everything that was stored is processed against the fake HubSpot. Repeats and old deliveries must
have had no effect: as many deliveries and events as were new, each once; and the same events sent again under
fresh signatures must change nothing either.
"""

import os
import random
from datetime import timedelta
from typing import Any

from tests.perf.broker import Broker, NotMeasured, Say, run_load
from tests.perf.figures import Figure

NAMES = ("webhook_per_s", "webhook_p99_ms")
PATH = "/api/webhooks/crm/hubspot"
CONNECTIONS = 10  # HubSpot's own
SECONDS = 15.0
WARMUP_S = 3.0
AGAIN = 1_000
SECRET = "bench-" + os.urandom(12).hex()


def run(broker: Broker, say: Say) -> list[Figure]:
    """Measure the intake, then process what came and count effects."""
    from tests.fakes.hubspot import HubSpotFake
    from tests.fakes.server import serving

    broker.start("web")
    fake = HubSpotFake()
    connection = _connection(fake)
    plan = {
        "port": broker.stack.web_port,
        "path": PATH,
        "uri": f"{broker.stack.env['RTX_PUBLIC_URL']}{PATH}",
        "secret": SECRET,
        "portal": connection.external_id,
        "connections": CONNECTIONS,
        "seconds": SECONDS,
        "warmup_s": WARMUP_S,
    }
    result = run_load("tests.perf.webhook_load", plan, timeout_s=SECONDS + WARMUP_S + 60)
    counts = result["counts"]
    say(f"  {result['per_s']:,.0f}/s, p50 {result['p50_ms']:.1f}, p99 {result['p99_ms']:.1f} ms; {counts}")
    if odd := {name: count for name, count in counts.items() if "answered" in name}:
        raise NotMeasured(f"answered otherwise than expected: {odd}")
    with serving(fake) as url:
        _effects(connection, url, new=counts["new"], say=say)
    how = (
        f"signed deliveries over {CONNECTIONS} keep-alive connections, closed loop, {SECONDS:g} s, "
        f"{result['per_s']:,.0f}/s of all kinds; "
        f"{counts['new']} new, {counts['repeat']} repeats, {counts['stale']} six minutes old; p50 "
        f"{result['p50_ms']:.1f} ms, worst {result['max_ms']:.0f} ms; {counts['new']} stored and processed; "
        f"repeats, old ones and {AGAIN} events sent again under new signatures: 0 effects"
    )
    measured = {name: count for name, count in counts.items() if name.startswith("measured ")}
    per_s = result["per_s"] * measured["measured new"] / sum(measured.values())  # the others store nothing
    p99_ms = result["p99_ms"]
    return [
        Figure("webhook_per_s", round(per_s, 1), "deliveries/s", ">= 500", per_s >= 500, how),
        Figure("webhook_p99_ms", round(p99_ms, 2), "ms", "<= 100", p99_ms <= 100, how),
    ]


def _connection(fake: Any) -> Any:
    """Connect the fake; it must be known before the first delivery comes."""
    from apps.crm.models import Connection, OAuthToken
    from apps.crm.services import calling, field_mappings
    from rtx.kernel import clock

    Connection.objects.exclude(status="removed").filter(provider="hubspot").update(status="removed")
    row = Connection.objects.create(
        provider="hubspot",
        name="HubSpot",
        client_id="bench",
        customer_object="contacts",
        external_id=str(fake.portal_id),
        calls_max=2_000,
        window_s=1,
        status="active",
        created_at=clock.now(),
    )
    row.client_secret = SECRET
    row.save()
    field_mappings.install_defaults(row)
    access, refresh = fake.grants.give(scope=" ".join(calling.quiet(row).scopes))
    now = clock.now()
    held = OAuthToken.objects.create(
        connection=row, expires_at=now + timedelta(hours=1), granted_at=now, refreshed_at=now
    )
    held.access_token, held.refresh_token = access, refresh
    held.save()
    return row


def _effects(connection: Any, url: str, *, new: int, say: Say) -> None:
    """Process everything, send some of it again, process that: each event is looked at once."""
    from django.conf import settings

    from apps.crm.models import WebhookDelivery, WebhookEvent
    from apps.crm.services import webhooks

    settings.CRM_HUBSPOT_URL = url
    stored = WebhookDelivery.objects.filter(connection=connection).count()
    if stored != new:
        raise NotMeasured(f"{new} new deliveries were accepted, {stored} are stored")
    kept = list(WebhookDelivery.objects.filter(connection=connection).order_by("id"))  # with their bodies
    rows = random.Random(6).sample(kept, min(AGAIN, len(kept)))
    _processed(webhooks)
    events = WebhookEvent.objects.filter(connection=connection).count()
    if events != new:
        raise NotMeasured(f"{new} new events came, {events} were looked at")
    for row in rows:
        again = WebhookDelivery(
            connection=connection,
            digest=f"again-{row.pk}",
            content_type=row.content_type,
            received_at=row.received_at,
            due_at=row.received_at,
        )
        again.seal(row.body())
        again.save()
    _processed(webhooks)
    after = WebhookEvent.objects.filter(connection=connection).count()
    repeated = WebhookDelivery.objects.filter(connection=connection, repeated=1).count()
    if after != events or repeated != len(rows):
        raise NotMeasured(f"events sent again had an effect: {events} became {after}, {repeated} were known")
    say(f"  {events:,} events looked at once, {repeated:,} sent again did nothing")


def _processed(webhooks: Any) -> None:
    from apps.crm.models import WebhookDelivery

    while WebhookDelivery.objects.filter(status="received").exists():
        if webhooks.process_due(limit=2_000) == 0:
            broken = WebhookDelivery.objects.exclude(status="done").values_list("status", "error_code")
            raise NotMeasured(f"deliveries were not processed: {list(broken[:3])}")
