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
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
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
HUBSPOT_EXAMPLE = [
    {
        "eventId": 3816279340,
        "subscriptionId": 25,
        "portalId": 62515,
        "appId": 1160452,
        "occurredAt": 1564113600000,
        "subscriptionType": "contact.propertyChange",
        "attemptNumber": 0,
        "objectId": 1246965,
        "propertyName": "phone",
        "propertyValue": "+49 170 5550123",
        "changeSource": "CRM_UI",
    }
]
RELAY_EXAMPLE = {
    "events": [
        {
            "id": "e-1",
            "object": "Contact",
            "recordId": "0035g00000AbCdEAAV",
            "change": "UPDATE",
            "at": "2026-03-02T12:00:00Z",
        }
    ]
}
ZOHO_EXAMPLE = {
    "channel_id": "1000000068001",
    "module": "Contacts",
    "operation": "update",
    "ids": ["4150868"],
}
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


def _described(operation_id: str, media_type: str, example: Any) -> Any:
    """Describe one provider's intake."""
    kind = OpenApiTypes.STR if media_type == "text/xml" else OpenApiTypes.ANY
    return extend_schema_view(
        post=extend_schema(
            operation_id=operation_id,
            request={media_type: kind},
            examples=[OpenApiExample("delivery", value=example, request_only=True, media_type=media_type)],
            responses=openapi.responses(
                204,
                None,
                openapi.error(401, "webhook_signature", "webhook_stale"),
                openapi.error(404, "webhook_not_found"),
            ),
        )
    )


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


@_described("take_hubspot_webhook", "application/json", HUBSPOT_EXAMPLE)
class HubSpotView(WebhookView):
    """HubSpot's subscriptions of the app."""

    provider = "hubspot"


@_described("take_salesforce_relay", "application/json", RELAY_EXAMPLE)
class SalesforceView(WebhookView):
    """Relays that sign what Salesforce told them."""

    provider = "salesforce"


@_described("take_salesforce_message", "text/xml", "<soapenv:Envelope>...</soapenv:Envelope>")
class SalesforceMessageView(WebhookView):
    """Salesforce's Outbound Messages; the secret ends the address."""

    provider = "salesforce"


@_described("take_zoho_notification", "application/json", ZOHO_EXAMPLE)
class ZohoView(WebhookView):
    """Zoho's notification channel."""

    provider = "zoho"


def _called(request: Any) -> str:
    base = settings.PUBLIC_URL.rstrip("/") or f"{request.scheme}://{request.get_host()}"
    query = request.META.get("QUERY_STRING", "")
    return f"{base}{request.path}" + (f"?{query}" if query else "")
