"""
Zoho CRM v8: Leads or Contacts, and Deals or an own module for trading accounts. RTX's id stands in a unique
field that this adapter makes where it is missing (`RTX_Client_Id`, `RTX_Login`); a deal hangs on its contact
by `Contact_Name`, an own module on the customer by the lookup `RTX_Client`. Keeps nothing but the types of
fields that it has asked for.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from apps.crm.adapters import oauth, zoho_errors, zoho_hooks, zoho_hosts
from apps.crm.adapters import zoho_values as values
from apps.crm.adapters.base import Adapter, naming
from apps.crm.adapters.provider import (
    AccessRevoked,
    Answer,
    ConnectionFault,
    Cursor,
    FieldInfo,
    Fields,
    Forbidden,
    Grant,
    Health,
    HookEvent,
    LimitReached,
    Limits,
    Page,
    ProviderError,
    Record,
    Session,
    Settings,
    Unavailable,
    Upsert,
    Written,
    gone,
)
from apps.crm.adapters.zoho_changes import Changes, asked, record, rows_of
from apps.crm.adapters.zoho_upserts import API, Kinds, Upserts
from apps.crm.adapters.zoho_watch import Watch

CUSTOMER_KEY, ACCOUNT_KEY = "RTX_Client_Id", "RTX_Login"
TOKENS_PAUSE_S = 600.0  # ten access tokens in ten minutes, no more
SCOPED = {"Accounts": "accounts", "Contacts": "contacts", "Deals": "deals", "Leads": "leads"}
GONE = (400, 404)


class Zoho(Adapter):
    """The adapter of one connection. `webhook_secret` is the token of the channel of notifications."""

    name = "zoho"
    auth_scheme = "Zoho-oauthtoken"
    batch_max = 100
    follows_merged = False

    def __init__(self, *, settings: Settings, session: Session) -> None:
        super().__init__(settings=settings, session=session)
        self._types: dict[str, Kinds] = {}

    @property
    def scopes(self) -> tuple[str, ...]:
        """What the person agrees to: the modules in use, their fields, queries, notifications."""
        modules = dict.fromkeys(SCOPED.get(one, "custom") for one in self._objects)
        return (
            *(f"ZohoCRM.modules.{one}.ALL" for one in modules),
            "ZohoCRM.settings.fields.ALL",
            "ZohoCRM.org.READ",
            "ZohoCRM.coql.READ",
            "ZohoCRM.notifications.ALL",
        )

    # Access.
    def authorize_url(self, *, state: str, challenge: str, redirect_uri: str) -> str:
        """Return where the person agrees; without `consent` Zoho gives no refresh token a second time."""
        return oauth.authorize_url(
            zoho_hosts.accounts(self._settings.region, "auth"),
            client_id=self._settings.client_id,
            redirect_uri=redirect_uri,
            state=state,
            challenge=challenge,
            scope=",".join(self.scopes),
            access_type="offline",
            prompt="consent",
        )

    def failure(self, answer: Answer) -> ProviderError:
        """Return the error that an answer outside 2xx means."""
        return zoho_errors.failure(answer)

    def limits(self, headers: Mapping[str, str]) -> Limits:
        """Return the credits that are left, where an answer tells them."""
        return zoho_errors.limits(headers)

    # Records.
    def health(self) -> Health:
        """Ask whose organization answers, and make RTX's fields where they are missing."""
        answer = self._session.call("GET", f"{API}/org", operation="health")
        rows = answer.body.get("org") if isinstance(answer.body, dict) else None
        org = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else {}
        if not org.get("id"):
            raise Unavailable("The answer does not name the organization.", code="provider_malformed")
        missing: list[str] = []
        warnings: list[str] = []
        for module in self._objects:
            try:
                warnings += self._prepare(module)
            except Forbidden as error:
                if error.code != "missing_scopes":
                    raise
                missing.append("ZohoCRM.settings.fields.ALL")
        return Health(
            account_name=str(org.get("company_name") or "Zoho CRM"),
            external_id=str(org["id"]),
            daily_left=self.limits(answer.headers).daily_left,
            missing_scopes=tuple(dict.fromkeys(missing)),
            warnings=tuple(warnings),
        )

    def describe(self, object_name: str) -> list[FieldInfo]:
        """Return the fields of a module that hold a single value."""
        return [info for row in self._described(object_name) if (info := values.field_info(row)) is not None]

    def update(self, object_name: str, crm_id: str, fields: Fields) -> Written:
        """Change one record. Raises `CallRefused` (`record_gone`) when it was deleted."""
        kinds = self._kinds(object_name, values.may_need_type(fields))
        content = {
            values.name(field): values.outward(text, kinds.get(field)) for field, text in fields.items()
        }
        place, body = self._place(object_name, crm_id), {"data": [content]}
        answer = self._changed("PUT", place, object_name, json=body, expected=GONE)
        item = zoho_errors.first(answer.body)
        if not zoho_errors.is_success(item):
            raise zoho_errors.of_record(item, status=answer.status, key=self._key(object_name))
        return Written(external_id="", crm_id=crm_id)

    def get(self, object_name: str, crm_id: str, names: Sequence[str]) -> Record | None:
        """Return one record; None when there is none (any more), which only an empty answer says."""
        answer = self._asked(object_name, [crm_id], names, operation="get", expected=(404,))
        if answer.status in (204, 404):
            return None
        rows = rows_of(answer)
        if len(rows) != 1:
            raise Unavailable("Zoho's record cannot be read.", code="provider_malformed")
        return record(rows[0], key=self._key(object_name), names=names)

    def get_many(self, object_name: str, crm_ids: Sequence[str], names: Sequence[str]) -> list[Record]:
        """
        Return those records that there are, and those that were deleted; at most 100 at once. One that the
        list leaves out is asked for alone: only then does the answer say that there is none.
        """
        if not crm_ids:
            return []
        key = self._key(object_name)
        rows = rows_of(self._asked(object_name, crm_ids, names, operation="get_many"))
        found = [record(row, key=key, names=names) for row in rows]
        there = {one.crm_id for one in found}
        left = [one for one in dict.fromkeys(crm_ids) if one not in there]
        return [*found, *(self.get(object_name, one, names) or gone(one) for one in left)]

    def upsert(self, object_name: str, wanted: Sequence[Upsert]) -> list[Written]:
        """Create or change up to 100 records; one who has the same e-mail and no RTX id is named."""
        if len(wanted) > self.batch_max:
            raise ValueError("more records than a call takes")
        with naming("upsert", object_name):
            return self._upserts(object_name).write(wanted)

    def find(self, object_name: str, external_id: str) -> str:
        """Return the id of the record that bears RTX's id."""
        return self._upserts(object_name).find(external_id)

    def delete(self, object_name: str, crm_id: str) -> None:
        """Empty the record's personal fields, so that none lies in the recycle bin, and delete it."""
        place = self._place(object_name, crm_id)
        emptied = values.erasing(self._described(object_name))
        for method, body in (("PUT", {"data": [emptied]}), ("DELETE", None)):
            answer = self._one(method, place, "delete", object_name, json=body, expected=GONE)
        if answer.status in GONE and self.get(object_name, crm_id, []) is not None:
            raise zoho_errors.failure(answer)

    def changes(self, object_name: str, cursor: Cursor, names: Sequence[str]) -> Page:
        """Return a page of what changed, then of what was deleted, since a cursor."""
        with naming("changes", object_name):
            return Changes(
                self._session,
                path=self._place(object_name),
                object_name=object_name,
                key=self._key(object_name),
                names=names,
            ).page(cursor)

    # Webhooks.
    def verify(self, *, method: str, url: str, headers: Mapping[str, str], body: bytes, now_ms: int) -> str:
        """Check the channel's token, which stands in the body."""
        return zoho_hooks.verify(secret=self._settings.webhook_secret, body=body)

    def events(self, body: bytes, content_type: str) -> list[HookEvent]:
        """Read a verified notification."""
        return zoho_hooks.events(body)

    def acknowledgement(self, content_type: str) -> tuple[bytes, str]:
        """Zoho only looks at the status."""
        return b"", ""

    def watch(self, *, notify_url: str, watched: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        """Open the channel of notifications, or renew it well before it ends."""
        secret = self._settings.webhook_secret
        watch = Watch(self._session, path=f"{API}/actions/watch", modules=self._objects, token=secret)
        return watch.renewed(notify_url=notify_url, watched=watched, now=now)

    # Parts.
    def _upserts(self, object_name: str) -> Upserts:
        return Upserts(
            self._session,
            object_name=object_name,
            key=self._key(object_name),
            parent=self._parent(object_name),
            kinds=lambda is_needed: self._kinds(object_name, is_needed),
        )

    def _granted(self, form: Mapping[str, str]) -> Grant:
        """Ask for a token. Zoho answers errors with 200 too, and "access denied" to who asks too often."""
        try:
            address = zoho_hosts.accounts(self._settings.region, "token")
            body = oauth.post_form(address, {**form, **self._client})
        except ConnectionFault as error:
            if error.code == "oauth_invalid_code":
                raise AccessRevoked("Zoho does not know the authorization (any more).") from None
            if error.code == "oauth_access_denied":
                raise LimitReached("Too many tokens were asked for.", retry_after_s=TOKENS_PAUSE_S) from None
            raise
        return oauth.grant(body, api_url=zoho_hosts.api(body))

    def _revocation(self, refresh_token: str) -> tuple[str, Mapping[str, str]]:
        return zoho_hosts.accounts(self._settings.region, "token/revoke"), {"token": refresh_token}

    def _asked(
        self,
        object_name: str,
        crm_ids: Sequence[str],
        names: Sequence[str],
        *,
        operation: str,
        expected: Sequence[int] = (),
    ) -> Answer:
        with naming(operation, object_name):
            return self._session.call(
                "GET",
                self._place(object_name),
                operation=operation,
                object_name=object_name,
                records=len(crm_ids),
                params={
                    "ids": ",".join(values.record_id(one) for one in dict.fromkeys(crm_ids)),
                    "fields": asked(names, self._key(object_name)),
                },
                expected=expected,
            )

    def _described(self, object_name: str) -> list[dict[str, Any]]:
        answer = self._session.call(
            "GET",
            f"{API}/settings/fields",
            operation="describe",
            object_name=object_name,
            params={"module": values.name(object_name)},
        )
        rows = answer.body.get("fields") if isinstance(answer.body, dict) else None
        if not isinstance(rows, list):
            raise Unavailable("Zoho's list of fields cannot be read.", code="provider_malformed")
        found = [row for row in rows if isinstance(row, dict)]
        self._types[object_name] = {
            str(row.get("api_name")): (str(row.get("data_type")), str(row.get("json_type") or ""))
            for row in found
        }
        return found

    def _kinds(self, object_name: str, is_needed: bool) -> Kinds:
        if is_needed and object_name not in self._types:
            self._described(object_name)
        return self._types.get(object_name, {})

    def _prepare(self, object_name: str) -> list[str]:
        """Make RTX's field of a module where it is missing; return what a person must do."""
        key, parent = self._key(object_name), self._parent(object_name)
        fields = {str(row.get("api_name")): row for row in self._described(object_name)}
        found: list[str] = []
        if parent and parent not in fields:
            found.append(f"{object_name} lacks the lookup {parent} to {self._settings.customer_object}.")
        if key not in fields:
            return [*found, *self._make(object_name, key)]
        if not fields[key].get("unique"):
            found.append(f"The field {key} of {object_name} must not allow duplicate values.")
        return found

    def _make(self, object_name: str, key: str) -> list[str]:
        label = key.replace("_", " ")
        field = {"field_label": label, "data_type": "text", "length": 64, "unique": {"case_sensitive": False}}
        answer = self._session.call(
            "POST",
            f"{API}/settings/fields",
            operation="create_field",
            object_name=object_name,
            is_write=True,
            params={"module": object_name},
            json={"fields": [field]},
            expected=(400, 401, 403),
        )
        if zoho_errors.is_success(zoho_errors.first(answer.body)):
            self._session.id_field_made(object_name)
            return []
        return [
            f"{object_name} lacks the field {key} and RTX could not make it: make it (label {label}, single "
            "line, 64 characters, no duplicate values)."
        ]

    def _key(self, object_name: str) -> str:
        is_account = object_name == self._settings.account_object != self._settings.customer_object
        return ACCOUNT_KEY if is_account else CUSTOMER_KEY

    def _parent(self, object_name: str) -> str:
        if self._key(object_name) != ACCOUNT_KEY:
            return ""
        if object_name != "Deals":
            return "RTX_Client"
        return "Contact_Name" if self._settings.customer_object == "Contacts" else ""

    def _place(self, object_name: str, crm_id: str = "") -> str:
        place = f"{API}/{values.name(object_name)}"
        return f"{place}/{values.record_id(crm_id)}" if crm_id else place
