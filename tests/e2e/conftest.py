"""
One running demo broker for all tests in the browser, and Debian's Chromium.

Screenshots go to the folder that RTX_SCREENSHOTS names, else to a temporary one; with RTX_DOC_IMAGES set,
the pictures that the documents show are written anew into docs/img.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Response,
    TimeoutError,
    sync_playwright,
)

from rtx.local.otp import PERIOD_S, code_at
from rtx.local.stack import Stack
from tests.conftest import TEST_FOLDER, copy_installation
from tests.documents import PICTURES, shown_pictures

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
SENDING_S = PERIOD_S // 2  # what may pass between reading a code and its arrival


@dataclass(frozen=True, slots=True)
class Demo:
    """Where the demo broker answers, and who can log in."""

    url: str
    crm: str
    operator: dict[str, str]
    traders: list[dict[str, Any]]
    staff: list[dict[str, str]]


@pytest.fixture(scope="session")
def demo(migrated_home: Path) -> Iterator[Demo]:
    """Start and seed the whole system once for the session."""
    home = copy_installation(migrated_home, TEST_FOLDER / f"e2e-{os.getpid()}")
    env = {"DJANGO_SETTINGS_MODULE": "rtx.settings.dev", "RTX_FEED": "simulated"}
    env["RTX_RECENT_LOGIN_S"] = "7200"  # one sign-in serves all tests, however long a busy machine takes
    with_browser = Stack(home=home, fast=True, temporary=True, env=env)
    try:
        with_browser.open(migrate=False)
        with_browser.manage("seed_demo", "--logins-file", str(with_browser.home.logins_file))
        logins = json.loads(with_browser.home.logins_file.read_text(encoding="utf-8"))
        with_browser.start()
        yield Demo(
            url=with_browser.web_url,
            crm=with_browser.crm_url,
            operator=logins["operator"],
            traders=logins["traders"],
            staff=logins["staff"],
        )
    finally:
        with_browser.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Chromium; root needs it without its sandbox."""
    found = next((path for path in map(shutil.which, PROGRAMS) if path), None)
    if found is None:
        pytest.fail("Chromium is missing: apt-get install chromium", pytrace=False)
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=arguments)
        yield started
        started.close()


VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`CSP ${event.violatedDirective} ${event.blockedURI}`);
});
"""


class Watch:
    """
    Collects what a page complained about: script errors, console errors, failed answers, and violations of
    the content security policy, which the browser tells to the page and not always to the console.
    """

    def __init__(self, page: Page) -> None:
        self.complaints: list[str] = []
        self._page = page
        page.add_init_script(VIOLATIONS)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        page.on("response", self._response)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(f"{self._page.url}: {message.text}")

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status} {response.url}")


_used: dict[str, int] = {}


def next_code(secret: str) -> str:
    """
    Return a code that was not used yet: the server takes one step to both sides, and each code once.

    The last step's code saves waiting, but only while it stays good until a busy machine has sent it.
    """
    now = int(time.time() - SENDING_S) // PERIOD_S
    step = max(now, _used.get(secret, 0) + 1)
    while step > int(time.time()) // PERIOD_S + 1:
        time.sleep(0.2)  # an authenticator app has no further code yet
    _used[secret] = step
    return code_at(secret, at_s=step * PERIOD_S)


def log_in(page: Page, demo: Demo, person: dict[str, str] | None = None) -> None:
    """Sign the operator, or somebody else of the staff, in through the forms: password, then code."""
    who = person or demo.operator
    page.goto(f"{demo.url}/admin/")
    page.fill("#id_login", who["email"])
    page.fill("#id_password", who["password"])
    page.click("#login-form button[type=submit]")
    page.wait_for_selector("#id_code")  # only now: a code that waited for the page would be an old one
    page.fill("#id_code", next_code(who["totp_secret"]))
    page.click("#code-form button[type=submit]")
    try:
        page.wait_for_selector("#rtx-dash")
    except TimeoutError as error:
        told = page.locator("main, body").last.inner_text()[:500]
        raise AssertionError(f"no dashboard for {who['email']} at {page.url}: {told}") from error


NewPage = Callable[..., Page]


@pytest.fixture
def signed_in(browser: Browser, demo: Demo, operator_state: Any) -> Iterator[NewPage]:
    """Return a factory of pages with the operator's session: `signed_in(PHONE, theme="dark")`."""
    contexts: list[BrowserContext] = []

    def open_page(viewport: Any = None, *, theme: str = "light") -> Page:
        context = browser.new_context(
            viewport=viewport or DESKTOP, color_scheme=theme, storage_state=operator_state, base_url=demo.url
        )
        contexts.append(context)
        return context.new_page()

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def operator_state(browser: Browser, demo: Demo) -> Any:
    """Return the cookies of a signed-in operator."""
    context = browser.new_context(viewport=DESKTOP)
    page = context.new_page()
    log_in(page, demo)
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of this run's screenshots."""
    chosen = os.environ.get("RTX_SCREENSHOTS", "")
    folder = Path(chosen) if chosen else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def picture(screenshots: Path) -> Callable[[Page, str], None]:
    """Return a function that keeps a screenshot, and a picture for the documentation when asked for those."""

    def take(page: Page, name: str) -> None:
        page.screenshot(path=screenshots / f"{name}.png", full_page=True)
        documented = PICTURES / f"{name}.png"
        if os.environ.get("RTX_DOC_IMAGES") and documented in shown_pictures():
            with Image.open(BytesIO(page.screenshot())) as shot:
                shot.convert("RGB").quantize(128).save(documented, optimize=True)

    return take
