"""
What the adapters of all providers do alike: exchanging codes and refresh tokens, creating by upsert, writing
to one record, reading what answers tell of waiting. Knows no provider's addresses, fields or errors.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from apps.crm.adapters import oauth
from apps.crm.adapters.provider import (
    AccessRevoked,
    Answer,
    CallRefused,
    ConnectionFault,
    Fields,
    Forbidden,
    Grant,
    Session,
    Settings,
    Upsert,
    Written,
)


class Adapter:
    """The adapter of one connection, without what is its provider's own."""

    def __init__(self, *, settings: Settings, session: Session) -> None:
        self._settings, self._session = settings, session

    # Access.
    def authenticate(self, *, code: str, verifier: str, redirect_uri: str) -> Grant:
        """Exchange the code of an agreed authorization."""
        form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier}
        return self._granted({**form, "redirect_uri": redirect_uri})

    def refresh(self, refresh_token: str) -> Grant:
        """Return a new access token; where refresh tokens rotate, the old one is dead from now on."""
        return self._granted({"grant_type": "refresh_token", "refresh_token": refresh_token})

    def revoke(self, refresh_token: str) -> None:
        """Give the grant back; one that is gone already is fine."""
        address, form = self._revocation(refresh_token)
        with suppress(AccessRevoked, ConnectionFault):
            oauth.post_form(address, form)

    # Records.
    def create(self, object_name: str, fields: Fields, *, external_id: str) -> Written:
        """Create one record; one that has RTX's id already is changed instead."""
        (written,) = self.upsert(object_name, [Upsert(external_id, fields)])
        if written.error is not None:
            raise written.error
        return written

    def merged_into(self, object_name: str, crm_id: str) -> str:
        """Tell of none: where reading a merged record brings the one that it became a part of, or nothing."""
        return ""

    # The provider's own.
    def upsert(self, object_name: str, wanted: Sequence[Upsert]) -> list[Written]:
        """See `Provider.upsert`."""
        raise NotImplementedError

    def _granted(self, form: Mapping[str, str]) -> Grant:
        """Ask the token endpoint."""
        raise NotImplementedError

    def _revocation(self, refresh_token: str) -> tuple[str, Mapping[str, str]]:
        """Return where a grant is given back, and the form."""
        raise NotImplementedError

    # Parts.
    @property
    def _client(self) -> dict[str, str]:
        return {"client_id": self._settings.client_id, "client_secret": self._settings.client_secret}

    @property
    def _objects(self) -> list[str]:
        """The objects in use, customers first."""
        both = (self._settings.customer_object, self._settings.account_object)
        return [one for one in dict.fromkeys(both) if one]

    def _one(self, method: str, path: str, operation: str, object_name: str, **options: Any) -> Answer:
        """Write to one record; that it is not there is an answer."""
        options.setdefault("expected", (404,))
        return self._session.call(
            method, path, operation=operation, object_name=object_name, records=1, is_write=True, **options
        )

    def _changed(self, method: str, path: str, object_name: str, **options: Any) -> Answer:
        """Change one record. Raises `CallRefused` (`record_gone`) when it was deleted."""
        answer = self._one(method, path, "update", object_name, **options)
        if answer.status == 404:
            raise CallRefused("The record was deleted.", code="record_gone")
        return answer


@contextmanager
def naming(operation: str, object_name: str) -> Iterator[None]:
    """Say which call a refusal is of that is found out here: before the call is made, or in its answer."""
    try:
        yield
    except (CallRefused, Forbidden) as error:
        if not error.during:
            error.of(operation, object_name)
        raise


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds an answer asks to wait."""
    given = headers.get("retry-after", "")
    return float(given) if re.fullmatch(r"\d{1,6}", given) else None


def word(given: Any) -> str:
    """Return a code of an answer as it may be shown; anything else than a plain word is none."""
    return given if isinstance(given, str) and re.fullmatch(r"\w{1,60}", given) else ""
