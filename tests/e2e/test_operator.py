"""The operator's first minutes: sign in, watch a price move, find a trader's order, close its position."""

import json
import re
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import DESKTOP, PHONE, Demo, NewPage, Watch, log_in

pytestmark = pytest.mark.serial

Picture = Callable[[Page, str], None]
PRICE_TIMEOUT_S = 30


def call(demo: Demo, path: str, body: dict[str, Any], *, access: str = "") -> dict[str, Any]:
    """POST to the REST interface as a trader's program does."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {access}"} if access else {})
    request = Request(f"{demo.url}{path}", data=json.dumps(body).encode(), headers=headers)
    with urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found


def buy_as_trader(demo: Demo, symbol: str) -> dict[str, Any]:
    trader = demo.traders[0]
    pair = call(demo, "/api/auth/login", {"email": trader["email"], "password": trader["password"]})
    order = {
        "account": trader["accounts"][0],
        "symbol": symbol,
        "side": "buy",
        "volume": "0.01",
        "client_order_id": f"e2e-{uuid.uuid4().hex[:12]}",
    }
    return call(demo, "/api/orders/market", order, access=pair["access"])


def test_the_sign_in_page_opens_the_dashboard(browser: Browser, demo: Demo, picture: Picture) -> None:
    page = browser.new_context(viewport=DESKTOP, base_url=demo.url).new_page()
    watch = Watch(page)
    page.goto("/")
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    expect(page.get_by_role("link", name="API documentation")).to_be_visible()
    picture(page, "sign-in")

    log_in(page, demo)

    expect(page.locator('[data-live="state"]')).to_contain_text("live")
    assert watch.complaints == []
    page.context.close()


def test_a_wrong_password_is_told(browser: Browser, demo: Demo) -> None:
    page = browser.new_context(viewport=PHONE, base_url=demo.url).new_page()
    page.goto("/admin/login/")
    page.fill("#id_login", "nobody@example.com")
    page.fill("#id_password", "wrong")
    page.click("#login-form button[type=submit]")

    expect(page.get_by_role("alert")).to_contain_text("not correct")
    page.context.close()


def test_prices_move_without_reload_and_are_marked_simulated(signed_in: NewPage, picture: Picture) -> None:
    page = signed_in()
    watch = Watch(page)
    page.goto("/admin/")
    row = page.locator('[data-live="quotes"] tr', has_text="EURUSD")
    expect(row).to_contain_text("simulated prices")
    first = row.inner_text()
    deadline = time.monotonic() + PRICE_TIMEOUT_S
    while prices(row.inner_text()) == prices(first):
        assert time.monotonic() < deadline, "the price of EURUSD does not move"
        page.wait_for_timeout(200)

    expect(page.locator('[data-live="simulated"]').first).to_be_visible()
    expect(page.locator('[data-live="positions"]')).not_to_have_text("–")
    expect(page.locator('[data-live="processes"]')).to_contain_text("leading")
    picture(page, "admin")
    assert watch.complaints == []


def prices(row: str) -> list[str]:
    return re.findall(r"\d+\.\d{5}", row)


def test_an_order_over_rest_is_found_in_the_admin(demo: Demo, signed_in: NewPage, picture: Picture) -> None:
    placed = buy_as_trader(demo, "EURUSD")
    assert placed["status"] == "filled", placed
    page = signed_in()
    watch = Watch(page)

    page.goto("/admin/")
    link = page.locator('[data-live="orders"]').get_by_role("link", name=f"#{placed['id']}")
    expect(link).to_be_visible(timeout=10_000)
    link.click()
    expect(page.locator("#content-main")).to_contain_text(str(placed["client_order_id"]))
    expect(page.locator("#content-main")).to_contain_text("Filled")

    page.goto("/admin/trading/order/")
    page.fill("#searchbar", str(placed["id"]))
    page.press("#searchbar", "Enter")
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    picture(page, "orders")
    page.locator("#result_list").get_by_role("link", name=str(placed["account"])).click()
    expect(page.locator(".rtx-kpis")).to_contain_text("Equity")
    for tab in ("Orders", "Deals", "Journal", "Ledger"):
        page.get_by_role("tab", name=tab).click()
        expect(page.get_by_role("tabpanel", name=tab)).to_be_visible()
    page.get_by_role("tab", name="Open positions").click()
    picture(page, "account")
    assert watch.complaints == []


def test_the_operator_closes_a_position_with_a_reason(
    demo: Demo, signed_in: NewPage, picture: Picture
) -> None:
    placed = buy_as_trader(demo, "USDJPY")
    page = signed_in()
    watch = Watch(page)
    page.goto(f"/admin/trading/position/?q={placed['position_id']}")
    page.locator("#result_list").get_by_role("link", name=f"#{placed['position_id']}").click()
    page.get_by_role("link", name="Close at market").click()
    expect(page.locator("#content")).to_contain_text("cannot be undone")
    picture(page, "close-position")

    page.fill("#id_reason", "asked for by phone")
    page.get_by_role("button", name="Show the effect").click()
    page.get_by_role("button", name="Confirm: Close at market").click()

    expect(page.locator("body")).to_contain_text("closed by order")
    page.goto(f"/admin/trading/position/?q={placed['position_id']}")
    expect(page.locator("#result_list tbody tr")).to_have_count(0)
    page.goto("/admin/audit/staffaction/")
    expect(page.locator("#result_list tbody tr").first).to_contain_text("asked for by phone")
    assert watch.complaints == []


def test_a_changed_group_is_saved(signed_in: NewPage) -> None:
    page = signed_in()
    watch = Watch(page)
    page.goto("/admin/groups/tradinggroup/?q=vip")
    page.locator("#result_list").get_by_role("link", name="vip").first.click()
    field = page.locator("#id_positions_max")
    field.fill("0")
    field.fill("321")
    page.fill("#id_change_reason", "more room for large accounts")
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.locator("body")).to_contain_text("was changed successfully")
    page.goto("/admin/groups/tradinggroup/?q=vip")
    page.locator("#result_list").get_by_role("link", name="vip").first.click()
    expect(page.locator("#id_positions_max")).to_have_value("321")
    assert watch.complaints == []


def test_the_dashboard_says_when_the_server_is_away(signed_in: NewPage) -> None:
    page = signed_in()
    page.route("**/admin/live/ticket/", lambda route: route.abort())  # no socket: the page asks every second
    page.goto("/admin/")
    expect(page.locator('[data-live="state"]')).to_contain_text("live")

    page.route("**/admin/live/", lambda route: route.abort())
    expect(page.locator('[data-live="state"]')).to_contain_text("reconnecting", timeout=10_000)
    page.unroute("**/admin/live/")
    expect(page.locator('[data-live="state"]')).to_have_text(re.compile("live"), timeout=20_000)
