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
    """
    One person or part of RTX. `name` never holds personal data: a user id or a component's name. `reason` is
    what a member of staff gave for what they do; it goes into the staff log.
    """

    kind: ActorKind
    name: str
    ip: str = ""
    request_id: str = ""
    reason: str = ""

    @property
    def user_id(self) -> int | None:
        """The id of the user who acts; None for a part of RTX."""
        kind, _, number = self.name.partition(":")
        return int(number) if kind == "user" else None

    @classmethod
    def system(cls, component: str) -> "Actor":
        """Return the actor for a part of RTX that acts by itself."""
        return cls(kind=ActorKind.SYSTEM, name=component)

    @classmethod
    def of(cls, request: Any, *, reason: str = "") -> "Actor":
        """Return the actor of a Django or DRF request with an authenticated user."""
        user = request.user
        kind = ActorKind.STAFF if user.is_staff else ActorKind.CLIENT
        meta = request.META
        return cls(
            kind=kind,
            name=f"user:{user.pk}",
            ip=meta.get("REMOTE_ADDR", "") or "",
            request_id=meta.get("rtx.request_id", ""),
            reason=reason,
        )

    def as_text(self) -> str:
        """Return the journal's short form, such as `client:user:17`."""
        return f"{self.kind}:{self.name}"
