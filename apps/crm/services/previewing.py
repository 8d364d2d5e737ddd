"""What a sync would do with one client, shown before it does it. Reads the CRM, writes nothing."""

from dataclasses import dataclass
from uuid import UUID

from apps.crm.models import Connection


@dataclass(frozen=True, slots=True)
class Line:
    """One pair of fields: what RTX makes of its value, what stands in the CRM, and what would happen."""

    rtx_field: str
    crm_field: str
    direction: str
    is_personal: bool
    ours: str | None
    theirs: str | None
    action: str  # keep, push, pull or unfit
    is_conflict: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be sent and taken over. `crm_id` empty: the CRM has no record of the client yet."""

    crm_id: str
    lines: tuple[Line, ...]


def preview(connection: Connection, *, client_id: UUID) -> Preview:
    """
    Compare a client with their record in the CRM as the next sync would.

    :raises NotFound: `client_not_found`.
    :raises ProviderError: the CRM cannot be called.
    """
    raise NotImplementedError
