"""A change of terms lists whom it would call or close, is confirmed, and keeps levels for a second person."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.audit.models import Approval, StaffAction
from apps.audit.services import approvals
from apps.audit.services.approvals import ApprovalClosed, SamePerson
from apps.groups.models import GroupSymbol, MarginBand, MarginSchedule, TradingGroup
from apps.groups.selectors import terms_book, terms_version
from apps.market.domain.impacts import Impact
from apps.market.models import Symbol
from apps.market.services.terms_changes import (
    Confirmed,
    TermsNeedConfirmation,
    changing,
)
from apps.risk.selectors.terms_impact import MARGIN_NOTE
from rtx.kernel.actor import Actor, ActorKind
from rtx.kernel.errors import Forbidden
from tests.factories.levels import set_levels
from tests.factories.rows import Holder, make_group
from tests.integration.admin.conftest import signed_in
from tests.integration.admin.test_operations import group_fields, symbol_fields

pytestmark = pytest.mark.django_db
D = Decimal


def actor(user: User, reason: str = "agreed with risk") -> Actor:
    return Actor(kind=ActorKind.STAFF, name=f"user:{user.pk}", reason=reason)


def post_group(http: Client, group: TradingGroup, **changes: Any) -> Any:
    url = reverse("admin:groups_tradinggroup_change", args=[group.pk])
    return http.post(url, group_fields(group, protects_balance="on", **changes))


def confirm(http: Client, page: Any) -> Any:
    """Send the confirmation page's own form."""
    sent: dict[str, Any] = {}
    for name, value in page.context["sent"]:
        sent.setdefault(name, []).append(value)
    sent[page.context["token_name"]] = page.context["token"]
    return http.post(page.request["PATH_INFO"], sent)


def impact(boss: User, *, write: Callable[[], Any]) -> Impact:
    """Return what a change that needs a confirmation does; it is undone."""

    def change() -> None:
        with changing(actor=actor(boss)):
            write()

    with pytest.raises(TermsNeedConfirmation) as caught:
        change()
    return caught.value.impact


# -- who is listed


def test_a_markup_that_eats_the_equity_lists_the_account(
    group: TradingGroup, holder: Holder, boss: User
) -> None:
    # A buy closes at bid 1.10000 - 0.00900: 1,983.00 - 900.00 = 1,083.00 of 1,100.17 = 98.44 %
    found = impact(boss, write=lambda: TradingGroup.objects.update(markup_bid_points=900))

    assert (found.called, found.closed) == (1, 0)
    (hit,) = found.as_json()["accounts"]
    assert (hit["account"], hit["before"], hit["after"]) == (holder.login, "free", "called")
    assert (hit["level_before_pct"], hit["level_after_pct"]) == ("180.24", "98.44")
    assert (hit["equity_after"], hit["margin_after"]) == ("1083.00", "1100.17")
    assert TradingGroup.objects.get().markup_bid_points == 0


def test_a_lower_leverage_lists_the_account_as_it_will_be_margined(
    group: TradingGroup, holder: Holder, boss: User
) -> None:
    # 110,017 / 50 = 2,200.34: 90.12 %; / 25 = 4,400.68: 45.06 %
    called = impact(boss, write=lambda: TradingGroup.objects.update(leverage_max=50))
    closed = impact(boss, write=lambda: TradingGroup.objects.update(leverage_max=25))

    assert [hit["level_after_pct"] for hit in called.as_json()["accounts"]] == ["90.12"]
    assert [(hit["margin_after"], hit["after"]) for hit in closed.as_json()["accounts"]] == [
        ("4400.68", "closed")
    ]
    assert called.notes == (MARGIN_NOTE,)


def test_an_override_a_margin_rate_and_a_schedule_are_seen_through(
    symbols: dict[str, Symbol], group: TradingGroup, holder: Holder, boss: User
) -> None:
    eurusd = symbols["EURUSD"]

    def schedule() -> None:
        made = MarginSchedule.objects.create(name="steep", kind="volume")
        MarginBand.objects.create(schedule=made, up_to=D("0.5"), value=1)
        MarginBand.objects.create(schedule=made, value=3)  # 0.5 + 1.5 = twice the margin
        TradingGroup.objects.update(margin_schedule=made)

    levels = [
        impact(boss, write=write).as_json()["accounts"][0]["level_after_pct"]
        for write in (
            lambda: GroupSymbol.objects.create(group=group, symbol=eurusd, leverage_max=50),
            lambda: Symbol.objects.filter(pk=eurusd.pk).update(margin_rate_buy=2),
            schedule,
        )
    ]

    assert levels == ["90.12"] * 3


def test_what_touches_no_account_needs_no_confirmation(
    symbols: dict[str, Symbol], group: TradingGroup, holder: Holder, boss: User
) -> None:
    version = terms_version()

    with changing(actor=actor(boss)):
        Symbol.objects.filter(name="USDJPY").update(margin_rate_buy=50)
        TradingGroup.objects.update(commission_mode="per_lot", commission_value=3, leverage_max=500)

    assert terms_version() > version
    assert terms_book().groups[group.pk].leverage_max == 500


def test_what_was_not_committed_never_becomes_the_terms_of_a_process(
    group: TradingGroup, holder: Holder, boss: User
) -> None:
    before = terms_book()

    impact(boss, write=lambda: TradingGroup.objects.update(markup_bid_points=900))
    TradingGroup.objects.update(description="moves the version to the same number")

    assert terms_book().version == before.version + 1
    assert terms_book().groups[group.pk].markup_bid_points == 0


def test_more_than_was_confirmed_is_asked_again(group: TradingGroup, holder: Holder, boss: User) -> None:
    with pytest.raises(TermsNeedConfirmation), changing(actor=actor(boss), confirmed=Confirmed(1, 0)):
        TradingGroup.objects.update(leverage_max=25)  # closes it
    with changing(actor=actor(boss), confirmed=Confirmed(0, 1)):
        TradingGroup.objects.update(leverage_max=25)

    assert TradingGroup.objects.get().leverage_max == 25


def test_accounts_out_of_reach_count_and_are_not_named(
    symbols: dict[str, Symbol], group: TradingGroup, holder: Holder, boss: User
) -> None:
    mine = make_group("mine")

    with (
        pytest.raises(TermsNeedConfirmation) as caught,
        changing(actor=actor(boss), reach=frozenset({mine.pk})),
    ):
        Symbol.objects.filter(name="EURUSD").update(margin_rate_buy=2)

    assert (caught.value.impact.called, caught.value.impact.hits) == (1, ())
    assert "1 of them are outside your reach" in " ".join(caught.value.impact.notes)


# -- the form


def test_the_form_saves_only_after_its_list_was_confirmed(
    group: TradingGroup, holder: Holder, http: Client
) -> None:
    page = post_group(http, group, leverage_max="50")
    told = page.content.decode()

    assert TradingGroup.objects.get().leverage_max == 100
    assert str(holder.login) in told
    assert "90.12" in told
    assert MARGIN_NOTE in told
    assert confirm(http, page).status_code == 302
    assert TradingGroup.objects.get().leverage_max == 50
    action = StaffAction.objects.get(operation="groups.change_tradinggroup")
    assert (action.before, action.after) == ({"leverage_max": 100}, {"leverage_max": 50})
    assert action.reason == "agreed with risk"


def test_a_confirmation_holds_for_its_own_values_only(
    group: TradingGroup, holder: Holder, http: Client
) -> None:
    token = post_group(http, group, leverage_max="50").context["token"]

    answer = post_group(http, group, leverage_max="25", terms_confirmed=token)

    assert "45.06" in answer.content.decode()
    assert TradingGroup.objects.get().leverage_max == 100


def test_a_change_needs_a_reason(group: TradingGroup, http: Client) -> None:
    answer = post_group(http, group, description="other", change_reason="")

    assert "change_reason" in answer.context["adminform"].form.errors
    assert TradingGroup.objects.get().description == ""


def test_a_symbols_form_lists_whom_its_margin_pushes(
    symbols: dict[str, Symbol], holder: Holder, http: Client
) -> None:
    row = symbols["EURUSD"]
    fields = symbol_fields(
        name="EURUSD", base_currency="EUR", margin_currency="EUR", margin_rate_buy="2", session=row.session_id
    )

    page = http.post(reverse("admin:market_symbol_change", args=[row.pk]), fields)

    assert "90.12" in page.content.decode()
    assert confirm(http, page).status_code == 302
    assert Symbol.objects.get(pk=row.pk).margin_rate_buy == 2


# -- the second person


def ask(http: Client, group: TradingGroup, **levels: str) -> Approval:
    page = post_group(http, group, **levels)
    if page.status_code == 200:
        page = confirm(http, page)
    assert page.status_code == 302
    return Approval.objects.latest("created_at")


def test_levels_wait_while_the_rest_is_saved(
    group: TradingGroup, holder: Holder, http: Client, boss: User, second: User
) -> None:
    approval = ask(http, group, stop_out_pct="60", description="stricter")
    saved = TradingGroup.objects.get()

    assert (saved.stop_out_pct, saved.description) == (50, "stricter")
    assert (approval.status, approval.maker_id, approval.group_id) == ("pending", boss.pk, group.pk)
    assert approval.summary == "Group usd: stop out % 50 → 60"
    done = StaffAction.objects.get(operation="groups.change_tradinggroup")
    assert done.after == {"description": "stricter"}

    approvals.approve(approval_id=approval.pk, actor=actor(second, "fine"), may=second.has_perm)

    assert TradingGroup.objects.get().stop_out_pct == 60
    assert terms_book().groups[group.pk].stop_out_pct == 60


def test_what_only_waits_is_not_told_as_saved(group: TradingGroup, holder: Holder, http: Client) -> None:
    ask(http, group, stop_out_pct="60")
    told = http.get(reverse("admin:groups_tradinggroup_changelist")).content.decode()

    assert "stop out % 50 → 60: this waits for a second person." in told
    assert "changed successfully" not in told


def test_whom_other_levels_push_is_counted_when_asked_and_when_approved(
    group: TradingGroup, holder: Holder, http: Client, second: User
) -> None:
    page = post_group(http, group, margin_call_pct="190", stop_out_pct="50")
    assert page.context["impact"].called == 1
    approval = ask(http, group, margin_call_pct="190")
    TradingGroup.objects.update(markup_bid_points=1500)  # meanwhile: 483.00 of 1,100.17 = 43.90 %
    closed = approvals.content_of(approval)

    assert (closed["called"], closed["closed"]) == (1, 0)
    approvals.approve(approval_id=approval.pk, actor=actor(second, "fine"), may=second.has_perm)
    assert TradingGroup.objects.get().margin_call_pct == 190


def test_who_decides_sees_whom_the_levels_push_before_they_are_approved(
    group: TradingGroup, holder: Holder, http: Client, second: User
) -> None:
    approval = ask(http, group, margin_call_pct="190")  # 180.24 %: called
    url = reverse("admin:audit_approval_approve", args=[approval.pk])
    sent = {"operator_confirmed": "1", "reason": "fine", "request_key": "0" * 32}

    def shown() -> Any:
        (_row, run), *_none = signed_in(second).post(url, sent).context["runs"]
        return run

    now = shown()
    TradingGroup.objects.update(markup_bid_points=1500)  # 483.00 of 1,100.17 = 43.90 %: closed already
    later = shown()

    assert now.figures == [("margin call %", "100", "190")]
    assert [(row[0], row[1], row[2], row[5]) for row in now.rows] == [
        (holder.login, "free", "called", "180.24 → 180.24")
    ]
    assert (now.refusal, now.notes[0]) == ("", "Whoever asked has seen 1 called and 0 closed.")
    assert (list(later.rows), later.notes[0][:46]) == ([], "At present prices this calls and closes nobody")
    approval.refresh_from_db()
    assert (approval.status, TradingGroup.objects.get().margin_call_pct) == ("pending", 100)


def test_an_approval_that_would_push_more_than_was_seen_is_not_carried_out(
    group: TradingGroup, holder: Holder, http: Client, second: User
) -> None:
    approval = ask(http, group, margin_call_pct="150")  # 180.24 %: nobody
    TradingGroup.objects.update(markup_bid_points=500)  # 1,483.00 of 1,100.17 = 134.80 %

    with pytest.raises(TermsNeedConfirmation):
        approvals.approve(approval_id=approval.pk, actor=actor(second, "fine"), may=second.has_perm)

    approval.refresh_from_db()
    assert (approval.status, TradingGroup.objects.get().margin_call_pct) == ("pending", 100)


def test_a_stale_approval_changes_nothing(
    group: TradingGroup, holder: Holder, http: Client, second: User, owner: Any
) -> None:
    approval = ask(http, group, stop_out_pct="60")
    set_levels(owner, "usd", call=100, stop=40)

    done = approvals.approve(approval_id=approval.pk, actor=actor(second, "fine"), may=second.has_perm)

    assert (done.status, done.outcome["refused"]) == (
        "refused",
        "The levels were changed meanwhile: ask anew.",
    )
    assert TradingGroup.objects.get().stop_out_pct == 40


def test_a_second_edit_of_levels_waits_for_the_first(
    group: TradingGroup, holder: Holder, http: Client
) -> None:
    ask(http, group, stop_out_pct="60")

    answer = post_group(http, group, stop_out_pct="70", description="again")

    assert answer.status_code == 302
    assert Approval.objects.count() == 1
    assert TradingGroup.objects.get().description == ""


def test_nobody_sets_levels_alone(
    group: TradingGroup, holder: Holder, http: Client, boss: User, admin: User, second: User
) -> None:
    approval = ask(http, group, stop_out_pct="60")
    dealer = User.objects.create_user("dealer@example.com", "x" * 20, role="dealer", is_staff=True)

    with pytest.raises(SamePerson):
        approvals.approve(approval_id=approval.pk, actor=actor(boss), may=boss.has_perm)
    with pytest.raises(Forbidden):
        approvals.approve(approval_id=approval.pk, actor=actor(dealer), may=dealer.has_perm)
    for write in (
        lambda: TradingGroup.objects.update(stop_out_pct=60),
        lambda: TradingGroup.objects.bulk_update([_with(group, stop_out_rule="fifo")], ["stop_out_rule"]),
        lambda: _with(group, margin_call_reset_pct=D(120)).save(),
        lambda: _approved_and_more(approval, second),
    ):
        with pytest.raises(IntegrityError, match="change only by an approval"), transaction.atomic():
            write()
    approvals.reject(approval_id=approval.pk, actor=actor(second), may=second.has_perm)
    with pytest.raises(ApprovalClosed):
        approvals.approve(approval_id=approval.pk, actor=actor(second), may=second.has_perm)
    assert TradingGroup.objects.get().stop_out_pct == 50


def _with(group: TradingGroup, **values: Any) -> TradingGroup:
    row = TradingGroup.objects.get(pk=group.pk)
    for name, value in values.items():
        setattr(row, name, value)
    return row


def _approved_and_more(approval: Approval, second: User) -> None:
    """Approve one content and write another."""
    approvals.consume(approval, actor=actor(second), outcome={})
    TradingGroup.objects.update(stop_out_pct=90)


def test_a_group_without_accounts_is_set_up_by_one_person(symbols: dict[str, Symbol], http: Client) -> None:
    empty = make_group("empty")

    assert post_group(http, empty, stop_out_pct="20").status_code == 302

    assert (TradingGroup.objects.get().stop_out_pct, Approval.objects.count()) == (20, 0)
