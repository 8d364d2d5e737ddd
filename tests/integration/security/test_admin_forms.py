"""
Columns that a form of the admin does not offer: sent along with what it does offer, they stay as they are.
Nobody raises themselves, nor gives anybody what is not theirs to give.
"""

from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import models
from django.test import Client
from django.urls import reverse

from apps.accounts.models import ReachGrant, User
from tests.factories.house import PASSWORD, staff
from tests.factories.staff import signed_in
from tests.integration.matrix import declared
from tests.integration.matrix.broker import Broker

SUPERADMINS_ROWS = frozenset({"accounts.allowednetwork", "accounts.reachgrant"})  # own ones are theirs
EDITED = sorted(label for label, line in declared.pages().items() if set("c") & set(line.words["superadmin"]))
OF_ADMINS = [label for label in EDITED if label not in SUPERADMINS_ROWS]
OF_SUPERADMINS = [label for label in EDITED if label in {*SUPERADMINS_ROWS, "accounts.user"}]
BY_SAVING = frozenset(  # what any save moves, by itself
    {"updated_at", "version", "terms_version", "date_changed", "given_at", "given_by"}
)
ESCALATIONS: dict[str, Any] = {
    "is_superuser": "on",
    "is_staff": "on",
    "role": "superadmin",
    "groups": "1",
    "user_permissions": "1",
    "password": "x",
    "balance": "1000000",
    "status": "posted",
    "maker": "1",
    "checker": "2",
    "kyc_status": "verified",
}

RAISES: list[dict[str, Any]] = [
    {"is_superuser": "on", "role": "superadmin"},
    {"is_superuser": "on"},
    {"role": "admin"},
    {"groups": "all"},
    {"user_permissions": "all"},
]
GRANTS = [
    ("admin", "own"),
    ("admin", "foreign"),
    ("other", "own"),
    ("superadmin", "own"),
    ("dealer", "foreign"),
]

FILLED_IN = {"change_reason": "to be seen", "closes_at": "13:00"}  # what a form of an untouched row lacks


def as_sent(form: Any) -> dict[str, Any]:
    """Return what a browser would send of a form that nobody touched."""
    found: dict[str, Any] = {}
    for bound in form:
        value = bound.value()
        for name, part in parts(bound, value).items():
            if part is not None and part is not False:
                found[name] = "on" if part is True else part
    return found


def parts(bound: Any, value: Any) -> dict[str, Any]:
    """Return the inputs of one field, several where its widget has several."""
    widgets = getattr(bound.field.widget, "widgets", None)
    if widgets is None:
        if isinstance(value, list | tuple | models.QuerySet):
            return {bound.html_name: [str(getattr(one, "pk", one)) for one in value]}
        return {bound.html_name: value if isinstance(value, bool) or value is None else str(value)}
    names = getattr(bound.field.widget, "widgets_names", [f"_{n}" for n in range(len(widgets))])
    split = bound.field.widget.decompress(value)
    return {
        bound.html_name + suffix: None if part is None else str(part)
        for suffix, part in zip(names, split, strict=True)
    }


def page_as_sent(context: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """Return everything that a page of a row would send, and the columns that it offers."""
    form = context["adminform"].form
    data = as_sent(form)
    for inline in context.get("inline_admin_formsets", ()):
        data |= as_sent(inline.formset.management_form)
        for one in inline.formset.forms:
            data |= as_sent(one)
    return data, set(form.fields)


def other_than(field: Any, value: Any) -> Any:
    """Return another value for a column, as a form would send it."""
    if isinstance(field, models.BooleanField):
        return "" if value else "on"
    if isinstance(field, models.DateTimeField):
        return "2001-01-01 00:00:00"
    if isinstance(field, models.DateField):
        return "2001-01-01"
    if isinstance(field, models.IntegerField | models.ForeignKey):
        return "1" if value != 1 else "2"
    if isinstance(field, models.DecimalField) or isinstance(value, Decimal):
        return "987654.00"
    return "changed-by-the-form"


def kept(row: Any, names: set[str]) -> dict[str, Any]:
    """Return the columns of a row that no form offers, as they are in the database now."""
    values = type(row)._default_manager.filter(pk=row.pk).values(*names)[0]
    return {name: bytes(value) if isinstance(value, memoryview) else value for name, value in values.items()}


def shown_form(http: Client, label: str, row: Any) -> tuple[str, Any]:
    """Return the address of a row's page and what it is made of; None: this role edits no such row."""
    app, _point, model = label.partition(".")
    address = reverse(f"admin:{app}_{model}_change", args=[row.pk])
    answer = http.get(address)
    is_edited = answer.status_code == 200 and answer.context_data["adminform"].form.fields
    return address, answer.context_data if is_edited else None


@pytest.mark.parametrize(("role", "edited"), [("superadmin", OF_SUPERADMINS), ("admin", OF_ADMINS)])
def test_a_form_changes_only_what_it_offers(
    role: str, edited: list[str], broker: Broker, unrendered: None
) -> None:
    http = signed_in(broker.users[role])
    changed, saved = {}, []
    for label in edited:
        row = broker.row(label, "own")
        address, context = shown_form(http, label, row)
        assert context is not None, label
        data, offered = page_as_sent(context)
        hidden = {field.name for field in row._meta.concrete_fields} - offered - BY_SAVING
        before = kept(row, hidden)
        extra = {name: other_than(row._meta.get_field(name), before[name]) for name in hidden}
        extra.pop(row._meta.pk.name)
        escalated = {name: value for name, value in ESCALATIONS.items() if name not in offered}
        answer = http.post(address, {**extra, **escalated, **data, **FILLED_IN})
        saved += [label] if answer.status_code == 302 else []
        now = kept(row, hidden)
        changed |= {f"{label} {name}": now[name] for name in hidden if now[name] != before[name]}

    assert changed == {}
    assert saved == edited
    assert not User.objects.filter(is_superuser=True).exclude(role="superadmin").exists()
    assert {group.name for group in Group.objects.filter(user__isnull=False)} == set()
    assert not User.objects.exclude(user_permissions=None).exists()


def user_fields(person: User, **given: str) -> dict[str, str]:
    return {
        "email": person.email,
        "display_name": person.display_name,
        "role": person.role,
        "is_active": "on",
        "is_staff": "on",
        "change_reason": "to be seen",
        **given,
    }


def test_an_administrator_raises_nobody(broker: Broker, unrendered: None) -> None:
    usd = broker.sides["own"].group
    people = {
        "themselves": broker.users["admin"],
        "another administrator": staff("other@matrix.example", role="admin", groups=(usd,)),
        "the one above": broker.users["superadmin"],
        "a dealer": broker.users["dealer"],
    }
    every = {
        "groups": [str(pk) for pk in Group.objects.values_list("pk", flat=True)],
        "user_permissions": [str(pk) for pk in Permission.objects.values_list("pk", flat=True)[:5]],
    }
    http, raised = signed_in(broker.users["admin"]), []
    for (whom, person), given in product(people.items(), RAISES):
        before = (person.role, person.is_superuser, person.is_staff, 0, 0)
        sent = {name: every.get(name, value) for name, value in given.items()}
        http.post(reverse("admin:accounts_user_change", args=[person.pk]), user_fields(person) | sent)
        if "role" in sent:
            http.post(
                reverse("admin:accounts_user_change_role", args=[person.pk]),
                {"operator_confirmed": "1", "reason": "to be seen", "request_key": "0" * 32, **sent},
            )
        now = User.objects.get(pk=person.pk)
        held = (now.groups.count(), now.user_permissions.count())
        if (now.role, now.is_superuser, now.is_staff, *held) != before:
            raised.append(f"{whom}: {given}")

    assert raised == []


def test_an_administrator_creates_nobody_of_their_rank(broker: Broker, unrendered: None) -> None:
    http = signed_in(broker.users["admin"])
    extra = {"is_superuser": "on", "is_staff": "on", "user_permissions": "1"}
    for role in ("superadmin", "admin", "trader"):
        new = {"email": f"new-{role}@matrix.example", "role": role}
        passwords = {"password1": PASSWORD, "password2": PASSWORD, "change_reason": "to be seen"}
        http.post(reverse("admin:accounts_user_add"), new | passwords | extra)

    assert not User.objects.filter(email__startswith="new-").exists()


def test_an_administrator_gives_no_reach_beyond_their_own(broker: Broker, unrendered: None) -> None:
    other = staff("other@matrix.example", role="admin")
    before = set(ReachGrant.objects.values_list("pk", flat=True))
    http = signed_in(broker.users["admin"])
    for holder, side in GRANTS:
        person = other if holder == "other" else broker.users[holder]
        sent = {"user": person.pk, "trading_group": broker.sides[side].group.pk, "reason": "to be seen"}
        http.post(reverse("admin:accounts_reachgrant_add"), sent)

    assert set(ReachGrant.objects.values_list("pk", flat=True)) == before


def test_what_is_refused_to_an_administrator_is_not_refused_to_all(broker: Broker, unrendered: None) -> None:
    dealer, eur = broker.users["dealer"], broker.sides["foreign"].group
    http = signed_in(broker.users["superadmin"])
    http.post(
        reverse("admin:accounts_reachgrant_add"),
        {"user": dealer.pk, "trading_group": eur.pk, "reason": "to be seen"},
    )
    new = {"email": "new@matrix.example", "role": "support", "password1": PASSWORD, "password2": PASSWORD}
    new |= {"change_reason": "to be seen"}
    signed_in(broker.users["admin"]).post(reverse("admin:accounts_user_add"), new)

    assert ReachGrant.objects.filter(user=dealer, trading_group=eur).exists()
    assert User.objects.get(email="new@matrix.example").role == "support"
