"""
Writes up to 200 records of one object by Salesforce's collections. A record that RTX knows, or that is found,
is named by its own id; all others by RTX's id in the external-id field, so that a repeated call makes nothing
twice. One record's error stays its own.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from apps.crm.adapters import salesforce_errors
from apps.crm.adapters import salesforce_soql as soql
from apps.crm.adapters.provider import (
    Answer,
    CallRefused,
    FieldInfo,
    ProviderError,
    Session,
    Unavailable,
    Upsert,
    Written,
)

QUERIES_MAX = 5  # of one composite call
EMAILS = {"Contact": "Email", "Lead": "Email", "Account": "PersonEmail"}
Row = tuple[int, Upsert, dict[str, Any]]  # place in the answer, what is wanted, what is sent


class Collection:
    """One call's records. `key`: the field of RTX's id; `parent`: the field that names the customer."""

    def __init__(
        self,
        session: Session,
        *,
        data: str,
        object_name: str,
        key: str,
        parent: str,
        headers: Mapping[str, str],
        describe: Callable[[], list[FieldInfo]],
    ) -> None:
        self._session = session
        self._data = data
        self._object = soql.name(object_name)
        self._key = key
        self._parent = parent
        self._headers = headers
        self._describe = describe

    def upsert(self, wanted: Sequence[Upsert]) -> list[Written]:
        """Write the records and answer in order."""
        done: dict[int, Written] = {}
        standing = self._standing([one for one in wanted if not one.crm_id])
        known: list[Row] = []
        new: list[Row] = []
        for place, one in enumerate(wanted):
            found, is_adopted = standing.get(one.external_id, ("", False))
            if is_adopted:
                done[place] = Written(one.external_id, crm_id=found, is_adopted=True)
                continue
            try:
                crm_id = soql.record_id(one.crm_id) if one.crm_id else found
                content = self._content(one, is_known=bool(crm_id))
            except CallRefused as error:
                done[place] = Written(external_id=one.external_id, crm_id=one.crm_id, error=error)
                continue
            if crm_id:
                known.append((place, one, {**content, "Id": crm_id}))
            else:
                new.append((place, one, content))
        for rows, path in ((known, ""), (new, f"/{self._object}/{self._key}")):
            if rows:
                self._write(rows, path, done)
        return [done[place] for place in range(len(wanted))]

    def find(self, external_id: str) -> str:
        """Return the id of the record that bears RTX's id; empty: there is none."""
        where = soql.one_of(self._key, [external_id])
        rows = self._found([soql.select(self._object, ["Id"], where=where)], records=1)
        return soql.record_id(str(rows[0].get("Id"))) if rows else ""

    def _write(self, rows: list[Row], path: str, done: dict[int, Written]) -> None:
        try:
            answers = self._send(rows, path)
        except CallRefused as error:
            rows, misfits = self._sorted_out(rows) if error.code == "value_refused" else (rows, {})
            done.update(misfits)
            if not misfits:
                self._fail(rows, error, done)
                return
            if not rows:
                return
            answers = self._send(rows, path)
        except ProviderError as error:
            self._fail(rows, error, done)
            return
        for (place, one, content), answer in zip(rows, answers, strict=True):
            done[place] = self._written(one, content, answer)

    def _fail(self, rows: Sequence[Row], error: ProviderError, done: dict[int, Written]) -> None:
        """What was written before is told; where nothing was, the error is that of the whole call."""
        if not any(written.error is None for written in done.values()):
            raise error
        for place, one, _ in rows:
            done[place] = Written(external_id=one.external_id, crm_id=one.crm_id, error=error)

    def _send(self, rows: Sequence[Row], path: str) -> list[Any]:
        answer = self._session.call(
            "PATCH",
            f"{self._data}/composite/sobjects{path}",
            operation="upsert",
            object_name=self._object,
            records=len(rows),
            is_write=True,
            json={"allOrNone": False, "records": [content for _, _, content in rows]},
            headers=self._headers,
        )
        if not isinstance(answer.body, list) or len(answer.body) != len(rows):
            raise Unavailable("The answer does not fit what was sent.", code="provider_malformed")
        return answer.body

    def _sorted_out(self, rows: Sequence[Row]) -> tuple[list[Row], dict[int, Written]]:
        """
        Salesforce refuses a whole call for one value that is no number, date or yes/no: find those records by
        the description of the fields, and let the others through.
        """
        kinds = {info.name: info.type for info in self._describe()}
        good: list[Row] = []
        misfits: dict[int, Written] = {}
        for row in rows:
            place, one, content = row
            wrong = [
                name for name, text in one.fields.items() if not soql.fits(kinds.get(name, "text"), text)
            ]
            if wrong:
                error = CallRefused(
                    f"The value does not fit the field's type. Field: {', '.join(wrong[:5])}.",
                    code="value_refused",
                )
                misfits[place] = Written(
                    external_id=one.external_id, crm_id=content.get("Id", ""), error=error
                )
            else:
                good.append(row)
        return good, misfits

    def _written(self, one: Upsert, content: Mapping[str, Any], answer: Any) -> Written:
        answer = answer if isinstance(answer, dict) else {}
        is_known = "Id" in content
        if answer.get("success") is not True:
            error = salesforce_errors.of_record(answer.get("errors"), is_known=is_known)
            return Written(external_id=one.external_id, crm_id=one.crm_id, error=error)
        return Written(
            external_id=one.external_id,
            crm_id=soql.record_id(str(answer.get("id"))),
            is_created=answer.get("created") is True,
        )

    def _content(self, one: Upsert, *, is_known: bool) -> dict[str, Any]:
        content: dict[str, Any] = {"attributes": {"type": self._object}}
        content.update({soql.name(name): value or None for name, value in one.fields.items()})
        if not one.bears_id:
            content[self._key] = one.external_id
        # An opportunity learns its contact once, when it is made.
        if self._parent and one.parent_crm_id and not (is_known and self._parent == "ContactId"):
            content[self._parent] = soql.record_id(one.parent_crm_id)
        return content

    def _standing(self, wanted: Sequence[Upsert]) -> dict[str, tuple[str, bool]]:
        """
        Find what is there already: RTX's id -> the record's id, and whether it was found by its e-mail alone.
        The oldest of several with one e-mail is taken; a record is found once.
        """
        email = EMAILS.get(self._object, "")
        if not wanted or not (email or self._parent == "ContactId"):
            return {}
        asked = [(one.external_id, *self._email(one, email)) for one in wanted]
        rows = self._found([self._query(part, email) for part in soql.portions(asked)], records=len(wanted))
        by_key = {soql.as_text(row.get(self._key)): str(row.get("Id")) for row in rows}
        by_email: dict[str, list[str]] = {}
        for row in rows:
            if not row.get(self._key) and email:
                by_email.setdefault(str(row.get(email)).lower(), []).append(str(row.get("Id")))
        found: dict[str, tuple[str, bool]] = {}
        for external_id, *emails in asked:
            if external_id in by_key:
                found[external_id] = (soql.record_id(by_key[external_id]), False)
            elif emails and by_email.get(emails[0].lower()):
                found[external_id] = (soql.record_id(by_email[emails[0].lower()].pop(0)), True)
        return found

    def _email(self, one: Upsert, email: str) -> tuple[str, ...]:
        value = one.fields.get(email) if email else None
        return (value,) if value and not any(ord(char) < 32 for char in value) else ()

    def _query(self, part: Sequence[tuple[str, ...]], email: str) -> str:
        where = soql.one_of(self._key, [row[0] for row in part])
        emails = dict.fromkeys(row[1] for row in part if len(row) > 1)
        if emails:
            is_open = " AND IsConverted = false" if self._object == "Lead" else ""
            where += f" OR ({self._key} = null AND {soql.one_of(email, emails)}{is_open})"
        names = ["Id", self._key, *([email] if email else [])]
        return soql.select(self._object, names, where=where, order_by="CreatedDate, Id")

    def _found(self, queries: Sequence[str], *, records: int) -> list[dict[str, Any]]:
        """Run queries in one call, in its body: what is asked for stands in no address that is logged."""
        rows: list[dict[str, Any]] = []
        for start in range(0, len(queries), QUERIES_MAX):
            asked = [
                {
                    "method": "GET",
                    "referenceId": f"q{place}",
                    "url": f"{self._data}/query?q={quote(query, safe='')}",
                }
                for place, query in enumerate(queries[start : start + QUERIES_MAX])
            ]
            answer = self._session.call(
                "POST",
                f"{self._data}/composite",
                operation="find",
                object_name=self._object,
                records=records,
                json={"compositeRequest": asked},
            )
            told = answer.body.get("compositeResponse") if isinstance(answer.body, dict) else None
            if not isinstance(told, list) or len(told) != len(asked):
                raise _unreadable()
            for one in told:
                rows += self._pages(one if isinstance(one, dict) else {}, answer)
        return rows

    def _pages(self, told: Mapping[str, Any], answer: Answer) -> list[dict[str, Any]]:
        status, body = told.get("httpStatusCode"), told.get("body")
        if status != 200:
            status = status if isinstance(status, int) else 500
            refused = salesforce_errors.failure(Answer(status, answer.headers, body))
            raise refused.of("upsert", self._object)  # whose turn comes once this one goes through
        rows: list[dict[str, Any]] = []
        while True:
            if not isinstance(body, dict) or not isinstance(body.get("records"), list):
                raise _unreadable()
            rows += [row for row in body["records"] if isinstance(row, dict)]
            if body.get("done"):
                return rows
            path = soql.next_page(str(body.get("nextRecordsUrl")))
            body = self._session.call("GET", path, operation="find", object_name=self._object).body


def _unreadable() -> Unavailable:
    return Unavailable("The answer of a query cannot be read.", code="provider_malformed")
