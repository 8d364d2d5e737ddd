"""
Rows of somebody else, asked for by every way that the matrix does not walk: what a person has posted, kept,
brought, asked for, or is signed in with. The answer is 404 (403 within reach), and nothing changes.
"""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin import helpers
from django.db import connection
from django.test import Client
from django.urls import resolve, reverse

from apps.accounts.models import ImportFailure, ImportRun, StaffSession, User
from apps.accounts.services import tokens
from apps.audit.models import Approval, StaffAction
from apps.audit.services import approvals
from apps.console.models import SavedFilter
from rtx.kernel import clock
from rtx.kernel.rest import UserThrottle
from tests.factories.house import staff
from tests.factories.staff import signed_in, token_of
from tests.integration.matrix.broker import Broker

SENT = {"operator_confirmed": "1", "reason": "to be seen", "request_key": "0" * 32}
KYC = {"kind": "passport", "country": "DE"}
TABLES = (
    "accounts_client accounts_user accounts_tradingaccount accounts_accountevent accounts_kycreview "
    "accounts_kycdocument accounts_importrun accounts_importfailure accounts_staffsession "
    "accounts_refreshtoken audit_approval console_savedfilter funds_fundoperation funds_fundstep "
    "trading_order trading_position"
)
READ = frozenset(  # what the log would tell if a foreign row had been opened
    {"accounts.reveal_client", "accounts.download_document", "accounts.download_import_errors"}
)


def state() -> dict[str, str]:
    """Return a sum over every row that could be changed, but for when somebody was last seen."""
    found = {}
    with connection.cursor() as cursor:
        for table in TABLES.split():
            cursor.execute(
                "SELECT md5(coalesce(string_agg(row, '|' ORDER BY row), '')) FROM (SELECT "
                f"(to_jsonb(t) - 'seen_at' - 'last_login')::text AS row FROM {table} t) rows"
            )
            found[table] = cursor.fetchone()[0]
    return found


def status(answer: Any) -> int:
    """Return an answer's status; being sent to the sign-in page counts as refused."""
    is_refused = answer.status_code == 302 and "/login/" in answer["Location"]
    return 403 if is_refused else answer.status_code


def call(token: str, method: str, path: str, body: dict[str, Any] | None = None) -> int:
    """Return the status of an API call, which there is: a route that is none would answer 404 as well."""
    assert resolve("/api/" + path.partition("?")[0])
    UserThrottle._bucket._levels.clear()
    return (
        Client(raise_request_exception=False)
        .generic(
            method,
            f"/api/{path}",
            "" if body is None else json.dumps(body),
            content_type="application/json",
            HTTP_AUTHORIZATION=f"Bearer {token}",
            HTTP_IDEMPOTENCY_KEY=uuid4().hex,
        )
        .status_code
    )


@dataclass
class Others:
    """What two members of staff with the same role and reach have, and operations posted on both sides."""

    asker: User
    kept: SavedFilter
    session: StaffSession
    asked: Approval
    brought: ImportRun
    posted: dict[str, int]


@pytest.fixture
def others(broker: Broker) -> Others:
    usd = broker.sides["own"].group
    other = staff("other@matrix.example", role="admin", groups=(usd,))
    signed_in(other)
    now = clock.now()
    kept = SavedFilter.objects.create(
        owner=other, page="trading_order", name="mine", query="status__exact=new", created_at=now
    )
    content = approvals.canonical({"group": usd.pk})
    asked = Approval.objects.create(
        kind="groups.stop_out",
        content=content,
        content_hash=approvals.hash_of(content),
        summary="lower it",
        group_id=usd.pk,
        maker_id=other.pk,
        maker="staff:other",
        reason="they asked",
        created_at=now,
        expires_at=now + timedelta(hours=1),
    )
    brought = ImportRun.objects.create(started_by=other, status="checked", rows=1, created_at=now)
    ImportFailure.objects.create(run=brought, row=2, reason="no e-mail", cells_sealed=b"x")
    posted = {name: posted_for(broker, name) for name in broker.sides}
    session = StaffSession.objects.get(user=other)
    return Others(broker.users["admin"], kept, session, asked, brought, posted)


def posted_for(broker: Broker, side: str) -> int:
    """Post a deposit and return its number."""
    body = {"account": broker.sides[side].account.login, "amount": "5", "reference": "r", "reason": "paid in"}
    answer = Client().post(
        "/api/admin/fund/deposit",
        json.dumps(body),
        content_type="application/json",
        HTTP_AUTHORIZATION=f"Bearer {broker.token('superadmin')}",
        HTTP_IDEMPOTENCY_KEY=uuid4().hex,
    )
    assert answer.json()["status"] == "posted"
    return int(answer.json()["id"])


def refused(got: dict[str, int], wanted: dict[str, set[int]] | None = None) -> dict[str, int]:
    """Return the answers that are none of those wanted; 404 where nothing is said."""
    known = wanted or {}
    return {ask: code for ask, code in got.items() if code not in known.get(ask, {404})}


def test_a_trader_gets_at_nothing_of_another_client(broker: Broker, others: Others, unrendered: None) -> None:
    own, foreign = broker.sides["own"].account, broker.sides["foreign"].account
    token = broker.token("trader")
    key = {"client_order_id": "foreign-1"}
    order = {"account": foreign.login, "symbol": "EURUSD", "side": "buy", "volume": "0.01", **key}
    first, second = foreign.positions.order_by("pk")[:2]
    mine, review = own.positions.order_by("pk")[0], broker.row("accounts.kycreview", "foreign")
    theirs = tokens.issue(user_id=foreign.client.user_id)
    document = broker.row("accounts.kycdocument", "own")
    before = state()
    money = {"account": foreign.login, "amount": "10"}
    got = {
        name: call(token, *ask)
        for name, ask in {
            "account": ("GET", f"accounts/{foreign.login}"),
            "receipt": ("GET", f"funds/{others.posted['foreign']}/receipt"),
            "operation": ("GET", f"funds/{others.posted['foreign']}"),
            "take back": ("DELETE", f"funds/{others.posted['foreign'] }"),
            "operations": ("GET", f"funds?account={foreign.login}"),
            "deposit": ("POST", "funds/deposits", money),
            "withdraw": ("POST", "funds/withdrawals", money),
            "statement": ("GET", f"statements?account={foreign.login}&from=2026-01-01&to=2026-02-01"),
            "events": ("GET", f"events?account={foreign.login}&since=0"),
            "deals": ("GET", f"deals?account={foreign.login}"),
            "orders": ("GET", f"orders?account={foreign.login}"),
            "positions": ("GET", f"positions?account={foreign.login}"),
            "order": ("POST", "orders/market", order),
            "close": ("POST", f"positions/{first.pk}/close", key),
            "close all": ("POST", "positions/close-all", {"account": foreign.login, **key}),
            "close by theirs": (
                "POST", "positions/close-by", {"position_id": first.pk, "opposite_id": second.pk, **key},
            ),
            "change": ("PATCH", f"positions/{first.pk}", {"stop_loss": "1"}),
        }.items()
    }  # fmt: skip
    closed = {
        path: call(token, method, path, body)
        for method, path, body in [
            ("GET", f"admin/fund/{others.posted['own']}/receipt", None),
            ("GET", f"admin/client/{own.client_id}", None),
            ("POST", f"admin/client/{own.client_id}/reveal", {"reason": "my own"}),
            ("POST", f"admin/kyc/document/{document.pk}", {"reason": "my own"}),
            ("POST", f"admin/kyc/{review.pk}/decide", {"decision": "approved", "reason": "my own"}),
            ("GET", f"admin/user/{own.client.user_id}", None),
            ("POST", f"admin/user/{foreign.client.user_id}/password", {"new": "x", "reason": "mine now"}),
            ("POST", f"admin/approval/{others.asked.pk}/approve", {"reason": "mine"}),
        ]
    }

    assert call(token, "GET", f"funds/{others.posted['own']}/receipt") == 200
    assert refused(got) == {}
    mixed = {"position_id": mine.pk, "opposite_id": first.pk, **key}
    assert call(token, "POST", "positions/close-by", mixed) == 404
    assert set(closed.values()) == {403}
    assert call(theirs.access, "GET", f"accounts/{foreign.login}") == 200  # still signed in
    assert state() == before


def test_a_traders_session_opens_no_page_of_documents_or_receipts(
    broker: Broker, others: Others, unrendered: None
) -> None:
    http = Client()
    http.force_login(broker.users["trader"])
    document = broker.row("accounts.kycdocument", "own")
    before = state()
    asked = [
        reverse("admin:accounts_kycdocument_download", args=[document.pk]),
        reverse("admin:funds_fundoperation_receipt", args=[others.posted["own"]]),
        reverse("admin:accounts_client_reveal", args=[broker.sides["own"].account.client_id]),
        reverse("admin:accounts_importrun_errors", args=[others.brought.pk]),
    ]
    got = {
        f"{method} {path}": status(getattr(http, method)(path, SENT))
        for path in asked
        for method in ("get", "post")
    }

    assert set(got.values()) == {403}
    assert state() == before


def page(name: str, key: Any) -> str:
    return reverse(f"admin:{name}", args=[key])


def test_staff_get_at_nothing_that_another_one_kept_or_brought(
    broker: Broker, others: Others, unrendered: None
) -> None:
    http = signed_in(others.asker)
    http.raise_request_exception = False
    before = state()
    run, kept = others.brought.pk, others.kept.pk
    got = {
        "filter": status(http.get(page("console_savedfilter_change", kept))),
        "filter's history": status(http.get(page("console_savedfilter_history", kept))),
        "drop the filter": status(http.post(page("saved_filter_drop", kept), {"page": others.kept.page})),
        "import": status(http.get(page("accounts_importrun_change", run))),
        "progress": status(http.get(page("accounts_importrun_progress", run))),
        "start": status(http.post(page("accounts_importrun_start", run), SENT)),
        "give up": status(http.post(page("accounts_importrun_give_up", run), SENT)),
        "error file": status(http.get(page("accounts_importrun_errors", run))),
    }
    http.post("/admin/second-factor/sessions/", {"session": str(others.session.pk)})
    http.post("/admin/second-factor/sessions/", {"session": "all"})

    assert refused(got) == {}
    assert StaffSession.objects.get(pk=others.session.pk).ended_at is None
    assert {table for table, total in state().items() if total != before[table]} == set()
    assert not StaffAction.objects.filter(operation__in=READ).exists()


@pytest.mark.parametrize("role", ["dealer", "support", "auditor"])
def test_staff_end_no_session_of_another_without_the_right(
    role: str, broker: Broker, others: Others, unrendered: None
) -> None:
    http = signed_in(broker.users[role])
    http.raise_request_exception = False
    chosen = {helpers.ACTION_CHECKBOX_NAME: others.session.pk, "index": "0", **SENT}
    got = {
        action: status(http.post(page(f"accounts_staffsession_{action}", others.session.pk), SENT))
        for action in ("revoke", "revoke_all")
    }
    for action in got:
        http.post(reverse("admin:accounts_staffsession_changelist"), {"action": action, **chosen})

    assert refused(got, {action: {403, 404} for action in got}) == {}
    assert StaffSession.objects.get(pk=others.session.pk).ended_at is None


def test_only_whoever_asked_takes_an_approval_back(broker: Broker, others: Others, unrendered: None) -> None:
    before = state()["audit_approval"]
    for role in ("superadmin", "admin", "dealer", "support", "auditor"):
        http = signed_in(broker.users[role])
        http.raise_request_exception = False
        http.post(page("audit_approval_cancel", others.asked.pk), SENT)
        chosen = {
            helpers.ACTION_CHECKBOX_NAME: str(others.asked.pk),
            "index": "0",
            "action": "cancel",
            **SENT,
        }
        http.post(reverse("admin:audit_approval_changelist"), chosen)

    told = StaffAction.objects.filter(operation="audit.cancel")
    assert state()["audit_approval"] == before
    assert {entry.outcome for entry in told} == {"refused"}
    assert told.count() >= 3


def test_staff_get_at_no_document_or_receipt_outside_reach(
    broker: Broker, others: Others, unrendered: None
) -> None:
    http, token = signed_in(others.asker), token_of(others.asker)
    http.raise_request_exception = False
    foreign = broker.sides["foreign"].account
    document = broker.row("accounts.kycdocument", "foreign")
    review = broker.row("accounts.kycreview", "foreign")
    before, posted = state(), others.posted["foreign"]
    got = {
        "receipt": call(token, "GET", f"admin/fund/{posted}/receipt"),
        "receipt's page": status(http.get(page("funds_fundoperation_receipt", posted))),
        "document": call(token, "POST", f"admin/kyc/document/{document.pk}", {"reason": "to see"}),
        "document's page": status(http.post(page("accounts_kycdocument_download", document.pk), SENT)),
        "reveal": call(token, "POST", f"admin/client/{foreign.client_id}/reveal", {"reason": "to see"}),
        "reveal's page": status(http.post(page("accounts_client_reveal", foreign.client_id), SENT)),
        "add a document": call(token, "POST", f"admin/client/{foreign.client_id}/documents", KYC),
        "review's page": status(http.get(page("accounts_kycreview_change", review.pk))),
        "take": call(token, "POST", f"admin/kyc/{review.pk}/take"),
        "password": call(
            token, "POST", f"admin/user/{foreign.client.user_id}/password",
            {"password": "correct horse battery 99", "reason": "to see"},
        ),
        "password's page": status(http.get(page("auth_user_password_change", foreign.client.user_id))),
    }  # fmt: skip

    assert call(token, "GET", f"admin/fund/{others.posted['own']}/receipt") == 200
    assert refused(got) == {}
    assert state() == before
    assert not StaffAction.objects.filter(operation__in=READ).exists()
