"""
Pages of the identity check: the queue of reviews, oldest first, and the documents.

A document is opened by a request with a reason, which is logged, and comes as a download, never in a page.
"""

import uuid
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action
from unfold.enums import ActionVariant

from apps.accounts.api.documents import document_answer
from apps.accounts.forms.clients import ApproveForm
from apps.accounts.models import Client, KycDocument, KycReview
from apps.accounts.permissions import DECIDE_KYC, DOWNLOAD_DOCUMENT
from apps.accounts.selectors import clients as found
from apps.accounts.services import kyc
from rtx.kernel import recent_login
from rtx.kernel.actor import Actor
from rtx.kernel.admin import OperatedModelAdmin, as_id, reachable_groups
from rtx.kernel.admin_actions import CONFIRMED, Operation, OperatorForm, operator_action
from rtx.kernel.admin_display import EMPTY, badge, grouped, instant, link
from rtx.kernel.admin_filters import PeriodFilter
from rtx.kernel.errors import RtxError

KYC_TONES = {"none": "muted", "pending": "warn", "verified": "good", "rejected": "bad", "expired": "warn"}
SHOWN_MAX = 20


class QueueFilter(admin.SimpleListFilter):
    """Shows what waits, unless something else is asked for."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the other choices; none means waiting."""
        return [("mine", "Mine"), ("decided", "Decided"), ("all", "All")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[KycReview]) -> QuerySet[KycReview]:
        """Keep the chosen reviews."""
        match self.value():
            case "all":
                return queryset
            case "decided":
                return queryset.exclude(decision="").order_by("-decided_at")
            case "mine":
                return queryset.filter(decision="", assignee=request.user.pk)
        return queryset.filter(decision="")

    def choices(self, changelist: Any) -> Any:
        """Name the choice that holds without one."""
        first, *rest = super().choices(changelist)
        return [{**first, "display": "Waiting"}, *rest]


@admin.register(KycReview)
class KycReviewAdmin(OperatedModelAdmin):
    """Reviews are taken and decided through actions."""

    reach_path = "client__trading_accounts__group"
    list_display = ["id", "client_link", "country", "submitted", "files", "assignee_", "state", "decided"]
    list_filter = [QueueFilter, ("submitted_at", PeriodFilter)]
    list_select_related = ["client", "assignee", "decided_by"]
    list_before_template = "admin/kyc_queue.html"
    search_fields = ["client__number"]
    search_help_text = "Client number, account, or the client's exact e-mail, phone or name"
    ordering = ["submitted_at", "id"]
    sortable_by = ["id"]
    fields = [
        ("client_link", "country", "state"),
        ("submitted", "assignee_"),
        "documents",
        ("decided", "reason"),
    ]
    readonly_fields = ["client_link", "country", "state", "submitted", "assignee_", "documents", "decided"]
    actions = ["take", "put_back", "approve", "reject"]
    actions_detail = ["take", "put_back", "approve", "reject"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[KycReview]:
        """Count the documents of each client that is shown, and of no other."""
        rows = super().get_queryset(request).select_related(*self.list_select_related)
        held = KycDocument.objects.filter(client=OuterRef("client_id")).order_by().values("client")
        counted = Subquery(held.annotate(count=Count("pk")).values("count"))
        return rows.annotate(document_count=Coalesce(counted, 0))

    def limit_to(
        self, rows: QuerySet[KycReview], groups: frozenset[int], request: HttpRequest
    ) -> QuerySet[KycReview]:
        """Keep the reviews of clients within reach."""
        within = found.reviews_within(groups, user_id=int(request.user.pk or 0))
        return rows.filter(pk__in=within.values("pk"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[KycReview], search_term: str
    ) -> tuple[QuerySet[KycReview], bool]:
        """Find reviews by what their clients are found by."""
        term = search_term.strip()
        if not term:
            return queryset, False
        clients = Client.objects.filter(found.matching(term)).values_list("pk", flat=True)
        return queryset.filter(client_id__in=list(clients[: found.FOUND_MAX])), False

    def get_urls(self) -> list[URLPattern]:
        """Add the address that hands out the next review."""
        own = path(
            "take-next/", self.admin_site.admin_view(self.take_next), name="accounts_kycreview_take_next"
        )
        return [own, *super().get_urls()]

    def take_next(self, request: HttpRequest) -> HttpResponse:
        """Take the review that waits longest and open it."""
        if not request.user.has_perm(DECIDE_KYC):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseRedirect(reverse("admin:accounts_kycreview_changelist"))
        user_id = int(request.user.pk or 0)
        among = found.reviews_within(reachable_groups(request.user), user_id=user_id)
        with transaction.atomic():
            review = kyc.take_next(among=among, by_id=user_id)
            if review is not None:
                self._log(request, review, "take")
        if review is None:
            messages.info(request, "Nothing waits that nobody has taken.")
            return HttpResponseRedirect(reverse("admin:accounts_kycreview_changelist"))
        return HttpResponseRedirect(reverse("admin:accounts_kycreview_change", args=[review.pk]))

    @operator_action(
        "Take", permission=DECIDE_KYC, asks_reason=False, icon="back_hand", variant=ActionVariant.DEFAULT
    )
    def take(self, review: KycReview, operation: Operation) -> str:
        """Take the review, so that nobody else decides it meanwhile."""
        kyc.take(review_id=review.pk, by_id=operation.actor.user_id or 0)
        return "is yours"

    @operator_action("Put back", permission=DECIDE_KYC, icon="undo", variant=ActionVariant.DEFAULT)
    def put_back(self, review: KycReview, operation: Operation) -> str:
        """Give the review back to the queue, also somebody else's who is away."""
        kyc.put_back(review_id=review.pk)
        return "waits again"

    @operator_action(
        "Approve", permission=DECIDE_KYC, icon="verified", form=ApproveForm, variant=ActionVariant.DEFAULT
    )
    def approve(self, review: KycReview, operation: Operation) -> str:
        """Verify the client."""
        kyc.approve(
            review_id=review.pk,
            by_id=operation.actor.user_id or 0,
            reason=operation.reason,
            valid_until=operation.values["valid_until"],
        )
        return f"{review.client} is verified"

    @operator_action(
        "Reject", permission=DECIDE_KYC, icon="cancel", warning="The reason is what the client will be told."
    )
    def reject(self, review: KycReview, operation: Operation) -> str:
        """Reject the client's check."""
        kyc.reject(review_id=review.pk, by_id=operation.actor.user_id or 0, reason=operation.reason)
        return f"{review.client} is rejected"

    @admin.display(description="Client")
    def client_link(self, review: KycReview) -> SafeString:
        """A link to the client."""
        return link(review.client)

    @admin.display(description="Country")
    def country(self, review: KycReview) -> str:
        """The client's country."""
        return review.client.country or EMPTY

    @admin.display(description="Waits since (UTC)", ordering="submitted_at")
    def submitted(self, review: KycReview) -> SafeString:
        """When it came into the queue."""
        return instant(review.submitted_at)

    @admin.display(description="Documents")
    def files(self, review: Any) -> int:
        """How many documents there are."""
        return int(review.document_count)

    @admin.display(description="Taken by")
    def assignee_(self, review: KycReview) -> str:
        """Who works on it."""
        return str(review.assignee) if review.assignee else EMPTY

    @admin.display(description="State")
    def state(self, review: KycReview) -> SafeString:
        """Whether it waits, and how it was decided."""
        if not review.decision:
            return badge(
                "taken" if review.assignee_id else "waiting", "info" if review.assignee_id else "warn"
            )
        return badge(review.get_decision_display(), KYC_TONES[review.decision])

    @admin.display(description="Decided (UTC)")
    def decided(self, review: KycReview) -> SafeString | str:
        """When, and by whom."""
        if review.decided_at is None:
            return EMPTY
        return format_html_join("", "{} {}", [(instant(review.decided_at), review.decided_by)])

    @admin.display(description="Documents")
    def documents(self, review: KycReview) -> SafeString | str:
        """Links to the client's documents."""
        return documents_shown(review.client)


@admin.register(KycDocument)
class KycDocumentAdmin(OperatedModelAdmin):
    """Documents are added at the client's page, opened here, and never changed."""

    reach_path = "client__trading_accounts__group"
    list_display = ["kind_", "client_link", "issued_by", "expires_on", "media_type", "size", "uploaded"]
    list_filter = [("kind", ChoicesDropdownFilter), ("uploaded_at", PeriodFilter)]
    list_select_related = ["client", "uploaded_by"]
    search_fields = ["client__number"]
    search_help_text = "Client number"
    ordering = ["-uploaded_at"]
    sortable_by: list[str] = []
    fields = [
        ("kind_", "client_link"),
        ("issued_by", "expires_on"),
        ("media_type", "size"),
        ("uploaded", "by"),
    ]
    readonly_fields = ["kind_", "client_link", "issued_by", "size", "uploaded", "by"]
    actions_detail = ["download"]

    def limit_to(
        self, rows: QuerySet[KycDocument], groups: frozenset[int], request: HttpRequest
    ) -> QuerySet[KycDocument]:
        """Keep the documents of clients within reach."""
        within = found.documents_within(groups, user_id=int(request.user.pk or 0))
        return rows.filter(pk__in=within.values("pk"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[KycDocument], search_term: str
    ) -> tuple[QuerySet[KycDocument], bool]:
        """Find documents by their client's number."""
        if not search_term.strip():
            return queryset, False
        number = as_id(search_term)
        return (queryset.none() if number is None else queryset.filter(client__number=number)), False

    @action(description="Download", icon="download", permissions=["download"])
    def download(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a reason, log it, and answer with the document as a download."""
        document = self.get_object(request, object_id)
        if document is None:
            raise Http404("there is no such document")
        if not request.user.has_perm(DOWNLOAD_DOCUMENT):
            raise PermissionDenied
        recent_login.require(request)
        is_confirmed = CONFIRMED in request.POST
        form = OperatorForm(
            request.POST if is_confirmed else None, row=document, initial={"request_key": uuid.uuid4()}
        )
        page = reverse("admin:accounts_kycdocument_change", args=[document.pk])
        if is_confirmed and form.is_valid():
            try:
                return document_answer(document, Actor.of(request, reason=form.cleaned_data["reason"]))
            except RtxError as error:
                messages.error(request, error.detail)
                return HttpResponseRedirect(page)
        context = {
            **self.admin_site.each_context(request),
            "title": "Download document",
            "opts": self.opts,
            "rows": [document],
            "form": form,
            "warning": "That you open it is logged with your name and the reason.",
            "action_name": "download",
            "step": "Download",
            "confirmed_name": CONFIRMED,
            "variant": "primary",
            "back_url": page,
        }
        return TemplateResponse(request, "admin/operator_action.html", context)

    def has_download_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Offer it to staff who may open documents."""
        return bool(request.user.has_perm(DOWNLOAD_DOCUMENT))

    @admin.display(description="Kind")
    def kind_(self, document: KycDocument) -> str:
        """What it is."""
        return document.get_kind_display()

    @admin.display(description="Client")
    def client_link(self, document: KycDocument) -> SafeString:
        """A link to the client."""
        return link(document.client)

    @admin.display(description="Issued by")
    def issued_by(self, document: KycDocument) -> str:
        """The issuing country."""
        return document.country or EMPTY

    @admin.display(description="Size")
    def size(self, document: KycDocument) -> str:
        """How large it is."""
        return f"{grouped(f'{document.size_bytes / 1024:.0f}')} kB"

    @admin.display(description="Uploaded (UTC)")
    def uploaded(self, document: KycDocument) -> SafeString:
        """When it came."""
        return instant(document.uploaded_at)

    @admin.display(description="Uploaded by")
    def by(self, document: KycDocument) -> str:
        """Who brought it."""
        return str(document.uploaded_by)


def documents_shown(client: Client) -> SafeString | str:
    """Return links to a client's documents, newest first."""
    kept = client.kyc_documents.all()[:SHOWN_MAX]
    rows = [
        (link(one, one.get_kind_display()), one.country or EMPTY, one.expires_on or EMPTY) for one in kept
    ]
    return format_html_join(" · ", "{} <small>({}, expires {})</small>", rows) or EMPTY


def reviews_shown(client: Client) -> SafeString | str:
    """Return links to a client's reviews, newest first."""
    rows = [
        (
            link(one),
            badge(one.get_decision_display() or "waiting", KYC_TONES[one.decision or "pending"]),
            one.reason,
        )
        for one in client.kyc_reviews.order_by("-pk")[:SHOWN_MAX]
    ]
    return format_html_join(" · ", "{} {} <small>{}</small>", rows) or EMPTY
