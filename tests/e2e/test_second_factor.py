"""Setting up and using second factors in a real browser, and proving again who one is."""

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from rtx.local.otp import code_at
from tests.e2e.conftest import DESKTOP, PHONE, Demo, Watch, log_in, next_code

VIEWPORTS = pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
Picture = Any
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def on_localhost(demo: Demo) -> str:
    """Return the broker's address by name: browsers give passkeys to names only."""
    return demo.url.replace("127.0.0.1", "localhost")


def with_passkeys(page: Page) -> None:
    """Give the browser a virtual authenticator that says yes."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def give_password(page: Page, person: dict[str, str]) -> None:
    page.goto("/admin/")
    page.fill("#id_login", person["email"])
    page.fill("#id_password", person["password"])
    page.click("#login-form button[type=submit]")


def member(demo: Demo, role: str) -> dict[str, str]:
    return next(one for one in demo.staff if one["role"] == role)


@VIEWPORTS
def test_every_step_looks_right(browser: Browser, demo: Demo, viewport: Any, picture: Picture) -> None:
    name = "phone" if viewport is PHONE else "desktop"
    page = browser.new_context(viewport=viewport, base_url=demo.url).new_page()
    watch = Watch(page)
    give_password(page, member(demo, "auditor"))
    expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
    picture(page, f"second-factor-code-{name}")
    page.fill("#id_code", "000000")
    page.click("#code-form button[type=submit]")
    expect(page.get_by_role("alert")).to_contain_text("Wrong code")
    page.fill("#id_code", next_code(member(demo, "auditor")["totp_secret"]))
    page.click("#code-form button[type=submit]")
    page.wait_for_selector("#rtx-dash")
    for path in ("second-factor/", "second-factor/passkey/", "second-factor/app/remove/", "prove/"):
        page.goto(f"/admin/{path}")
        expect(page.locator(".rtx-card-title")).to_be_visible()
        picture(page, f"{path.strip('/').replace('/', '-')}-{name}")
        assert (
            page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
        )
    assert watch.complaints == []
    page.context.close()


def test_a_passkey_stands_for_the_code(browser: Browser, demo: Demo, picture: Picture) -> None:
    person = member(demo, "dealer")
    page = browser.new_context(viewport=DESKTOP, base_url=on_localhost(demo)).new_page()
    with_passkeys(page)
    give_password(page, person)
    page.fill("#id_code", next_code(person["totp_secret"]))
    page.click("#code-form button[type=submit]")
    page.wait_for_selector("#rtx-dash")

    page.goto("/admin/second-factor/passkey/")
    page.fill("#id_name", "blue key")
    page.click("#passkey-add")
    page.wait_for_url(re.compile("recovery-codes"))
    picture(page, "recovery-codes")
    page.goto("/admin/second-factor/")
    expect(page.get_by_text("blue key")).to_be_visible()
    picture(page, "second-factors")

    page.context.clear_cookies()
    give_password(page, person)
    picture(page, "second-factor-passkey")
    page.click("#passkey-use")
    page.wait_for_selector("#rtx-dash")
    page.goto("/admin/prove/passkey/?next=/admin/second-factor/")
    page.click("#passkey-use")
    page.wait_for_url(re.compile("/admin/second-factor/$"))
    page.context.close()


def test_a_new_member_of_staff_sets_an_app_up_first(browser: Browser, demo: Demo, picture: Picture) -> None:
    page = browser.new_context(viewport=DESKTOP, base_url=demo.url).new_page()
    log_in(page, demo)
    new = {"email": "new.auditor@demo.example", "password": "another battery 18"}
    page.goto("/admin/accounts/user/add/")
    page.fill("#id_email", new["email"])
    page.select_option("#id_role", "auditor")
    page.fill("#id_password1", new["password"])
    page.fill("#id_password2", new["password"])
    page.fill("#id_change_reason", "joins the audit")
    page.click("button[name=_save]")
    page.context.clear_cookies()

    give_password(page, new)
    expect(page.get_by_text("You need a second factor")).to_be_visible()
    picture(page, "enroll-first")
    page.get_by_role("link", name="Set up").click()
    secret = page.locator("#totp-secret").inner_text()
    picture(page, "enroll-app")
    page.set_viewport_size(PHONE)
    picture(page, "enroll-app-phone")
    page.fill("#id_code", code_at(secret))
    page.click("#activate-form button[type=submit]")
    expect(page.locator(".rtx-codes li")).to_have_count(10)
    picture(page, "recovery-codes-phone")
    page.get_by_role("link", name="I have kept them").click()
    page.wait_for_selector("#rtx-dash")
    page.context.close()
