"""
The check of clients: documents come in, a review waits, a person takes and decides it. Writes no staff log:
whoever calls does, in the same transaction.
"""

from datetime import date
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from apps.accounts.domain import kyc
from apps.accounts.domain.kyc import KycRefused, KycStatus
from apps.accounts.models import Client, KycContent, KycDocument, KycReview
from rtx.kernel import clock
from rtx.kernel.errors import Conflict, Invalid, NotFound

BATCH = 500
REOPENS = frozenset({KycStatus.NONE, KycStatus.REJECTED, KycStatus.EXPIRED})


class ReviewTaken(Conflict):
    """Somebody else works on the review."""

    code = "review_taken"
    title = "Somebody else has taken this review"


def submit(*, client_id: UUID) -> KycReview:
    """
    Begin a review: the client becomes pending and waits in the queue.

    :raises KycRefused: a review is open already, or the client was erased.
    """
    with transaction.atomic():
        client = _locked(client_id)
        client.kyc_status = kyc.moved(client.kyc_status, KycStatus.PENDING)
        client.save(update_fields=["kyc_status"])
        return KycReview.objects.create(client=client, submitted_at=clock.now())


def add_document(
    *,
    client_id: UUID,
    kind: str,
    content: bytes,
    by_id: int,
    country: str = "",
    expires_on: date | None = None,
) -> KycDocument:
    """
    Keep a document, encrypted under the client's key. The first one after nothing, a refusal or an expiry
    begins a review.

    :raises DocumentRefused: not a PDF, JPEG or PNG, empty, or too large.
    :raises Invalid: unknown kind, or a document that has expired.
    :raises KycRefused: the client was erased.
    """
    found = kyc.media_type(content)
    if kind not in KycDocument.Kind.values:
        raise Invalid(
            "Unknown kind of document.", errors={"kind": [f"one of {', '.join(KycDocument.Kind.values)}"]}
        )
    now = clock.now()
    if expires_on is not None and expires_on < now.date():
        raise Invalid(
            "The document has expired.", code="document_expired", errors={"expires_on": ["has passed"]}
        )
    with transaction.atomic():
        client = _locked(client_id)
        document = KycDocument.objects.create(
            client=client,
            kind=kind,
            country=country,
            expires_on=expires_on,
            media_type=found,
            size_bytes=len(content),
            uploaded_at=now,
            uploaded_by_id=by_id,
        )
        kept = KycContent(document=document)
        kept.sealed = client.seal_content(content, place=kept.place())
        kept.save(force_insert=True)
        client.save(update_fields=["data_key"])  # the first thing kept of a client makes their key
        if client.kyc_status in REOPENS:
            submit(client_id=client_id)
    return document


def read_document(document: KycDocument) -> bytes:
    """
    Return a document's bytes.

    :raises NotFound: it died with its client.
    """
    kept = KycContent.objects.filter(document=document).first()
    if kept is None or document.client.data_key is None:
        raise NotFound("The document was erased.", code="document_erased")
    return document.client.open_content(bytes(kept.sealed), place=kept.place())


def take(*, review_id: int, by_id: int) -> KycReview:
    """
    Take a waiting review, also from nobody else's hands but one's own.

    :raises ReviewTaken: somebody else has it.
    :raises KycRefused: it is decided.
    """
    with transaction.atomic():
        review = _open(review_id)
        if review.assignee_id not in (None, by_id):
            raise ReviewTaken("Somebody else has taken this review.")
        return _assign(review, by_id)


def take_next(*, among: QuerySet[KycReview], by_id: int) -> KycReview | None:
    """Take the review that waits longest of those that nobody has; two people never get the same one."""
    with transaction.atomic():
        waiting = among.filter(decision="", assignee=None).order_by("submitted_at", "id")
        review = waiting.select_for_update(skip_locked=True, of=("self",), no_key=True).first()
        return None if review is None else _assign(review, by_id)


def put_back(*, review_id: int) -> KycReview:
    """Give a review back to the queue, where it keeps its place."""
    with transaction.atomic():
        review = _open(review_id)
        review.assignee_id, review.assigned_at = None, None
        review.save(update_fields=["assignee", "assigned_at"])
        return review


def _assign(review: KycReview, by_id: int) -> KycReview:
    review.assignee_id, review.assigned_at = by_id, clock.now()
    review.save(update_fields=["assignee", "assigned_at"])
    return review


def approve(*, review_id: int, by_id: int, reason: str, valid_until: date | None = None) -> Client:
    """
    Verify a client, until a day or for good.

    :raises ReviewTaken: somebody else has the review.
    :raises KycRefused: it is decided, or there is no document to decide by.
    :raises Invalid: the day has passed.
    """
    if valid_until is not None and valid_until <= clock.now().date():
        raise Invalid("The day must lie ahead.", errors={"valid_until": ["must lie ahead"]})
    with transaction.atomic():
        review = _open(review_id)
        if not KycContent.objects.filter(document__client_id=review.client_id).exists():
            raise KycRefused("There is no document to decide by.", code="no_document")
        return _decide(review, KycStatus.VERIFIED, by_id=by_id, reason=reason, valid_until=valid_until)


def reject(*, review_id: int, by_id: int, reason: str) -> Client:
    """
    Reject a client's check; new documents begin another one.

    :raises ReviewTaken: somebody else has the review.
    :raises KycRefused: it is decided.
    """
    with transaction.atomic():
        return _decide(_open(review_id), KycStatus.REJECTED, by_id=by_id, reason=reason, valid_until=None)


def _decide(
    review: KycReview, status: KycStatus, *, by_id: int, reason: str, valid_until: date | None
) -> Client:
    if review.assignee_id not in (None, by_id):
        raise ReviewTaken("Somebody else has taken this review.")
    now = clock.now()
    client = _locked(review.client_id)
    client.kyc_status = kyc.moved(client.kyc_status, status)
    client.kyc_valid_until = valid_until
    client.save(update_fields=["kyc_status", "kyc_valid_until"])
    if review.assignee_id is None:
        review.assignee_id, review.assigned_at = by_id, now
    review.decision, review.decided_by_id, review.decided_at = status.value, by_id, now
    review.reason = reason
    review.save()
    return client


def expire_due() -> int:
    """Let verified clients expire whose day has passed; return how many did."""
    today, expired = clock.now().date(), 0
    while True:
        with transaction.atomic():
            due = list(
                Client.objects.select_for_update(skip_locked=True, no_key=True)
                .filter(kyc_status=KycStatus.VERIFIED, kyc_valid_until__lt=today)
                .order_by("kyc_valid_until")[:BATCH]
            )
            for client in due:
                client.kyc_status = kyc.moved(client.kyc_status, KycStatus.EXPIRED)
                client.save(update_fields=["kyc_status"])
        expired += len(due)
        if len(due) < BATCH:
            return expired


def _open(review_id: int) -> KycReview:
    review = KycReview.objects.select_for_update(no_key=True).filter(pk=review_id).first()
    if review is None:
        raise NotFound("There is no such review.", code="review_not_found")
    if review.decision:
        raise KycRefused("The review is decided.")
    return review


def _locked(client_id: UUID) -> Client:
    client = Client.objects.select_for_update(no_key=True).filter(pk=client_id).first()
    if client is None:
        raise NotFound("There is no such client.", code="client_not_found")
    if client.is_erased:
        raise KycRefused("The client was erased.", code="client_erased")
    return client
