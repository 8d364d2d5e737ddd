"""
Who sees and may do what: rights are permissions, reach is a trading group, personal data needs its own right.
"""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from apps.accounts.models import RefreshToken, User
from apps.accounts.services import tokens
from apps.audit.models import StaffAction
from apps.groups.models import CommissionTier, GroupSymbol, TradingGroup
from apps.market.models import ConfigurationChange
from tests.factories.house import PASSWORD, House, buy, staff
from tests.factories.operating import confirm
from tests.integration.admin.conftest import signed_in

pytestmark = pytest.mark.django_db


def allow(user: User, *codenames: str) -> None:
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))


def rows(http: Any, name: str, **query: Any) -> list[Any]:
    return list(http.get(reverse(f"admin:{name}_changelist"), query).context["cl"].result_list)


@pytest.fixture
def dealer(house: House) -> User:
    return staff("dealer@example.com", groups=(house.usd,))


@pytest.fixture
def manager(house: House) -> User:
    return staff("manager@example.com", role=User.Role.ADMIN, groups=(house.usd,))


@pytest.mark.parametrize(
    "name",
    [
        "trading_order",
        "trading_deal",
        "trading_position",
        "accounts_accountevent",
        "accounts_ledgerline",
        "accounts_accountstate",
        "accounts_tradingaccount",
        "accounts_client",
        "groups_tradinggroup",
    ],
)
def test_staff_see_the_rows_of_their_groups_and_404_elsewhere(name: str, house: House, dealer: User) -> None:
    buy(house.anna, "EURUSD", "0.10")
    buy(house.bruno, "EURUSD", "0.10")
    everything = rows(signed_in(User.objects.create_superuser("boss@example.com", PASSWORD)), name)
    http = signed_in(dealer)
    mine = rows(http, name)
    foreign = next(row for row in everything if row not in mine)

    assert 0 < len(mine) < len(everything)
    assert http.get(reverse(f"admin:{name}_change", args=[mine[0].pk])).status_code == 200
    assert http.get(reverse(f"admin:{name}_change", args=[foreign.pk])).status_code == 404
    assert http.get(reverse(f"admin:{name}_history", args=[foreign.pk])).status_code == 404


def terms_fields(page: str, symbol_id: int, group_id: int) -> dict[str, Any]:
    """Fill the form of a commission tier or of terms per symbol."""
    fields: dict[str, Any] = {"group": group_id, "symbol": symbol_id}
    if page == "groups_commissiontier":
        return fields | {"from_size": "10", "value": "2"}
    return fields | {"is_offered": "on", "book": "b", "markup_bid_points": "7"}


@pytest.mark.parametrize("model", [CommissionTier, GroupSymbol])
def test_terms_are_edited_for_groups_within_reach_only(model: Any, house: House, manager: User) -> None:
    page = f"groups_{model._meta.model_name}"
    http, add = signed_in(manager), reverse(f"admin:{page}_add")

    outside = http.post(add, terms_fields(page, house.eurusd.pk, house.eur.pk))
    nothing = model.objects.exists()
    inside = http.post(add, terms_fields(page, house.eurusd.pk, house.usd.pk))
    change = reverse(f"admin:{page}_change", args=[model.objects.get().pk])
    moved = http.post(change, terms_fields(page, house.eurusd.pk, house.eur.pk))

    assert (nothing, inside.status_code, model.objects.get().group_id) == (False, 302, house.usd.pk)
    for refused in (outside, moved):
        assert "Select a valid choice" in str(refused.context["adminform"].form.errors["group"])


def test_a_superuser_edits_terms_of_every_group(house: House, admin_client: Any) -> None:
    fields = terms_fields("groups_commissiontier", house.eurusd.pk, house.eur.pk)

    admin_client.post(reverse("admin:groups_commissiontier_add"), fields)

    assert CommissionTier.objects.get().group_id == house.eur.pk


def test_the_history_of_terms_is_for_superusers(house: House, manager: User, admin_client: Any) -> None:
    TradingGroup.objects.filter(pk=house.eur.pk).update(markup_bid_points=9)
    change = ConfigurationChange.objects.latest("id")
    pages = [
        reverse("admin:market_configurationchange_changelist"),
        reverse("admin:market_configurationchange_change", args=[change.pk]),
    ]
    others = [
        signed_in(manager),
        signed_in(staff("auditor@example.com", role="auditor", groups=(house.usd,))),
    ]

    assert [admin_client.get(page).status_code for page in pages] == [200, 200]
    for http in others:
        assert [http.get(page).status_code for page in pages] == [403, 403]
        assert pages[0] not in http.get(reverse("admin:index")).content.decode()
    assert pages[0] in admin_client.get(reverse("admin:index")).content.decode()


def test_a_search_does_not_reach_further(house: House, dealer: User) -> None:
    assert rows(signed_in(dealer), "accounts_tradingaccount", q=house.bruno.login) == []
    assert rows(signed_in(dealer), "accounts_client", q="bruno@example.com") == []


def test_without_the_right_a_page_is_closed(house: House) -> None:
    http = signed_in(staff("support@example.com", role="support", groups=(house.usd,)))

    assert http.get(reverse("admin:trading_order_changelist")).status_code == 200
    assert http.get(reverse("admin:django_celery_beat_periodictask_changelist")).status_code == 403
    assert http.get(reverse("admin:market_symbol_add")).status_code == 403
    assert http.get(reverse("admin:index")).status_code == 200


def test_personal_data_is_masked_without_its_right(house: House, dealer: User) -> None:
    client = house.anna.client
    http = signed_in(dealer)
    list_page = http.get(reverse("admin:accounts_client_changelist")).content.decode()
    detail = http.get(reverse("admin:accounts_client_change", args=[client.pk])).content.decode()

    for secret in ("Ahlberg", "anna@example.com", "5550123"):
        assert secret not in list_page
        assert secret not in detail
    assert "••••••" in list_page
    assert "••••••" in detail


@pytest.mark.parametrize("role", ["auditor", "support"])
def test_who_tried_to_sign_in_is_masked_but_for_staff(role: str, house: House, client: Any) -> None:
    person = staff(f"{role}@example.com", role=role)
    allow(person, "view_personal_data")
    for name in ("anna@example.com", person.email):
        client.post(reverse("admin:login"), {"login": name, "password": "wrong"})
    http = signed_in(person)

    found = {row.username: row for row in rows(http, "axes_accessattempt")}
    shown = http.get(reverse("admin:axes_accessattempt_changelist")).content
    details = {
        name: http.get(reverse("admin:axes_accessattempt_change", args=[row.pk])).content
        for name, row in found.items()
    }

    assert b"anna@example.com" not in shown + details["anna@example.com"]
    assert shown.count(person.email.encode()) > http.get(reverse("admin:index")).content.count(
        person.email.encode()
    )
    assert person.email.encode() in details[person.email]
    asked = [rows(http, "axes_accessattempt", q=name) for name in ("anna@example.com", person.email)]
    assert asked == [[], [found[person.email]]]


def test_the_change_log_is_for_who_reaches_everything(house: House, dealer: User, admin_client: Any) -> None:
    from auditlog.models import LogEntry

    allow(dealer, "view_logentry")
    LogEntry.objects.log_create(house.eur, force_log=True, changes={"name": ["a", "b"]}, action=1)
    mine = LogEntry.objects.log_create(house.usd, force_log=True, changes={"name": ["a", "b"]}, action=1)
    LogEntry.objects.filter(pk=mine.pk).update(actor=dealer)

    assert [row.pk for row in rows(signed_in(dealer), "auditlog_logentry")] == [mine.pk]
    auditor = staff("auditor@example.com", role="auditor", groups=tuple(TradingGroup.objects.all()))
    assert len(rows(signed_in(auditor), "auditlog_logentry")) >= 2


def test_personal_data_is_masked_even_with_its_right(house: House, dealer: User) -> None:
    allow(dealer, "view_personal_data")
    detail = signed_in(dealer).get(reverse("admin:accounts_client_change", args=[house.anna.client.pk]))

    for known in ("Ahlberg", "anna@example.com", "5550123"):
        assert known not in detail.content.decode()


def test_traders_are_listed_among_users_without_their_address(house: House, dealer: User) -> None:
    shown = signed_in(dealer).get(reverse("admin:accounts_user_changelist"))

    assert {user.pk for user in shown.context["cl"].result_list} == {dealer.pk, house.anna.client.user_id}
    assert "anna@example.com" not in shown.content.decode()


@pytest.mark.parametrize("term", ["anna@example.com", "ANNA@example.com ", "ahlberg", "test ahlberg", "anna"])
def test_clients_are_found_by_exact_texts_only(term: str, house: House, admin_client: Any) -> None:
    found = rows(admin_client, "accounts_client", q=term)

    assert found == ([] if term == "anna" else [house.anna.client])


def test_a_client_is_found_by_phone_number_and_account(house: House, admin_client: Any) -> None:
    both = {house.anna.client, house.bruno.client}

    assert set(rows(admin_client, "accounts_client", q="+49 (170) 555-0123")) == both
    assert rows(admin_client, "accounts_client", q=house.bruno.login) == [house.bruno.client]


def test_a_new_password_ends_the_users_tokens(house: House, admin_client: Any) -> None:
    user = house.anna.client.user
    tokens.issue(user_id=user.pk)
    version = User.objects.get(pk=user.pk).token_version
    url = reverse("admin:auth_user_password_change", args=[user.pk])

    answer = admin_client.post(
        url,
        {
            "password1": "another battery 18",
            "password2": "another battery 18",
            "change_reason": "asked by phone",
        },
    )

    changed = User.objects.get(pk=user.pk)
    assert answer.status_code == 302
    assert changed.check_password("another battery 18")
    assert changed.token_version > version
    assert not RefreshToken.objects.filter(user=user, revoked_at=None).exists()


def test_ones_own_new_password_keeps_only_this_session(admin_client: Any, operator: User) -> None:
    other = signed_in(operator)
    url = reverse("admin:password_change")
    fields = {
        "old_password": PASSWORD,
        "new_password1": "another battery 18",
        "new_password2": "another battery 18",
    }

    assert admin_client.post(url, fields).status_code == 302
    assert admin_client.get(reverse("admin:index")).status_code == 200
    assert other.get(reverse("admin:index")).status_code == 302
    assert User.objects.get(pk=operator.pk).token_version > operator.token_version


def test_a_disabled_user_loses_their_tokens(house: House, admin_client: Any) -> None:
    user = house.anna.client.user
    tokens.issue(user_id=user.pk)
    url = reverse("admin:accounts_user_change", args=[user.pk])

    answer = admin_client.post(
        url,
        {
            "email": user.email,
            "display_name": "",
            "role": "trader",
            "groups": [],
            "change_reason": "asked by phone",
        },
    )

    changed = User.objects.get(pk=user.pk)
    assert answer.status_code == 302
    assert (changed.is_active, changed.token_version > user.token_version) == (False, True)
    assert not RefreshToken.objects.filter(user=user, revoked_at=None).exists()


def test_nobody_but_a_superuser_makes_a_superuser(house: House, manager: User) -> None:
    user = house.anna.client.user
    fields = {
        "email": user.email,
        "display_name": "",
        "role": "superadmin",
        "is_active": "on",
        "is_staff": "on",
        "is_superuser": "on",
        "change_reason": "asked by phone",
    }

    signed_in(manager).post(reverse("admin:accounts_user_change", args=[user.pk]), fields)

    changed = User.objects.get(pk=user.pk)
    assert (changed.role, changed.is_staff, changed.is_superuser) == ("trader", False, False)


def test_nobody_touches_staff_of_their_own_rank_or_above(house: House, manager: User, operator: User) -> None:
    http = signed_in(manager)

    for other in (operator, manager):
        changed = http.post(
            reverse("admin:accounts_user_change", args=[other.pk]),
            {"email": "x@example.com", "role": "admin"},
        )
        renewed = http.post(
            reverse("admin:auth_user_password_change", args=[other.pk]),
            {"password1": "another battery 18", "password2": "another battery 18"},
        )
        assert {changed.status_code, renewed.status_code} <= {403, 404}
        assert User.objects.get(pk=other.pk).check_password(PASSWORD)


def test_a_superuser_creates_staff(admin_client: Any) -> None:
    fields = {
        "email": "New.Dealer@example.com",
        "display_name": "Dana",
        "role": "dealer",
        "password1": "another battery 18",
        "password2": "another battery 18",
        "change_reason": "the night desk",
    }

    answer = admin_client.post(reverse("admin:accounts_user_add"), fields)

    made = User.objects.get(email="new.dealer@example.com")
    assert answer.status_code == 302
    assert (made.role, made.is_staff, made.is_superuser) == ("dealer", True, False)
    assert made.check_password("another battery 18")


def test_too_many_failed_sign_ins_are_told(operator: User, client: Any, settings: Any) -> None:
    settings.AXES_FAILURE_LIMIT = 3
    url = reverse("admin:login")
    answers = [client.post(url, {"login": operator.email, "password": "wrong"}) for _ in range(3)]
    right = client.post(url, {"login": operator.email, "password": PASSWORD})

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert right.status_code == 429
    assert b"Too many failed attempts" in right.content
    assert right["Retry-After"] == "900"


def test_staff_actions_are_logged_with_their_reason(house: House, admin_client: Any) -> None:
    buy(house.anna, "EURUSD", "0.10")
    position = house.anna.positions.get()
    url = f"/admin/trading/position/{position.pk}/close_at_market/"

    confirm(
        admin_client,
        url,
        {
            "operator_confirmed": "1",
            "reason": "client called",
            "request_key": "1" * 32,
        },
    )

    entry = StaffAction.objects.get()
    assert (entry.reason, entry.outcome) == ("client called", "done")
    assert (entry.target_type, entry.target_id) == ("trading.position", str(position.pk))
    assert entry.group_id == house.anna.group_id
