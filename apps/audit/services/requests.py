"""
Carries out a request of staff once per key: a repeat is answered as the first time, whatever happened since.

The key is taken within the transaction that carries the request out: of two at the same time one waits and is
answered like the other, and a request that was refused leaves no key behind. Knows no single request.
"""

import json
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from typing import Any

from django.db import transaction

from apps.audit.models import StaffRequest
from rtx.kernel import clock
from rtx.kernel.errors import Conflict

Answer = dict[str, Any]
KEPT_DAYS = 30


class KeyReused(Conflict):
    """The key named another request before."""

    code = "idempotency_key_reused"
    title = "Idempotency-Key used before"


def once(*, user_id: int, key: str, content: Any, act: Callable[[], Answer]) -> Answer:
    """
    Do what `act` does, unless this user's key did it before; return its answer of the first time.

    :raises KeyReused: the key named a request with other content.
    """
    fingerprint = sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    with transaction.atomic():
        row, is_new = StaffRequest.objects.get_or_create(
            user_id=user_id, key=key, defaults={"fingerprint": fingerprint, "at": clock.now()}
        )
        if row.fingerprint != fingerprint:
            raise KeyReused("This key named a request with other content before.")
        if is_new:
            row.answer = act()
            row.save(update_fields=["answer"])
    answer: Answer = row.answer
    return answer


def purge() -> int:
    """Forget keys of more than `KEPT_DAYS` ago; return how many. What they did stands where it was done."""
    deleted, _ = StaffRequest.objects.filter(at__lt=clock.now() - timedelta(days=KEPT_DAYS)).delete()
    return deleted
