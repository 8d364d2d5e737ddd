"""
What a verification finds, and how it tells one kind of tampering from another. Pure: looks at entries only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from apps.audit.domain.entries import Entry


class Tampering(StrEnum):
    """The kinds of tampering that are told apart."""

    EDITED = "edited"
    DELETED = "deleted"
    INSERTED = "inserted"
    REORDERED = "reordered"
    TRUNCATED = "truncated"
    BACKDATED = "backdated"
    REWRITTEN = "rewritten"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    The first entry of a log that is not what was sealed. `witness` is the checkpoint that says so: in the
    database or in a file; `position` counts the log's entries from 0.
    """

    log: str
    what: Tampering
    id: int
    subject: str
    seq: int
    at: str
    position: int
    checkpoint: int
    witness: str
    detail: str

    def sentence(self) -> str:
        """Return the finding in one line."""
        named = f" of {self.subject}" if self.subject else ""
        numbered = f" seq {self.seq}" if self.seq else ""
        return (
            f"{self.log} entry {self.id}{named}{numbered} ({self.at}) was {self.what}. {self.detail} "
            f"[position {self.position}, checkpoint {self.checkpoint}, witness: {self.witness}]"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """How a diagnosis looks beyond the place where the difference is."""

    sealed_by_id: Callable[[int], Entry | None]
    sealed_by_content: Callable[[bytes], Entry | None]
    present_by_id: Callable[[int], Entry | None]
    is_anything_after: Callable[[tuple[int, int]], bool]


def diagnose(
    sealed: Entry | None, present: Entry | None, elsewhere: Elsewhere
) -> tuple[Tampering, Entry, str]:
    """
    Tell what was done at the first place where a log differs from its seal, and which entry it concerns.

    :raises ValueError: there is no difference.
    """
    if sealed is None or present is None:
        return _at_the_end(sealed, present, elsewhere)
    if present.place == sealed.place:
        return _in_place(sealed, present, elsewhere)
    if present.place < sealed.place:
        return _extra(present, elsewhere)
    return _missing(sealed, elsewhere)


def _at_the_end(
    sealed: Entry | None, present: Entry | None, elsewhere: Elsewhere
) -> tuple[Tampering, Entry, str]:
    if present is not None:
        return _extra(present, elsewhere)
    if sealed is None:
        raise ValueError("nothing differs from nothing")
    if elsewhere.is_anything_after(sealed.place):
        return _missing(sealed, elsewhere)
    return Tampering.TRUNCATED, sealed, "It and everything sealed after it is gone."


def _in_place(sealed: Entry, present: Entry, elsewhere: Elsewhere) -> tuple[Tampering, Entry, str]:
    if present.at_us < sealed.at_us:
        also = "" if present.content == sealed.content else " Its content was changed as well."
        return Tampering.BACKDATED, sealed, f"It now says {present.at.isoformat()}.{also}"
    if present.content != sealed.content:
        other = elsewhere.sealed_by_content(present.content)
        if other is not None and other.place != sealed.place:
            return Tampering.REORDERED, sealed, f"The content of entry {other.id} stands in its place."
        return Tampering.EDITED, sealed, "Its content is not what was sealed."
    if present.at_us > sealed.at_us:
        return Tampering.EDITED, sealed, f"Its time was changed to {present.at.isoformat()}."
    return (
        Tampering.EDITED,
        sealed,
        f"It was sealed for subject {sealed.subject} seq {sealed.seq}, "
        f"and now says {present.subject} seq {present.seq}.",
    )


def _extra(present: Entry, elsewhere: Elsewhere) -> tuple[Tampering, Entry, str]:
    if elsewhere.sealed_by_id(present.id) is not None:
        return Tampering.REORDERED, present, "It was sealed at another place."
    return Tampering.INSERTED, present, "It was not there when its place was sealed."


def _missing(sealed: Entry, elsewhere: Elsewhere) -> tuple[Tampering, Entry, str]:
    if elsewhere.present_by_id(sealed.id) is not None:
        return Tampering.REORDERED, sealed, "It stands at another place now."
    return Tampering.DELETED, sealed, "It is gone."
