"""
Writes batches to HubSpot. A record whose id is known is updated by it, others are created or updated by RTX's
unique property. HubSpot answers a batch with a bad record in two ways: 207 and an error per record, or by
refusing the batch; then the batch is parted until the bad one stands alone. A contact who is there already
with the same e-mail address, without RTX's id, is named and not written to.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from apps.crm.adapters import hubspot_errors as errors
from apps.crm.adapters.provider import (
    FORBIDDEN,
    Answer,
    CallRefused,
    ProviderError,
    Session,
    Unavailable,
    Upsert,
    Written,
    of_whole,
)

CALLS_MAX = 24  # of one batch; what is undecided then is tried again in other company
REFUSALS = (400, 404, 409)


class Upserts:
    """One batch of one object. `email_property`: by which customers are joined; empty: they are not."""

    def __init__(self, session: Session, object_name: str, id_property: str, email_property: str) -> None:
        self._session, self._object = session, object_name
        self._id_property, self._email = id_property, email_property
        self._calls_left = CALLS_MAX
        self._done: dict[str, Written] = {}
        self._taken: dict[str, str] = {}  # external id -> contact that has its e-mail address

    def write(self, wanted: Sequence[Upsert]) -> list[Written]:
        """Write a batch and answer in order. A failure of the whole (limits, no answer) is raised."""
        self._update([one for one in wanted if one.crm_id])
        fresh = [one for one in wanted if not one.crm_id]
        self._upsert(fresh)
        self._join([one for one in fresh if one.external_id in self._taken])
        return [self._done[one.external_id] for one in wanted]

    def find(self, external_id: str) -> str:
        """Return the id of the record that bears RTX's id; empty: there is none."""
        rows = self._read_batch([external_id], by=self._id_property)
        bearing = [row for row in rows if row["properties"].get(self._id_property) == external_id]
        return str(bearing[0]["id"]) if bearing else ""

    def _update(self, batch: Sequence[Upsert]) -> None:
        inputs = [self._input(one) | {"id": one.crm_id} for one in batch]
        self._send("update", batch, inputs)

    def _upsert(self, batch: Sequence[Upsert]) -> None:
        inputs = [
            self._input(one) | {"id": one.external_id, "idProperty": self._id_property} for one in batch
        ]
        self._send("upsert", batch, inputs)

    def _input(self, one: Upsert) -> dict[str, Any]:
        properties = {name: "" if value is None else value for name, value in one.fields.items()}
        if not one.bears_id:
            properties[self._id_property] = one.external_id
        return {"properties": properties, "objectWriteTraceId": one.external_id}

    def _send(self, how: str, batch: Sequence[Upsert], inputs: Sequence[Mapping[str, Any]]) -> None:
        if not batch:
            return
        if self._calls_left <= 0:
            for one in batch:
                self._fail(one, Unavailable("HubSpot refused a batch around it.", code="batch_refused"))
            return
        self._calls_left -= 1
        answer = self._session.call(
            "POST",
            f"/crm/v3/objects/{self._object}/batch/{how}",
            operation="upsert",
            object_name=self._object,
            records=len(batch),
            is_write=True,
            json={"inputs": list(inputs)},
            expected=REFUSALS,
        )
        if answer.status in REFUSALS:
            self._refused(how, batch, answer)
        else:
            self._read(how, batch, answer)

    def _read(self, how: str, batch: Sequence[Upsert], answer: Answer) -> None:
        """Take over what became of each record; what the answer does not tell of is written again."""
        body = answer.body if isinstance(answer.body, dict) else {}
        results = [row for row in body.get("results") or [] if isinstance(row, dict)]
        failures = [row for row in body.get("errors") or [] if isinstance(row, dict)]
        by_key = {key: one for one in results for key in self._keys_of(how, one)}
        failed = {key: one for one in failures for key in _keys_of_error(one)}
        left: list[Upsert] = []
        for one in batch:
            row = _first(by_key, one)
            error = _first(failed, one)
            if row is None and error is None and len(batch) == 1 and len(results) + len(failures) == 1:
                row, error = next(iter(results), None), next(iter(failures), None)
            if row is not None and row.get("id"):
                self._done[one.external_id] = Written(
                    one.external_id,
                    crm_id=str(row["id"]),
                    is_created=how == "upsert" and row.get("new") is True,
                )
            elif error is not None:
                self._explain(one, error)
            else:
                left.append(one)
        if left and len(batch) == 1:
            message = "HubSpot's answer does not tell what became of a record."
            self._fail(left[0], Unavailable(message, code="provider_malformed"))
        elif left:
            self._parted(how, left)

    def _refused(self, how: str, batch: Sequence[Upsert], answer: Answer) -> None:
        """Deal with a batch that was refused as a whole."""
        body = answer.body if isinstance(answer.body, dict) else {}
        error = errors.of_record(body, status=answer.status)
        if error.code in FORBIDDEN:
            raise of_whole(error).of("upsert", self._object)
        _, names = errors.details(body)
        if len(batch) == 1:
            self._explain(batch[0], body, status=answer.status)
            return
        if error.code in errors.OF_MAPPING:
            if self._id_property in names:
                raise error
            bad = [one for one in batch if any(name in one.fields for name in names)]
            for one in bad:
                self._fail(one, error)
            if bad:
                self._again(how, [one for one in batch if one not in bad])
                return
        if error.code == "duplicate_value" and how == "upsert" and self._look_up(batch):
            self._again(how, [one for one in batch if one.external_id not in self._taken])
        else:
            self._parted(how, batch)

    def _again(self, how: str, batch: Sequence[Upsert]) -> None:
        if how == "update":
            self._update(batch)
        else:
            self._upsert(batch)

    def _parted(self, how: str, batch: Sequence[Upsert]) -> None:
        half = (len(batch) + 1) // 2
        for part in (batch[:half], batch[half:]):
            self._again(how, part)

    def _explain(self, one: Upsert, error: Mapping[str, Any], *, status: int = 0) -> None:
        """Note why a record was refused, or that it may be joined to the contact that is in its way."""
        refused = errors.of_record(error, status=status)
        if refused.code in errors.OF_MAPPING and self._id_property in errors.details(error)[1]:
            raise refused
        if refused.code == "duplicate_value" and not one.crm_id and self._email:
            existing = errors.existing_id(error)
            if existing or self._look_up([one]):
                self._taken.setdefault(one.external_id, existing)
                return
        if refused.code == "not_found" and one.crm_id:
            refused = CallRefused("The record was deleted.", code="record_gone")
        self._fail(one, refused)

    def _look_up(self, batch: Sequence[Upsert]) -> bool:
        """Find the contacts that have e-mail addresses of a batch; tell whether one of them is in the way."""
        mails = {
            str(one.fields.get(self._email)).lower(): one.external_id
            for one in batch
            if self._email and one.fields.get(self._email)
        }
        found = False
        for row in self._read_batch(list(mails), by=self._email):
            properties = row["properties"]
            mine = mails.get(str(properties.get(self._email) or "").lower())
            if mine is not None and properties.get(self._id_property) != mine:
                self._taken[mine] = str(row["id"])
                found = True
        return found

    def _join(self, batch: Sequence[Upsert]) -> None:
        """Name the contacts that have customers' e-mail addresses, unless they are others' already."""
        if not batch:
            return
        rows = self._read_batch([self._taken[one.external_id] for one in batch], by="")
        owners = {str(row["id"]): str(row["properties"].get(self._id_property) or "") for row in rows}
        again: list[Upsert] = []
        for one in batch:
            crm_id = self._taken.pop(one.external_id)
            owner = owners.get(crm_id)
            if owner == "":
                owners[crm_id] = one.external_id  # nobody else's from here on
                self._done[one.external_id] = Written(one.external_id, crm_id=crm_id, is_adopted=True)
            elif owner is None or owner == one.external_id:  # deleted or joined meanwhile
                again.append(one)
            else:
                self._fail(
                    one, CallRefused("Another client has this e-mail's contact.", code="duplicate_email")
                )
        self._upsert(again)
        for one in again:
            if self._taken.pop(one.external_id, None) is not None:
                message = "Another contact has this e-mail address."
                self._fail(one, Unavailable(message, code="duplicate_value"))

    def _read_batch(self, ids: Sequence[str], *, by: str) -> list[Mapping[str, Any]]:
        if not ids:
            return []
        answer = self._session.call(
            "POST",
            f"/crm/v3/objects/{self._object}/batch/read",
            operation="find_email",
            object_name=self._object,
            records=len(ids),
            json={
                "inputs": [{"id": one} for one in dict.fromkeys(ids)],
                "properties": [name for name in (self._email, self._id_property) if name],
                "propertiesWithHistory": [],
                **({"idProperty": by} if by else {}),
            },
            expected=(404,),
        )
        body = answer.body if isinstance(answer.body, dict) else {}
        return [
            row
            for row in body.get("results") or []
            if isinstance(row, dict) and row.get("id") and isinstance(row.get("properties"), dict)
        ]

    def _keys_of(self, how: str, row: Mapping[str, Any]) -> list[str]:
        """
        Return which record an answer is about. The id and RTX's id that it shows may be those of another
        customer's record, of which the one that was named became a part.
        """
        if trace := row.get("objectWriteTraceId"):
            return [str(trace)]
        shown = row.get("properties") if how == "upsert" else None
        named = shown.get(self._id_property) if isinstance(shown, dict) else None
        return [str(one) for one in (named, row.get("id")) if one]

    def _fail(self, one: Upsert, error: ProviderError) -> None:
        self._done[one.external_id] = Written(one.external_id, crm_id=one.crm_id, error=error)


def _keys_of_error(row: Mapping[str, Any]) -> list[str]:
    """Return which records an error of a batch is about."""
    context = row.get("context")
    found: list[Any] = [row.get("id")]
    for name in ("objectWriteTraceId", "ids", "id"):
        given = context.get(name) if isinstance(context, dict) else None
        found += given if isinstance(given, list) else [given]
    return [str(one) for one in found if one]


def _first(rows: Mapping[str, Mapping[str, Any]], one: Upsert) -> Mapping[str, Any] | None:
    return rows.get(one.external_id) or rows.get(one.crm_id or " ")
