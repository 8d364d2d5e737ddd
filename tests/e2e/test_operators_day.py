"""
An operator's day in a real browser, on a desktop and on a phone: from the sign-in to the seal.

Two people work: the operator and, in a browser of their own at a desk, whoever gives the second word.
"""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.e2e.conftest import DESKTOP, PHONE, Demo, Watch, log_in

pytestmark = pytest.mark.serial

Picture = Callable[[Page, str], None]
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
PASSPORT = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
CHECK_TIMEOUT_MS = 60_000
BUSY_MS = 20_000
TRAIL = (
    "seen on the bank statement",
    "ordered by phone",
    "bought instead of sold",
    "called the client back",
    "large deposits",
)


class Person:
    """Somebody of the staff at their browser; pictures of what they see are named after its width."""

    def __init__(self, context: BrowserContext, demo: Demo, member: dict[str, str], picture: Picture) -> None:
        self.page = context.new_page()
        self.watch = Watch(self.page)
        self.member = member
        self._demo = demo
        self.picture = picture

    def sign_in(self) -> None:
        log_in(self.page, self._demo, self.member)

    def keep(self, name: str) -> None:
        """Keep a picture of the page, which must not be wider than its window."""
        width = (self.page.viewport_size or DESKTOP)["width"]
        assert self.page.evaluate(WIDER) <= 0, name
        self.picture(self.page, f"day-{name}-{width}")

    def find(self, term: str) -> None:
        """Go where the search box of every page leads."""
        self.page.keyboard.press("Control+k")
        box = self.page.locator("#rtx-find input[type=search]")
        expect(box).to_be_focused()
        box.fill(term)
        with self.page.expect_navigation():
            box.press("Enter")

    def open_action(self, action: str, *, menu: str = "") -> None:
        """Open an action of the row that is shown, out of a menu where it is in one."""
        folded = self.page.locator('a[href="#"]', has_text="more_horiz")
        if folded.is_visible():  # a narrow window folds the actions away
            folded.click()
        if menu:
            self.page.locator("li[x-data] > a", has_text=menu).click()
        self.page.locator(f'a[href$="/{action}/"]:visible').first.click()

    def fill(self, **values: str) -> None:
        for name, value in values.items():
            self.page.fill(f"#id_{name}", value)

    def press(self, name: str) -> None:
        self.follow(self.page.get_by_role("button", name=name).last)

    def follow(self, target: Locator) -> None:
        """Click, and go on when the next page is there."""
        with self.page.expect_navigation():
            target.click()

    def first_row(self) -> Locator:
        return self.page.locator("#result_list tbody tr").first

    def says(self, text: str) -> None:
        expect(self.page.locator("body")).to_contain_text(text, ignore_case=True, timeout=BUSY_MS)


@pytest.fixture(scope="module")
def second(browser: Browser, demo: Demo) -> Iterator[Person]:
    """Return who gives the second word: signed in once, at a desk."""
    context = browser.new_context(viewport=DESKTOP, base_url=demo.url)
    person = Person(context, demo, demo.operator, lambda page, name: None)
    person.sign_in()
    yield person
    context.close()


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["1440", "390"])
def test_an_operators_day(
    viewport: dict[str, int], browser: Browser, demo: Demo, second: Person, picture: Picture
) -> None:
    context = browser.new_context(viewport=viewport, base_url=demo.url)
    member = next(one for one in demo.staff if one["role"] == "admin")
    operator = Person(context, demo, member, picture)
    second.picture = picture
    email = f"paula.{viewport['width']}@clients.example"

    sign_in(operator)
    open_client(operator, email)
    find_client(operator, email)
    approve_identity(operator)
    login = open_account(operator, email)
    deposit(operator, second, login)
    place_order(operator, login)
    turn_round(operator, second, login)
    move(operator, login)
    read_trail(operator, login)
    verify_seal(operator)

    assert operator.watch.complaints == []
    assert second.watch.complaints == []
    context.close()


def sign_in(operator: Person) -> None:
    """Password, second factor, dashboard."""
    operator.sign_in()
    expect(operator.page.locator('[data-live="state"]')).to_contain_text("live")
    expect(operator.page.locator('[data-live="quotes"] tr').first).to_be_visible()
    operator.keep("dashboard")


def open_client(operator: Person, email: str) -> None:
    """Open a client and take in a document, with which the check of their identity begins."""
    page = operator.page
    page.goto("/admin/accounts/client/add/")
    operator.fill(
        first_name="Paula", last_name="Petersen", email=email, country="DE", change_reason="a new client"
    )
    operator.press("Save")
    operator.says("was added successfully")
    operator.find(email)
    operator.open_action("add_document", menu="Identity")
    page.select_option("#id_kind", "passport")
    page.set_input_files("#id_file", {"name": "p.pdf", "mimeType": "application/pdf", "buffer": PASSPORT})
    operator.fill(reason="sent by post")
    operator.press("Add document")
    operator.says("passport kept")


def find_client(operator: Person, email: str) -> None:
    """Find the client from any page in one step."""
    operator.page.goto("/admin/")
    operator.find(email)
    expect(operator.page).to_have_url(re.compile("/admin/accounts/client/"))
    operator.says("Pending")
    operator.keep("client")


def approve_identity(operator: Person) -> None:
    """Open the review that waits, and verify the client."""
    page = operator.page
    operator.follow(page.locator('a[href*="/accounts/kycreview/"]', has_text="review").last)
    operator.open_action("take")
    operator.press("Take")
    operator.open_action("approve")
    operator.fill(reason="passport seen, name and birthday agree")
    operator.keep("kyc")
    operator.press("Approve")
    operator.says("is verified")


def open_account(operator: Person, email: str) -> str:
    """Open an account for the client; return its number."""
    operator.find(email)
    operator.open_action("open_account", menu="Client")
    operator.page.locator("#id_group").select_option(label="standard")
    operator.fill(reason="first account")
    operator.press("Open account")
    expect(operator.page.locator("body")).to_contain_text(re.compile(r"account \d+"), timeout=BUSY_MS)
    found = re.search(r"account (\d+)", operator.page.locator("body").inner_text())
    assert found
    return found.group(1)


def deposit(operator: Person, second: Person, login: str) -> None:
    """Pay in more than one person may: seen as a dry run, asked for, and posted by the second person."""
    operator.find(login)
    operator.open_action("deposit", menu="Funds")
    operator.fill(amount="25000", reference=f"SWIFT {login}", reason="seen on the bank statement")
    operator.press("Show the effect")
    operator.says("second person")
    operator.keep("deposit")
    operator.press("Confirm: Deposit")
    operator.says("waits for a second person")

    give_second_word(second, login, "deposit-approval")
    operator.find(login)
    expect(operator.page.locator(".rtx-kpis")).to_contain_text("25\u202f000.00")
    operator.keep("account")


def give_second_word(second: Person, login: str, name: str) -> None:
    """Approve what waits for this account, in another browser, after its effect was shown."""
    second.page.goto(f"/admin/audit/approval/?q={login}&status__exact=pending")
    second.follow(second.first_row().locator("th a").first)
    second.open_action("approve")
    second.fill(reason="called the client back")
    second.press("Show the effect")
    second.keep(name)
    second.press("Confirm: Approve")
    second.says("approved and carried out")


def place_order(operator: Person, login: str) -> None:
    """Buy for the client, and open the position."""
    operator.open_action("place_order")
    page = operator.page
    page.select_option("#id_symbol", "EURUSD")
    page.select_option("#id_side", "buy")
    page.select_option("#id_type", "market")
    operator.fill(volume="0.50", reason="ordered by phone")
    operator.press("Show the effect")
    operator.keep("order")
    operator.press("Confirm: New order")
    operator.says("filled at")
    page.goto(f"/admin/trading/position/?q={login}")
    operator.follow(operator.first_row().locator("a").first)


def turn_round(operator: Person, second: Person, login: str) -> None:
    """Ask for the reversal of a position; the second person lets it happen."""
    operator.says("Buy")
    operator.open_action("reverse")
    operator.fill(deviation="1000", reason="bought instead of sold, said so on the phone")
    operator.press("Show the effect")
    operator.keep("reversal")
    operator.press("Confirm: Reverse")
    operator.says("waits for a second person")
    give_second_word(second, login, "reversal-approval")
    operator.page.goto(f"/admin/trading/position/?q={login}")
    expect(operator.first_row()).to_contain_text("sell", ignore_case=True)
    operator.page.goto(f"/admin/trading/deal/?q={login}")
    expect(operator.page.locator("#result_list tbody tr")).to_have_count(3)  # bought; out and in at one price
    operator.keep("reversal-deals")


def move(operator: Person, login: str) -> None:
    """Move the account to another group once the what-if has shown what that means."""
    operator.find(login)
    operator.open_action("change_group", menu="Account")
    operator.page.locator("#id_group").select_option(label="vip")
    operator.fill(reason="large deposits")
    operator.press("Show the effect")
    operator.says("standard → vip")
    operator.keep("move")
    operator.press("Confirm: Change group")
    operator.says("is now in group vip")


def read_trail(operator: Person, login: str) -> None:
    """Read who did what and why: all of the day stands in the staff log."""
    page = operator.page
    page.goto(f"/admin/audit/staffaction/?q={login}")
    table = page.locator("#result_list")
    for told in TRAIL:
        expect(table).to_contain_text(told)
    operator.keep("trail")
    page.goto(f"/admin/audit/staffaction/?q={operator.member['email']}")
    expect(table).to_contain_text("passport seen")
    page.goto(f"/admin/audit/staffaction/?q={login}")
    table.locator("tbody tr", has_text="large deposits").locator("th a").first.click()
    operator.says("account_moved")
    operator.keep("trail-entry")


def verify_seal(operator: Person) -> None:
    """Have the sealed logs verified."""
    page = operator.page
    page.goto("/admin/audit/integrity/")
    checks = page.locator("table", has_text="Asked by").locator("tbody tr")
    before = page.get_by_text("Intact", exact=True).count()
    operator.press("Verify now")
    expect(page.get_by_text("Intact", exact=True)).to_have_count(before + 1, timeout=CHECK_TIMEOUT_MS)
    expect(page.locator("[data-result]")).to_contain_text("Intact:")
    expect(checks.first).to_contain_text("Intact")
    operator.keep("seal")
