"""
Every list, form and detail page of the admin, on a desktop and on a phone: it opens, nothing is cut off.
"""

from collections.abc import Callable
from uuid import uuid4

import httpx
import pytest
from django.contrib.admin import site
from playwright.sync_api import Page

from tests.e2e.conftest import DESKTOP, PHONE, Demo, NewPage, Watch, next_code

pytestmark = pytest.mark.serial

Picture = Callable[[Page, str], None]

PAGES = (
    "audit/integrity",
    "risk/exposure",
    "risk/heatmap",
    "risk/marketopen",
    "risk/overview",
    "risk/var",
    "risk/whatif",
)
OWN = (
    "",
    "audit/approval/?status__exact=pending",
    "accounts/importrun/new/",
    "accounts/client/export/",
    "accounts/tradingaccount/export/",
    "funds/fundoperation/new_operation/",
    "groups/tradinggroup/bulk-terms/",
    "trading/order/new_order/",
    "second-factor/",
    "second-factor/passkey/",
    "password_change/",
)
TABLES = sorted(model._meta.label_lower.replace(".", "/") for model in site._registry)
LISTS = (*PAGES, *TABLES)
INLINE = {"groups/marginband"}  # edited on the page of its schedule; the navigation has no entry for it
WITH_ACTIONS = (
    "accounts/client",
    "accounts/kycreview",
    "accounts/tradingaccount",
    "accounts/user",
    "audit/approval",
    "funds/fundoperation",
    "groups/tradinggroup",
    "trading/position",
)  # of these the pages of every action and of the history are visited too
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def ask_by_key(demo: Demo) -> None:
    """Stop a symbol and let it go on, over the API: makes a kill switch, an alarm and requests by key."""
    login = {"email": demo.operator["email"], "password": demo.operator["password"]}
    login["otp"] = next_code(demo.operator["totp_secret"])
    with httpx.Client(base_url=demo.url, timeout=30) as api:
        access = api.post("/api/admin/auth/login", json=login).json()["access"]
        for action in ("engage", "release"):
            asked = {"action": action, "scope": "symbol", "symbol": "EURGBP", "reason": "to be seen"}
            headers = {"Authorization": f"Bearer {access}", "Idempotency-Key": str(uuid4())}
            answer = api.post("/api/admin/risk/kill-switch", json=asked, headers=headers)
            assert answer.status_code == 200, answer.text


def visit(page: Page, path: str, problems: list[str]) -> None:
    """Open a page and note what is wrong with it."""
    answer = page.goto(path)
    if answer is None or answer.status != 200:
        problems.append(f"{path}: status {answer.status if answer else 'none'}")
    wider = page.evaluate(WIDER)
    if wider > 0:
        problems.append(f"{path}: {wider} px wider than the window")


def actions_of(page: Page, path: str) -> list[str]:
    """Return where the actions of the shown row lead, with its history."""
    links = page.eval_on_selector_all("a[href]", "links => links.map((link) => link.getAttribute('href'))")
    key = page.url.split(path)[1].split("/")[0]
    own = {link.split("?")[0] for link in links if link.startswith(path) and f"/{key}/" in link}
    return sorted(link for link in own if not link.endswith((f"/{key}/", f"/{key}/change/")))


@pytest.mark.parametrize(("width", "viewport"), [("1440", DESKTOP), ("390", PHONE)])
def test_every_page_opens_and_fits(
    width: str, viewport: dict[str, int], demo: Demo, signed_in: NewPage, picture: Picture
) -> None:
    ask_by_key(demo)
    page = signed_in(viewport)
    watch = Watch(page)
    problems: list[str] = []
    for name in LISTS:
        path = f"/admin/{name}/"
        visit(page, path, problems)
        picture(page, f"{name.replace('/', '-')}-{width}")
        add = page.locator(f'a[href^="{path}add/"]').first
        detail = page.locator("#result_list tbody th a, #result_list tbody td a").first
        address = detail.get_attribute("href") if detail.count() else None
        if add.count():
            visit(page, f"{path}add/", problems)
        if address and address.split("?")[0].startswith(path):
            visit(page, address, problems)
            picture(page, f"{name.replace('/', '-')}-detail-{width}")
            for action in actions_of(page, path) if name in WITH_ACTIONS else ():
                visit(page, action, problems)
    for own in OWN:
        visit(page, f"/admin/{own}", problems)

    assert problems == []
    assert watch.complaints == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("width", "viewport"), [("1440", DESKTOP), ("390", PHONE)])
def test_the_dashboard_fits(
    theme: str, width: str, viewport: dict[str, int], signed_in: NewPage, picture: Picture
) -> None:
    page = signed_in(viewport, theme=theme)
    watch = Watch(page)
    problems: list[str] = []
    visit(page, "/admin/", problems)
    page.wait_for_timeout(1500)  # the figures of a second poll
    picture(page, f"dashboard-{theme}-{width}")

    assert problems == []
    assert watch.complaints == []


def test_every_entry_of_the_navigation_is_visited(signed_in: NewPage) -> None:
    page = signed_in()
    page.goto("/admin/")
    found = page.evaluate(
        """() => Array.from(document.querySelectorAll('a[href^="/admin/"]'))
            .map((link) => link.getAttribute("href").match(/^\\/admin\\/([a-z_]+\\/[a-z]+)\\/$/))
            .filter(Boolean).map((match) => match[1])"""
    )

    assert sorted(set(found) - {"password_change"}) == sorted(set(LISTS) - INLINE)
