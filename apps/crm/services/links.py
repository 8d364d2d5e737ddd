"""Links as staff operate them."""

from uuid import UUID

from apps.crm.models import Link
from rtx.kernel.actor import Actor


def send_again(*, link_id: UUID, actor: Actor) -> Link:
    """
    Send a customer at once and whole; a record that was deleted in the CRM is made anew. Logged.

    :raises NotFound: `link_not_found`.
    :raises Conflict: `link_erased`.
    """
    raise NotImplementedError
