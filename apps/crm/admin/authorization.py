"""
Giving access to a CRM from the browser: to the provider's page and back. The provider returns to an address
of the REST interface, which knows no session and hands on to the page here, behind the admin's sign-in.
"""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from apps.crm.models import Connection
from apps.crm.permissions import CONNECT
from apps.crm.services import calling, oauth
from rtx.kernel import recent_login
from rtx.kernel.actor import Actor
from rtx.kernel.errors import RtxError

ANSWER_MAX_CHARS = 2000


def public_url(request: HttpRequest) -> str:
    """Return where this site is reached from outside, without a trailing slash."""
    return (settings.PUBLIC_URL or request.build_absolute_uri("/")).rstrip("/")


def return_address(request: HttpRequest) -> str:
    """Return the address that a person enters at the provider as the one to return to."""
    return public_url(request) + reverse("crm_oauth_callback")


def hook_address(request: HttpRequest, row: Connection) -> str:
    """Return the address that a person enters at the provider for webhooks."""
    return f"{public_url(request)}/api/webhooks/crm/{row.provider}"


def begin(page: Any, request: HttpRequest, row: Connection) -> HttpResponse:
    """Tell what will be asked for; when confirmed, begin and go to the provider."""
    recent_login.require(request)
    back = reverse("admin:crm_connection_change", args=[row.pk])
    context = {
        **page.admin_site.each_context(request),
        "title": f"Connect {row}",
        "opts": page.opts,
        "connection": row,
        "back_url": back,
        "callback": return_address(request),
    }
    if request.method == "POST":
        try:
            begun = oauth.start(
                connection_id=row.pk, actor=Actor.of(request), redirect_uri=return_address(request)
            )
        except RtxError as error:
            messages.error(request, error.detail)
            return HttpResponseRedirect(back)
        # A form may lead nowhere but here (form-action of the policy): the page itself goes on.
        answer = TemplateResponse(request, "admin/crm/leaving.html", {**context, "url": begun.url})
        answer["Cache-Control"] = "no-store"
        return answer
    context["scopes"] = calling.quiet(row).scopes
    return TemplateResponse(request, "admin/crm/connect.html", context)


@require_GET
def callback(request: HttpRequest) -> HttpResponse:
    """Take what the provider appended to the address, and show the connection."""
    if not request.user.has_perm(CONNECT):
        raise PermissionDenied
    given = {name: request.GET.get(name, "")[:ANSWER_MAX_CHARS] for name in ("state", "code", "error")}
    try:
        row = oauth.finish(actor=Actor.of(request), **given)
    except RtxError as error:
        messages.error(request, f"Not connected. {error.detail}")
        return HttpResponseRedirect(reverse("admin:crm_connection_changelist"))
    messages.success(request, f"{row} is connected. Test it, then start a first sync.")
    return HttpResponseRedirect(reverse("admin:crm_connection_change", args=[row.pk]))
