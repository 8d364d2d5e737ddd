"""Field mappings: what a connection begins with, and replacing them as a whole."""

from collections.abc import Sequence

from apps.crm.domain.mapping import Pair, Target
from apps.crm.models import Connection, FieldMapping
from rtx.kernel.actor import Actor


def install_defaults(connection: Connection) -> None:
    """Give a connection without mappings the usual ones of its objects. For `connections.create`."""
    raise NotImplementedError


def replace(
    *,
    connection_id: int,
    kind: str,
    pairs: Sequence[Pair],
    actor: Actor,
    targets: dict[str, Target] | None = None,
) -> list[FieldMapping]:
    """
    Replace a connection's mappings of one kind; `targets`: fields as the CRM describes them, if known. What
    is sent of now on is all that differs by the new mappings. Logged.

    :raises Invalid: a pair is wrong; `errors` names each by its CRM field.
    """
    raise NotImplementedError
