"""
Writes up to 100 records of one module. A record that is known, or that is found, is named by its own id; all
others by RTX's id in its unique field, so that a repeated call makes nothing twice. Customers who are there
already without RTX's id are found by their e-mail addresses, and not written to. One record's error stays its
own.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from apps.crm.adapters import zoho_errors as errors
from apps.crm.adapters import zoho_values as values
from apps.crm.adapters.provider import (
    CallRefused,
    ProviderError,
    Session,
    Unavailable,
    Upsert,
    Written,
)

API = "/crm/v8"
IN_MAX = 50  # values of one `in`
QUERY_MAX = 200  # rows of a query that cost one credit
EMAILS = {"Contacts": "Email", "Leads": "Email"}
Kinds = Mapping[str, tuple[str, str]]
Row = tuple[int, Upsert, str]  # place in the answer, what is wanted, the record's id where it is known
_PLAIN = re.compile(r"[A-Za-z0-9._%+@-]+", re.ASCII)


class Upserts:
    """One batch. `parent`: the lookup of the customer; `kinds`: types of fields, asked for when needed."""

    def __init__(
        self, session: Session, *, object_name: str, key: str, parent: str, kinds: Callable[[bool], Kinds]
    ) -> None:
        self._session, self._object, self._key = session, values.name(object_name), key
        self._parent, self._kinds = parent, kinds
        self._done: dict[int, Written] = {}
        self._adopted: set[str] = set()

    def write(self, wanted: Sequence[Upsert]) -> list[Written]:
        """Write the batch and answer in order. A failure before anything was written is raised."""
        standing = self._standing([one for one in wanted if not one.crm_id])
        known: list[Row] = []
        new: list[Row] = []
        for place, one in enumerate(wanted):
            if place in self._done:
                continue
            found = standing.get(one.external_id)
            if isinstance(found, ProviderError):
                self._done[place] = Written(one.external_id, error=found)
            elif one.external_id in self._adopted:
                self._done[place] = Written(one.external_id, crm_id=found or "", is_adopted=True)
            elif crm_id := one.crm_id or found or "":
                known.append((place, one, crm_id))
            else:
                new.append((place, one, ""))
        for rows, is_new in ((known, False), (new, True)):
            if rows:
                self._part(rows, is_new=is_new)
        return [self._done[place] for place in range(len(wanted))]

    def find(self, external_id: str) -> str:
        """Return the id of the record that bears RTX's id; empty: there is none."""
        rows = self._query([Upsert(external_id, {})], "")
        return str(rows[0].get("id") or "") if rows else ""

    def _part(self, rows: Sequence[Row], *, is_new: bool) -> None:
        try:
            is_typed = any(values.may_need_type(one.fields) for _, one, _ in rows)
            items = self._send(rows, self._kinds(is_typed), is_new=is_new)
            again = [row for row, item in zip(rows, items, strict=True) if errors.wants_another_type(item)]
            self._note(rows, items)
            if again and not is_typed:
                kinds = self._kinds(True)
                self._note(again, self._send(again, kinds, is_new=is_new))
        except ProviderError as error:
            if not any(written.error is None for written in self._done.values()):
                raise
            for place, one, _ in rows:
                self._done.setdefault(place, Written(one.external_id, crm_id=one.crm_id, error=error))

    def _send(self, rows: Sequence[Row], kinds: Kinds, *, is_new: bool) -> list[Mapping[str, Any]]:
        body: dict[str, Any] = {"data": [self._content(one, crm_id, kinds) for _, one, crm_id in rows]}
        if is_new:
            body["duplicate_check_fields"] = [self._key]
        answer = self._session.call(
            "POST" if is_new else "PUT",
            f"{API}/{self._object}" + ("/upsert" if is_new else ""),
            operation="upsert",
            object_name=self._object,
            records=len(rows),
            is_write=True,
            json=body,
            expected=(400,),
        )
        items = answer.body.get("data") if isinstance(answer.body, dict) else None
        if isinstance(items, list) and len(items) == len(rows):
            return [item if isinstance(item, dict) else {} for item in items]
        if answer.status == 400:
            raise errors.failure(answer).of("upsert", self._object)
        raise Unavailable("Zoho's answer does not fit what was sent.", code="provider_malformed")

    def _content(self, one: Upsert, crm_id: str, kinds: Kinds) -> dict[str, Any]:
        content: dict[str, Any] = {
            values.name(field): values.outward(text, kinds.get(field)) for field, text in one.fields.items()
        }
        if not one.bears_id:
            content[self._key] = one.external_id
        if crm_id:
            content["id"] = values.record_id(crm_id)
        if self._parent and one.parent_crm_id:
            content[self._parent] = {"id": values.record_id(one.parent_crm_id)}
        return content

    def _note(self, rows: Sequence[Row], items: Sequence[Mapping[str, Any]]) -> None:
        for (place, one, crm_id), item in zip(rows, items, strict=True):
            if not errors.is_success(item):
                error = errors.of_record(item, key=self._key)
                self._done[place] = Written(one.external_id, crm_id=crm_id, error=error)
                continue
            details = item.get("details")
            written_id = str(details.get("id") or "") if isinstance(details, dict) else ""
            if not (written_id or crm_id):
                lost = Unavailable("Zoho's answer names no record.", code="provider_malformed")
                self._done[place] = Written(one.external_id, error=lost)
                continue
            self._done[place] = Written(
                one.external_id,
                crm_id=written_id or crm_id,
                is_created=item.get("action") == "insert",
            )

    # Who is there already.

    def _standing(self, wanted: Sequence[Upsert]) -> dict[str, str | ProviderError]:
        """
        Return what is there: RTX's id -> the record's id, or why it cannot be found out. A record with RTX's
        id goes before one with the e-mail address; the oldest of several with one address is taken, once.
        """
        email = EMAILS.get(self._object, "")
        if not email:
            return {}
        found: dict[str, str | ProviderError] = {}
        for part in _portions(wanted, email):
            try:
                rows = self._query(part, email)
            except CallRefused as error:
                if len(part) > 1:
                    raise
                found[part[0].external_id] = error
                continue
            mine = {str(row.get(self._key)): str(row.get("id")) for row in rows if row.get(self._key)}
            free: dict[str, list[str]] = {}
            for row in rows:
                if not row.get(self._key):
                    free.setdefault(str(row.get(email)).lower(), []).append(str(row.get("id")))
            for one in part:
                ids = [
                    crm_id
                    for crm_id in free.get(_mail(one, email).lower(), [])
                    if crm_id not in found.values()
                ]
                if one.external_id in mine:
                    found[one.external_id] = mine[one.external_id]
                elif ids:
                    found[one.external_id] = ids[0]
                    self._adopted.add(one.external_id)
        return found

    def _query(self, part: Sequence[Upsert], email: str) -> list[Mapping[str, Any]]:
        """Ask by a query in the body: no e-mail address stands in an address that is logged."""
        where = [_one_of(self._key, [one.external_id for one in part])]
        if mails := [mail for one in part if (mail := _mail(one, email))]:
            where.append(_one_of(email, mails))
        columns = ", ".join(filter(None, ("id", self._key, email)))
        selected = " ".join(("select", columns, "from", self._object, "where", f"({' or '.join(where)})"))
        query = f"{selected} order by Created_Time asc limit {QUERY_MAX}"
        rows: list[Mapping[str, Any]] = []
        while True:
            offset = f" offset {len(rows)}" if rows else ""
            answer = self._session.call(
                "POST",
                f"{API}/coql",
                operation="find",
                object_name=self._object,
                records=len(part),
                json={"select_query": query + offset},
            )
            if answer.status == 204:
                return rows
            page = answer.body.get("data") if isinstance(answer.body, dict) else None
            if not isinstance(page, list):
                raise Unavailable("The answer of a query cannot be read.", code="provider_malformed")
            rows += [row for row in page if isinstance(row, dict)]
            info = answer.body.get("info")
            if not page or not isinstance(info, dict) or info.get("more_records") is not True:
                return rows


def _portions(wanted: Sequence[Upsert], email: str) -> Iterator[Sequence[Upsert]]:
    """Part into queries; an unusual address is asked for alone, so that it can fail alone."""
    plain = [one for one in wanted if not _mail(one, email) or _PLAIN.fullmatch(_mail(one, email))]
    for start in range(0, len(plain), IN_MAX):
        yield plain[start : start + IN_MAX]
    yield from ([one] for one in wanted if one not in plain)


def _mail(one: Upsert, email: str) -> str:
    return one.fields.get(email) or ""


def _one_of(field: str, given: Sequence[str]) -> str:
    return f"{field} in ({', '.join(_quoted(one) for one in given)})"


def _quoted(text: str) -> str:
    """
    Return a text as a literal of a query.

    :raises CallRefused: it holds control characters.
    """
    if not text.isprintable():
        raise CallRefused("The value does not fit a query.", code="value_refused")
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
