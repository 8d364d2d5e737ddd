"""
HubSpot: contacts (and deals for trading accounts) of the v3 objects API. RTX's id stands in a unique property
that this adapter makes where it is missing: `rtx_client_id` for clients, `rtx_login` for accounts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.conf import settings as project

from apps.crm.adapters import hubspot_errors as errors
from apps.crm.adapters import hubspot_hooks as hooks
from apps.crm.adapters import oauth
from apps.crm.adapters.base import Adapter, naming
from apps.crm.adapters.hubspot_changes import MERGED, Changes, record
from apps.crm.adapters.hubspot_properties import (
    ACCOUNT_PROPERTY,
    CLIENT_PROPERTY,
    GROUPS,
    field_info,
    prepare,
)
from apps.crm.adapters.hubspot_reading import Reading
from apps.crm.adapters.hubspot_upserts import Upserts
from apps.crm.adapters.provider import (
    Answer,
    CallRefused,
    Cursor,
    FieldInfo,
    Fields,
    Forbidden,
    Grant,
    Health,
    HookEvent,
    Limits,
    Page,
    ProviderError,
    Record,
    Unavailable,
    Upsert,
    Written,
)

CONTACTS = "contacts"


class HubSpot(Adapter):
    """The adapter of one connection."""

    name = "hubspot"
    auth_scheme = "Bearer"
    batch_max = 100
    follows_merged = True

    @property
    def scopes(self) -> tuple[str, ...]:
        """What the person agrees to: reading and writing records and their properties."""
        return (
            "oauth",
            *(
                f"crm.{what}.{name}.{access}"
                for name in dict.fromkeys(map(_scope, self._objects))
                for what in ("objects", "schemas")
                for access in ("read", "write")
            ),
        )

    # Access.
    def authorize_url(self, *, state: str, challenge: str, redirect_uri: str) -> str:
        """Return where the person is sent to agree."""
        return oauth.authorize_url(
            f"{project.CRM_HUBSPOT_OAUTH_URL.rstrip('/')}/oauth/authorize",
            client_id=self._settings.client_id,
            redirect_uri=redirect_uri,
            state=state,
            challenge=challenge,
            scope=" ".join(self.scopes),
        )

    def authenticate(self, *, code: str, verifier: str, redirect_uri: str) -> Grant:
        """Exchange the code of an agreed authorization, and find out whose portal it is."""
        grant = super().authenticate(code=code, verifier=verifier, redirect_uri=redirect_uri)
        if grant.external_id:
            return grant
        told = oauth.post_form(
            self._oauth_address("/introspect"),
            {**self._client, "token": grant.access_token, "token_type_hint": "access_token"},
        )
        return replace(grant, external_id=_text(told, "hub_id"))

    def failure(self, answer: Answer) -> ProviderError:
        """Return the error that an answer outside 2xx means."""
        return errors.failure(answer)

    def limits(self, headers: Mapping[str, str]) -> Limits:
        """Return what an answer's headers say about limits."""
        return errors.limits(headers)

    # Records.
    def health(self) -> Health:
        """Ask whose portal it is, and see that RTX's properties are there (they are made where missing)."""
        answer = self._session.call("GET", "/account-info/v3/details", operation="health")
        portal = _text(answer.body, "portalId")
        if not portal:
            raise Unavailable("HubSpot does not say whose portal it is.", code="provider_malformed")
        missing: list[str] = []
        warnings: list[str] = []
        for object_name in self._objects:
            try:
                warnings += self._prepare(object_name)
            except (CallRefused, Forbidden) as error:  # that there is no such object, `describe` tells
                if error.code == "missing_scopes":
                    missing.append(f"crm.schemas.{_scope(object_name)}.read")
        limits = self.limits(answer.headers)
        return Health(
            account_name=f"HubSpot portal {portal}",
            external_id=portal,
            daily_max=limits.daily_max,
            daily_left=limits.daily_left,
            missing_scopes=tuple(missing),
            warnings=tuple(warnings),
        )

    def describe(self, object_name: str) -> list[FieldInfo]:
        """Return the properties of an object; hidden ones are left out."""
        answer = self._session.call(
            "GET", f"/crm/v3/properties/{_name(object_name)}", operation="describe", object_name=object_name
        )
        rows = answer.body.get("results") if isinstance(answer.body, dict) else None
        if not isinstance(rows, list):
            raise Unavailable("HubSpot's list of properties cannot be read.", code="provider_malformed")
        return [field_info(row) for row in rows if isinstance(row, dict) and not row.get("hidden")]

    def update(self, object_name: str, crm_id: str, fields: Fields) -> Written:
        """Change one record. Raises `CallRefused` (`record_gone`) when it was deleted."""
        path = f"/crm/v3/objects/{_name(object_name)}/{_id(crm_id)}"
        content = {name: "" if value is None else value for name, value in fields.items()}
        answer = self._changed("PATCH", path, object_name, json={"properties": content})
        return Written(_property(answer.body, self._id_property(object_name)), crm_id=crm_id)

    def get(self, object_name: str, crm_id: str, names: Sequence[str]) -> Record | None:
        """Return one record; None when there is none (any more)."""
        id_property = self._id_property(object_name)
        asked = ",".join(dict.fromkeys([*names, id_property, MERGED]))
        answer = self._session.call(
            "GET",
            f"/crm/v3/objects/{_name(object_name)}/{_id(crm_id)}",
            operation="get",
            object_name=object_name,
            records=1,
            params={"properties": asked, "archived": "false"},
            expected=(404,),
        )
        if answer.status == 404:
            return None
        return record(answer.body if isinstance(answer.body, dict) else {}, id_property)

    def get_many(self, object_name: str, crm_ids: Sequence[str], names: Sequence[str]) -> list[Record]:
        """Return those records that there are, and those that were deleted; at most 100 at once."""
        id_property = self._id_property(object_name)
        with naming("get_many", object_name):
            return Reading(self._session, _name(object_name), id_property, names).records(crm_ids)

    def upsert(self, object_name: str, wanted: Sequence[Upsert]) -> list[Written]:
        """Create or change up to 100 records; RTX's property is made first where it is missing."""
        with naming("upsert", object_name):
            try:
                written = self._upserts(object_name).write(wanted)
            except CallRefused as error:
                if error.code != "field_unknown":
                    raise
                if missing := self._prepare(object_name):
                    raise Forbidden(missing[0], code="field_missing") from None
                written = self._upserts(object_name).write(wanted)
        self._associate(object_name, wanted, written)
        return written

    def find(self, object_name: str, external_id: str) -> str:
        """Return the id of the record that bears RTX's id; RTX's property is made where it is missing."""
        try:
            return self._upserts(object_name).find(external_id)
        except CallRefused as error:
            if error.code != "field_unknown" or self._prepare(object_name):
                raise
            return ""

    def delete(self, object_name: str, crm_id: str) -> None:
        """Delete a contact for good with all that is personal in it, or another record into the bin."""
        path = f"/crm/v3/objects/{_name(object_name)}"
        method, path, body = "DELETE", f"{path}/{_id(crm_id)}", None
        if object_name == CONTACTS:
            method, path, body = "POST", f"/crm/v3/objects/{CONTACTS}/gdpr-delete", {"objectId": crm_id}
        self._one(method, path, "delete", object_name, json=body)

    def changes(self, object_name: str, cursor: Cursor, names: Sequence[str]) -> Page:
        """Return a page of records changed since a cursor."""
        id_property = self._id_property(object_name)
        with naming("changes", object_name):
            return Changes(self._session, _name(object_name), id_property, names).page(cursor)

    # Webhooks.
    def verify(self, *, method: str, url: str, headers: Mapping[str, str], body: bytes, now_ms: int) -> str:
        """Check signature v3: by the app's client secret, or the webhook secret where one is given."""
        secret = self._settings.webhook_secret or self._settings.client_secret
        return hooks.verify(secret=secret, method=method, url=url, headers=headers, body=body, now_ms=now_ms)

    def events(self, body: bytes, content_type: str) -> list[HookEvent]:
        """Read a verified delivery; events of other portals are left out."""
        return hooks.events(body, portal_id=self._settings.external_id)

    def acknowledgement(self, content_type: str) -> tuple[bytes, str]:
        """HubSpot only looks at the status."""
        return b"", ""

    def watch(self, *, notify_url: str, watched: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        """Subscriptions are part of the app in HubSpot; there is no channel to open or renew."""
        return {}

    # Parts.
    def _upserts(self, object_name: str) -> Upserts:
        email = "email" if object_name == CONTACTS else ""
        return Upserts(self._session, _name(object_name), self._id_property(object_name), email)

    def _associate(self, object_name: str, wanted: Sequence[Upsert], written: Sequence[Written]) -> None:
        """Tie accounts to their customers; again after a crash, since it changes nothing then."""
        pairs = [
            {"from": {"id": done.crm_id}, "to": {"id": one.parent_crm_id}}
            for one, done in zip(wanted, written, strict=True)
            if one.parent_crm_id and not one.crm_id and done.error is None
        ]
        if not pairs:
            return
        customers = _name(self._settings.customer_object)
        self._session.call(
            "POST",
            f"/crm/v4/associations/{_name(object_name)}/{customers}/batch/associate/default",
            operation="associate",
            object_name=object_name,
            records=len(pairs),
            is_write=True,
            json={"inputs": pairs},
            expected=(404,),  # the customer was deleted meanwhile: the account is there all the same
        )

    def _prepare(self, object_name: str) -> list[str]:
        return prepare(self._session, _name(object_name), self._id_property(object_name))

    def _id_property(self, object_name: str) -> str:
        is_account = object_name == self._settings.account_object != self._settings.customer_object
        return ACCOUNT_PROPERTY if is_account else CLIENT_PROPERTY

    def _oauth_address(self, path: str = "") -> str:
        return f"{project.CRM_HUBSPOT_URL.rstrip('/')}/oauth/v3/token{path}"

    def _granted(self, form: Mapping[str, str]) -> Grant:
        body = oauth.post_form(self._oauth_address(), {**self._client, **form})
        if isinstance(body, dict) and isinstance(body.get("scopes"), list):
            body = {**body, "scope": " ".join(str(one) for one in body["scopes"])}
        return oauth.grant(body, external_id=_text(body, "hub_id"))

    def _revocation(self, refresh_token: str) -> tuple[str, Mapping[str, str]]:
        form = {**self._client, "token": refresh_token, "token_type_hint": "refresh_token"}
        return self._oauth_address("/revoke"), form


def _name(object_name: str) -> str:
    """Return an object's name as a part of a path."""
    if not object_name.replace("_", "").replace("-", "").isalnum() or not object_name.isascii():
        raise Forbidden("This is no name of an object.", code="object_missing")
    return object_name


def _scope(object_name: str) -> str:
    """Return what scopes call an object."""
    return object_name if object_name in GROUPS else "custom"


def _id(crm_id: str) -> str:
    if not (crm_id.isascii() and crm_id.isdigit()):
        raise CallRefused("This is no id of HubSpot.", code="not_found")
    return crm_id


def _text(body: Any, name: str) -> str:
    value = body.get(name) if isinstance(body, dict) else None
    return str(value) if isinstance(value, int | str) and value else ""


def _property(body: Any, name: str) -> str:
    properties = body.get("properties") if isinstance(body, dict) else None
    return str(properties.get(name) or "") if isinstance(properties, dict) else ""
