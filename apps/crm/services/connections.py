"""
Makes, changes, pauses and removes connections. Secrets are sealed; no call to a provider is made but to give
the grant back. Whether a connection works is found out by `testing`.
"""

import re
import secrets
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from apps.audit.services import actions
from apps.crm.models import Connection, FieldMapping, Link, WebhookDelivery
from apps.crm.services import erasing, faults, field_mappings, giving_up, oauth, retention
from apps.crm.services.testing import Diagnosis, Finding, test
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.errors import Conflict, Invalid, NotFound

__all__ = [
    "Diagnosis",
    "Finding",
    "change",
    "create",
    "disconnect",
    "pause",
    "present",
    "remove",
    "resume",
    "test",
]
EDITABLE = (
    "name",
    "client_id",
    "region",
    "customer_object",
    "account_object",
    "creates_clients",
    "erases_there",
    "calls_max",
    "window_s",
    "pull_every_s",
    "keep_days",
)
CALLS_MAX = 2_000  # the calls of a window are kept in the connection's row
REGIONS = ("com", "eu", "in", "com.au", "jp", "com.cn", "sa", "ca")
OBJECTS = {
    Connection.Provider.HUBSPOT: ("contacts", "deals"),
    Connection.Provider.SALESFORCE: ("Contact", ""),
    Connection.Provider.ZOHO: ("Contacts", ""),
}
CHANNEL_TOKEN_MAX = 50  # Zoho's
WEBHOOK_SECRET_MIN = 16
WEBHOOK_SECRET = re.compile(r"[A-Za-z0-9._~-]+", re.ASCII)  # it may end an address


def create(*, values: Mapping[str, Any], actor: Actor) -> Connection:
    """
    Make a connection that is not connected yet. `values`: the model's editable fields, and `client_secret`
    and `webhook_secret` in clear.

    :raises Invalid: a value does not fit.
    :raises Conflict: `connection_exists`: this provider has one already.
    """
    provider = str(values.get("provider", ""))
    if provider not in Connection.Provider.values:
        raise Invalid("Unknown provider.", errors={"provider": ["hubspot, salesforce or zoho"]})
    customer, account = OBJECTS[Connection.Provider(provider)]
    row = Connection(
        provider=provider,
        name=Connection.Provider(provider).label,
        customer_object=customer,
        account_object=account,
        created_at=clock.now(),
        created_by_id=actor.user_id,
    )
    _fill(row, values)
    try:
        with transaction.atomic():
            row.save()
            _seal(row, values)
            if provider == Connection.Provider.ZOHO and not row.webhook_secret_sealed:
                row.webhook_secret = secrets.token_urlsafe(24)  # nobody has to copy it: RTX opens the channel
            row.save(update_fields=["client_secret_sealed", "webhook_secret_sealed"])
            field_mappings.install_defaults(row)
            actions.record(actor=actor, operation="crm.create_connection", target=row, after=_shown(row))
    except IntegrityError as error:
        raise Conflict(
            f"There is a connection to {row.get_provider_display()} already.", code="connection_exists"
        ) from error
    return row


def change(*, connection_id: int, values: Mapping[str, Any], actor: Actor) -> Connection:
    """
    Change a connection's editable fields; secrets only where given and not empty. `provider` stays.

    :raises NotFound: `connection_not_found`.
    :raises Invalid: a value does not fit.
    :raises Conflict: `connection_linked`: another object is named while records of the present one are
        linked; their ids mean something else there.
    """
    with transaction.atomic():
        row = present(connection_id)
        before = _shown(row)
        _fill(row, values)
        _keep_objects(row, before)
        given = _seal(row, values)
        row.save(update_fields=[*EDITABLE, "client_secret_sealed", "webhook_secret_sealed"])
        faults.look_again(connection_id=row.pk)
        after = _shown(row)
        changed = {name for name in after if after[name] != before[name]}
        actions.record(
            actor=actor,
            operation="crm.change_connection",
            target=row,
            before={name: before[name] for name in sorted(changed)},
            after={
                **{name: after[name] for name in sorted(changed)},
                **dict.fromkeys(given, "replaced"),
            },
        )
    return row


def _keep_objects(row: Connection, before: Mapping[str, Any]) -> None:
    for name, kind in (
        ("customer_object", FieldMapping.Kind.CLIENT),
        ("account_object", FieldMapping.Kind.ACCOUNT),
    ):
        is_other = getattr(row, name) != before[name]
        if is_other and Link.objects.filter(connection=row, kind=kind).exclude(crm_id="").exists():
            raise Conflict(
                "Records of the present object are linked: remove the connection and set it up anew.",
                code="connection_linked",
            )


def pause(*, connection_id: int, actor: Actor) -> Connection:
    """Stop all calls; what changes meanwhile waits. Raises `Conflict` (`connection_state`) unless ACTIVE."""
    return _moved(connection_id, actor, "pause", Connection.Status.ACTIVE, Connection.Status.PAUSED)


def resume(*, connection_id: int, actor: Actor) -> Connection:
    """Go on after a pause. Raises `Conflict` (`connection_state`) unless PAUSED."""
    return _moved(connection_id, actor, "resume", Connection.Status.PAUSED, Connection.Status.ACTIVE)


def disconnect(*, connection_id: int, actor: Actor) -> Connection:
    """Give the grant back to the provider (best effort) and forget the tokens; mappings and links stay."""
    with transaction.atomic():
        row = present(connection_id)
        before = row.status
        Connection.objects.filter(pk=row.pk).update(status=Connection.Status.DRAFT, watch={})
        faults.mended(connection_id=row.pk)
        actions.record(
            actor=actor,
            operation="crm.disconnect",
            target=row,
            before={"status": before},
            after={"status": Connection.Status.DRAFT},
        )
    oauth.give_back(connection=row)
    row.refresh_from_db()
    return row


def remove(*, connection_id: int, actor: Actor) -> Connection:
    """
    Disconnect, and delete secrets, mappings, links and what webhooks brought; the logs stay (REMOVED).
    Nothing can be tried again: dead letters are closed, but those of erasures that the CRM was not told of.
    """
    row = disconnect(connection_id=connection_id, actor=actor)
    with transaction.atomic():
        row = present(connection_id)
        erasing.untold(row)
        giving_up.close(row)
        links, _ = Link.objects.filter(connection=row).delete()
        WebhookDelivery.objects.filter(connection=row, status=WebhookDelivery.Status.RECEIVED).update(
            status=WebhookDelivery.Status.FAILED, error_code="connection_removed", processed_at=clock.now()
        )
        retention.forget_bodies(WebhookDelivery.objects.filter(connection=row))
        FieldMapping.objects.filter(connection=row).delete()
        Connection.objects.filter(pk=row.pk).update(
            status=Connection.Status.REMOVED,
            client_secret_sealed=b"",
            webhook_secret_sealed=b"",
            pull_cursor={},
            calls=[],
        )
        row.refresh_from_db()
        actions.record(
            actor=actor,
            operation="crm.remove_connection",
            target=row,
            before={"links": links},
            after={"status": row.status},
        )
    return row


def present(connection_id: int) -> Connection:
    """
    Lock a connection that is not removed, in the caller's transaction.

    :raises NotFound: `connection_not_found`.
    """
    row = (
        Connection.objects.select_for_update(no_key=True)
        .filter(pk=connection_id)
        .exclude(status=Connection.Status.REMOVED)
        .first()
    )
    if row is None:
        raise NotFound("There is no such connection.", code="connection_not_found")
    return row


def _moved(
    connection_id: int, actor: Actor, verb: str, expected: Connection.Status, status: Connection.Status
) -> Connection:
    with transaction.atomic():
        row = present(connection_id)
        if row.status != expected:
            raise Conflict(f"The connection is {row.get_status_display()}.", code="connection_state")
        Connection.objects.filter(pk=row.pk).update(status=status)
        row.refresh_from_db()
        actions.record(
            actor=actor,
            operation=f"crm.{verb}",
            target=row,
            before={"status": expected},
            after={"status": status},
        )
    return row


def _fill(row: Connection, values: Mapping[str, Any]) -> None:
    for name in EDITABLE:
        if name in values:
            setattr(row, name, values[name])
    errors: dict[str, list[str]] = {}
    try:
        row.clean_fields()
    except ValidationError as error:
        errors = {name: list(found) for name, found in error.message_dict.items()}
    if isinstance(row.calls_max, int) and row.calls_max > CALLS_MAX:
        errors["calls_max"] = [f"at most {CALLS_MAX}; choose a longer window instead"]
    if row.provider == Connection.Provider.ZOHO and row.region not in REGIONS:
        errors["region"] = [", ".join(REGIONS)]
    if secret := str(values.get("webhook_secret") or ""):
        wrong = _wrong_secret(row, secret)
        errors |= {"webhook_secret": wrong} if wrong else {}
    if errors:
        raise Invalid("A value does not fit.", errors=errors)


def _wrong_secret(row: Connection, secret: str) -> list[str]:
    wrong = []
    if len(secret) < WEBHOOK_SECRET_MIN:
        wrong.append(f"at least {WEBHOOK_SECRET_MIN} characters")
    if row.provider == Connection.Provider.ZOHO and len(secret) > CHANNEL_TOKEN_MAX:
        wrong.append(f"at most {CHANNEL_TOKEN_MAX} characters")
    if not WEBHOOK_SECRET.fullmatch(secret):
        wrong.append("letters, digits and . _ ~ - only")
    return wrong


def _seal(row: Connection, values: Mapping[str, Any]) -> list[str]:
    """Seal the secrets that were given; return their names."""
    given = [name for name in Connection.SECRETS if values.get(name)]
    for name in given:
        setattr(row, name, str(values[name]))
    return given


def _shown(row: Connection) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("provider", *EDITABLE)}
