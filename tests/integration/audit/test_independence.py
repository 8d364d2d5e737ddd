"""Ways around the second person by a puppet, a maker without their right, an account that moved."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.urls import reverse

from apps.accounts.models import ReachGrant, TradingAccount, User
from apps.accounts.services import reach
from apps.audit.models import Approval
from apps.audit.selectors import independence
from apps.audit.services import actions, approvals
from rtx.kernel import clock
from tests.factories.house import House, make_house, staff
from tests.factories.problems import is_problem
from tests.factories.rows import Trader
from tests.factories.staff import signed_in, token_of
from tests.integration.audit.test_four_eyes import Noting, acting, ask, on_the_page, over_rest, untouched
from tests.integration.audit.test_four_eyes import _handler as _handler


@pytest.fixture
def house(db: None) -> House:
    return make_house()


@pytest.fixture
def maker(house: House) -> User:
    return staff("maker@example.com", role="admin", groups=(house.usd,))


@pytest.fixture
def checker(house: House) -> User:
    return staff("checker@example.com", role="admin", groups=(house.usd,))


@pytest.fixture
def asked(house: House, maker: User) -> Approval:
    return ask(maker, house)


@pytest.fixture
def boss(db: None) -> User:
    return User.objects.create_superuser("boss@example.com", "correct horse battery 17", role="superadmin")


def set_up(doer: User, other: User, operation: str = "accounts.set_password") -> None:
    """Note that one did something to the record of another."""
    with transaction.atomic():
        actions.record(actor=acting(doer), operation=operation, target=other)


def is_refused(user: User, asked: Approval) -> None:
    is_problem(over_rest(user, asked), 403, "second_person_not_independent")
    with pytest.raises(approvals.NotIndependent), transaction.atomic():  # nor past `approve`
        approvals.consume(asked, actor=acting(user), outcome={})
    assert untouched(asked)


PASSWORD = {
    "password1": "another horse battery 18",
    "password2": "another horse battery 18",
    "change_reason": "forgotten",
}
CONFIRMED = {"operator_confirmed": "1", "reason": "lost the telephone", "request_key": "0" * 32}


def test_23_a_maker_whose_password_the_checker_set(house: House, checker: User) -> None:
    puppet = staff("puppet@example.com", role="support", groups=(house.usd,))
    page = reverse("admin:auth_user_password_change", args=[puppet.pk])
    assert signed_in(checker).post(page, PASSWORD).status_code == 302
    Noting.needed = "funds.request_fundoperation"

    is_refused(checker, ask(puppet, house))


def test_24_a_maker_whom_the_checker_gave_reach(house: House, checker: User, boss: User) -> None:
    puppet = staff("puppet@example.com", role="admin")
    grant = ReachGrant(user=puppet, trading_group=house.usd, reason="holidays")
    reach.give(grant, actor=acting(checker))

    asked = ask(puppet, house)
    is_refused(checker, asked)
    assert over_rest(boss, asked).status_code == 200


def test_25_a_checker_whom_the_maker_set_up(asked: Approval, maker: User, checker: User) -> None:
    set_up(maker, checker, "accounts.add_user")

    is_refused(checker, asked)


@pytest.mark.parametrize(("days", "independent"), [(29, False), (31, True)])
def test_26_after_thirty_days_they_are_two_people(
    asked: Approval, maker: User, checker: User, days: int, independent: bool, time_machine: Any
) -> None:
    now = clock.now()
    time_machine.move_to(now - timedelta(days=days))
    set_up(checker, maker)
    time_machine.move_to(now)

    assert independence.are_independent(maker.pk, checker.pk) is independent


@pytest.mark.parametrize("change", [{"is_active": False}, {"role": "auditor"}, {"is_staff": False}])
def test_27_a_maker_who_was_disabled_or_demoted_meanwhile(
    asked: Approval, maker: User, checker: User, change: dict[str, Any]
) -> None:
    User.objects.filter(pk=maker.pk).update(**change)

    is_problem(over_rest(checker, asked), 409, "maker_not_entitled")
    assert untouched(asked)


def test_28_a_group_that_the_account_has_left(house: House, maker: User) -> None:
    old, new = (
        staff(f"{group.name}@example.com", role="admin", groups=(group,)) for group in (house.usd, house.eur)
    )
    with transaction.atomic():
        asked = approvals.request(
            kind="test.note",
            content={"amount": "1"},
            summary="Note",
            actor=acting(maker),
            group_id=house.usd.pk,
            account_id=house.anna.pk,
        )
    TradingAccount.objects.filter(pk=house.anna.pk).update(group=house.eur)

    is_problem(over_rest(old, asked), 404, "approval_not_found")
    on_the_page(signed_in(old), [asked])
    assert untouched(asked)
    assert over_rest(new, asked).status_code == 200


def takes_over(boss: User, one: User, way: str) -> None:
    """Make a third person able to sign in as another one, by page or REST."""
    if way == "rest":
        body = json.dumps({"new": "another horse battery 18", "reason": "forgot it"})
        Trader(token_of(boss)).call("POST", f"/api/admin/user/{one.pk}/password", body)
        return
    page = "auth_user_password_change" if way == "page" else "accounts_user_reset_second_factors"
    signed_in(boss).post(reverse(f"admin:{page}", args=[one.pk]), PASSWORD | CONFIRMED)


@pytest.mark.parametrize(("first", "second"), [("page", "rest"), ("rest", "factors"), ("factors", "page")])
def test_29_both_are_one_third_person(
    asked: Approval, maker: User, checker: User, boss: User, first: str, second: str
) -> None:
    takes_over(boss, maker, first)
    before = independence.are_independent(maker.pk, checker.pk)
    takes_over(boss, checker, second)

    assert before
    is_refused(checker, asked)


def test_30_a_third_person_who_opened_both_logins_is_none(
    asked: Approval, maker: User, checker: User, boss: User
) -> None:
    for one in (maker, checker):
        set_up(boss, one, "accounts.add_user")

    assert over_rest(checker, asked).status_code == 200


def test_31_a_checker_who_asked_for_the_makers_role(asked: Approval, maker: User, checker: User) -> None:
    with transaction.atomic():
        doing = {"operation": "accounts.change_role", "outcome": "requested"}
        actions.record(actor=acting(checker), target=maker, **doing)

    is_refused(checker, asked)
