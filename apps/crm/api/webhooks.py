"""
Where providers call: the raw bytes are checked and stored, then answered at once. No token; the proof of who
calls is the provider's own. A secret in the path is taken out of the request before anything could log it.
"""

import threading
import time
from typing import Any

import structlog
from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from kombu.exceptions import OperationalError
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.views import APIView

from apps.crm import tasks
from apps.crm.services import webhooks
from rtx.kernel import openapi
from rtx.kernel.rest import TooLarge

WAKE_S = 0.5
PATHS = frozenset({"PATH_INFO", "RAW_URI", "REQUEST_URI"})
log = structlog.get_logger(__name__)


class Waker:
    """Wakes the workers, at most once per `WAKE_S` and process, from a thread: Redis may be slow."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_due = False

    def wake(self) -> None:
        """See to it that what is stored by now is looked at soon; beat does so too, more slowly."""
        with self._lock:
            if self._is_due:
                return
            self._is_due = True
        threading.Thread(target=self._send, name="crm-webhooks-wake", daemon=True).start()

    def _send(self) -> None:
        time.sleep(WAKE_S)
        with self._lock:
            self._is_due = False
        try:
            tasks.process_webhooks.apply_async(retry=False, expires=60)
        except (OperationalError, OSError):
            log.warning("crm_webhooks_not_woken")


_waker = Waker()


class WebhookView(APIView):
    """A provider tells of changes: stored, known again by its digest, looked at later."""

    authentication_classes: list[Any] = []
    permission_classes = [AllowAny]
    throttle_classes: list[Any] = []
    provider = ""

    def initialize_request(self, request: Any, *args: Any, **kwargs: Any) -> Request:
        """Keep the address as it was called for the check, and take the secret out of what may be logged."""
        self.called = _called(request)
        if secret := kwargs.get("secret"):
            request.path = request.path.replace(secret, "-")
            request.path_info = request.path
            for name in PATHS & request.META.keys():
                request.META[name] = request.path
        return super().initialize_request(request, *args, **kwargs)

    @extend_schema(
        request={"application/json": OpenApiTypes.OBJECT, "text/xml": OpenApiTypes.STR},
        responses=openapi.responses(
            204,
            None,
            openapi.error(401, "webhook_signature", "webhook_stale"),
            openapi.error(404, "webhook_not_found"),
        ),
    )
    def post(self, request: Request, secret: str = "") -> HttpResponse:
        """
        Take a delivery. Answered 2xx once it is stored; a repeat is answered alike and does nothing.

        HubSpot signs (v3), Salesforce sends an Outbound Message to the address with the secret or a relay
        that signs the body (HMAC-SHA256), Zoho repeats the channel's token.
        """
        raw = request._request
        length = str(raw.META.get("CONTENT_LENGTH") or 0)
        if not length.isdecimal() or int(length) > webhooks.BODY_MAX:
            raise TooLarge
        taken = webhooks.take(
            provider=self.provider,
            method=raw.method or "POST",
            url=self.called,
            headers={name.lower(): value for name, value in raw.headers.items()},
            body=raw.body,
            content_type=raw.META.get("CONTENT_TYPE", ""),
        )
        if taken.is_new:
            _waker.wake()
        return HttpResponse(
            taken.body, status=200 if taken.body else 204, content_type=taken.content_type or None
        )


class HubSpotView(WebhookView):
    """HubSpot's subscriptions of the app."""

    provider = "hubspot"


class SalesforceView(WebhookView):
    """Salesforce's Outbound Messages, and relays."""

    provider = "salesforce"


class ZohoView(WebhookView):
    """Zoho's notification channel."""

    provider = "zoho"


def _called(request: Any) -> str:
    base = settings.PUBLIC_URL.rstrip("/") or f"{request.scheme}://{request.get_host()}"
    query = request.META.get("QUERY_STRING", "")
    return f"{base}{request.path}" + (f"?{query}" if query else "")
