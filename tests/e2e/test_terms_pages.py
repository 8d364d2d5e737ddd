"""Terms as an operator works on them: effective ones beside live prices, whom a change pushes, versions."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect
from rtx_client import RtxClient

from tests.e2e.conftest import DESKTOP, PHONE, Demo, NewPage, Watch

pytestmark = pytest.mark.serial

Picture = Callable[[Page, str], None]
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def buy(demo: Demo) -> str:
    """Open a position; return the name of its account's group."""
    trader = demo.traders[0]
    account = trader["accounts"][0]
    with RtxClient(demo.url) as broker:
        broker.login(trader["email"], trader["password"])
        order = broker.place_market(account, "EURUSD", "buy", "0.50", client_order_id=uuid4().hex)
        assert order.status == "filled"
        return str(broker.account(account).group)


def fits(page: Page) -> None:
    assert page.evaluate(WIDER) <= 0


@pytest.mark.parametrize(("width", "viewport"), [("1440", DESKTOP), ("390", PHONE)])
def test_terms_are_seen_changed_and_restored(
    width: str, viewport: dict[str, int], demo: Demo, signed_in: NewPage, picture: Picture
) -> None:
    group = buy(demo)
    page = signed_in(viewport)
    watch = Watch(page)
    page.goto(f"/admin/groups/tradinggroup/?q={group}")
    page.goto(page.locator("#result_list a", has_text=group).first.get_attribute("href") or "")
    home = page.url.split("?")[0].removesuffix("change/")

    # what results, beside the price that clients see
    page.goto(f"{home}terms/")
    row = page.locator("tr", has_text="EURUSD").first
    expect(row.locator("[data-price=client]")).not_to_have_text("–")
    fits(page)
    picture(page, f"terms-effective-{width}")

    # several at once
    row.locator("input[type=checkbox]").check()
    page.get_by_role("button", name="Change chosen").click()
    page.select_option("#id_markup_bid_points_how", "add")
    page.fill("#id_markup_bid_points", "1")
    page.fill("#id_change_reason", "wider by night")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#preview")).to_contain_text("markup bid points")
    fits(page)
    picture(page, f"terms-bulk-{width}")
    page.get_by_role("button", name="Save these changes").click()
    expect(page.locator("body")).to_contain_text("Terms of 1 symbols were changed")

    # a change that pushes accounts is confirmed
    page.goto(f"{home}change/")
    page.fill("#id_leverage_max", "1")
    page.fill("#id_change_reason", "new regulation")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("body")).to_contain_text("nothing is saved yet")
    fits(page)
    picture(page, f"terms-confirm-{width}")
    page.get_by_role("button", name="I have seen this list").click()
    expect(page.locator("body")).to_contain_text("was changed successfully")

    # and undone
    page.goto(f"{home}change/")
    page.goto(page.locator("a", has_text="Versions").first.get_attribute("href") or "")
    expect(page.locator(".rtx-versions")).to_contain_text("new regulation")
    page.get_by_role("link", name="Restore").first.click()
    fits(page)
    picture(page, f"terms-versions-{width}")
    page.fill("[name=change_reason]", "regulation postponed")
    page.get_by_role("button", name="Restore").click()
    expect(page.locator("body")).to_contain_text("is as it was then")
    expect(page.locator("#id_leverage_max")).not_to_have_value("1")
    assert watch.complaints == []
