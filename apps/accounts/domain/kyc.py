"""
Knowing the client: how far the check of an identity is, and which files may prove one. Pure.

A file is judged by its content, never by its name or by what a browser says it is.
"""

from datetime import date
from enum import StrEnum

from rtx.kernel.errors import Conflict, Invalid

DOCUMENT_BYTES_MAX = 10 * 1024 * 1024
OLDEST_EXPIRY = date(2000, 1, 1)


class KycStatus(StrEnum):
    """How far the check is."""

    NONE = "none"
    PENDING = "pending"
    VERIFIED = "verified"
    REJECTED = "rejected"
    EXPIRED = "expired"


NEXT: dict[KycStatus, frozenset[KycStatus]] = {
    KycStatus.NONE: frozenset({KycStatus.PENDING}),
    KycStatus.PENDING: frozenset({KycStatus.VERIFIED, KycStatus.REJECTED}),
    KycStatus.VERIFIED: frozenset({KycStatus.PENDING, KycStatus.EXPIRED}),
    KycStatus.REJECTED: frozenset({KycStatus.PENDING}),
    KycStatus.EXPIRED: frozenset({KycStatus.PENDING}),
}


class KycRefused(Conflict):
    """The check is not where this step begins."""

    code = "kyc_state"
    title = "Not possible in this state"


class DocumentRefused(Invalid):
    """The file is none that proves an identity."""

    code = "document_refused"
    title = "Document not accepted"


def moved(present: str, to: KycStatus) -> KycStatus:
    """
    Return the status after a step.

    :raises KycRefused: the table of transitions has no such step.
    """
    if to not in NEXT[KycStatus(present)]:
        raise KycRefused(f"A check that is {present} cannot become {to}.")
    return to


SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"%PDF-", "application/pdf", "pdf"),
    (b"\xff\xd8\xff", "image/jpeg", "jpg"),
    (b"\x89PNG\r\n\x1a\n", "image/png", "png"),
)
EXTENSIONS = {media_type: extension for _, media_type, extension in SIGNATURES}


def media_type(content: bytes) -> str:
    """
    Return what a document is: PDF, JPEG or PNG, told by its first bytes.

    :raises DocumentRefused: it is empty, too large, or something else.
    """
    if not content:
        raise DocumentRefused("The file is empty.")
    if len(content) > DOCUMENT_BYTES_MAX:
        raise DocumentRefused(
            f"A document has at most {DOCUMENT_BYTES_MAX // 1024**2} MB.", code="document_too_large"
        )
    found = next((kind for start, kind, _ in SIGNATURES if content.startswith(start)), None)
    if found is None:
        raise DocumentRefused("Only PDF, JPEG and PNG are accepted.", code="document_type")
    return found
