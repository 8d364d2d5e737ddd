"""What is dealt is what was shown: whatever the client does meanwhile is shown first, in words."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from apps.accounts.models import TradingAccount
from apps.audit.models import Approval, StaffAction
from apps.groups.models import TradingGroup
from apps.trading.domain.orders import Side
from apps.trading.models import Position
from tests.factories.house import House, buy, open_account, quote
from tests.factories.operating import confirm, seal_of

pytestmark = pytest.mark.django_db
D = Decimal

ACCOUNTS = "/admin/accounts/tradingaccount/"
POSITIONS = "/admin/trading/position/"
CONFIRMED = {"operator_confirmed": "1", "reason": "client called", "request_key": "1" * 32}
EVERYTHING = {**CONFIRMED, "symbol": ""}
ORDER = {**CONFIRMED, "symbol": "EURUSD", "side": "buy", "type": "market"}


@pytest.fixture
def netting(house: House) -> TradingAccount:
    group = TradingGroup.objects.create(name="netting", currency="USD", position_mode="netting")
    return open_account(email="nadia@example.com", last_name="Nilsson", group=group, deposit="100000")


def sell(account: TradingAccount, lots: str) -> None:
    buy(account, "EURUSD", lots, side=Side.SELL)


def doubts_after(
    change: Callable[[], None], client: Any, url: str, form: dict[str, Any] = CONFIRMED
) -> list[str]:
    """Look, let `change` happen, confirm: return why that was not carried out."""
    seal = seal_of(client.post(url, form))
    change()
    answer = client.post(url, {**form, "operator_previewed": seal})
    return [] if answer.status_code == 302 else sorted(answer.context["doubts"])


def held() -> list[tuple[str, Decimal]]:
    return list(Position.objects.order_by("id").values_list("side", "volume"))


def test_everything_closes_no_more_than_was_shown(house: House, admin_client: Any) -> None:
    buy(house.anna, "EURUSD", "0.10")
    url = f"{ACCOUNTS}{house.anna.pk}/close_all/"

    def buy_twice_more() -> None:
        quote("EURUSD", "1.10000", "1.10013")
        buy(house.anna, "EURUSD", "0.10")
        buy(house.anna, "EURUSD", "0.10")

    doubts = doubts_after(buy_twice_more, admin_client, url, EVERYTHING)

    assert doubts == [
        "The average open price of EURUSD sold to close was 1.1001 and is now 1.10012.",
        "The number of deals was 1 and is now 3.",
        "The volume of EURUSD sold to close was 0.1 and is now 0.3.",
    ]
    assert held() == [("buy", D("0.10"))] * 3
    confirm(admin_client, url, EVERYTHING)
    assert held() == []


def test_a_position_that_grew_is_shown_before_it_closes(netting: TradingAccount, admin_client: Any) -> None:
    buy(netting, "EURUSD", "1.00")
    url = f"{POSITIONS}{Position.objects.get().pk}/close_at_market/"

    doubts = doubts_after(lambda: buy(netting, "EURUSD", "9.00"), admin_client, url)

    assert doubts == ["The volume of EURUSD sold to close was 1 and is now 10."]
    assert held() == [("buy", D("10.00"))]


def test_an_order_shown_as_closing_does_not_open(netting: TradingAccount, admin_client: Any) -> None:
    sell(netting, "1.00")
    url = f"{ACCOUNTS}{netting.pk}/place_order/"

    doubts = doubts_after(
        lambda: buy(netting, "EURUSD", "1.00"), admin_client, url, {**ORDER, "volume": "1.00"}
    )

    assert doubts == [
        "The average open price of EURUSD bought to close is no longer part of it.",
        "The volume of EURUSD bought to close is no longer part of it.",
        "The volume of EURUSD bought to open has come in.",
    ]
    assert held() == []


def test_one_deal_that_turns_a_position_round_closes_and_opens_as_shown(
    netting: TradingAccount, admin_client: Any
) -> None:
    sell(netting, "1.00")
    url = f"{ACCOUNTS}{netting.pk}/place_order/"

    doubts = doubts_after(lambda: sell(netting, "1.00"), admin_client, url, {**ORDER, "volume": "3.00"})

    assert doubts == [
        "The volume of EURUSD bought to close was 1 and is now 2.",
        "The volume of EURUSD bought to open was 2 and is now 1.",
    ]
    assert held() == [("sell", D("2.00"))]


def test_a_part_is_not_closed_at_another_open_price(netting: TradingAccount, admin_client: Any) -> None:
    buy(netting, "EURUSD", "1.00")
    url = f"{POSITIONS}{Position.objects.get().pk}/close_part/"

    def average_up() -> None:
        quote("EURUSD", "1.10000", "1.10020")
        buy(netting, "EURUSD", "1.00")

    doubts = doubts_after(average_up, admin_client, url, {**CONFIRMED, "volume": "0.50"})

    assert doubts == ["The average open price of EURUSD sold to close was 1.1001 and is now 1.10015."]
    assert held() == [("buy", D("2.00"))]


def test_a_swap_of_meanwhile_is_shown_before_it_is_booked(house: House, admin_client: Any) -> None:
    buy(house.anna, "EURUSD", "0.10")
    url = f"{POSITIONS}{Position.objects.get().pk}/close_at_market/"

    doubts = doubts_after(lambda: Position.objects.update(swap=D("-2.35")), admin_client, url)

    assert doubts == ["The swap was 0 and is now -2.35."]
    assert held() == [("buy", D("0.10"))]


def test_a_reversal_is_asked_for_of_what_was_shown(netting: TradingAccount, admin_client: Any) -> None:
    buy(netting, "EURUSD", "1.00")
    url = f"{POSITIONS}{Position.objects.get().pk}/reverse/"

    doubts = doubts_after(
        lambda: buy(netting, "EURUSD", "9.00"), admin_client, url, {**CONFIRMED, "deviation": "7"}
    )

    assert doubts == [
        "The volume of EURUSD sold to close was 1 and is now 10.",
        "The volume of EURUSD sold to open was 1 and is now 10.",
    ]
    assert not Approval.objects.exists()


def test_what_the_client_does_elsewhere_stops_nothing(house: House, admin_client: Any) -> None:
    buy(house.anna, "EURUSD", "0.10")
    url = f"{POSITIONS}{Position.objects.get().pk}/close_at_market/"

    doubts = doubts_after(lambda: buy(house.anna, "USDJPY", "0.10"), admin_client, url)

    assert doubts == []
    assert list(Position.objects.values_list("symbol__name", flat=True)) == ["USDJPY"]


def test_what_was_shown_as_refused_stays_even_where_what_went_before_lets_it(
    house: House, admin_client: Any
) -> None:
    group = TradingGroup.objects.create(name="fifo", currency="USD", closes_fifo=True)
    account = open_account(email="fi@example.com", last_name="Fo", group=group, deposit="100000")
    buy(account, "EURUSD", "0.10")
    buy(account, "EURUSD", "0.20")
    older, younger = Position.objects.order_by("opened_at", "id")
    chosen = {**CONFIRMED, "action": "close_at_market", "_selected_action": [older.pk, younger.pk]}
    list_ = f"{POSITIONS}?o=1"

    shown = admin_client.post(list_, chosen)
    done = admin_client.post(list_, {**chosen, "operator_previewed": seal_of(shown)}, follow=True)

    told = [str(message) for message in done.context["messages"]]
    assert held() == [("buy", D("0.20"))]
    assert any("Left as it is." in text and str(younger) in text for text in told), told
    assert StaffAction.objects.filter(outcome="refused", detail__startswith="Left as it is.").count() == 1


def test_of_several_what_moved_is_named(house: House, admin_client: Any) -> None:
    buy(house.anna, "EURUSD", "0.10")
    buy(house.anna, "USDJPY", "0.10")
    moved = Position.objects.get(symbol__name="EURUSD")
    chosen = {
        **CONFIRMED,
        "action": "close_at_market",
        "_selected_action": list(Position.objects.values_list("pk", flat=True)),
    }

    doubts = doubts_after(
        lambda: Position.objects.filter(pk=moved.pk).update(swap=D("-2.35")), admin_client, POSITIONS, chosen
    )

    assert doubts == [f"{moved}: The swap was 0 and is now -2.35."]
    assert len(held()) == 2
