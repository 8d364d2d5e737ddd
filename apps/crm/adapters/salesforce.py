"""
Salesforce: sObject REST, composite collections, SOQL. RTX's id stands in an external-id field that is made in
Salesforce first (`RTX_Client_Id__c`, `RTX_Login__c`); trading accounts of an own object hang on the customer
by the lookup `RTX_Client__c`, opportunities by `ContactId`. Keeps no state; calls only through its session.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from django.conf import settings as project

from apps.crm.adapters import oauth, salesforce_errors, salesforce_hooks
from apps.crm.adapters import salesforce_soql as soql
from apps.crm.adapters.base import Adapter, naming
from apps.crm.adapters.provider import (
    Answer,
    CallRefused,
    ConnectionFault,
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
    gone,
)
from apps.crm.adapters.salesforce_changes import STAMP, Changes, as_record
from apps.crm.adapters.salesforce_fields import emptied, field_info
from apps.crm.adapters.salesforce_upserts import Collection

API_VERSION = "v62.0"
DATA = f"/services/data/{API_VERSION}"
CUSTOMER_KEY = "RTX_Client_Id__c"
ACCOUNT_KEY = "RTX_Login__c"
SESSION_S = 7200.0  # the usual session; the answer does not tell, and a call lengthens it
MERGEABLE = ("Contact", "Lead", "Account")
HOSTS = (".salesforce.com", ".force.com", ".salesforce.mil", ".sfcrmproducts.cn")
# Who wrote it (change events name it), and: a person with the same name is no reason to refuse a customer.
WRITES = {
    "Sforce-Call-Options": f"client={salesforce_hooks.CLIENT}",
    "Sforce-Duplicate-Rule-Header": "allowSave=true",
}


class Salesforce(Adapter):
    """The adapter. `webhook_secret` ends the address of Outbound Messages and keys the relay's HMAC."""

    name = "salesforce"
    auth_scheme = "Bearer"
    batch_max = 200
    follows_merged = False
    scopes = ("api", "refresh_token")

    # Access.
    def authorize_url(self, *, state: str, challenge: str, redirect_uri: str) -> str:
        """Return where the person agrees."""
        return oauth.authorize_url(
            _login("authorize"),
            client_id=self._settings.client_id,
            redirect_uri=redirect_uri,
            state=state,
            challenge=challenge,
            scope=" ".join(self.scopes),
        )

    def failure(self, answer: Answer) -> ProviderError:
        """Return the error that an answer outside 2xx means."""
        return salesforce_errors.failure(answer)

    def limits(self, headers: Mapping[str, str]) -> Limits:
        """Return the day's calls as `Sforce-Limit-Info` tells them."""
        return salesforce_errors.limits(headers)

    # Records.
    def health(self) -> Health:
        """Ask whose organization answers, for its limits and whether the fields of RTX's ids are there."""
        query = soql.select("Organization", ["Id", "Name", "IsSandbox"], limit=1)
        found = self._get(f"{DATA}/query", "health", params={"q": query}).body
        rows = found.get("records") if isinstance(found, dict) else None
        if not isinstance(rows, list) or not rows or not isinstance(rows[0], dict):
            raise Unavailable("The answer does not name the organization.", code="provider_malformed")
        organization = soql.record_id(str(rows[0].get("Id")))
        daily = self._get(f"{DATA}/limits", "health").body
        requests = daily.get("DailyApiRequests") if isinstance(daily, dict) else None
        requests = requests if isinstance(requests, dict) else {}
        warnings = self._missing()
        if self._settings.external_id and soql.record_id(self._settings.external_id) != organization:
            warnings.append("Another organization answers than the one that was connected before.")
        is_sandbox = " (sandbox)" if rows[0].get("IsSandbox") is True else ""
        return Health(
            account_name=f"{rows[0].get('Name') or 'Salesforce'}{is_sandbox}",
            external_id=organization,
            daily_max=_count(requests.get("Max")),
            daily_left=_count(requests.get("Remaining")),
            warnings=tuple(warnings),
        )

    def describe(self, object_name: str) -> list[FieldInfo]:
        """Return the fields of an object; compound ones (addresses, names) come as their parts."""
        return [info for one in self._described(object_name) if (info := field_info(one)) is not None]

    def create(self, object_name: str, fields: Fields, *, external_id: str) -> Written:
        """Create a record, or change the one that has this id already; several with it are refused."""
        key = self._key(object_name)
        answer = self._session.call(
            "PATCH",
            f"{self._place(object_name)}/{key}/{quote(external_id, safe='')}",
            operation="upsert",
            object_name=object_name,
            records=1,
            is_write=True,
            json=_content(fields),
            headers=WRITES,
        )
        body = answer.body if isinstance(answer.body, dict) else {}
        crm_id = soql.record_id(str(body.get("id"))) if body.get("id") else ""
        return Written(external_id=external_id, crm_id=crm_id, is_created=answer.status == 201)

    def update(self, object_name: str, crm_id: str, fields: Fields) -> Written:
        """Change one record. Raises `CallRefused` (`record_gone`) when it was deleted."""
        crm_id = soql.record_id(crm_id)
        path = f"{self._place(object_name)}/{crm_id}"
        self._changed("PATCH", path, object_name, json=_content(fields), headers=WRITES)
        return Written(external_id="", crm_id=crm_id)

    def get(self, object_name: str, crm_id: str, names: Sequence[str]) -> Record | None:
        """Return one record."""
        key = self._key(object_name)
        asked = dict.fromkeys(["Id", key, STAMP, "IsDeleted", *(soql.name(one) for one in names)])
        answer = self._session.call(
            "GET",
            f"{self._place(object_name)}/{soql.record_id(crm_id)}",
            operation="get",
            object_name=object_name,
            records=1,
            params={"fields": ",".join(asked)},
            expected=(404,),
        )
        return None if answer.status == 404 else as_record(answer.body, key=key, names=names)

    def get_many(self, object_name: str, crm_ids: Sequence[str], names: Sequence[str]) -> list[Record]:
        """Return the records that there are, and those that were deleted, in one call."""
        if not crm_ids:
            return []
        key, ids = self._key(object_name), [soql.record_id(one) for one in crm_ids]
        with naming("get_many", object_name):
            place = f"{DATA}/composite/sobjects/{soql.name(object_name)}"
            asked = dict.fromkeys(["Id", key, STAMP, "IsDeleted", *(soql.name(one) for one in names)])
        answer = self._session.call(
            "POST",
            place,
            operation="get_many",
            object_name=object_name,
            records=len(crm_ids),
            json={"ids": ids, "fields": list(asked)},
        )
        rows = answer.body
        if not isinstance(rows, list) or len(rows) != len(ids):
            raise Unavailable("The answer does not fit what was asked for.", code="provider_malformed")
        return [
            gone(crm_id) if row is None else as_record(row, key=key, names=names)
            for crm_id, row in zip(ids, rows, strict=True)
        ]

    def upsert(self, object_name: str, wanted: Sequence[Upsert]) -> list[Written]:
        """Create or change up to 200 records; one who has the same e-mail and no RTX id is named."""
        if len(wanted) > self.batch_max:
            raise ValueError("more records than a call takes")
        with naming("upsert", object_name):
            return self._collection(object_name).upsert(wanted)

    def find(self, object_name: str, external_id: str) -> str:
        """Return the id of the record that bears RTX's id."""
        return self._collection(object_name).find(external_id)

    def merged_into(self, object_name: str, crm_id: str) -> str:
        """Return the record that a deleted contact, lead or account became a part of; empty: none."""
        if object_name not in MERGEABLE:
            return ""
        where = soql.one_of("Id", [soql.record_id(crm_id)])
        query = soql.select(object_name, ["Id", "MasterRecordId"], where=where)
        found = self._get(f"{DATA}/queryAll", "merged_into", params={"q": query}).body
        rows = found.get("records") if isinstance(found, dict) else None
        if not isinstance(rows, list):
            raise Unavailable("The answer of a query cannot be read.", code="provider_malformed")
        told = [one.get("MasterRecordId") for one in rows if isinstance(one, dict)]
        return next((soql.record_id(str(one)) for one in told if one), "")

    def delete(self, object_name: str, crm_id: str) -> None:
        """Empty the record's personal fields, so that none lies in the recycle bin, and delete it."""
        place = f"{self._place(object_name)}/{soql.record_id(crm_id)}"
        empty = emptied(self._described(object_name))
        with suppress(CallRefused, Forbidden):  # by a validation rule of theirs: deleted it is all the same
            self._one("PATCH", place, "delete", object_name, json=empty, headers=WRITES)
        self._one("DELETE", place, "delete", object_name, headers=WRITES)

    def changes(self, object_name: str, cursor: Cursor, names: Sequence[str]) -> Page:
        """Return a page of what changed and what was deleted since a cursor."""
        key = self._key(object_name)
        with naming("changes", object_name):
            return Changes(self._session, data=DATA, object_name=object_name, key=key).page(cursor, names)

    # Webhooks.
    def verify(self, *, method: str, url: str, headers: Mapping[str, str], body: bytes, now_ms: int) -> str:
        """Check the address's secret and the organization (SOAP) or the relay's HMAC over the raw body."""
        return salesforce_hooks.verify(self._settings, url=url, headers=headers, body=body)

    def events(self, body: bytes, content_type: str) -> list[HookEvent]:
        """Read a verified delivery."""
        return salesforce_hooks.events(body, content_type)

    def acknowledgement(self, content_type: str) -> tuple[bytes, str]:
        """Return the Ack without which an Outbound Message comes again for 24 hours; a relay needs none."""
        if salesforce_hooks.is_soap(content_type):
            return salesforce_hooks.ACKNOWLEDGED, "text/xml; charset=utf-8"
        return b"", ""

    def watch(self, *, notify_url: str, watched: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        """Remember nothing: Outbound Messages are set up in Salesforce and do not expire."""
        return {}

    def _collection(self, object_name: str) -> Collection:
        is_account = object_name == self._settings.account_object
        return Collection(
            self._session,
            data=DATA,
            object_name=object_name,
            key=self._key(object_name),
            parent=self._parent(object_name) if is_account else "",
            headers=WRITES,
            describe=lambda: self.describe(object_name),
        )

    def _granted(self, form: Mapping[str, str]) -> Grant:
        body = oauth.post_form(_login("token"), {**form, **self._client})
        given = oauth.grant(body, api_url=_instance(body), external_id=_organization(body))
        return given if "expires_in" in body else replace(given, expires_in_s=SESSION_S)

    def _revocation(self, refresh_token: str) -> tuple[str, Mapping[str, str]]:
        return _login("revoke"), {"token": refresh_token}

    def _get(self, path: str, operation: str, *, params: Mapping[str, str] | None = None) -> Answer:
        return self._session.call("GET", path, operation=operation, params=params)

    def _described(self, object_name: str) -> list[dict[str, Any]]:
        answer = self._session.call(
            "GET", f"{self._place(object_name)}/describe", operation="describe", object_name=object_name
        )
        fields = answer.body.get("fields") if isinstance(answer.body, dict) else None
        if not isinstance(fields, list):
            raise Unavailable("The description cannot be read.", code="provider_malformed")
        return [one for one in fields if isinstance(one, dict)]

    def _missing(self) -> list[str]:
        """Say what the customer must still make in Salesforce."""
        found: list[str] = []
        for object_name in self._objects:
            key, parent = self._key(object_name), self._parent(object_name)
            try:
                fields = {str(one.get("name")): one for one in self._described(object_name)}
            except (CallRefused, Forbidden):
                found.append(f"The object {object_name} is not there, or the user may not see it.")
                continue
            if key not in fields:
                found.append(f"{object_name} lacks the field {key} (text 64, unique, external id).")
            elif not (fields[key].get("externalId") and fields[key].get("unique")):
                found.append(f"The field {key} of {object_name} must be an external id and unique.")
            if object_name == self._settings.account_object and parent and parent not in fields:
                found.append(f"{object_name} lacks the lookup {parent} to {self._settings.customer_object}.")
        return found

    def _key(self, object_name: str) -> str:
        return ACCOUNT_KEY if object_name == self._settings.account_object else CUSTOMER_KEY

    def _parent(self, object_name: str) -> str:
        if object_name != "Opportunity":
            return "RTX_Client__c"
        return "ContactId" if self._settings.customer_object == "Contact" else ""

    def _place(self, object_name: str) -> str:
        return f"{DATA}/sobjects/{soql.name(object_name)}"


def _login(what: str) -> str:
    return f"{project.CRM_SALESFORCE_OAUTH_URL.rstrip('/')}/services/oauth2/{what}"


def _instance(body: Any) -> str:
    """Return the organization's address; a token is sent there, so it must be one of Salesforce's."""
    if project.CRM_SALESFORCE_URL:
        return str(project.CRM_SALESFORCE_URL).rstrip("/")
    told = body.get("instance_url") if isinstance(body, dict) else None
    parts = _split(told)
    host = (parts.hostname or "") if parts is not None else ""
    if parts is None or parts.scheme != "https" or parts.netloc.lower() != host or not host.endswith(HOSTS):
        raise ConnectionFault("The token's answer names no address of Salesforce.", code="address_refused")
    return f"https://{host}"


def _split(told: Any) -> SplitResult | None:
    with suppress(ValueError):
        return urlsplit(told) if isinstance(told, str) else None
    return None


def _organization(body: Any) -> str:
    """Return the organization of an identity address (.../id/<organization>/<user>)."""
    told = body.get("id") if isinstance(body, dict) else None
    address = _split(told)
    parts = address.path.split("/") if address is not None else []
    with suppress(CallRefused):
        return soql.record_id(parts[2]) if len(parts) >= 4 and parts[1] == "id" else ""
    return ""


def _content(fields: Fields) -> dict[str, str | None]:
    return {soql.name(name): value or None for name, value in fields.items()}


def _count(given: Any) -> int | None:
    return given if isinstance(given, int) and given >= 0 else None
