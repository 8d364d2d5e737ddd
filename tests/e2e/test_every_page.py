"""
Every list, form and detail page of the admin, on a desktop and on a phone: it opens, nothing is cut off.
"""

from collections.abc import Callable
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Page

from tests.e2e.conftest import DESKTOP, PHONE, Demo, NewPage, Watch, next_code

pytestmark = pytest.mark.serial

Picture = Callable[[Page, str], None]

LISTS = (
    "accounts/accountevent",
    "accounts/accountstate",
    "accounts/client",
    "accounts/ledgerline",
    "accounts/refreshtoken",
    "accounts/tradingaccount",
    "accounts/user",
    "auditlog/logentry",
    "auth/group",
    "auth/permission",
    "axes/accessattempt",
    "axes/accessfailurelog",
    "axes/accesslog",
    "console/savedfilter",
    "django_celery_beat/clockedschedule",
    "django_celery_beat/crontabschedule",
    "django_celery_beat/intervalschedule",
    "django_celery_beat/periodictask",
    "django_celery_beat/solarschedule",
    "groups/commissiontier",
    "groups/groupsymbol",
    "groups/marginschedule",
    "groups/tradinggroup",
    "guardian/groupobjectpermission",
    "guardian/userobjectpermission",
    "market/candle",
    "market/configurationchange",
    "market/enginelease",
    "market/feedstatus",
    "market/holiday",
    "market/lastquote",
    "market/sessionhours",
    "market/symbol",
    "market/termsversion",
    "market/tickday",
    "market/tradingsession",
    "risk/accountrisk",
    "risk/accountriskday",
    "risk/breaker",
    "risk/breakerchange",
    "risk/breakerstate",
    "risk/controlsversion",
    "risk/correlation",
    "risk/exposure",
    "risk/heatmap",
    "risk/killswitch",
    "risk/liquidation",
    "risk/margincall",
    "risk/marketopen",
    "risk/monitorstatus",
    "risk/overview",
    "risk/queuedliquidation",
    "risk/riskalarm",
    "risk/risklimit",
    "audit/approval",
    "audit/checkpoint",
    "audit/integrity",
    "audit/integritycheck",
    "audit/staffaction",
    "audit/staffrequest",
    "risk/sweeprun",
    "risk/tradinghours",
    "risk/valueatrisk",
    "risk/var",
    "risk/whatif",
    "trading/deal",
    "trading/order",
    "trading/position",
    "trading/rolloverday",
    "trading/swapcharge",
)
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


def test_every_registered_table_is_visited(signed_in: NewPage) -> None:
    page = signed_in()
    page.goto("/admin/")
    found = page.evaluate(
        """() => Array.from(document.querySelectorAll('a[href^="/admin/"]'))
            .map((link) => link.getAttribute("href").match(/^\\/admin\\/([a-z_]+\\/[a-z]+)\\/$/))
            .filter(Boolean).map((match) => match[1])"""
    )

    assert sorted(set(found) - {"password_change"}) == sorted(LISTS)
