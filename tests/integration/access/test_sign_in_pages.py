"""Signing in to the admin: password, then a second factor; nothing opens before both."""

import re
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client
from django.urls import reverse

from apps.accounts.models import StaffSession, User
from rtx.local.otp import code_at
from tests.factories.house import PASSWORD, House, staff
from tests.factories.staff import SECRET, code, signed_in

INDEX = "/admin/"
LOGIN = "/admin/login/"
CODE = "/admin/login/code/"


def password(http: Client, email: str, given: str = PASSWORD, **extra: Any) -> Any:
    return http.post(LOGIN, {"login": email, "password": given, **extra})


def enter(http: Client, given: str) -> Any:
    return http.post(CODE, {"code": given})


def is_inside(http: Client) -> bool:
    return http.get(INDEX).status_code == 200


def test_password_and_code_open_the_admin_and_neither_alone_does(dealer: User) -> None:
    http = Client()
    first = password(http, dealer.email)
    between = is_inside(http)
    second = enter(http, code())

    assert (first.status_code, first.url) == (302, CODE)
    assert between is False
    assert (second.status_code, second.url) == (302, INDEX)
    assert is_inside(http)
    session = StaffSession.objects.get()
    assert (session.user_id, session.proved_at is not None) == (dealer.pk, True)


def test_the_way_back_to_the_page_that_was_asked_for_is_kept(dealer: User) -> None:
    http = Client()
    asked = reverse("admin:trading_order_changelist")
    sent = http.get(asked)
    password(http, dealer.email, next=asked)

    assert sent.url == f"{LOGIN}?next={asked}"
    assert enter(http, code()).url == asked


def test_a_way_to_another_site_is_not_followed(dealer: User) -> None:
    http = Client()
    password(http, dealer.email, next="https://evil.example/")

    assert enter(http, code()).url == INDEX


def test_a_code_is_good_once_even_in_another_browser(dealer: User) -> None:
    given = code()
    first, second = Client(), Client()
    for http in (first, second):
        password(http, dealer.email)
        enter(http, given)

    assert (is_inside(first), is_inside(second)) == (True, False)


def test_a_recovery_code_opens_it_once(dealer: User) -> None:
    from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes

    given = RecoveryCodes.activate(dealer).get_unused_codes()[0]
    first, second = Client(), Client()
    for http in (first, second):
        password(http, dealer.email)
        enter(http, given)

    assert (is_inside(first), is_inside(second)) == (True, False)


def test_staff_without_a_second_factor_get_no_further_than_setting_one_up(house: House) -> None:
    user = staff("new@example.com", groups=(house.usd,))
    http = Client()
    password(http, user.email)

    refused = http.get(reverse("admin:trading_order_changelist"))
    posted = http.post(reverse("admin:trading_order_changelist"), {})
    page = http.get("/admin/second-factor/app/").content.decode()
    secret = re.search(r'id="totp-secret">([A-Z2-7]+)<', page).group(1)  # type: ignore[union-attr]
    wrong = http.post("/admin/second-factor/app/", {"code": "000000"})
    used = code_at(secret)
    done = http.post("/admin/second-factor/app/", {"code": used})

    assert (refused.url, posted.status_code) == ("/admin/second-factor/", 403)
    assert "Wrong code" in wrong.content.decode()
    assert done.url == "/admin/second-factor/recovery-codes/"
    assert http.get(done.url).content.decode().count("<code>") == 10
    assert is_inside(http)
    kept = Authenticator.objects.get(user=user, type="totp").data
    assert secret not in str(kept)
    again = Client()
    password(again, user.email)
    assert "Wrong code" in enter(again, used).content.decode()  # the one it was set up with is used up


def test_a_half_open_session_cannot_add_a_factor_once_there_is_one(house: House) -> None:
    user = staff("new@example.com", groups=(house.usd,))
    http = Client()
    password(http, user.email)
    from tests.factories.staff import with_app

    with_app(user)

    assert http.get("/admin/second-factor/passkey/").url.startswith(LOGIN)
    assert not is_inside(http)


def test_wrong_codes_lock_the_sign_in_as_wrong_passwords_do(dealer: User) -> None:
    http = Client()
    password(http, dealer.email)
    statuses = [enter(http, "000000").status_code for _ in range(5)]
    locked = enter(http, code())
    later = password(Client(), dealer.email)

    assert statuses[:4] == [200] * 4
    assert locked.status_code == 429
    assert not is_inside(http)
    assert later.status_code == 302  # the password is good still: only codes pause


def test_passwords_and_codes_share_one_count(dealer: User, settings: Any) -> None:
    settings.AXES_FAILURE_LIMIT = 3
    http = Client()
    password(http, dealer.email)
    enter(http, "000000")
    password(Client(), dealer.email, "wrong")
    last = password(Client(), dealer.email, "wrong")

    assert last.status_code == 429
    assert password(Client(), dealer.email).status_code == 429
    assert enter(http, code()).status_code == 429


def test_a_trader_cannot_sign_in_here(house: House) -> None:
    User.objects.filter(pk=house.anna.client.user_id).update(email="anna@example.com")
    user = User.objects.get(pk=house.anna.client.user_id)
    user.set_password(PASSWORD)
    user.save()
    answer = password(Client(), "anna@example.com")

    assert answer.status_code == 200
    assert "not correct" in answer.content.decode()


def test_signing_in_changes_the_key_of_the_session(dealer: User) -> None:
    http = Client()
    http.get(LOGIN)
    session = http.session
    session["planted"] = "by somebody else"
    session.save()
    before = session.session_key
    http.cookies["sessionid"] = before or ""
    password(http, dealer.email)
    enter(http, code())

    assert is_inside(http)
    assert http.cookies["sessionid"].value != before
    other = Client()
    other.cookies["sessionid"] = before or ""
    assert not is_inside(other)


@pytest.mark.parametrize("path", ["signup/", "password/reset/", "email/", "social/", "reauthenticate/"])
def test_other_pages_of_the_library_are_not_there(path: str, boss: User) -> None:
    http = signed_in(boss)

    assert {http.get(f"/{prefix}/{path}").status_code for prefix in ("accounts", "admin")} == {404}


def test_secrets_are_not_in_the_record_of_failures(dealer: User) -> None:
    from axes.models import AccessAttempt

    http = Client()
    password(http, dealer.email, "a wrong passphrase")
    password(http, dealer.email)
    enter(http, "123457")
    stored = "".join(f"{row.post_data}{row.get_data}" for row in AccessAttempt.objects.all())

    assert stored
    assert "a wrong passphrase" not in stored
    assert "123457" not in stored
    assert SECRET not in stored
