"""
Reads records of HubSpot by their ids, many at once. One that is missing counts as deleted only where the
answer says so: by an error for that very id, or by a complete answer without it. Writes nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from apps.crm.adapters import hubspot_errors as errors
from apps.crm.adapters.hubspot_changes import MERGED, record
from apps.crm.adapters.provider import Answer, Record, Session, Unavailable, gone, of_whole


class Reading:
    """The records of one object."""

    def __init__(self, session: Session, object_name: str, id_property: str, names: Sequence[str]) -> None:
        self._session, self._object, self._id_property = session, object_name, id_property
        self._names = list(dict.fromkeys([*names, id_property, MERGED]))

    def records(self, crm_ids: Sequence[str]) -> list[Record]:
        """Return those that there are, and as deleted those that HubSpot says are not; see `get_many`."""
        asked = list(dict.fromkeys(crm_ids))
        if not asked:
            return []
        answer = self._asked(asked)
        body = answer.body if isinstance(answer.body, dict) else {}
        if answer.status == 404:
            return self._missing(asked, body)
        rows = body.get("results")
        if not isinstance(rows, list):
            raise Unavailable("HubSpot's records cannot be read.", code="provider_malformed")
        found = [record(row, self._id_property) for row in rows if isinstance(row, dict)]
        failures = [row for row in body.get("errors") or [] if isinstance(row, dict)]
        left = [one for one in asked if one not in {there.crm_id for there in found}]
        if failures or answer.status != 200:
            named = {one for failure in failures for one in _deleted(failure)}
            named.update(one for there in found for one in there.merged_ids)
            left = [one for one in left if one in named]
        return [*found, *map(gone, left)]

    def _missing(self, asked: list[str], body: Mapping[str, Any]) -> list[Record]:
        """A whole batch that is not found: of one record, or of those that are named, it says enough."""
        error = errors.of_record(body, status=404)
        if error.code != "not_found":
            raise of_whole(error).of("get_many", self._object)
        named = _deleted(body)
        if len(asked) == 1 and not named:
            named = set(asked)
        left = [one for one in asked if one not in named]
        if len(left) < len(asked):
            return [*map(gone, (one for one in asked if one in named)), *self.records(left)]
        half = (len(asked) + 1) // 2
        return [*self.records(asked[:half]), *self.records(asked[half:])]

    def _asked(self, asked: Sequence[str]) -> Answer:
        return self._session.call(
            "POST",
            f"/crm/v3/objects/{self._object}/batch/read",
            operation="get_many",
            object_name=self._object,
            records=len(asked),
            json={
                "inputs": [{"id": one} for one in asked],
                "properties": self._names,
                "propertiesWithHistory": [],
            },
            expected=(404,),
        )


def _deleted(failure: Mapping[str, Any]) -> set[str]:
    """Return the ids of which an error says that there is no such record."""
    if errors.of_record(failure).code != "not_found":
        return set()
    context = failure.get("context")
    given = [failure.get("id")]
    for name in ("ids", "id"):
        told = context.get(name) if isinstance(context, dict) else None
        given += told if isinstance(told, list) else [told]
    return {str(one) for one in given if one}
