"""
A newcomer's first quarter of an hour with a CRM, in a real browser: connects the built-in fake, tests it,
syncs 200 clients, watches them arrive, and sees a change there arrive here.
"""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.conftest import DESKTOP, PHONE, Demo, NewPage, Watch, log_in

pytestmark = pytest.mark.serial

Picture = Callable[[Page, str], None]
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
CLIENTS, ACCOUNTS = 200, 200
SYNC_MS = 120_000
SOON_MS = 30_000
PAGES = (
    "crm/connection/1/change",
    "crm/connection/1/fields",
    "crm/connection/1/preview",
    "crm/connection/1/test",
    "crm/connection/1/sync",
    "crm/connection/add",
    "crm/link",
    "crm/syncrun",
    "crm/syncrun/1/change",
    "crm/syncentry",
    "crm/exchange",
    "crm/fieldmapping",
)


@pytest.fixture(scope="module")
def desk(browser: Browser, demo: Demo) -> Iterator[Page]:
    """The operator's browser: one session for all steps."""
    context: BrowserContext = browser.new_context(viewport=DESKTOP, base_url=demo.url)
    page = context.new_page()
    log_in(page, demo)
    yield page
    context.close()


def fits(page: Page) -> None:
    assert page.evaluate(WIDER) <= 0, page.url


def press(page: Page, name: str) -> None:
    """Press a button, and go on when the next page is there."""
    with page.expect_navigation():
        page.get_by_role("button", name=name).last.click()


def test_a_newcomer_connects_syncs_and_watches(demo: Demo, desk: Page, picture: Picture) -> None:
    watch = Watch(desk)
    connect(desk, picture)
    look_it_over(desk, picture)
    sync(desk, picture)
    see_the_customers(desk, demo)

    assert [one for one in watch.complaints if demo.crm not in one] == []


def connect(page: Page, picture: Picture) -> None:
    """Go to the fake's page, agree, and come back."""
    page.goto("/admin/crm/connection/")
    page.locator("#result_list tbody th a").first.click()
    expect(page.locator('[data-crm="status"]')).to_have_text("Not connected")
    page.get_by_role("link", name="Connect: agree at the provider").click()
    expect(page.locator("body")).to_contain_text("/api/admin/crm/oauth/callback")
    page.get_by_role("button", name="Go to HubSpot").click()
    page.wait_for_url("**/oauth/authorize**")
    picture(page, "crm-agree")
    page.click("button[name=agreed]")
    expect(page.locator("body")).to_contain_text("is connected", timeout=SOON_MS)
    expect(page.locator('[data-crm="status"]')).to_have_text("Connected")


def look_it_over(page: Page, picture: Picture) -> None:
    """Test the connection, and map one more field of those that the CRM has now."""
    page.goto("/admin/crm/connection/1/test/")
    press(page, "Test now")
    expect(page.locator("body")).to_contain_text("The connection works.")
    picture(page, "crm-test")
    page.goto("/admin/crm/connection/1/fields/")
    expect(page.locator('[data-about="crm"]').first).to_contain_text("text")
    page.get_by_role("button", name="+ Add a field").click()
    added = page.locator("[data-row]").last
    added.locator('[data-map="rtx_field"]').select_option("number")
    added.locator('[data-map="crm_field"]').fill("no_such_field")
    expect(added.locator('[data-about="crm"]')).to_have_text("not among the CRM's fields")
    press(page, "Save the mapping")
    expect(page.locator("body")).to_contain_text("The CRM has no such field.")
    page.locator("[data-row]").last.get_by_role("button", name="Remove").click()
    press(page, "Save the mapping")
    expect(page.locator("body")).to_contain_text("The mapping is saved")
    fits(page)
    picture(page, "crm-mapping")


def sync(page: Page, picture: Picture) -> None:
    """Start a full run and watch it on its own page to the end."""
    page.goto("/admin/crm/connection/1/sync/")
    page.select_option("#id_kind", "full")
    page.fill("#id_reason", "first sync")
    press(page, "Sync now")
    page.goto("/admin/crm/syncrun/1/change/")
    expect(page.locator("section.rtx-kpis", has_text="Done")).to_contain_text(
        f"{CLIENTS + ACCOUNTS} / {CLIENTS + ACCOUNTS}", timeout=SYNC_MS
    )
    expect(page.locator("body")).to_contain_text("Last entries", timeout=SYNC_MS)
    expect(page.locator("[data-rtx-run]")).to_have_count(0, timeout=SYNC_MS)
    picture(page, "crm-run")
    page.goto("/admin/crm/connection/1/change/")
    expect(page.locator('[data-crm="in_step"]')).to_have_text(str(CLIENTS + ACCOUNTS), timeout=SOON_MS)
    fits(page)
    picture(page, "crm-connection")


def see_the_customers(page: Page, demo: Demo) -> None:
    """The fake has them; each links back to its client here."""
    page.goto(f"{demo.crm}/")
    expect(page.locator("body")).to_contain_text("trader1@demo.example")
    page.goto("/admin/crm/link/?q=1")
    expect(page.locator("#result_list")).to_contain_text("in step")
    page.goto("/admin/crm/connection/1/preview/")
    page.fill("#id_number", "1")
    page.fill("#id_reason", "looked at with sales")
    press(page, "Compare")
    expect(page.locator(".rtx-crm-values")).to_contain_text("trader1@demo.example", timeout=SOON_MS)


def test_a_change_there_is_here_by_webhook(demo: Demo, desk: Page) -> None:
    desk.goto(f"{demo.crm}/")
    there = desk.locator('a[href^="/people/"]').first.get_attribute("href")
    desk.goto(f"{demo.crm}{there}")  # the list is drawn anew every two seconds
    desk.fill("#phone", "+49 30 7654321")
    with desk.expect_navigation():
        desk.get_by_role("button", name="Save").click()

    desk.goto(f"{demo.url}/admin/crm/syncentry/?direction__exact=pull")
    for _ in range(20):
        if desk.locator("#result_list tbody tr").count():
            break
        desk.wait_for_timeout(1000)
        desk.reload()
    expect(desk.locator("#result_list")).to_contain_text("phone")


@pytest.mark.parametrize(("width", "viewport"), [("1440", DESKTOP), ("390", PHONE)])
def test_each_page_fits(width: str, viewport: dict[str, int], signed_in: NewPage, picture: Picture) -> None:
    page = signed_in(viewport)
    watch = Watch(page)
    for name in PAGES:
        page.goto(f"/admin/{name}/")
        fits(page)
        picture(page, f"page-{name.replace('/', '-')}-{width}")

    assert watch.complaints == []
