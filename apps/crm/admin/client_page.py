"""
What crm adds to the page of a client: in which CRMs they are and how far each is in step. The page itself is
that of accounts; what is added here stands right of it in the stack.
"""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from apps.accounts.admin.clients import ClientAdmin
from apps.accounts.models import Client
from apps.crm.admin.records import LINK_TONES
from apps.crm.models import Link
from apps.crm.permissions import VIEW_LINK
from rtx.kernel.admin_display import badge, instant, link

admin.site.unregister(Client)


@admin.register(Client)
class LinkedClientAdmin(ClientAdmin):
    """The page of a client, with the CRMs that know them."""

    readonly_fields = [*ClientAdmin.readonly_fields, "crm"]

    def get_fieldsets(self, request: HttpRequest, obj: Client | None = None) -> Any:
        """Add the CRMs for those who may see customers there."""
        known = super().get_fieldsets(request, obj)
        if obj is None or not request.user.has_perm(VIEW_LINK):
            return known
        return [*known, ("CRM", {"fields": ["crm"]})]

    @admin.display(description="Known as")
    def crm(self, client: Client) -> SafeString | str:
        """Each CRM's record of the client, and those of the accounts."""
        rows = Link.objects.filter(client=client).defer("base_sealed").select_related("account", "client")
        return format_html_join("", "<p>{} {} {} {}</p>", map(_cells, rows)) or "in no CRM yet"


def _cells(row: Link) -> tuple[Any, ...]:
    name = f"{row.get_provider_display()}: {f'account {row.account}' if row.account else 'client'}"
    is_active = row.status == Link.Status.ACTIVE
    state = ("waiting" if row.is_waiting else "in step") if is_active else row.get_status_display()
    tone = ("warn" if row.is_waiting else "good") if is_active else LINK_TONES[row.status]
    return link(row, name), row.crm_id, badge(state, tone), instant(row.in_step_at)
