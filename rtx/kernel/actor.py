"""Who does something: carried by every command and written into the journal. Holds no rights."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class ActorKind(StrEnum):
    """Where a command comes from."""

    CLIENT = "client"
    STAFF = "staff"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """One person or part of RTX. `name` never holds personal data: a user id or a component's name."""

    kind: ActorKind
    name: str
    ip: str = ""
    request_id: str = ""

    @classmethod
    def system(cls, component: str) -> "Actor":
        """Return the actor for a part of RTX that acts by itself."""
        return cls(kind=ActorKind.SYSTEM, name=component)

    @classmethod
    def of(cls, request: Any) -> "Actor":
        """Return the actor of a Django or DRF request with an authenticated user."""
        user = request.user
        kind = ActorKind.STAFF if user.is_staff else ActorKind.CLIENT
        meta = request.META
        return cls(
            kind=kind,
            name=f"user:{user.pk}",
            ip=meta.get("REMOTE_ADDR", "") or "",
            request_id=meta.get("rtx.request_id", ""),
        )

    def as_text(self) -> str:
        """Return the journal's short form, such as `client:user:17`."""
        return f"{self.kind}:{self.name}"
