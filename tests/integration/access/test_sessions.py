"""Sessions of staff: idle and longest time, revocation, addresses, and a fresh proof before money moves."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import AllowedNetwork, StaffSession, User
from apps.accounts.services import staff_sessions, tokens
from apps.audit.models import StaffAction
from rtx.kernel import clock
from tests.factories.staff import code, signed_in, with_app

INDEX = "/admin/"
LIVE = "/admin/live/"


def age(**columns: int) -> None:
    """Make the only session look as old as that, in seconds."""
    now = clock.now()
    StaffSession.objects.update(**{name: now - timedelta(seconds=s) for name, s in columns.items()})


@pytest.mark.parametrize(
    ("idle_s", "age_s", "status", "end"),
    [(1790, 1790, 200, ""), (1810, 1810, 302, "idle"), (10, 43_100, 200, ""), (10, 43_300, 302, "too_old")],
)
def test_a_session_ends_idle_or_old(idle_s: int, age_s: int, status: int, end: str, boss: User) -> None:
    http = signed_in(boss)
    age(seen_at=idle_s, started_at=age_s)

    assert http.get(INDEX).status_code == status
    assert StaffSession.objects.get().end == end


def test_what_a_page_asks_by_itself_keeps_no_session_alive(boss: User) -> None:
    http = signed_in(boss)
    age(seen_at=1000)
    http.get(LIVE)
    passive = StaffSession.objects.get().seen_at
    http.get(INDEX)

    assert clock.now() - passive > timedelta(seconds=990)
    assert clock.now() - StaffSession.objects.get().seen_at < timedelta(seconds=60)


def test_an_administrator_ends_a_session_at_once(boss: User, dealer: User) -> None:
    theirs, mine = signed_in(dealer), signed_in(boss)
    row = StaffSession.objects.get(user=dealer)
    url = reverse("admin:accounts_staffsession_revoke", args=[row.pk])
    form = mine.get(url)
    mine.post(
        url,
        {
            "operator_confirmed": "1",
            "reason": "lost laptop",
            "request_key": form.context["form"].initial["request_key"],
        },
    )

    assert theirs.get(INDEX).status_code == 302
    assert StaffSession.objects.get(pk=row.pk).end == "revoked"
    logged = StaffAction.objects.get(operation="accounts.revoke")
    assert (logged.user_id, logged.reason, logged.target_id) == (boss.pk, "lost laptop", str(row.pk))


def test_all_of_a_person_end_with_their_tokens(dealer: User) -> None:
    from apps.accounts.services import users

    browsers = [signed_in(dealer), signed_in(dealer)]
    tokens.issue(user_id=dealer.pk, proved_at=clock.now())
    users.end_logins(user_id=dealer.pk)

    assert [http.get(INDEX).status_code for http in browsers] == [302, 302]
    assert User.objects.get(pk=dealer.pk).token_version == dealer.token_version + 1


def test_one_ends_ones_own_other_sessions_only(dealer: User, boss: User) -> None:
    here, there, foreign = signed_in(dealer), signed_in(dealer), signed_in(boss)
    foreign_row = StaffSession.objects.get(user=boss)
    here.post("/admin/second-factor/sessions/", {"session": str(foreign_row.pk)})
    here.post("/admin/second-factor/sessions/", {"session": "all"})

    assert here.get(INDEX).status_code == 200
    assert there.get(INDEX).status_code == 302
    assert foreign.get(INDEX).status_code == 200


def test_a_disabled_person_is_out_at_once(dealer: User) -> None:
    http = signed_in(dealer)
    User.objects.filter(pk=dealer.pk).update(is_active=False)

    assert http.get(INDEX).status_code == 302


def test_a_password_set_by_somebody_else_ends_all_of_a_persons_sessions(boss: User, dealer: User) -> None:
    from apps.accounts.services import users

    theirs, mine = signed_in(dealer), signed_in(boss)
    users.set_password(user_id=dealer.pk, password="another horse battery 18")

    assert theirs.get(INDEX).status_code == 302
    assert StaffSession.objects.get(user=dealer).end == "revoked"
    assert mine.get(INDEX).status_code == 200


def test_a_new_password_of_ones_own_keeps_the_session_it_was_set_in(dealer: User) -> None:
    dealer.set_password("correct horse battery 17")
    dealer.save()
    here, there = signed_in(dealer), signed_in(dealer)
    form = {"old_password": "correct horse battery 17"}
    form |= dict.fromkeys(("new_password1", "new_password2"), "another horse battery 18")

    assert here.post("/admin/password_change/", form).status_code == 302
    assert here.get(INDEX).status_code == 200
    assert there.get(INDEX).status_code == 302


def test_a_socket_asks_whose_session_it_is(dealer: User) -> None:
    http = signed_in(dealer)
    key = http.session.session_key or ""
    found = staff_sessions.person_behind(session_key=key, ip="127.0.0.1")
    StaffSession.objects.update(proved_at=None)

    assert found == dealer
    assert staff_sessions.person_behind(session_key=key, ip="127.0.0.1") is None
    assert staff_sessions.person_behind(session_key="made-up", ip="127.0.0.1") is None


def test_a_session_from_an_address_that_is_no_longer_allowed_ends(dealer: User) -> None:
    http = signed_in(dealer)
    AllowedNetwork.objects.create(network="203.0.113.0/24", note="office")

    assert http.get(INDEX).status_code == 302
    assert StaffSession.objects.get().end == "address"


def test_nobody_locks_themselves_out(boss: User) -> None:
    http = signed_in(boss)
    add = reverse("admin:accounts_allowednetwork_add")
    refused = http.post(add, {"network": "203.0.113.0/24", "note": "office", "change_reason": "new office"})
    wrong = http.post(add, {"network": "somewhere", "note": "office", "change_reason": "new office"})
    http.post(add, {"network": "127.0.0.1", "note": "here", "change_reason": "new office"})
    http.post(add, {"network": "203.0.113.7/24", "note": "office", "change_reason": "new office"})

    assert "lock you out" in refused.content.decode()
    assert "An address or a network" in wrong.content.decode()
    assert list(AllowedNetwork.objects.values_list("network", flat=True)) == [
        "127.0.0.1/32",
        "203.0.113.0/24",
    ]
    assert http.get(INDEX).status_code == 200


def deletion(http: Client, row: AllowedNetwork, way: str, reason: str = "moved out") -> Any:
    sent = {"post": "yes", "change_reason": reason}
    if way == "unconfirmed":  # any content is taken for a confirmation
        sent = {"csrfmiddlewaretoken": "x", "change_reason": reason}
    if way != "list":
        return http.post(reverse("admin:accounts_allowednetwork_delete", args=[row.pk]), sent)
    chosen = {"action": "delete_selected", "_selected_action": [str(row.pk)], **sent}
    return http.post(reverse("admin:accounts_allowednetwork_changelist"), chosen)


@pytest.mark.parametrize("way", ["page", "list"])
def test_nobody_deletes_what_lets_them_in(boss: User, way: str) -> None:
    http = signed_in(boss)
    here = AllowedNetwork.objects.create(network="127.0.0.1/32", note="here")
    office = AllowedNetwork.objects.create(network="203.0.113.0/24", note="office")

    deletion(http, here, way)
    refused = StaffAction.objects.latest("pk")
    assert (refused.operation, refused.outcome) == ("accounts.delete_allowednetwork", "refused")
    assert AllowedNetwork.objects.count() == 2
    deletion(http, office, way)
    assert StaffAction.objects.latest("pk").reason == "moved out"
    deletion(http, here, way)  # the last one: without any, everybody is let in
    assert AllowedNetwork.objects.count() == 0


@pytest.mark.parametrize("way", ["page", "unconfirmed", "list"])
def test_nothing_is_deleted_without_a_reason(boss: User, way: str) -> None:
    http = signed_in(boss)
    office = AllowedNetwork.objects.create(network="203.0.113.0/24", note="office")
    AllowedNetwork.objects.create(network="127.0.0.1/32", note="here")

    told = http.get(deletion(http, office, way, reason="  x ").url).content.decode()

    assert "Nothing was deleted: say why it is to be." in told
    assert AllowedNetwork.objects.count() == 2
    refused = StaffAction.objects.latest("pk")
    assert (refused.operation, refused.outcome) == ("accounts.delete_allowednetwork", "refused")


def test_who_may_not_delete_is_not_asked_why(db: None) -> None:
    row = AllowedNetwork.objects.create(network="203.0.113.0/24", note="office")
    AllowedNetwork.objects.create(network="127.0.0.1/32", note="here")
    dealer = User.objects.create_user("dealer@example.com", None, role="dealer", is_staff=True)

    assert deletion(signed_in(dealer), row, "page", reason="").status_code == 403
    assert not StaffAction.objects.filter(operation__contains="allowednetwork").exists()


def test_an_administrator_locks_out_nobody_of_their_rank(boss: User) -> None:
    clerk, peer, admin = (
        User.objects.create_user(f"{name}@example.com", None, role=role, is_staff=True)
        for name, role in (("clerk", "support"), ("peer", "admin"), ("admin", "admin"))
    )
    http = signed_in(admin)
    add = reverse("admin:accounts_allowednetwork_add")
    kept = AllowedNetwork.objects.create(network="203.0.113.9/32", note="home", user=boss)

    for whom in (boss.pk, peer.pk, ""):
        refused = http.post(
            add, {"network": "127.0.0.1", "note": "here", "change_reason": "new office", "user": whom}
        ).content.decode()
        assert "Only a super administrator says" in refused
    for way in ("page", "list"):
        deletion(http, kept, way)
    for whom in (clerk.pk, admin.pk):
        http.post(add, {"network": "127.0.0.1", "note": "here", "change_reason": "new office", "user": whom})

    users = AllowedNetwork.objects.order_by("user_id").values_list("user_id", flat=True)
    assert set(users) == {boss.pk, clerk.pk, admin.pk}


def test_a_fresh_proof_leads_back_to_what_was_asked_for(boss: User) -> None:
    http = signed_in(boss, proved_s_ago=700)
    other = with_app(User.objects.create_user("new@example.com", None, role="dealer", is_staff=True))
    url = reverse("admin:accounts_user_reset_second_factors", args=[other.pk])
    sent = http.get(url)
    wrong = http.post(sent.url, {"code": "000000", "next": url})
    proved = http.post(sent.url, {"code": code(), "next": url})

    assert sent.url.startswith("/admin/prove/?next=")
    assert "Wrong code" in wrong.content.decode()
    assert proved.url == url
    assert http.get(url).status_code == 200


def test_a_stale_session_cannot_skip_the_proof_by_posting(boss: User) -> None:
    http = signed_in(boss, proved_s_ago=700)
    other = with_app(User.objects.create_user("new@example.com", None, role="dealer", is_staff=True))
    url = reverse("admin:accounts_user_reset_second_factors", args=[other.pk])
    body = {"operator_confirmed": "1", "reason": "lost", "request_key": "0" * 32}
    answer = http.post(url, body)

    assert answer.url.startswith("/admin/prove/")
    assert other.authenticator_set.exists()
    signed_in(boss).post(url, body)
    assert not other.authenticator_set.exists()
