"""
The one search box of the admin: a number, an e-mail, a name or an id leads to the row in one step. What a
person cannot open is not found. The term comes in a body and is never kept: it may be personal data.
"""

import json
from collections.abc import Iterator
from uuid import UUID

from django.contrib import admin
from django.db.models import Model, Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils.text import capfirst
from django.views.decorators.http import require_POST

from apps.accounts.models import Client, TradingAccount, User
from apps.audit.models import Approval
from apps.funds.models import FundOperation
from apps.trading.models import Deal, Order, Position
from rtx.kernel import encryption
from rtx.kernel.admin import as_id

TERM_MAX_CHARS = 200
EACH_MAX = 5
HASHED = ("email", "phone", "last_name", "full_name", "document_number")
NAMED_BY_NUMBER = (Client, User)  # their own text would be personal data

Found = dict[str, str]


@require_POST
def find(request: HttpRequest) -> HttpResponse:
    """Answer with the rows that a term names exactly, as far as this person may open them."""
    try:
        term = str(json.loads(request.body)["term"]).strip()[:TERM_MAX_CHARS]
    except (ValueError, KeyError, TypeError):
        return JsonResponse({"found": []}, status=400)
    found = [hit for model, condition in conditions(term) for hit in hits(model, condition, request)]
    response = JsonResponse({"found": found})
    response["Cache-Control"] = "no-store"
    return response


def conditions(term: str) -> Iterator[tuple[type[Model], Q]]:
    """Yield where a term may be found, each by an index."""
    if not term or "\0" in term:
        return
    number = as_id(term)
    if number is not None:
        yield TradingAccount, Q(login=number)
        yield Client, Q(number=number)
        for model in (Position, Order, Deal, FundOperation):
            yield model, Q(pk=number)
        return
    identifier = _uuid(term)
    if identifier is not None:
        yield Approval, Q(pk=identifier)
        yield Client, Q(pk=identifier)
    hashes = {kind: encryption.search_hash(kind, term) for kind in HASHED}
    known = Q()
    for kind, hashed in hashes.items():
        known |= Q(**{f"{kind}_hash": hashed}) if hashed else Q()
    if known:
        yield Client, known
    if "@" in term:
        yield User, Q(email=term.lower(), is_staff=True)
    yield FundOperation, Q(reference=term)


def hits(model: type[Model], condition: Q, request: HttpRequest) -> Iterator[Found]:
    """Yield the rows of a table that a person may open: its page decides about reach and right."""
    page = admin.site._registry.get(model)
    if page is None or not page.has_view_permission(request):
        return
    meta = model._meta
    for row in page.get_queryset(request).filter(condition).order_by("-pk").distinct()[:EACH_MAX]:
        name = f"#{getattr(row, 'number', row.pk)}" if model in NAMED_BY_NUMBER else str(row)
        url = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])
        yield {"kind": capfirst(str(meta.verbose_name)), "name": name, "url": url}


def _uuid(term: str) -> UUID | None:
    try:
        return UUID(term)
    except ValueError:
        return None
