"""Reads what both sides had where a field had changed on both: for staff who may see it, once."""

import json

from apps.crm.models import Conflict
from rtx.kernel import encryption

UNREADABLE = "not to be read: the client was erased"


def values_of(row: Conflict) -> list[tuple[str, str]]:
    """Return what RTX and the CRM had, each with a name for it."""
    place = encryption.associated_data(table="crm_conflict", column="values_sealed", pk=row.link_id)
    try:
        kept = json.loads(row.link.client.open_content(bytes(row.values_sealed), place=place))
    except (encryption.DecryptionFailed, ValueError):
        return [("RTX", UNREADABLE), ("CRM", UNREADABLE)]
    return [("RTX", str(kept.get("rtx") or "–")), ("CRM", str(kept.get("crm") or "–"))]
