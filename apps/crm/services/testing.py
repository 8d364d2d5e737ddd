"""
Finds out whether a connection works, by real calls, step by step; says of each failure what a person does
about it. Writes no customer. It makes RTX's id field at the provider where it is missing and may be made, and
remembers whose account answers and what any call learns.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from django.conf import settings
from django.db import transaction

from apps.audit.services import actions
from apps.crm.adapters.provider import AccessRevoked, Health, Provider, ProviderError
from apps.crm.domain.advice import advice
from apps.crm.models import Connection, FieldMapping, OAuthToken
from apps.crm.services import calling, faults
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.errors import NotFound

Step = Literal["settings", "access", "account", "object", "fields", "limits", "webhook"]
Outcome = Literal["ok", "warning", "failed", "skipped"]
OF_ACCESS = frozenset({"not_authorized", "token_endpoint_silent"})
FEW = 0.1  # of the day's calls


@dataclass(frozen=True, slots=True)
class Finding:
    """One step of a test. `advice` says what a person does about it; empty where it is well."""

    step: Step
    outcome: Outcome
    code: str
    detail: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What real calls found out, step by step."""

    findings: tuple[Finding, ...]

    @property
    def is_ok(self) -> bool:
        """Whether nothing failed (warnings may be there)."""
        return all(finding.outcome != "failed" for finding in self.findings)


def test(*, connection_id: int, actor: Actor) -> Diagnosis:
    """
    Make real calls and say clearly what works, what does not, and what to do about it.

    :raises NotFound: `connection_not_found`.
    """
    row = Connection.objects.filter(pk=connection_id).exclude(status=Connection.Status.REMOVED).first()
    if row is None:
        raise NotFound("There is no such connection.", code="connection_not_found")
    diagnosis = Diagnosis(tuple(_findings(row)))
    if diagnosis.is_ok:
        faults.mended(connection_id=row.pk)
    with transaction.atomic():
        actions.record(
            actor=actor,
            operation="crm.test_connection",
            target=row,
            detail="ok" if diagnosis.is_ok else "failed",
            after={found.step: found.code or found.outcome for found in diagnosis.findings},
        )
    return diagnosis


def _findings(row: Connection) -> Iterator[Finding]:
    if not row.client_id or not row.client_secret_sealed:
        yield _failed("settings", "connection_incomplete", "Client id or client secret is missing.")
        return
    yield Finding("settings", "ok", "", "Client id and client secret are there.")
    if not OAuthToken.objects.filter(connection=row).exists():
        code = "access_revoked" if row.status == Connection.Status.REVOKED else "not_connected"
        yield _failed("access", code, "RTX has no access.")
        return
    with calling.opened(row, is_test=True) as provider:
        try:
            health = provider.health()
        except ProviderError as error:
            is_access = isinstance(error, AccessRevoked) or error.code in OF_ACCESS
            step: Step = "access" if is_access or error.code.startswith("oauth_") else "account"
            yield _failed(step, error.code, str(error))
            return
        yield from _account(row, health)
        yield from _objects(row, provider)
    yield from _limits(row, health)
    yield from _webhook(row)


def _account(row: Connection, health: Health) -> Iterator[Finding]:
    yield Finding("access", "ok", "", "The provider accepts RTX's token.")
    if row.external_id and health.external_id and row.external_id != health.external_id:
        yield _failed("account", "oauth_other_account", f"{health.account_name} answers.")
        return
    learned: dict[str, object] = {}
    if health.external_id and not row.external_id:
        learned["external_id"] = health.external_id[:64]
    if health.daily_max is not None:
        learned |= {"daily_max": health.daily_max, "daily_left": health.daily_left}
    if learned:
        Connection.objects.filter(pk=row.pk).update(**learned)
    yield Finding("account", "ok", "", f"{health.account_name} ({health.external_id}) answers.")
    if health.missing_scopes:
        missing = ", ".join(health.missing_scopes)
        yield _failed("account", "missing_scopes", f"RTX may not: {missing}.")
    for warning in health.warnings:
        yield Finding("fields", "warning", "field_missing", warning, advice("field_missing"))


def _objects(row: Connection, provider: Provider) -> Iterator[Finding]:
    kinds = ((FieldMapping.Kind.CLIENT, row.customer_object), (FieldMapping.Kind.ACCOUNT, row.account_object))
    for kind, name in kinds:
        if not name:
            continue
        try:
            known = {info.name: info for info in provider.describe(name)}
        except ProviderError as error:
            code = "object_missing" if error.code in ("call_refused", "not_found") else error.code
            yield _failed("object", code, f"{name} cannot be described: {error}")
            continue
        yield Finding("object", "ok", "", f"{name} has {len(known)} fields.")
        mapped = FieldMapping.objects.filter(connection=row, kind=kind, is_active=True)
        pushed = (FieldMapping.Direction.PUSH, FieldMapping.Direction.NEWEST)
        for pair in mapped:
            info = known.get(pair.crm_field)
            if info is None:
                yield _failed("fields", "field_missing", f"{name} has no field {pair.crm_field}.")
            elif info.is_read_only and pair.direction in pushed:
                yield _failed("fields", "field_read_only", f"{name}.{pair.crm_field} cannot be written.")


def _limits(row: Connection, health: Health) -> Iterator[Finding]:
    detail = f"At most {row.calls_max} calls in {row.window_s} s."
    if health.daily_max and health.daily_left is not None:
        detail += f" {health.daily_left} of {health.daily_max} calls of the day are left."
        if health.daily_left < health.daily_max * FEW:
            yield Finding("limits", "warning", "daily_limit", detail, advice("daily_limit"))
            return
    yield Finding("limits", "ok", "", detail)


def _webhook(row: Connection) -> Iterator[Finding]:
    if not settings.PUBLIC_URL:
        text = advice("public_url_missing")
        yield Finding(
            "webhook", "warning", "public_url_missing", "Providers do not know where to call.", text
        )
    elif row.provider != Connection.Provider.HUBSPOT and not row.webhook_secret_sealed:
        text = advice("webhook_secret_missing")
        yield Finding("webhook", "warning", "webhook_secret_missing", "No call could be believed.", text)
    elif row.provider == Connection.Provider.ZOHO and not row.watch:
        yield _failed("webhook", "watch_missing", "There is no channel of notifications.")
    elif row.watch and str(row.watch.get("expires_at", "9")) < clock.rfc3339(clock.now()):
        yield Finding("webhook", "warning", "watch_expired", "The channel of notifications ended.", "")
    else:
        site = settings.PUBLIC_URL.rstrip("/")
        yield Finding("webhook", "ok", "", f"{site}/api/webhooks/crm/{row.provider}")


def _failed(step: Step, code: str, detail: str) -> Finding:
    return Finding(step, "failed", code, detail, advice(code))
