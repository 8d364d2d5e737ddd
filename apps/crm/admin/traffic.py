"""
Every call that RTX made to a CRM and all that CRMs sent: what was asked, how it ended, no content. A call
tells of nobody; what CRMs sent is shown to who may see a client of whom it tells.
"""

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import BooleanRadioFilter, ChoicesDropdownFilter

from apps.crm.admin.records import clients_of
from apps.crm.models import Exchange, WebhookDelivery, WebhookEvent
from rtx.kernel.admin import ReadOnlyModelAdmin
from rtx.kernel.admin_display import EMPTY, badge, instant, link
from rtx.kernel.admin_filters import PeriodFilter

DELIVERY_TONES = {"received": "warn", "done": "good", "failed": "bad"}


@admin.register(Exchange)
class ExchangeAdmin(ReadOnlyModelAdmin):
    """Calls to CRMs."""

    list_display = ["at_", "operation", "object_name", "result", "records", "took", "run_link", "error_code"]
    list_filter = [
        ("connection__provider", ChoicesDropdownFilter),
        ("is_write", BooleanRadioFilter),
        ("at", PeriodFilter),
    ]
    list_select_related = ["connection", "run"]
    search_fields = ["operation"]
    search_help_text = "Exact operation, error code, or the provider's id of the call"
    ordering = ["-id"]
    sortable_by: list[str] = []
    fields = [
        ("at_", "connection", "run_link"),
        ("operation", "object_name", "is_write"),
        ("result", "records", "took"),
        ("error_code", "provider_request_id"),
    ]
    readonly_fields = ["at_", "result", "took", "run_link"]

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by an exact word."""
        return Q(operation=term) | Q(error_code=term) | Q(provider_request_id=term)

    @admin.display(description="At (UTC)")
    def at_(self, row: Exchange) -> SafeString:
        """When it ended."""
        return instant(row.at)

    @admin.display(description="Answer")
    def result(self, row: Exchange) -> SafeString:
        """How it ended."""
        if row.status_code is None:
            return badge("no answer", "bad")
        return badge(str(row.status_code), "good" if row.status_code < 300 else "bad")

    @admin.display(description="Took, ms")
    def took(self, row: Exchange) -> str:
        """How long it took."""
        return str(row.took_ms)

    @admin.display(description="Run")
    def run_link(self, row: Exchange) -> SafeString:
        """A link to the run."""
        return link(row.run)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyModelAdmin):
    """What CRMs sent. The bodies are sealed and shown nowhere."""

    reach_path = "event_rows__link__client__trading_accounts__group"
    list_display = [
        "received",
        "provider",
        "state",
        "events",
        "repeated",
        "attempts",
        "processed",
        "error_code",
    ]
    list_filter = [
        ("connection__provider", ChoicesDropdownFilter),
        ("status", ChoicesDropdownFilter),
        ("received_at", PeriodFilter),
    ]
    list_select_related = ["connection"]
    search_fields = ["digest"]
    search_help_text = "Exact digest or error code"
    ordering = ["-id"]
    sortable_by: list[str] = []
    fields = [
        ("received", "connection", "state"),
        ("events", "repeated", "attempts"),
        ("processed", "error_code"),
        ("content_type", "digest"),
    ]
    readonly_fields = ["received", "state", "processed"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookDelivery]:
        """Leave the bodies in the database."""
        return super().get_queryset(request).defer("body_sealed")

    def limit_to(
        self, rows: QuerySet[WebhookDelivery], groups: frozenset[int], request: HttpRequest
    ) -> QuerySet[WebhookDelivery]:
        """Keep what tells of a client within reach."""
        told = WebhookEvent.objects.filter(link__client__in=clients_of(request, groups))
        return rows.filter(pk__in=told.values("delivery"))

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by an exact word."""
        return Q(digest=term) | Q(error_code=term)

    @admin.display(description="Received (UTC)")
    def received(self, row: WebhookDelivery) -> SafeString:
        """When it came."""
        return instant(row.received_at)

    @admin.display(description="From")
    def provider(self, row: WebhookDelivery) -> str:
        """Who sent it."""
        return str(row.connection)

    @admin.display(description="State")
    def state(self, row: WebhookDelivery) -> SafeString:
        """How far it is."""
        return badge(row.get_status_display(), DELIVERY_TONES[row.status])

    @admin.display(description="Processed (UTC)")
    def processed(self, row: WebhookDelivery) -> SafeString | str:
        """When it was looked at."""
        return instant(row.processed_at) if row.processed_at else EMPTY


@admin.register(WebhookEvent)
class WebhookEventAdmin(ReadOnlyModelAdmin):
    """Single events of deliveries, each looked at once."""

    reach_path = "link__client__trading_accounts__group"
    list_display = ["at_", "what", "object_name", "crm_id", "outcome", "occurred", "provider"]
    list_filter = [("connection__provider", ChoicesDropdownFilter), ("at", PeriodFilter)]
    list_select_related = ["connection"]
    search_fields = ["crm_id"]
    search_help_text = "Exact id in the CRM or key of the event"
    ordering = ["-id"]
    sortable_by: list[str] = []
    fields = [
        ("at_", "connection", "delivery"),
        ("what", "object_name", "crm_id"),
        ("occurred", "outcome"),
        ("customer", "key"),
    ]
    readonly_fields = ["at_", "occurred", "customer"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookEvent]:
        """Read the customer with each event, without what is sealed."""
        rows = super().get_queryset(request).select_related("connection", "link__client", "link__account")
        return rows.defer("link__base_sealed")

    def limit_to(
        self, rows: QuerySet[WebhookEvent], groups: frozenset[int], request: HttpRequest
    ) -> QuerySet[WebhookEvent]:
        """Keep the clients within reach."""
        return rows.filter(link__client__in=clients_of(request, groups))

    def search(self, term: str, request: HttpRequest) -> Q | None:
        """Find by the record or by the event itself."""
        return Q(crm_id=term) | Q(key=term)

    @admin.display(description="Seen (UTC)")
    def at_(self, row: WebhookEvent) -> SafeString:
        """When it was looked at."""
        return instant(row.at)

    @admin.display(description="Occurred (UTC)")
    def occurred(self, row: WebhookEvent) -> SafeString:
        """When the CRM says that it happened."""
        return instant(row.occurred_at)

    @admin.display(description="Customer")
    def customer(self, row: WebhookEvent) -> SafeString | str:
        """A link to the customer's mapping."""
        return EMPTY if row.link is None else link(row.link, str(row.link.account or row.link.client))

    @admin.display(description="From")
    def provider(self, row: WebhookEvent) -> str:
        """Who sent it."""
        return str(row.connection)
