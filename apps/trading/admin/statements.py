"""
The statement of an account as a download from its page. Names the holder to those who may see names, which is
logged.
"""

import logging
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from apps.accounts.models import TradingAccount
from apps.accounts.permissions import VIEW_PERSONAL_DATA
from apps.trading.adapters.statement_files import Format, statement_file
from apps.trading.domain.replaying import Divergence
from apps.trading.domain.statements import Difference, Period, PeriodInvalid
from rtx.kernel import clock, staff_log
from rtx.kernel.actor import Actor
from rtx.kernel.admin import OperatedModelAdmin
from rtx.kernel.errors import Unavailable

VIEW_DEALS = "trading.view_deal"
PAGE = "accounts_tradingaccount_statement"

log = logging.getLogger(__name__)


class StatementDownload(OperatedModelAdmin):
    """Adds a form for statements, and the address that answers it, to the page of an account."""

    def get_urls(self) -> list[URLPattern]:
        """Put the download in front of the page's own addresses."""
        download = path(
            "<path:object_id>/statement/", self.admin_site.admin_view(self.statement_view), name=PAGE
        )
        return [download, *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show the form to those who may see deals: from the month's beginning to today."""
        form = None
        if request.user.has_perm(VIEW_DEALS):
            now = clock.now()
            form = {
                "url": reverse(f"admin:{PAGE}", args=[object_id]),
                "start": f"{now.replace(day=1):%Y-%m-%d}",
                "end": f"{now:%Y-%m-%d}",
                "formats": [str(one) for one in (Format.PDF, Format.CSV, Format.JSON)],
            }
        return super().change_view(
            request, object_id, form_url, {**(extra_context or {}), "statement_form": form}
        )

    def statement_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Return the statement as a file; what is wrong with the period is said on the account's page."""
        if not request.user.has_perm(VIEW_DEALS) or not self.has_view_permission(request):
            raise PermissionDenied
        account: TradingAccount | None = self.get_object(request, object_id)
        wanted = request.GET.get("format", Format.PDF.value)
        if account is None or wanted not in set(Format):
            raise Http404("there is no such account or format")
        names_holder = request.user.has_perm(VIEW_PERSONAL_DATA)
        try:
            made = statement_file(
                account,
                period=Period.read(request.GET.get("from"), request.GET.get("to")),
                format=Format(wanted),
                now=clock.now(),
                shows_holder=names_holder,
            )
        except (PeriodInvalid, Unavailable) as error:
            messages.error(request, error.detail)
        except (Divergence, Difference) as difference:
            log.exception("a statement contradicts the books")
            messages.error(request, f"No statement: the books differ. {difference}")
        else:
            with transaction.atomic():
                staff_log.record(
                    actor=Actor.of(request),
                    operation="trading.download_statement",
                    after={"format": wanted, "names_holder": names_holder},
                    **staff_log.about(account, self.reach_path),
                )
            return made.answer()
        return HttpResponseRedirect(reverse("admin:accounts_tradingaccount_change", args=[account.pk]))
