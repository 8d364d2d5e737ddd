"""A dealer's work on a client's orders and positions, seen on a desktop and on a phone."""

from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
from playwright.sync_api import Page, expect
from rtx_client import Order, RtxClient

from tests.e2e.conftest import DESKTOP, PHONE, Demo, NewPage, Watch

pytestmark = pytest.mark.serial

Picture = Callable[[Page, str], None]


@pytest.fixture
def broker(demo: Demo) -> Iterator[RtxClient]:
    """A trader's program, logged in."""
    trader = demo.traders[0]
    with RtxClient(demo.url) as opened:
        opened.login(trader["email"], trader["password"])
        yield opened


def waiting(broker: RtxClient, demo: Demo) -> Order:
    login = demo.traders[0]["accounts"][0]
    price = broker.quotes("EURUSD")[0].bid - Decimal("0.05")
    return broker.place_pending(login, "EURUSD", "buy", "0.01", type="limit", price=price)


def held(broker: RtxClient, demo: Demo, side: str = "buy") -> int:
    order = broker.place_market(demo.traders[0]["accounts"][0], "EURUSD", side, "0.02")
    assert order.position_id, order
    return order.position_id


def fits(page: Page) -> bool:
    """Tell whether nothing sticks out of the window at the side."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def test_the_operator_changes_and_cancels_an_order(
    demo: Demo, broker: RtxClient, signed_in: NewPage, picture: Picture
) -> None:
    order = waiting(broker, demo)
    page = signed_in()
    watch = Watch(page)
    page.goto("/admin/trading/order/?state=working")
    expect(page.locator("#result_list")).to_contain_text(f"#{order.id}")
    picture(page, "orders-working")
    page.goto(f"/admin/trading/order/{order.id}/change/")
    picture(page, "order")
    page.get_by_role("link", name="Modify").click()
    picture(page, "order-modify")
    page.fill("#id_volume", "0.03")
    page.fill("#id_take_profit", str(order.price and order.price + Decimal("0.01")))
    page.fill("#id_reason", "asked for by phone")
    page.get_by_role("button", name="Show the effect").click()
    page.get_by_role("button", name="Confirm: Modify").click()

    expect(page.locator("body")).to_contain_text("volume is now 0.03")
    assert broker.order(order.id).volume == Decimal("0.03")
    page.get_by_role("link", name="Cancel").click()
    page.fill("#id_reason", "asked for by phone")
    page.get_by_role("button", name="Show the effect").click()
    page.get_by_role("button", name="Confirm: Cancel").click()
    expect(page.locator("#content-main")).to_contain_text("Canceled")
    expect(page.get_by_role("link", name="Modify")).to_have_count(0)
    assert watch.complaints == []


def test_the_operator_changes_and_closes_positions(
    demo: Demo, broker: RtxClient, signed_in: NewPage, picture: Picture
) -> None:
    position, opposite = held(broker, demo), held(broker, demo, "sell")
    page = signed_in()
    watch = Watch(page)
    page.goto(f"/admin/trading/position/{position}/change/")
    picture(page, "position")
    page.get_by_role("link", name="Modify").click()
    page.fill("#id_trailing_points", "900")
    page.fill("#id_reason", "asked for by phone")
    page.get_by_role("button", name="Show the effect").click()
    page.get_by_role("button", name="Confirm: Modify").click()
    expect(page.locator("body")).to_contain_text("trailing points is now 900")

    page.get_by_text("Close in part").click()
    page.get_by_role("link", name="Close some lots").click()
    page.fill("#id_volume", "0.01")
    page.fill("#id_reason", "asked for by phone")
    page.get_by_role("button", name="Show the effect").click()
    page.get_by_role("button", name="Confirm: Close some lots").click()
    expect(page.locator("body")).to_contain_text("0.01 lots closed")

    page.get_by_text("Close in part").click()
    page.get_by_role("link", name="Close by opposite").click()
    page.select_option("#id_opposite_id", str(opposite))
    picture(page, "position-close-by")
    page.fill("#id_reason", "asked for by phone")
    page.get_by_role("button", name="Show the effect").click()
    page.get_by_role("button", name="Confirm: Close by opposite").click()
    expect(page.locator("body")).to_contain_text(f"0.01 lots closed by #{opposite}")
    assert watch.complaints == []


@pytest.mark.parametrize(("viewport", "size"), [(DESKTOP, "desktop"), (PHONE, "phone")])
def test_the_pages_fit_the_window(
    viewport: dict[str, int], size: str, demo: Demo, broker: RtxClient, signed_in: NewPage, picture: Picture
) -> None:
    order, position = waiting(broker, demo), held(broker, demo)
    page = signed_in(viewport)
    watch = Watch(page)
    page.goto(f"/admin/accounts/tradingaccount/?q={demo.traders[0]['accounts'][0]}")
    account = page.locator("#result_list tbody a").first.get_attribute("href") or ""
    for name, path in {
        "order": f"/admin/trading/order/{order.id}/change/",
        "order-modify": f"/admin/trading/order/{order.id}/modify/",
        "order-cancel": f"/admin/trading/order/{order.id}/cancel/",
        "position": f"/admin/trading/position/{position}/change/",
        "position-modify": f"/admin/trading/position/{position}/modify/",
        "position-part": f"/admin/trading/position/{position}/close_part/",
        "position-by": f"/admin/trading/position/{position}/close_by/",
        "account": account,
        "account-close-all": account.replace("/change/", "/close_all/"),
        "orders": "/admin/trading/order/?state=working",
        "positions": "/admin/trading/position/",
    }.items():
        page.goto(path)
        picture(page, f"{size}-{name}")
        assert fits(page), name
    assert watch.complaints == []


def test_everything_of_an_account_is_closed(demo: Demo, broker: RtxClient, signed_in: NewPage) -> None:
    held(broker, demo)
    page = signed_in()
    page.goto(f"/admin/accounts/tradingaccount/?q={demo.traders[0]['accounts'][0]}")
    page.locator("#result_list tbody a").first.click()
    page.get_by_role("link", name="Close all positions").click()
    page.fill("#id_reason", "asked for by phone")
    page.get_by_role("button", name="Show the effect").click()
    page.get_by_role("button", name="Confirm: Close all positions").click()

    expect(page.locator("body")).to_contain_text("positions closed")
    assert broker.positions(account=demo.traders[0]["accounts"][0]) == []
