"""
What every CRM adapter offers, in RTX's words, and the errors it may raise. Knows no provider and no model.

An adapter is made for one connection with a `Session` that it calls through: limits, tokens, repeating, and
the log of calls are the session's part. Adapters turn RTX's words into the provider's requests and back. They
keep no state but what they were made with, and write no value into an error's message.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

Fields = Mapping[str, str | None]  # CRM field -> text as the CRM writes it; None: empty
Cursor = dict[str, Any]  # of an adapter's own making; JSON


class ProviderError(Exception):
    """
    A call that failed. `code` is stable and is shown to staff; the message holds no personal data.
    `is_retryable`: the same call may succeed later, not before `retry_after_s`. `during`: the call that was
    refused (see `place`), where that matters.
    """

    code = "provider_error"
    is_retryable = False
    during = ""

    def __init__(self, message: str, *, code: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.code = code or self.code
        self.retry_after_s = retry_after_s

    def of(self, operation: str, object_name: str) -> "ProviderError":
        """Say which call was refused; return the error."""
        self.during = place(operation, object_name)
        return self


def place(operation: str, object_name: str) -> str:
    """Return a word for calls that fail alike: the same operation on the same object."""
    return f"{operation} {object_name}".strip()


class AccessRevoked(ProviderError):
    """The token endpoint knows the grant no more: a person must connect again."""

    code = "access_revoked"


class ConnectionFault(ProviderError):
    """The connection is at fault and no record of it is: all wait until that is mended, none is given up."""

    code = "connection_fault"
    is_retryable = True


class Forbidden(ConnectionFault):
    """The app or its user lacks a right or scope, or an object or mapped field is not there for them."""

    code = "missing_rights"


class LimitReached(ProviderError):
    """Too many calls in the window (`rate_limited`) or the day (`daily_limit`)."""

    code = "rate_limited"
    is_retryable = True


class Unavailable(ProviderError):
    """No answer, an answer of their fault (5xx), or one that cannot be read."""

    code = "provider_unavailable"
    is_retryable = True


class CallRefused(ProviderError):
    """The provider understood and refused: repeating is no use."""

    code = "call_refused"


FORBIDDEN = frozenset({"missing_rights", "missing_scopes", "object_missing"})


def of_whole(refused: ProviderError) -> ProviderError:
    """Return why a whole request was refused: for want of a right or an object it is no record's fault."""
    is_fault = isinstance(refused, CallRefused) and refused.code in FORBIDDEN
    return Forbidden(str(refused), code=refused.code) if is_fault else refused


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """A field of a provider's object, as a person chooses it."""

    name: str
    label: str
    type: Literal["text", "number", "boolean", "date", "datetime", "choice", "email", "phone"]
    is_read_only: bool = False
    is_required: bool = False
    is_unique: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """
    A record of the CRM. `external_id` is what RTX wrote into its id field; empty: not from here.
    `merged_ids`: the records that people made a part of it, where the provider tells.
    """

    crm_id: str
    external_id: str
    fields: Fields
    changed_at: datetime | None
    is_deleted: bool = False
    merged_ids: tuple[str, ...] = ()


def gone(crm_id: str) -> Record:
    """Return what is left of a record that was deleted."""
    return Record(crm_id, "", {}, None, is_deleted=True)


@dataclass(frozen=True, slots=True)
class Upsert:
    """
    What a record is to become. With `crm_id` the record is known; else it is found by `external_id`. Where it
    `bears_id` RTX's id is not written again: the record may have become a part of another customer's.
    """

    external_id: str
    fields: Fields
    crm_id: str = ""
    parent_crm_id: str = ""  # of the customer whose account this is
    bears_id: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """What became of one upsert. A failure of one never fails the others."""

    external_id: str
    crm_id: str = ""
    is_created: bool = False
    is_adopted: bool = False  # the record was there before RTX, and was not written to
    error: ProviderError | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some records that changed, and where the next ones begin. `is_last`: nothing more for now."""

    records: Sequence[Record]
    cursor: Cursor
    is_last: bool


@dataclass(frozen=True, slots=True)
class HookEvent:
    """One event of a webhook: which record, what happened, when. What the record holds is read anew."""

    key: str
    object_name: str
    crm_id: str
    what: Literal["created", "changed", "deleted", "merged", "privacy"]
    occurred_at: datetime | None
    changed_by_us: bool = False


@dataclass(frozen=True, slots=True)
class Health:
    """What a real call said: whose account it is, and limits where they are told."""

    account_name: str
    external_id: str
    api_url: str = ""
    daily_max: int | None = None
    daily_left: int | None = None
    missing_scopes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()  # such as: the unique field for RTX's id is missing


@dataclass(frozen=True, slots=True)
class Grant:
    """What an authorization or refresh gave. An empty `refresh_token`: the old one stays."""

    access_token: str
    refresh_token: str
    expires_in_s: float
    scope: str = ""
    api_url: str = ""
    external_id: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A provider's answer: status, headers in lower case, body decoded from JSON (None where empty)."""

    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class Settings:
    """What an adapter knows of its connection."""

    client_id: str
    client_secret: str = field(repr=False)
    api_url: str
    region: str
    customer_object: str
    account_object: str
    external_id: str
    webhook_secret: str = field(default="", repr=False)


class Session(Protocol):
    """The one way in which an adapter calls its provider."""

    def call(
        self,
        method: str,
        path: str,
        *,
        operation: str,
        object_name: str = "",
        records: int = 0,
        is_write: bool = False,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        expected: Sequence[int] = (),
    ) -> Answer:
        """
        Send one authenticated request to the connection's API and return the answer.

        Statuses 2xx and those in `expected` are returned; others become errors by the adapter's `failure`.
        What may be repeated is repeated (with backoff, within the limits) before an error leaves.

        :raises ProviderError: it failed for good, or for now.
        """
        ...

    def id_field_made(self, object_name: str) -> None:
        """Note that the field of RTX's id was made anew: no record of the object bears one now."""
        ...


class Provider(Protocol):
    """One CRM. Every method may raise `ProviderError`."""

    name: str
    auth_scheme: str  # of the header Authorization: Bearer, Zoho-oauthtoken
    batch_max: int  # records of one upsert
    follows_merged: bool  # an update by a record's id goes to the one that it became a part of
    scopes: tuple[str, ...]

    # Access; these are made without a session (see `apps.crm.adapters.oauth`).
    def authorize_url(self, *, state: str, challenge: str, redirect_uri: str) -> str:
        """Return where the person is sent to agree (PKCE S256)."""
        ...

    def authenticate(self, *, code: str, verifier: str, redirect_uri: str) -> Grant:
        """Exchange the code of an agreed authorization."""
        ...

    def refresh(self, refresh_token: str) -> Grant:
        """Return a new access token. Raises `AccessRevoked` when the grant is gone."""
        ...

    def revoke(self, refresh_token: str) -> None:
        """Give the grant back."""
        ...

    def failure(self, answer: Answer) -> ProviderError:
        """Return the error that an answer outside 2xx means."""
        ...

    def limits(self, headers: Mapping[str, str]) -> "Limits":
        """Return what an answer's headers say about limits."""
        ...

    # Records.
    def health(self) -> Health:
        """Make a real call and say whose account answers."""
        ...

    def describe(self, object_name: str) -> list[FieldInfo]:
        """Return the fields of an object."""
        ...

    def create(self, object_name: str, fields: Fields, *, external_id: str) -> Written:
        """Create one record."""
        ...

    def update(self, object_name: str, crm_id: str, fields: Fields) -> Written:
        """Change one record."""
        ...

    def get(self, object_name: str, crm_id: str, names: Sequence[str]) -> Record | None:
        """Return one record, or the one it became a part of; None when there is none (any more)."""
        ...

    def get_many(self, object_name: str, crm_ids: Sequence[str], names: Sequence[str]) -> list[Record]:
        """
        Return those records that there are, and as `is_deleted` those of which the answer says that there are
        none (any more); at most `batch_max` at once. What became of one that is left out is not known. One
        that became a part of another is deleted; the other may be answered too.
        """
        ...

    def upsert(self, object_name: str, wanted: Sequence[Upsert]) -> list[Written]:
        """
        Create or change up to `batch_max` records, each found by its `crm_id` or RTX's id; answer in order.

        Repeating it changes nothing more. A customer who is there already without RTX's id (same e-mail) is
        never doubled and not written to either: the answer names the record (`is_adopted`), which is compared
        with the client first and then written by its `crm_id`.
        """
        ...

    def find(self, object_name: str, external_id: str) -> str:
        """Return the id of the record that bears RTX's id; empty: there is none. Writes nothing."""
        ...

    def merged_into(self, object_name: str, crm_id: str) -> str:
        """Return the record that one which is not there any more became a part of; empty: none is told."""
        ...

    def delete(self, object_name: str, crm_id: str) -> None:
        """Delete a record and what is personal in it; none is fine too."""
        ...

    def changes(self, object_name: str, cursor: Cursor, names: Sequence[str]) -> Page:
        """
        Return a page of records changed since a cursor ({}: since ever), oldest change first. Nothing is
        missed when records change meanwhile; a record may come twice.
        """
        ...

    # Webhooks.
    def verify(self, *, method: str, url: str, headers: Mapping[str, str], body: bytes, now_ms: int) -> str:
        """
        Check a webhook's proof in constant time; return the digest by which the delivery is known again.

        :raises CallRefused: `webhook_signature` or `webhook_stale`.
        """
        ...

    def events(self, body: bytes, content_type: str) -> list[HookEvent]:
        """Read a verified delivery. Raises `CallRefused` (`webhook_malformed`) when it cannot be read."""
        ...

    def acknowledgement(self, content_type: str) -> tuple[bytes, str]:
        """Return body and content type of the answer to a delivery that was stored; (b"", "") for 204."""
        ...

    def watch(self, *, notify_url: str, watched: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        """Open or renew the channel of notifications where one is needed; return what to remember."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What headers said; None: nothing."""

    window_max: int | None = None
    window_left: int | None = None
    window_ms: int | None = None
    daily_max: int | None = None
    daily_left: int | None = None
