"""Admin pages of controls: stopping and releasing, limits, hours, breakers; rights, reach, refusals."""

from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse

from apps.accounts.models import User
from apps.audit.models import StaffAction
from apps.risk.domain.breakers import State
from apps.risk.models import Breaker, BreakerChange, BreakerState, KillSwitch, RiskLimit, TradingHours
from apps.risk.selectors.breakers import rules
from apps.risk.services import breakers, kill_switch
from apps.risk.services.breakers import Signal, Subject
from apps.risk.services.kill_switch import Target
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from tests.factories.house import PASSWORD, House, make_house, staff
from tests.integration.admin.conftest import signed_in

pytestmark = pytest.mark.django_db
D = Decimal
ACTOR = Actor.system("test")


@pytest.fixture
def house(db: None) -> House:
    return make_house()


@pytest.fixture
def boss(house: House) -> Any:
    return signed_in(User.objects.create_superuser("boss@example.com", PASSWORD))


@pytest.fixture
def dealer(house: House) -> Any:
    """A dealer who reaches the group in USD."""
    return signed_in(staff("dealer@example.com", groups=(house.usd,)))


def add(http: Any, page: str, **values: Any) -> Any:
    return http.post(reverse(f"admin:risk_{page}_add"), values)


def errors(answer: Any) -> dict[str, Any]:
    """Return what a form said, empty when it was saved."""
    if answer.status_code == 302:
        return {}
    form = answer.context["adminform"].form
    assert form.errors
    return dict(form.errors)


def act(http: Any, name: str, pk: int, action: str, reason: str = "a good reason") -> Any:
    url = reverse(f"admin:risk_{name}_changelist")
    data = {
        "action": action,
        "index": "0",
        "_selected_action": str(pk),
        "operator_confirmed": "1",
        "reason": reason,
        "request_key": "0f8fad5b-d9cb-469f-a165-70867728950e",
    }
    return http.post(url, data, follow=True)


# --- kill switches ---------------------------------------------------------------------------------------


def test_staff_stop_trading_by_adding_a_row_and_release_it_by_an_action(house, boss):
    asked = {"scope": "symbol", "symbol": house.eurusd.pk, "reason": "wild"}
    answer = add(boss, "killswitch", **asked, cancels_orders="on")

    assert errors(answer) == {}
    switch = KillSwitch.objects.get()
    assert (switch.scope, switch.symbol_id, switch.cancels_orders) == ("symbol", house.eurusd.pk, True)
    assert switch.engaged_by.startswith("staff:user:")
    again = add(boss, "killswitch", **asked)
    assert "__all__" in errors(again)

    assert "a good reason" not in act(boss, "killswitch", switch.pk, "release", reason="").content.decode()
    assert KillSwitch.objects.get().is_on
    act(boss, "killswitch", switch.pk, "release")
    switch.refresh_from_db()
    assert (switch.is_on, switch.release_reason) == (False, "a good reason")
    assert StaffAction.objects.filter(operation="risk.release", target_id=str(switch.pk)).count() == 1


def test_a_dealer_stops_within_reach_and_nothing_else(house, dealer):
    own, foreign = house.anna.login, house.bruno.login

    assert errors(add(dealer, "killswitch", scope="account", account_number=own, reason="odd")) == {}
    assert "account_number" in errors(
        add(dealer, "killswitch", scope="account", account_number=foreign, reason="odd")
    )
    assert errors(add(dealer, "killswitch", scope="group", group=house.usd.pk, reason="odd")) == {}
    assert "group" in errors(add(dealer, "killswitch", scope="group", group=house.eur.pk, reason="odd"))
    assert "scope" in errors(add(dealer, "killswitch", scope="platform", reason="odd"))
    assert "scope" in errors(add(dealer, "killswitch", scope="symbol", symbol=house.eurusd.pk, reason="odd"))
    assert KillSwitch.objects.count() == 2


def test_a_dealer_sees_what_concerns_everyone_and_404_elsewhere(house, dealer):
    mine = kill_switch.engage(target=Target(scope="platform"), reason="all", actor=ACTOR)
    foreign = kill_switch.engage(
        target=Target(scope="account", account_id=house.bruno.pk), reason="other", actor=ACTOR
    )

    assert dealer.get(reverse("admin:risk_killswitch_change", args=[mine.pk])).status_code == 200
    assert dealer.get(reverse("admin:risk_killswitch_change", args=[foreign.pk])).status_code == 404
    act(dealer, "killswitch", mine.pk, "release")
    assert KillSwitch.objects.filter(released_at__isnull=True).count() == 2  # a dealer does not release


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"scope": "platform", "symbol": "EURUSD"}, "symbol"),
        ({"scope": "group"}, "group"),
        ({"scope": "account"}, "account_number"),
        ({"scope": "account", "account_number": 999}, "account_number"),
        ({"scope": "platform", "reason": ""}, "reason"),
    ],
)
def test_what_does_not_fit_is_told_at_its_field(house, boss, values, field):
    given = {"reason": "x y z", **values}
    if given.get("symbol"):
        given["symbol"] = house.eurusd.pk

    assert field in errors(add(boss, "killswitch", **given))
    assert not KillSwitch.objects.exists()


# --- limits and hours ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({}, None),
        ({"kind": "positions", "value": "2.5"}, "value"),
        ({"kind": "positions", "value": "-1"}, "value"),
        ({"kind": "drawdown", "value": "101"}, "value"),
        ({"kind": "daily_loss", "currency": "XXX"}, "currency"),
        ({"kind": "daily_loss", "symbol": "EURUSD"}, "symbol"),
        ({"kind": "currency_exposure", "exposed_currency": "eur"}, None),
        ({"exposed_currency": "EUR"}, "exposed_currency"),
        ({"scope": "group"}, "group"),
        ({"symbol": "EURUSD"}, None),
    ],
)
def test_a_limit_is_checked_as_a_whole(house, boss, values, field):
    given = {"scope": "platform", "kind": "open_volume", "value": "10", "currency": "USD", "is_active": "on"}
    given |= values
    if given.get("symbol"):
        given["symbol"] = str(house.eurusd.pk)

    found = errors(add(boss, "risklimit", **given))

    assert (list(found) == [field]) if field else found == {}
    assert RiskLimit.objects.count() == (field is None)


def test_the_same_limit_twice_is_a_message_and_no_crash(house, boss):
    given = {"scope": "platform", "kind": "open_volume", "value": "10", "currency": "USD", "is_active": "on"}
    add(boss, "risklimit", **given)

    answer = add(boss, "risklimit", **given)

    assert answer.status_code in (200, 302)
    assert RiskLimit.objects.count() == 1


def test_hours_close_after_they_open(house, boss):
    given = {"scope": "platform", "weekday": "0", "opens_at": "09:00", "timezone": "UTC"}

    assert "closes_at" in errors(add(boss, "tradinghours", **given, closes_at="08:00"))
    assert errors(add(boss, "tradinghours", **given, closes_at="00:00")) == {}
    assert str(TradingHours.objects.get()) == "Monday 09:00 to 00:00"


# --- breakers --------------------------------------------------------------------------------------------

BREAKER = {
    "name": "spread",
    "scope": "symbol",
    "kind": "spread",
    "threshold": "50",
    "currency": "USD",
    "window_s": "60",
    "observations_min": "10",
    "cooldown_s": "60",
    "probe_orders": "5",
    "reset": "auto",
    "is_active": "on",
    "states-TOTAL_FORMS": "0",
    "states-INITIAL_FORMS": "0",
}


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({}, None),
        ({"scope": "account"}, "kind"),
        ({"threshold": "0"}, "threshold"),
        ({"kind": "reject_rate", "threshold": "101"}, "threshold"),
        ({"scope": "lp", "lp": "nobody"}, "lp"),
        ({"lp": "nobody"}, "lp"),
        ({"probe_orders": "0"}, "probe_orders"),
        ({"kind": "house_loss", "currency": "XXX"}, "currency"),
    ],
)
def test_a_breaker_is_checked_as_a_whole(house, boss, values, field):
    found = errors(add(boss, "breaker", **{**BREAKER, **values}))

    assert (list(found) == [field]) if field else found == {}


def test_a_breaker_is_switched_off_and_never_deleted(house, boss):
    kept = Breaker.objects.create(name="spread", scope="symbol", kind="spread", threshold=D(50))

    answered = boss.post(
        reverse("admin:risk_breaker_delete", args=[kept.pk]),
        {"post": "yes", "change_reason": "not needed any more"},
    )

    assert answered.status_code == 403
    assert Breaker.objects.filter(pk=kept.pk).exists()


def test_a_tripped_breaker_shows_its_history_and_is_reset_by_an_admin(house, dealer):
    Breaker.objects.create(name="spread", scope="symbol", kind="spread", threshold=D(50))
    breakers.apply(
        rule=rules()[0],
        subject=Subject("EURUSD", "EURUSD"),
        signal=Signal.TRIPPED,
        known=State.CLOSED,
        value=D("51.5"),
        now=clock.now(),
        verify=lambda: None,
    )
    state = BreakerState.objects.get()

    page = dealer.get(reverse("admin:risk_breakerstate_change", args=[state.pk])).content.decode()
    assert "spread 51.5 reached 50" in page
    act(dealer, "breakerstate", state.pk, "reset")
    state.refresh_from_db()
    assert state.state == "open"  # it concerns every group
    act(
        signed_in(staff("admin@example.com", role="admin", groups=(house.usd,))),
        "breakerstate",
        state.pk,
        "reset",
    )

    state.refresh_from_db()
    assert state.state == "closed"
    assert BreakerChange.objects.count() == 2
    for name in ("breaker", "breakerstate", "breakerchange", "killswitch", "risklimit", "tradinghours"):
        assert dealer.get(reverse(f"admin:risk_{name}_changelist")).status_code == 200
    assert dealer.get(reverse("admin:risk_breaker_change", args=[state.breaker_id])).status_code == 200


def test_breakers_of_accounts_out_of_reach_are_not_there(house, dealer):
    breaker = Breaker.objects.create(name="rate", scope="account", kind="reject_rate", threshold=D(50))
    foreign = BreakerState.objects.create(
        breaker=breaker, subject="2", account=house.bruno, state="open", since=clock.now()
    )

    assert dealer.get(reverse("admin:risk_breakerstate_change", args=[foreign.pk])).status_code == 404
    act(dealer, "breakerstate", foreign.pk, "reset")
    foreign.refresh_from_db()
    assert foreign.state == "open"
