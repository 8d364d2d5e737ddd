"""
Mends a record that was written with another customer's values, since people merged two records at the
provider: its own customer is sent there again, whole. Calls nobody.
"""

from collections.abc import Mapping

from apps.crm.domain.merging import Seen
from apps.crm.models import Link
from apps.crm.services.merging import keep_base
from rtx.kernel import clock


def restore(link: Link, fields: Mapping[str, str | None]) -> None:
    """
    Let a customer be sent again, whole, to the record that was written with `fields` of another one. Those
    stand in the comparison as the CRM's, told by nobody: they are overwritten and never taken over here. The
    link is locked and is saved.
    """
    client = link.client
    if client.data_key is None:  # erased
        return
    now = clock.now()
    link.wanted_at = now if link.wanted == link.sent else link.wanted_at
    link.wanted, link.due_at, link.in_step_at = link.wanted + 1, now, None
    keep_base(link, client, {name: Seen(None, text, is_sent=False).kept() for name, text in fields.items()})
    link.save(update_fields=["wanted", "wanted_at", "due_at", "in_step_at", "base_sealed"])
