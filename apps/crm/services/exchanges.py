"""Writes the log of calls to providers: what was asked and how it ended. Takes no content and no secret."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from apps.crm.models import Exchange
from rtx.kernel import clock

REQUEST_IDS = ("x-hubspot-correlation-id", "x-request-id", "x-salesforce-request-id", "x-zoho-request-id")
_PLAIN = re.compile(r"[^A-Za-z0-9._:-]")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a call is about."""

    operation: str
    object_name: str = ""
    records: int = 0
    is_write: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """How a call ended. `status` None: no answer came."""

    took_ms: int
    status: int | None = None
    error_code: str = ""
    request_id: str = ""

    @property
    def is_success(self) -> bool:
        """Whether the provider did what was asked."""
        return self.status is not None and 200 <= self.status < 300 and not self.error_code


def request_id(headers: Mapping[str, str]) -> str:
    """Return the provider's own name of a call, from headers in lower case."""
    named = next((headers[name] for name in REQUEST_IDS if headers.get(name)), "")
    return _PLAIN.sub("", named)[:80]


def record(*, connection_id: int, run_id: int | None, asked: Asked, ended: Ended) -> None:
    """Write one call down."""
    Exchange.objects.create(
        connection_id=connection_id,
        run_id=run_id,
        operation=asked.operation[:24],
        object_name=asked.object_name[:80],
        is_write=asked.is_write,
        records=asked.records,
        status_code=ended.status,
        error_code=ended.error_code[:40],
        provider_request_id=ended.request_id,
        took_ms=max(0, ended.took_ms),
        at=clock.now(),
    )
