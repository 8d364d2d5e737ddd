"""The pages of funds: money actions on an account, the queue, receipts, policies; rights and reach."""

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from apps.accounts.domain.ledger import BalanceKind
from apps.accounts.models import User
from apps.audit.models import Approval, StaffAction
from apps.funds.models import FundOperation, FundPolicy
from apps.funds.services import requests
from tests.factories import rows
from tests.factories.funds import ask, balance
from tests.factories.house import staff
from tests.factories.operating import confirm, seal_of
from tests.factories.rows import D, Holder
from tests.integration.admin.conftest import signed_in

pytestmark = pytest.mark.django_db

LIST = "/admin/funds/fundoperation/"
STILL = "The number of people who must still approve it was {} and is now {}."


def account_url(holder: Holder, deed: str) -> str:
    return f"/admin/accounts/tradingaccount/{holder.id}/{deed}/"


def operation_url(operation: FundOperation, deed: str = "") -> str:
    return f"{LIST}{operation.pk}/{deed or 'change'}/"


def form(**values: str) -> dict[str, str]:
    sent = {"operator_confirmed": "1", "reason": "bank statement", "request_key": uuid4().hex}
    return sent | {"amount": "250.00", "reference": "wire 7", "comment": ""} | values


def deed_form(**values: str) -> dict[str, str]:
    return {"operator_confirmed": "1", "reason": "checked", "request_key": uuid4().hex} | values


def texts(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


@pytest.fixture
def desk(maker: User) -> Client:
    return signed_in(maker)


def client_request(holder: Holder, amount: str = "250", kind: str = "deposit") -> FundOperation:
    return requests.by_client(
        account=holder.row,
        kind=BalanceKind(kind),
        amount=D(amount),
        comment="",
        key=uuid4().hex,
        actor=holder.actor,
    )


@pytest.mark.parametrize(
    ("deed", "amount", "after"),
    [("deposit", "250", "10250"), ("withdraw", "250", "9750"), ("adjust", "-2.50", "9997.50"),
     ("credit", "100", "10000")],
)  # fmt: skip
def test_money_moves_from_the_page_of_an_account(
    policy: FundPolicy, holder: Holder, desk: Client, deed: str, amount: str, after: str
) -> None:
    shown = desk.post(account_url(holder, deed), form(amount=amount))
    assert b"Dry run" in shown.content
    assert balance(holder) == D("10000")

    done = confirm(desk, account_url(holder, deed), form(amount=amount), follow=True)

    assert texts(done) == [f"{holder.login}: posted as event 3 of the account"]
    assert balance(holder) == D(after)
    assert StaffAction.objects.get(operation="trading.change_balance").reason == "bank statement"


def test_the_dry_run_tells_what_would_happen(policy: FundPolicy, holder: Holder, desk: Client) -> None:
    rows.executor.run(rows.market_order(holder))

    shown = desk.post(account_url(holder, "withdraw"), form(amount="9888.28")).content.decode()
    refused = desk.post(account_url(holder, "withdraw"), form(amount="9888.29")).content.decode()

    assert "This waits for a second person" in shown
    assert "111.72" in shown  # what is left of the balance
    assert "It would be refused: the free margin does not suffice" in refused
    assert "Confirm:" not in refused


@pytest.mark.parametrize(
    ("deed", "kind", "doubts"),
    [
        ("deposit", "deposit", []),
        ("credit", "deposit", []),
        ("adjust", "adjustment", ["The balance was 10000 and is now 10200."]),
        ("credit", "credit", ["The credit was 0 and is now 200."]),
    ],
)
def test_a_correction_rests_on_what_it_corrects(
    policy: FundPolicy, holder: Holder, desk: Client, maker: User, deed: str, kind: str, doubts: list[str]
) -> None:
    sent = form(amount="100")
    seal = seal_of(desk.post(account_url(holder, deed), sent))
    ask(holder, maker, "200", kind)

    answer = desk.post(account_url(holder, deed), {**sent, "operator_previewed": seal})

    assert ([] if answer.status_code == 302 else answer.context["doubts"]) == doubts
    assert FundOperation.objects.count() == (1 if doubts else 2)


def test_what_was_shown_as_booked_at_once_does_not_wait(
    policy: FundPolicy, holder: Holder, desk: Client
) -> None:
    sent = form()
    seal = seal_of(desk.post(account_url(holder, "deposit"), sent))
    FundPolicy.objects.update(threshold=D("200"))

    answer = desk.post(account_url(holder, "deposit"), {**sent, "operator_previewed": seal})

    assert answer.context["doubts"] == [STILL.format(0, 1)]
    assert not FundOperation.objects.exists()


def test_what_was_shown_as_waiting_is_not_booked_at_once(
    policy: FundPolicy, holder: Holder, desk: Client, checker: User
) -> None:
    wanted, sent = client_request(holder, "5000"), deed_form()
    url = operation_url(wanted, "approve")
    seal = seal_of(desk.post(url, sent))
    confirm(signed_in(checker), url, deed_form())

    answer = desk.post(url, {**sent, "operator_previewed": seal})

    assert answer.context["doubts"] == [STILL.format(1, 0)]
    assert balance(holder) == D("10000")
    confirm(desk, url, sent)
    assert balance(holder) == D("15000")


def test_a_submission_twice_is_one_operation(policy: FundPolicy, holder: Holder, desk: Client) -> None:
    sent = form()

    confirm(desk, account_url(holder, "deposit"), sent)
    confirm(desk, account_url(holder, "deposit"), sent)

    assert (FundOperation.objects.count(), balance(holder)) == (1, D("10250"))


def test_above_the_threshold_a_second_person_approves_on_the_page(
    policy: FundPolicy, holder: Holder, desk: Client, checker: User
) -> None:
    done = confirm(desk, account_url(holder, "deposit"), form(amount="5000"), follow=True)
    assert texts(done) == [f"{holder.login}: waits for a second person"]
    waiting = FundOperation.objects.get()

    own = desk.get(operation_url(waiting)).content.decode()
    assert f"{LIST}{waiting.pk}/take_back" in own
    assert f"{LIST}{waiting.pk}/approve" not in own
    refused = confirm(desk, operation_url(waiting, "approve"), deed_form(), follow=True)
    assert texts(refused) == [f"deposit #{waiting.pk}: Whoever asked for it cannot decide it too."]

    other = signed_in(checker)
    assert f"{LIST}{waiting.pk}/approve" in other.get(operation_url(waiting)).content.decode()
    done = confirm(other, operation_url(waiting, "approve"), deed_form(), follow=True)
    assert texts(done) == [f"deposit #{waiting.pk}: posted as event 3 of the account"]
    assert balance(holder) == D("15000")
    page = desk.get(operation_url(waiting)).content.decode()
    assert "maker@example.com" in page
    assert "checker@example.com" in page
    receipt = desk.get(operation_url(waiting, "receipt"))
    assert (receipt.status_code, receipt["Content-Type"]) == (200, "application/pdf")
    told = StaffAction.objects.get(operation="funds.download_receipt")
    assert (told.target_id, told.account_id, "names_holder" in told.after) == (
        str(waiting.pk),
        holder.id,
        True,
    )


def test_a_clients_request_is_decided_in_the_queue(policy: FundPolicy, holder: Holder, desk: Client) -> None:
    ask(holder, User.objects.get(email="maker@example.com"), "5")
    wanted, unwanted = client_request(holder), client_request(holder, "100", "withdrawal")

    listed = desk.get(LIST).context["cl"].result_list
    assert [row.pk for row in listed] == [unwanted.pk, wanted.pk, listed[2].pk]  # what waits comes first

    done = confirm(desk, operation_url(wanted, "approve"), deed_form(), follow=True)
    assert texts(done) == [f"deposit #{wanted.pk}: posted as event 4 of the account"]
    done = confirm(desk, operation_url(unwanted, "reject"), deed_form(message="Please call us."), follow=True)
    assert texts(done) == [f"withdrawal #{unwanted.pk}: is rejected"]
    unwanted.refresh_from_db()
    assert (unwanted.message, balance(holder)) == ("Please call us.", D("10255"))


def test_who_may_do_what(policy: FundPolicy, holder: Holder) -> None:
    group = holder.row.group
    waiting = client_request(holder)
    allowed = {"support": {"deposit"}, "dealer": set(), "auditor": set(), "admin": {"deposit", "approve"}}

    for role, may in allowed.items():
        http = signed_in(staff(f"{role}@in.example", role=role, groups=(group,)))
        assert http.get(operation_url(waiting)).status_code == 200
        for deed, url in (
            ("deposit", account_url(holder, "deposit")),
            ("approve", operation_url(waiting, "approve")),
        ):
            assert http.get(url).status_code == (200 if deed in may else 403), (role, deed)
        assert http.get(LIST + "new_operation/").status_code == (200 if "deposit" in may else 403)
    outside = signed_in(staff("far@out.example", role="admin", groups=(rows.make_group("far"),)))
    for url in (account_url(holder, "deposit"), operation_url(waiting), operation_url(waiting, "approve")):
        assert outside.get(url).status_code == 404
    assert outside.get(operation_url(waiting, "receipt")).status_code == 404


def test_a_new_operation_begins_with_the_account(policy: FundPolicy, holder: Holder, desk: Client) -> None:
    found = desk.get(f"{LIST}new_operation/?account={holder.login}&kind=credit")
    unknown = desk.get(f"{LIST}new_operation/?account=999&kind=credit")

    assert (found.status_code, found["Location"]) == (302, account_url(holder, "credit"))
    assert b"There is no such account" in unknown.content


def test_a_policy_is_tightened_at_once_and_loosened_by_two(
    policy: FundPolicy, desk: Client, checker: User
) -> None:
    url = f"/admin/funds/fundpolicy/{policy.pk}/change/"
    sent = {"threshold": "500", "minimum": "10", "approval_hours": "12", "takes_deposits": "on"}

    desk.post(url, sent)
    policy.refresh_from_db()
    assert (policy.threshold, policy.approval_hours, policy.takes_withdrawals) == (D("500"), 12, False)

    assert "has to know why" in desk.post(url, {**sent, "threshold": "501"}).content.decode()
    desk.post(url, {**sent, "threshold": "", "minimum": "20", "change_reason": "a private bank"})
    policy.refresh_from_db()
    assert (policy.threshold, policy.minimum) == (D("500"), D("20"))
    waiting = Approval.objects.get()
    assert waiting.summary == "Fund threshold of standard: 500 USD becomes no threshold"


def test_a_new_policy_milder_than_the_houses_waits(holder: Holder, desk: Client) -> None:
    FundPolicy.objects.filter(group=None).update(threshold=D("500"))
    form = {"threshold": "9000", "minimum": "10", "approval_hours": "12", "takes_deposits": "on"}
    form["group"] = str(holder.row.group_id)

    assert "has to know why" in desk.post("/admin/funds/fundpolicy/add/", form).content.decode()
    desk.post("/admin/funds/fundpolicy/add/", {**form, "change_reason": "a private bank"})

    made = FundPolicy.objects.get(group=holder.row.group)
    assert made.threshold == D("500")
    assert Approval.objects.get().summary == "Fund threshold of standard: 500 USD becomes 9000 USD"


def test_the_houses_policy_is_for_who_reaches_everything(holder: Holder, desk: Client) -> None:
    house = FundPolicy.objects.get(group=None)
    url = f"/admin/funds/fundpolicy/{house.pk}/change/"
    form = {"threshold": "700", "minimum": "0", "approval_hours": "24", "takes_deposits": "on"}
    boss = User.objects.create_superuser("boss@example.com", "correct horse battery 17", role="superadmin")

    assert desk.post(url, form).status_code == 404
    assert signed_in(boss).post(url, form).status_code == 302

    house.refresh_from_db()
    assert house.threshold == D("700")
    listed = signed_in(boss).get("/admin/funds/fundpolicy/").content.decode()
    assert "The house (groups without their own)" in listed


def test_the_queue_of_approvals_shows_the_money_effect_first(
    policy: FundPolicy, holder: Holder, maker: User, checker: User
) -> None:
    waiting = ask(holder, maker, "5000")
    url = f"/admin/audit/approval/{waiting.approval_id}/approve/"

    shown = signed_in(checker).post(url, deed_form()).content.decode()
    confirm(signed_in(checker), url, deed_form())

    assert "Dry run" in shown
    assert "15\u202f000.00" in shown
    assert balance(holder) == D("15000")
