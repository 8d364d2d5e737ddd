"""Funds over REST: what a client may ask for, what staff may do with it, who sees what."""

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from apps.accounts.models import TradingAccount, User
from apps.accounts.selectors import tokens as token_states
from apps.audit.models import Approval, StaffAction, StaffRequest
from apps.audit.services import requests
from apps.audit.tasks import purge_requests
from apps.funds.models import FundOperation, FundPolicy
from apps.trading.api.statements import StatementThrottle
from rtx.kernel import clock
from rtx.kernel.rest import UserThrottle
from tests.factories import rows
from tests.factories.funds import balance, postings
from tests.factories.house import staff
from tests.factories.problems import answers_of, is_problem
from tests.factories.rows import D, Holder, Trader
from tests.factories.staff import token_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh(db: None) -> None:
    token_states.forget()
    for throttle in (UserThrottle, StatementThrottle):
        throttle._bucket._levels.clear()


def send(http: Trader, path: str, body: dict[str, Any], *, key: str = "") -> Any:
    return http.call("POST", f"/api/{path}", json.dumps(body), **{"Idempotency-Key": key or uuid4().hex})


def request(holder: Holder, amount: str = "250", kind: str = "deposits", *, key: str = "") -> Any:
    body = {"account": holder.login, "amount": amount, "comment": "savings"}
    return send(Trader(holder.token), f"funds/{kind}", body, key=key)


def post(
    http: Trader, holder: Holder, amount: str, kind: str = "deposit", *, key: str = "", **more: Any
) -> Any:
    body = {"account": holder.login, "amount": amount, "reference": f"r-{uuid4().hex[:8]}", "reason": "seen"}
    return send(http, f"admin/fund/{kind}", body | more, key=key)


def decide(http: Trader, operation_id: int, deed: str = "approve", *, key: str = "", **more: Any) -> Any:
    return send(http, f"admin/fund/{operation_id}/{deed}", {"reason": "checked", **more}, key=key)


def calling(user: User) -> Trader:
    return Trader(token_of(user))


@pytest.fixture
def boss(maker: User) -> Trader:
    return calling(maker)


@pytest.fixture
def second(checker: User) -> Trader:
    return calling(checker)


def test_a_client_asks_once_and_staff_post(policy: FundPolicy, holder: Holder, boss: Trader) -> None:
    asked = request(holder, key="k-1")
    again = request(holder, key="k-1")

    told = asked.json()
    assert (asked.status_code, again.json()) == (201, told)
    assert (told["status"], told["amount"], told["account"]) == ("requested", "250.00", holder.login)
    is_problem(request(holder, "251", key="k-1"), 409, "idempotency_key_reused")
    assert balance(holder) == D("10000")

    done = decide(boss, told["id"], key="a-1")

    assert (done.status_code, done.json()["status"], done.json()["waits_for"]) == (200, "posted", None)
    assert decide(boss, told["id"], key="a-1").json() == done.json()
    is_problem(decide(boss, told["id"]), 409, "fund_operation_closed")
    assert (balance(holder), postings(holder)) == (D("10250"), 1)
    listed = Trader(holder.token).call("GET", f"/api/funds?account={holder.login}&status=posted").json()
    assert [row["id"] for row in listed["results"]] == [told["id"]]
    assert set(listed["results"][0]) == set(told)


def test_a_large_request_needs_two_members_of_staff(
    policy: FundPolicy, holder: Holder, boss: Trader, second: Trader
) -> None:
    asked = request(holder, "1000.01", "withdrawals").json()

    first = decide(boss, asked["id"], key="a-1").json()
    repeated = decide(boss, asked["id"], key="a-1").json()

    assert (first["status"], first["waits_for"]) == ("approved", "second_person")
    assert repeated == first
    is_problem(decide(boss, asked["id"]), 403, "second_person_needed")
    is_problem(Trader(holder.token).call("DELETE", f"/api/funds/{asked['id']}"), 409, "fund_operation_closed")
    done = decide(second, asked["id"]).json()
    assert (done["status"], done["amount"], balance(holder)) == ("posted", "1000.01", D("8999.99"))


def test_a_rejected_request_tells_the_client_why(policy: FundPolicy, holder: Holder, boss: Trader) -> None:
    asked = request(holder).json()

    done = decide(boss, asked["id"], "reject", key="x", reason="a forged transfer", message="Nothing came.")

    assert (done.status_code, done.json()["status"]) == (200, "rejected")
    assert (
        decide(
            boss, asked["id"], "reject", key="x", reason="a forged transfer", message="Nothing came."
        ).json()
        == done.json()
    )
    seen = Trader(holder.token).call("GET", f"/api/funds/{asked['id']}")
    assert (seen.json()["message"], seen.json()["reject_reason"]) == ("Nothing came.", "rejected")
    assert b"forged" not in seen.content
    logged = StaffAction.objects.get(operation="funds.reject")
    assert (logged.reason, logged.account_id) == ("a forged transfer", holder.id)


def test_a_client_takes_a_request_back(policy: FundPolicy, holder: Holder, boss: Trader) -> None:
    http = Trader(holder.token)
    asked = request(holder).json()

    done = http.call("DELETE", f"/api/funds/{asked['id']}")

    assert (done.status_code, done.json()["status"]) == (200, "canceled")
    assert http.call("DELETE", f"/api/funds/{asked['id']}").json() == done.json()
    is_problem(decide(boss, asked["id"]), 409, "fund_operation_closed")


def test_a_withdrawal_that_margin_needs_is_rejected_when_it_is_posted(holder: Holder, boss: Trader) -> None:
    asked = request(holder, "9888.29", "withdrawals").json()
    rows.executor.run(rows.market_order(holder))

    done = decide(boss, asked["id"]).json()

    assert (done["status"], done["reject_reason"], balance(holder)) == ("rejected", "no_money", D("10000"))


def test_a_client_asks_only_for_what_the_policy_takes(policy: FundPolicy, holder: Holder) -> None:
    FundPolicy.objects.update(takes_withdrawals=False)
    stranger = rows.make_holder(group=holder.row.group, balance="0")
    body = {"account": stranger.login, "amount": "100"}

    is_problem(request(holder, "9.99"), 400, "below_minimum")
    is_problem(request(holder, "10.001"), 400, "invalid_amount")
    is_problem(request(holder, "50", "withdrawals"), 409, "requests_closed")
    is_problem(send(Trader(holder.token), "funds/deposits", body), 404, "account_not_found")
    is_problem(Trader(holder.token).call("POST", "/api/funds/deposits", json.dumps(body)), 400, "invalid")
    others = request(stranger).json()["id"]
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/receipt")):
        answer = Trader(holder.token).call(method, f"/api/funds/{others}{path}")
        is_problem(answer, 404, "fund_operation_not_found")


@pytest.mark.parametrize(
    ("kind", "amount", "after"),
    [("deposit", "100", "10100"), ("withdraw", "100", "9900"), ("adjust", "-7.50", "9992.50"),
     ("credit", "100", "10000")],
)  # fmt: skip
def test_staff_post_every_kind(
    policy: FundPolicy, holder: Holder, boss: Trader, kind: str, amount: str, after: str
) -> None:
    done = post(boss, holder, amount, kind, key="p-1", reference="wire 7")
    again = post(boss, holder, amount, kind, key="p-1", reference="wire 7")

    assert (done.status_code, done.json()["status"], done.json()["amount"]) == (
        201, "posted", f"{D(amount):.2f}",
    )  # fmt: skip
    assert (again.json(), balance(holder), postings(holder)) == (done.json(), D(after), 1)
    is_problem(post(boss, holder, amount, kind, reference="wire 7"), 409, "reference_used")


def test_staff_above_the_threshold_wait(
    policy: FundPolicy, holder: Holder, boss: Trader, second: Trader
) -> None:
    waiting = post(boss, holder, "5000").json()

    assert (waiting["status"], waiting["waits_for"]) == ("requested", "second_person")
    is_problem(decide(boss, waiting["id"]), 403, "second_person_needed")
    assert decide(second, waiting["id"]).json()["status"] == "posted"
    assert Approval.objects.get().status == "executed"
    queue = boss.call("GET", "/api/admin/funds?waiting=true").json()
    assert queue["results"] == []


def test_support_asks_and_somebody_else_posts(policy: FundPolicy, holder: Holder, boss: Trader) -> None:
    clerk = calling(staff("clerk@example.com", role="support", groups=(holder.row.group,)))

    asked = post(clerk, holder, "100").json()

    assert (asked["status"], asked["waits_for"], balance(holder)) == ("requested", "decision", D("10000"))
    is_problem(decide(clerk, asked["id"]), 403, "forbidden")
    assert decide(boss, asked["id"]).json()["status"] == "posted"


def test_reach_comes_before_rights(policy: FundPolicy, holder: Holder) -> None:
    asked = request(holder).json()["id"]
    far = rows.make_group("far")
    within = {role: calling(staff(f"{role}@in.example", role=role, groups=(holder.row.group,)))
              for role in ("dealer", "auditor")}  # fmt: skip
    outside = calling(staff("admin@out.example", role="admin", groups=(far,)))
    client = Trader(holder.token)
    calls = {
        "post": lambda http: post(http, holder, "10"),
        "approve": lambda http: decide(http, asked),
        "reject": lambda http: decide(http, asked, "reject"),
    }

    for http in within.values():
        assert set(answers_of(calls, lambda name, http=http: calls[name](http)).values()) == {
            (403, "forbidden")
        }
        assert len(http.call("GET", "/api/admin/funds").json()["results"]) == 1
    assert set(answers_of(calls, lambda name: calls[name](client)).values()) == {(403, "forbidden")}
    found = answers_of(calls, lambda name: calls[name](outside))
    assert found == {
        "post": (404, "account_not_found"),
        "approve": (404, "fund_operation_not_found"),
        "reject": (404, "fund_operation_not_found"),
    }
    assert outside.call("GET", "/api/admin/funds").json()["results"] == []
    assert FundOperation.objects.get().status == "requested"


def test_bad_input_is_told(policy: FundPolicy, holder: Holder, boss: Trader) -> None:
    cases: dict[str, dict[str, Any]] = {
        "no reason": {"reason": ""},
        "no reference": {"reference": ""},
        "nul": {"comment": "a\x00b"},
        "zero": {"amount": "0"},
        "negative": {"amount": "-1"},
        "nan": {"amount": "NaN"},
        "not a login": {"account": "x"},
        "more": {"status": "posted"},
        "digits": {"amount": "1.005"},
    }

    found = answers_of(cases, lambda name: post(boss, holder, **{"amount": "10", **cases[name]}))

    assert {status for status, _ in found.values()} == {400}
    assert found["digits"] == (400, "invalid_amount")
    assert post(boss, holder, "1e3", "adjust").status_code == 400
    assert post(boss, holder, "0", "credit").json()["code"] == "invalid_amount"
    body = {"account": holder.login, "amount": "1", "reference": "r", "reason": "why"}
    is_problem(boss.call("POST", "/api/admin/fund/deposit", json.dumps(body)), 400, "invalid")
    assert FundOperation.objects.count() == 0


def test_a_posted_operation_has_a_receipt(policy: FundPolicy, holder: Holder, boss: Trader) -> None:
    done = post(boss, holder, "100", reference="wire 7").json()["id"]
    waiting = post(boss, holder, "9000").json()["id"]
    client = Trader(holder.token)

    for http, path in ((client, f"/api/funds/{done}/receipt"), (boss, f"/api/admin/fund/{done}/receipt")):
        answer = http.call("GET", path)
        assert (answer.status_code, answer["Content-Type"]) == (200, "application/pdf")
        assert answer["Content-Disposition"] == f'attachment; filename="receipt-{holder.login}-{done}.pdf"'
        assert answer.content.startswith(b"%PDF-")
    is_problem(client.call("GET", f"/api/funds/{waiting}/receipt"), 409, "not_posted")
    told = StaffAction.objects.get(operation="funds.download_receipt")  # that of staff, not the client's own
    assert (told.target_id, told.group_id) == (str(done), TradingAccount.objects.get(pk=holder.id).group_id)


def test_an_old_sign_in_moves_no_money(policy: FundPolicy, holder: Holder, maker: User) -> None:
    stale = Trader(token_of(maker, proved_s_ago=3600))
    asked = request(holder).json()["id"]

    for answer in (post(stale, holder, "10"), decide(stale, asked), decide(stale, asked, "reject")):
        is_problem(answer, 401, "reauthentication_required")
    assert stale.call("GET", "/api/admin/funds").status_code == 200
    assert balance(holder) == D("10000")


def test_ten_requests_of_an_account_wait_at_most(policy: FundPolicy, holder: Holder, boss: Trader) -> None:
    first = request(holder).json()
    assert [request(holder).status_code for _ in range(9)] == [201] * 9

    is_problem(request(holder), 409, "too_many_requests_open")
    decide(boss, first["id"], "reject")

    assert request(holder).status_code == 201


def test_keys_are_forgotten_after_a_month(db: None, time_machine: Any) -> None:
    now = clock.now()
    for days in (31, 29):
        time_machine.move_to(now - timedelta(days=days))
        requests.once(user_id=1, key=f"k-{days}", content={}, act=dict)
    time_machine.move_to(now)

    purge_requests()

    assert list(StaffRequest.objects.values_list("key", flat=True)) == ["k-29"]
