"""
What providers send: checked on the raw bytes, stored sealed, answered; looked at later by a task. A delivery
or an event that came before does nothing. Trusts no field of an event: records that it names are read anew.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from uuid import UUID

import structlog
from django.db import connection as database
from django.db import transaction
from django.db.models import F, QuerySet
from prometheus_client import Counter

from apps.crm.adapters.provider import (
    AccessRevoked,
    CallRefused,
    ConnectionFault,
    HookEvent,
    Provider,
    ProviderError,
    Unavailable,
)
from apps.crm.models import Connection, DeadLetter, Link, WebhookDelivery, WebhookEvent
from apps.crm.services import calling, claims, erasing, faults, giving_up, pulling
from rtx.kernel import clock
from rtx.kernel.errors import NotAuthenticated, NotFound

BODY_MAX = 1024 * 1024
ATTEMPTS_MAX = 8
CLAIM = timedelta(minutes=3)  # a worker that died leaves its deliveries to the next one after that
TOGETHER = 200  # deliveries whose records are read at once
PASS_MAX = 2_000  # deliveries of a connection that one pass looks at: the worker has other work too
PASS_S = 5.0
KNOWN_S = 1.0  # so long a process remembers who waits: a pause or a new secret counts after that
LIVE = (Connection.Status.ACTIVE, Connection.Status.PAUSED)
NO_TRY = (calling.Held, calling.BreakerOpen, calling.NotConnected, AccessRevoked, ConnectionFault)
PULLED = frozenset({"created", "changed", "merged"})
INTAKE = Counter(
    "rtx_crm_webhooks", "Webhook requests by provider and what became of them.", ["provider", "outcome"]
)
STORE = """
    INSERT INTO crm_webhookdelivery
        (connection_id, digest, body_sealed, content_type, status, attempts, due_at, events, repeated,
         error_code, received_at)
    VALUES (%s, %s, %s, %s, 'received', 0, %s, 0, 0, '', %s)
    ON CONFLICT (connection_id, digest) DO NOTHING
    RETURNING id
"""
log = structlog.get_logger(__name__)


_known: dict[tuple[str, str], tuple[float, tuple[int, Provider] | None]] = {}


class WebhookRefused(NotAuthenticated):
    """A webhook without a valid proof: `webhook_signature`, or `webhook_stale` when it is too old."""

    status = HTTPStatus.UNAUTHORIZED
    code = "webhook_signature"
    title = "Not believed"


@dataclass(frozen=True, slots=True)
class Taken:
    """A delivery that is stored (`is_new`) or was before, and how it is answered."""

    is_new: bool
    body: bytes
    content_type: str


def take(
    *, provider: str, method: str, url: str, headers: Mapping[str, str], body: bytes, content_type: str
) -> Taken:
    """
    Check and store one delivery; the same one again is answered alike and does nothing.

    `headers`: names in lower case. `url`: as the provider called it.

    :raises NotFound: no such provider, or it is not connected; both look the same.
    :raises WebhookRefused: the proof is missing, wrong or too old.
    """
    connection_id, adapter = _waiting(provider)
    try:
        digest = adapter.verify(method=method, url=url, headers=headers, body=body, now_ms=clock.now_ms())
    except CallRefused as error:
        INTAKE.labels(provider, "refused").inc()
        code = error.code if error.code.startswith("webhook_") else "webhook_signature"
        raise WebhookRefused("The proof of this webhook is not valid.", code=code) from None
    is_new = _stored(connection_id, digest, body, content_type)
    INTAKE.labels(provider, "stored" if is_new else "repeated").inc()
    answer, answer_type = adapter.acknowledgement(content_type)
    return Taken(is_new, answer, answer_type)


def _waiting(provider: str) -> tuple[int, Provider]:
    """Return the connection that waits for a provider's calls, as it was at most `KNOWN_S` ago."""
    place, now_s = (database.settings_dict["NAME"], provider), time.monotonic()
    ends_s, who = _known.get(place, (0.0, None))
    if now_s >= ends_s:
        row = Connection.objects.filter(provider=provider, status__in=LIVE).first()
        who = None if row is None else (row.pk, calling.quiet(row))
        _known[place] = (now_s + KNOWN_S, who)
    if who is None:
        INTAKE.labels(provider, "unknown").inc()
        raise NotFound("Nobody waits for this.", code="webhook_not_found")
    return who


def _stored(connection_id: int, digest: str, body: bytes, content_type: str) -> bool:
    now = clock.now()
    held = WebhookDelivery(connection_id=connection_id, digest=digest)
    held.seal(body)
    with database.cursor() as cursor:
        cursor.execute(STORE, [connection_id, digest, bytes(held.body_sealed), content_type[:80], now, now])
        return cursor.fetchone() is not None


def retry(*, delivery_id: int) -> bool:
    """
    Queue a delivery that was given up once more (its dead letter is the caller's); return whether it still
    could be.
    """
    given_up = WebhookDelivery.objects.filter(pk=delivery_id, status=WebhookDelivery.Status.FAILED)
    queued = given_up.exclude(body_sealed=b"").update(
        status=WebhookDelivery.Status.RECEIVED, attempts=0, due_at=clock.now(), error_code=""
    )
    return queued == 1


def forget(*, delivery_id: int) -> None:
    """Drop the body of a delivery that was given up."""
    given_up = WebhookDelivery.objects.filter(pk=delivery_id, status=WebhookDelivery.Status.FAILED)
    given_up.update(body_sealed=b"")


def process_due(*, limit: int = PASS_MAX, for_s: float = PASS_S) -> int:
    """
    Look at deliveries that wait, one worker per connection, for `for_s` seconds or up to `limit` of each;
    return how many were finished.
    """
    finished = 0
    for connection in Connection.objects.filter(status=Connection.Status.ACTIVE):
        if not _due(connection).exists():
            continue
        with claims.alone(connection, "crm_webhooks") as is_alone:
            if is_alone:
                finished += _pass(connection, limit, time.monotonic() + for_s)
    return finished


def are_waiting() -> bool:
    """Tell whether deliveries could be looked at now."""
    active = Connection.objects.filter(status=Connection.Status.ACTIVE)
    return any(_due(connection).exists() for connection in active)


def _pass(connection: Connection, limit: int, until_s: float) -> int:
    finished = 0
    while limit > 0 and calling.is_active(connection):
        held = _claimed(connection, min(limit, TOGETHER))
        if not held:
            break
        limit -= len(held)
        finished += _processed(connection, held)
        if time.monotonic() >= until_s:
            break
    return finished


def _due(connection: Connection) -> "QuerySet[WebhookDelivery]":
    waiting = WebhookDelivery.objects.filter(connection=connection, status=WebhookDelivery.Status.RECEIVED)
    return waiting.filter(due_at__lte=clock.now())


@dataclass(frozen=True, slots=True)
class _Read:
    """A delivery with its events."""

    delivery: WebhookDelivery
    events: list[HookEvent]

    @property
    def crm_ids(self) -> set[str]:
        """The records that it names."""
        return {event.crm_id for event in self.events}


def _claimed(connection: Connection, limit: int) -> list[WebhookDelivery]:
    """Take deliveries for `CLAIM`; each try counts, so that one that kills its worker ends."""
    now = clock.now()
    with transaction.atomic():
        rows = list(
            _due(connection).select_for_update(skip_locked=True, no_key=True).order_by("due_at", "pk")[:limit]
        )
        for row in rows:
            row.attempts += 1
            row.due_at = now + CLAIM
        WebhookDelivery.objects.filter(pk__in=[row.pk for row in rows]).update(
            attempts=F("attempts") + 1, due_at=now + CLAIM
        )
    for row in rows:
        if row.attempts > ATTEMPTS_MAX:  # it ends its workers without a word
            _given_up(row, "processing_failed", "Processing ended without a result.")
    return [row for row in rows if row.attempts <= ATTEMPTS_MAX]


def _processed(connection: Connection, held: list[WebhookDelivery]) -> int:
    """Read the records that some deliveries name, once each, and note the events; return the finished."""
    read = _read(connection, held)
    return _looked_at(connection, read) if read else 0


def _read(connection: Connection, held: list[WebhookDelivery]) -> list[_Read]:
    """Read deliveries; one that cannot be read is given up and holds no other."""
    adapter = calling.quiet(connection)
    read: list[_Read] = []
    for delivery in held:
        try:
            events = adapter.events(delivery.body(), delivery.content_type)
        except CallRefused as error:
            _given_up(delivery, error.code, str(error))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it; its text may quote the body
            log.error("crm_webhook_unreadable", delivery=delivery.pk, error=type(error).__name__)
            _given_up(delivery, "webhook_unreadable", f"It cannot be read ({type(error).__name__}).")
        else:
            read.append(_Read(delivery, events))
    return read


def _looked_at(connection: Connection, read: list[_Read]) -> int:
    """Take over what deliveries tell of. Those that fail are parted until the bad one stands alone."""
    try:
        outcomes = _outcomes(connection, [event for one in read for event in one.events])
        _taken_over(connection, [event for event in _each(read) if outcomes.get(event.key) == "taken"])
        _noted(connection, read, outcomes)
    except ProviderError as error:
        if len(read) == 1 or (error.is_retryable and error.code != pulling.UNKNOWN):
            if isinstance(error, ConnectionFault):
                faults.note(connection_id=connection.pk, error=error)
            for one in read:
                _put_off(one, error)
            return 0
    except Exception as error:  # noqa: BLE001 - of one; the others go on, and its text may quote a value
        if len(read) == 1:
            log.error("crm_webhook_failed", delivery=read[0].delivery.pk, error=type(error).__name__)
            _put_off(read[0], Unavailable(f"It failed here ({type(error).__name__}).", code="internal"))
            return 0
    else:
        return len(read)
    middle = len(read) // 2
    return _looked_at(connection, read[:middle]) + _looked_at(connection, read[middle:])


def _each(read: list[_Read]) -> list[HookEvent]:
    return list({event.key: event for one in read for event in one.events}.values())


def _outcomes(connection: Connection, events: list[HookEvent]) -> dict[str, str]:
    """Return what is done about each event (by key): taken, older, ignored; known ones are left out."""
    keys = {event.key for event in events}
    known = set(
        WebhookEvent.objects.filter(connection=connection, key__in=keys).values_list("key", flat=True)
    )
    ids = {event.crm_id for event in events}
    seen: dict[tuple[str, str], datetime | None] = {
        (kind, crm_id): at
        for kind, crm_id, at in Link.objects.filter(connection=connection, crm_id__in=ids).values_list(
            "kind", "crm_id", "crm_changed_at"
        )
    }
    followed = _followed(connection)
    outcomes: dict[str, str] = {}
    for event in events:
        if event.key in known:
            continue
        kind = followed.get(event.object_name)
        if kind is None or event.changed_by_us or not event.crm_id:
            outcomes[event.key] = "ignored"
            continue
        at = seen.get((kind, event.crm_id))
        is_older = at is not None and event.occurred_at is not None and event.occurred_at < at
        outcomes[event.key] = "older" if is_older and event.what in PULLED else "taken"
    return outcomes


def _followed(connection: Connection) -> dict[str, str]:
    return {connection.customer_object: "client", connection.account_object: "account"}


def _taken_over(connection: Connection, events: list[HookEvent]) -> None:
    """Let `pulling` read the records that events name; nothing that they say of them is believed."""
    if not events:
        return
    named: dict[str, dict[str, None]] = {}
    for event in events:
        named.setdefault(event.object_name, {})[event.crm_id] = None
    with calling.opened(connection) as provider:
        for object_name, crm_ids in named.items():
            wanted = list(crm_ids)
            for first in range(0, len(wanted), provider.batch_max):
                pulling.pull_named(
                    connection,
                    provider,
                    object_name=object_name,
                    crm_ids=wanted[first : first + provider.batch_max],
                    cause="webhook",
                )


def _noted(connection: Connection, read: list[_Read], outcomes: Mapping[str, str]) -> None:
    """
    Write the events and the end of their deliveries in one transaction; an event is written once. The bodies
    have served.
    """
    now, followed = clock.now(), _followed(connection)
    ids = {event.crm_id for one in read for event in one.events if event.crm_id}
    mine = Link.objects.filter(connection=connection, crm_id__in=ids)
    links = {(kind, crm_id): pk for kind, crm_id, pk in mine.values_list("kind", "crm_id", "pk")}
    with transaction.atomic():
        noted = WebhookEvent.objects.filter(connection=connection, key__in=list(outcomes))
        left = outcomes.keys() - set(noted.values_list("key", flat=True))
        rows: list[WebhookEvent] = []
        for one in read:
            before = len(rows)
            for event in one.events:
                if event.key in left:
                    left.discard(event.key)
                    link_id = links.get((followed.get(event.object_name, ""), event.crm_id))
                    rows.append(_row(one.delivery, event, outcomes[event.key], now, link_id))
            one.delivery.events = len(one.events)
            one.delivery.repeated = len(one.events) - (len(rows) - before)
        WebhookEvent.objects.bulk_create(rows, ignore_conflicts=True)
        deliveries = [one.delivery for one in read]
        WebhookDelivery.objects.bulk_update(deliveries, ["events", "repeated"])
        WebhookDelivery.objects.filter(pk__in=[row.pk for row in deliveries]).update(
            status=WebhookDelivery.Status.DONE, error_code="", processed_at=now, body_sealed=b""
        )


def _row(
    delivery: WebhookDelivery, event: HookEvent, outcome: str, now: datetime, link_id: UUID | None
) -> WebhookEvent:
    return WebhookEvent(
        connection_id=delivery.connection_id,
        delivery=delivery,
        link_id=link_id,
        key=event.key[:128],
        object_name=event.object_name[:80],
        crm_id=event.crm_id[:64],
        what=event.what,
        occurred_at=event.occurred_at,
        outcome=outcome,
        at=now,
    )


def _put_off(read: _Read, error: ProviderError) -> None:
    """
    Try a delivery later; after `ATTEMPTS_MAX` it is given up. Waiting for a limit, or until a fault of the
    connection is mended, is no try.
    """
    delivery = read.delivery
    if isinstance(error, NO_TRY):
        delivery.attempts -= 1
    elif not error.is_retryable or delivery.attempts >= ATTEMPTS_MAX:
        _given_up(delivery, error.code, str(error), crm_ids=read.crm_ids)
        return
    wait_s = max(error.retry_after_s or 0.0, float(min(600, 5 * 2**delivery.attempts)))
    WebhookDelivery.objects.filter(pk=delivery.pk).update(
        attempts=delivery.attempts, due_at=clock.now() + timedelta(seconds=wait_s), error_code=error.code[:40]
    )


def _given_up(delivery: WebhookDelivery, code: str, message: str, *, crm_ids: set[str] | None = None) -> None:
    """Keep a delivery for staff; of one that tells of a client who was erased nothing is kept."""
    now = clock.now()
    with transaction.atomic():
        WebhookDelivery.objects.filter(pk=delivery.pk).update(
            status=WebhookDelivery.Status.FAILED, error_code=code[:40], processed_at=now
        )
        DeadLetter.objects.create(
            connection_id=delivery.connection_id,
            delivery=delivery,
            direction=DeadLetter.Direction.WEBHOOK,
            error_code=code[:40],
            error=message[:300],
            attempts=delivery.attempts,
            created_at=now,
        )
        if erasing.tells_of_erased(delivery, crm_ids):
            forget(delivery_id=delivery.pk)
            giving_up.drop_deliveries([delivery.pk])
