"""Admin REST of the identity check: the queue, taking and deciding, documents in and out."""

from datetime import date
from typing import Any, ClassVar
from uuid import UUID

from django.db import transaction
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.api.client_inputs import ClientReasonIn, KycDecisionIn
from apps.accounts.api.client_outputs import KycDocumentOut, KycReviewOut, review_view
from apps.accounts.api.documents import document_answer
from apps.accounts.api.staff import FORBIDDEN, StaffView
from apps.accounts.api.staff_clients import LIMIT, NO_CLIENT, client_within
from apps.accounts.domain.kyc import DOCUMENT_BYTES_MAX, EXTENSIONS
from apps.accounts.models import KycDocument, KycReview
from apps.accounts.permissions import DECIDE_KYC, DOWNLOAD_DOCUMENT
from apps.accounts.selectors import clients as found
from apps.accounts.services import kyc
from rtx.kernel import openapi
from rtx.kernel.errors import Invalid, NotFound
from rtx.kernel.rest import CursorPagination, StrictJSONParser
from rtx.kernel.staff_log import REASON_MAX_CHARS

NO_REVIEW = openapi.error(404, "review_not_found")
STEPS = openapi.error(409, "kyc_state", "review_taken", "no_document", "client_erased")
STATES = ("waiting", "mine", "decided", "all")
STATE = OpenApiParameter("state", str, enum=STATES, description="`waiting` when not given.")
KIND = OpenApiParameter("kind", str, required=True, enum=KycDocument.Kind.values)
REASON = OpenApiParameter("reason", str, description="Written into the staff log.")
COUNTRY = OpenApiParameter("country", str, description="Issued by: ISO 3166 code.")
EXPIRES = OpenApiParameter("expires_on", date)


class DocumentParser(BaseParser):
    """Takes a document's bytes as they are, within bounds. What they are, their beginning tells."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        """Return the body, at most one byte more than a document may have."""
        return stream.read(DOCUMENT_BYTES_MAX + 1)


class OldestFirst(CursorPagination):
    """Pages of the queue: what waits longest comes first."""

    ordering = ("submitted_at", "id")  # type: ignore[assignment]


def _shown(reviews: list[KycReview]) -> list[dict[str, Any]]:
    documents: dict[Any, list[KycDocument]] = {}
    for one in KycDocument.objects.filter(client_id__in={review.client_id for review in reviews}):
        documents.setdefault(one.client_id, []).append(one)
    return [review_view(review, documents.get(review.client_id, [])) for review in reviews]


class ReviewsView(StaffView):
    """The queue of reviews."""

    rights: ClassVar[dict[str, str]] = {"GET": "accounts.view_kycreview"}

    @extend_schema(
        operation_id="admin_list_kyc",
        parameters=[STATE, *LIMIT],
        responses=openapi.responses(
            200, openapi.page(KycReviewOut), openapi.error(400, "invalid"), FORBIDDEN
        ),
    )
    def get(self, request: Request) -> Response:
        """List reviews of clients within reach, oldest first."""
        state = request.query_params.get("state", "waiting")
        if state not in STATES:
            raise Invalid("state is unknown.", errors={"state": [f"one of {', '.join(STATES)}"]})
        rows = found.reviews_within(self.staff.reach, user_id=self.staff.user.pk).select_related("client")
        if state == "decided":
            rows = rows.exclude(decision="")
        elif state != "all":
            rows = rows.filter(decision="")
        if state == "mine":
            rows = rows.filter(assignee=self.staff.user)
        pages = OldestFirst()
        return pages.get_paginated_response(_shown(pages.paginate_queryset(rows, request, view=self) or []))


class ReviewStepView(StaffView):
    """Base of the steps of one review."""

    def review(self, review_id: int) -> KycReview:
        """
        Return a review within reach, for whoever may decide.

        :raises NotFound: unknown, or outside.
        :raises Forbidden: the right is missing.
        """
        rows = found.reviews_within(self.staff.reach, user_id=self.staff.user.pk)
        review = rows.filter(pk=review_id).first()
        if review is None:
            raise NotFound("There is no such review.", code="review_not_found")
        self.staff.require(DECIDE_KYC)
        return review

    @staticmethod
    def answer(review: KycReview) -> Response:
        """Answer with the review as it is now."""
        return Response(_shown([KycReview.objects.select_related("client").get(pk=review.pk)])[0])


class TakeReviewView(ReviewStepView):
    """Taking a review."""

    @extend_schema(
        operation_id="admin_take_kyc",
        request=None,
        responses=openapi.responses(200, openapi.of(KycReviewOut), FORBIDDEN, NO_REVIEW, STEPS),
    )
    def post(self, request: Request, review_id: int) -> Response:
        """Take a review, so that nobody else decides it meanwhile."""
        review = self.review(review_id)
        with transaction.atomic():
            kyc.take(review_id=review.pk, by_id=self.staff.user.pk)
            self.staff.record("accounts.take_kycreview", target=review)
        return self.answer(review)


class DecideReviewView(ReviewStepView):
    """Deciding a review."""

    @extend_schema(
        operation_id="admin_decide_kyc",
        request=openapi.body(KycDecisionIn),
        responses=openapi.responses(200, openapi.of(KycReviewOut), 400, FORBIDDEN, NO_REVIEW, STEPS),
    )
    def post(self, request: Request, review_id: int) -> Response:
        """Verify or reject the client; the reason is what the client will be told."""
        review = self.review(review_id)
        given = KycDecisionIn.validated(request.data)
        by_id = self.staff.user.pk
        with transaction.atomic():
            if given.decision == "verified":
                kyc.approve(
                    review_id=review.pk, by_id=by_id, reason=given.reason, valid_until=given.valid_until
                )
            elif given.valid_until is not None:
                raise Invalid("A rejection has no day.", errors={"valid_until": ["belongs to verified"]})
            else:
                kyc.reject(review_id=review.pk, by_id=by_id, reason=given.reason)
            operation = "accounts.approve" if given.decision == "verified" else "accounts.reject"
            self.staff.record(operation, target=review, reason=given.reason)
        return self.answer(review)


class ClientDocumentsView(StaffView):
    """Documents of a client."""

    parser_classes = (DocumentParser,)

    @extend_schema(
        operation_id="admin_add_document",
        parameters=[KIND, COUNTRY, EXPIRES, REASON],
        request=dict.fromkeys(EXTENSIONS, OpenApiTypes.BINARY),
        responses=openapi.responses(
            200,
            openapi.of(KycDocumentOut),
            openapi.error(
                400, "invalid", "document_refused", "document_type", "document_too_large", "document_expired"
            ),
            FORBIDDEN,
            NO_CLIENT,
            openapi.error(409, "client_erased"),
        ),
    )
    def post(self, request: Request, client_id: UUID) -> Response:
        """Keep a document (the body: PDF, JPEG or PNG, at most 10 MB), encrypted under the client's key."""
        client = client_within(self.staff, client_id)
        self.staff.require("accounts.add_kycdocument")
        query = request.query_params
        country = query.get("country", "")
        if country and not (len(country) == 2 and country.isascii() and country.isupper()):
            raise Invalid("country is no country's code.", errors={"country": ["two capital letters"]})
        with transaction.atomic():
            document = kyc.add_document(
                client_id=client.pk,
                kind=query.get("kind", ""),
                content=_body(request),
                by_id=self.staff.user.pk,
                country=country,
                expires_on=_day(query.get("expires_on")),
            )
            reason = query.get("reason", "").strip()[:REASON_MAX_CHARS]
            told = {"kind": document.kind}
            self.staff.record("accounts.add_document", target=client, reason=reason, after=told)
        kept = {name: getattr(document, name) for name in ("kind", "media_type", "size_bytes")}
        return Response({"id": str(document.pk), **kept})


def _body(request: Request) -> bytes:
    given: Any = request.data
    return given if isinstance(given, bytes) else b""


def _day(given: str | None) -> date | None:
    try:
        return None if given is None else date.fromisoformat(given)
    except ValueError:
        raise Invalid("expires_on is no day.", errors={"expires_on": ["such as 2030-01-31"]}) from None


DOWNLOADS = openapi.download(
    "application/octet-stream", 400, FORBIDDEN, openapi.error(404, "document_not_found", "document_erased")
)


class DocumentView(StaffView):
    """One document."""

    parser_classes = (StrictJSONParser,)
    fresh = frozenset({"POST"})

    @extend_schema(
        operation_id="admin_download_document",
        request=openapi.body(ClientReasonIn),
        responses=DOWNLOADS,
    )
    def post(self, request: Request, document_id: UUID) -> HttpResponse:
        """Download a document. It is logged with the reason; no cache may keep the answer."""
        rows = found.documents_within(self.staff.reach, user_id=self.staff.user.pk)
        document = rows.select_related("client").filter(pk=document_id).first()
        if document is None:
            raise NotFound("There is no such document.", code="document_not_found")
        self.staff.require(DOWNLOAD_DOCUMENT)
        given = ClientReasonIn.validated(request.data)
        return document_answer(document, self.staff.acting(given.reason))
