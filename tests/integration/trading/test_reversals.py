"""A reversal from asking to booking: two people, one transaction, and a database that insists on both."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from threading import Barrier
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import connection, transaction

from apps.accounts.models import User
from apps.audit.models import Approval, StaffAction
from apps.audit.services import approvals, requests
from apps.risk.models import RiskLimit
from apps.risk.services import kill_switch
from apps.risk.services.kill_switch import Target
from apps.trading.domain.commands import ReversePosition, StopOut
from apps.trading.domain.filling import PositionNotFound
from apps.trading.domain.orders import Side
from apps.trading.models import Deal, Position
from apps.trading.selectors import verification
from apps.trading.services import executor, positions, reversals
from rtx.kernel.actor import Actor, ActorKind
from rtx.kernel.errors import Conflict, RtxError
from tests.factories import rows
from tests.factories.house import staff
from tests.factories.rows import Holder, Trader
from tests.factories.staff import token_of

pytestmark = pytest.mark.django_db

D = Decimal
MAKER = Actor(kind=ActorKind.STAFF, name="user:9001", reason="booked the wrong way round")
CHECKER = Actor(kind=ActorKind.STAFF, name="user:9002", reason="seen, agreed")
THIRD = replace(CHECKER, name="user:9003")


@pytest.fixture(autouse=True)
def _dealer(db: None) -> User:
    """Whoever asks: a dealer."""
    return User.objects.create_user("maker@example.com", id=9001, role="dealer", is_staff=True)


def may(right: str) -> bool:
    return right == "trading.approve_reversal"


def bought(holder: Holder, lots: str = "1") -> Position:
    executor.run(rows.market_order(holder, lots=lots))
    return Position.objects.get(account_id=holder.id)


def ask(position: Position, **more: Any) -> Approval:
    given = {"deviation": 20, "actor": MAKER, "user_id": 9001, "key": uuid4().hex, **more}
    return Approval.objects.get(pk=reversals.ask(position_id=position.pk, **given)["approval"])


def decide(approval: Approval, actor: Actor = CHECKER) -> Approval:
    return approvals.approve(approval_id=approval.pk, actor=actor, may=may)


def is_sound(holder: Holder) -> bool:
    """The journal replays to what is stored, and the ledger adds up; else this raises."""
    with verification.snapshot() as cursor:
        return verification.verify(cursor, [holder.id]) == len(rows.events_of(holder))


def test_what_was_approved_is_booked_as_one_event_of_two_deals(holder: Holder) -> None:
    position = bought(holder)
    asked = ask(position)
    rows.show({"EURUSD": ("1.10010", "1.10027")})

    done = decide(asked)

    event = rows.event_of(asked.pk)
    assert (done.status, done.outcome["event"], done.checker_id) == ("executed", "position_reversed", 9002)
    assert (event.type, event.actor) == ("position_reversed", "staff:user:9002")
    assert event.payload["reversal_id"] == str(asked.pk)
    told = Deal.objects.filter(created_at=event.at).order_by("id")
    assert [(d.entry, d.side, d.volume, d.price, d.profit) for d in told] == [
        ("out", "sell", D(1), D("1.10010"), D("-7.00")),
        ("in", "sell", D(1), D("1.10010"), D(0)),
    ]
    (held,) = Position.objects.all()
    assert (held.side, held.volume, held.pk != position.pk) == ("sell", D(1), True)
    assert rows.state_of(holder)[0] == D("9993.00")
    assert rows.lines_of(event) == {"client": D("-7.00"), "bbook": D("7.00")}
    assert is_sound(holder)


def test_both_people_stand_in_the_staff_log(holder: Holder) -> None:
    position = bought(holder)
    asked = ask(position)
    decide(asked)

    told = {one.operation: one for one in StaffAction.objects.all()}

    request, deed, decision = (
        told[name]
        for name in ("trading.reverse.requested", "trading.reverse_position", "trading.reverse.approved")
    )
    assert (request.user_id, request.outcome, request.reason) == (9001, "requested", MAKER.reason)
    assert (deed.user_id, deed.reason, deed.xact == decision.xact) == (9002, CHECKER.reason, True)
    assert deed.before["position"]["side"] == "buy"
    assert [one["side"] for one in deed.after["orders"]] == ["sell", "sell"]
    assert (deed.after["opened"]["side"], deed.after["money"]["profit"]) == ("sell", "-17.00")


def test_the_same_request_again_asks_once(holder: Holder) -> None:
    position = bought(holder)

    first, again = (ask(position, key="k1") for _ in range(2))

    assert (first.pk == again.pk, Approval.objects.count()) == (True, 1)
    with pytest.raises(requests.KeyReused):
        ask(position, key="k1", deviation=5)


def test_whoever_asked_does_not_decide(holder: Holder) -> None:
    asked = ask(bought(holder))

    with pytest.raises(approvals.SamePerson):
        decide(asked, replace(MAKER, ip="10.0.0.2"))

    assert Position.objects.get().side == "buy"


@pytest.mark.parametrize(
    ("prices", "word"),
    [(("1.09979", "1.09996"), "requote"), (("1.10021", "1.10038"), "requote")],
)
def test_a_price_that_left_the_deviation_refuses_and_ends_the_approval(
    holder: Holder, prices: tuple[str, str], word: str
) -> None:
    asked = ask(bought(holder))
    rows.show({"EURUSD": prices})

    done = decide(asked)

    assert (done.status, done.outcome["reject_reason"]) == ("refused", word)
    assert Position.objects.get().side == "buy"
    with pytest.raises(approvals.ApprovalClosed):
        decide(asked, THIRD)
    assert is_sound(holder)


def test_what_changed_meanwhile_is_refused(holder: Holder) -> None:
    position = bought(holder)
    asked = ask(position)
    executor.run(rows.close_order(holder, position.pk, lots="0.40"))

    done = decide(asked)

    assert (done.status, done.outcome["reject_reason"]) == ("refused", "position_changed")
    assert (Position.objects.get().side, Position.objects.get().volume) == ("buy", D("0.60"))


def test_what_closed_meanwhile_is_refused(holder: Holder) -> None:
    position = bought(holder)
    asked = ask(position)
    executor.run(rows.close_order(holder, position.pk))

    done = decide(asked)

    assert (done.status, done.outcome["refusal"], Position.objects.count()) == (
        "refused",
        "position_not_found",
        0,
    )


def test_what_would_be_refused_is_not_even_asked_for(holder: Holder) -> None:
    position = bought(holder)
    rows.show({"EURUSD": ("1.10000", "1.10017")}, age_ms=700_000)

    with pytest.raises(reversals.ReversalRefused) as refused:
        ask(position)

    assert (refused.value.code, Approval.objects.count()) == ("off_quotes", 0)
    with pytest.raises(PositionNotFound):
        reversals.ask(position_id=1, deviation=1, actor=MAKER, user_id=9001, key="k")


def command_for(position: Position, **changes: Any) -> ReversePosition:
    values: dict[str, Any] = {
        "account_id": position.account_id,
        "command_id": uuid4(),
        "actor": CHECKER,
        "position_id": position.pk,
        "side": Side.BUY,
        "volume": position.volume,
        "price": D("1.10000"),
        "deviation": 20,
    }
    return ReversePosition(**{**values, **changes})


def test_the_database_refuses_a_reversal_without_its_approval(holder: Holder) -> None:
    position = bought(holder)

    with pytest.raises(Conflict, match="without its approval") as refused:
        executor.run(command_for(position))

    assert refused.value.code == "reversal_not_approved"
    assert (Position.objects.get().side, is_sound(holder)) == ("buy", True)


@pytest.mark.parametrize("kind", ["pending", "rejected", "another account's", "another position's"])
def test_an_approval_of_another_state_or_content_does_not_do(holder: Holder, kind: str) -> None:
    position = bought(holder)
    asked = ask(position)
    effects: tuple[Any, ...] = ()
    target = position
    if kind == "rejected":
        approvals.reject(approval_id=asked.pk, actor=CHECKER, may=may)
    elif kind != "pending":
        other = rows.make_holder(group=holder.row.group) if kind == "another account's" else holder
        executor.run(rows.market_order(other))
        target = Position.objects.exclude(pk=position.pk).get()
        effects = (approvals.consuming(asked, actor=CHECKER),)

    with pytest.raises(Conflict, match=r"without its approval|something else than was approved") as refused:
        executor.run(command_for(target, command_id=asked.pk), effects=effects)

    is_other = kind == "another position's"
    assert refused.value.code == ("approval_mismatch" if is_other else "reversal_not_approved")

    asked.refresh_from_db()
    assert asked.status == ("rejected" if kind == "rejected" else "pending")
    assert not Position.objects.filter(side="sell").exists()


def test_an_event_written_past_the_executor_is_refused(holder: Holder, owner: psycopg.Connection) -> None:
    with pytest.raises(psycopg.DatabaseError, match="without its approval"):
        owner.execute(
            "INSERT INTO accounts_accountevent (account_id, seq, type, at, command_id, fingerprint, actor,"
            " request_id, payload)"
            " VALUES (%s, 99, 'position_reversed', now(), gen_random_uuid(), '', 'x', '', '{}')",
            [holder.id],
        )


def at_once(*acts: Any) -> list[Any]:
    """Start all at the same moment in threads of their own; return answers and typed errors."""
    barrier = Barrier(len(acts))

    def run(act: Any) -> Any:
        barrier.wait()
        try:
            return act()
        except RtxError as error:
            return error.code
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return [one.result(20) for one in [pool.submit(run, act) for act in acts]]


def test_of_two_checkers_one_decides(holder: Holder) -> None:
    asked = ask(bought(holder))

    told = at_once(*(lambda actor=actor: decide(asked, actor).checker_id for actor in (CHECKER, THIRD)))

    asked.refresh_from_db()
    assert sorted(map(str, told)) == sorted([str(asked.checker_id), "approval_closed"])
    assert [one.entry for one in Deal.objects.order_by("id")] == ["in", "out", "in"]
    assert is_sound(holder)


@pytest.mark.parametrize("lots", [None, "0.40"])
def test_a_close_at_the_same_moment_comes_before_or_after(holder: Holder, lots: str | None) -> None:
    position = bought(holder)
    asked = ask(position)

    def close() -> str:
        outcome = positions.close(
            account_id=holder.id,
            position_id=position.pk,
            client_order_id="mine",
            actor=holder.actor,
            volume=None if lots is None else D(lots),
        )
        return outcome.type

    closed, status = at_once(close, lambda: decide(asked).status)

    left = [(one.side, one.volume) for one in Position.objects.all()]
    assert (closed, status, left) in [
        ("order_filled", "refused", [] if lots is None else [("buy", D("0.60"))]),
        ("position_not_found", "executed", [("sell", D(1))]),
    ]
    assert is_sound(holder)


def test_asking_writes_nothing_but_the_request(holder: Holder) -> None:
    position = bought(holder)
    before = len(rows.events_of(holder))

    found = reversals.preview(position_id=position.pk, actor=MAKER)

    assert (found.type, found.total("profit")) == ("position_reversed", D("-17.00"))
    assert (found.after.balance, found.after.margin, found.after.free_margin) == (
        D("9983.00"),
        D("1100.00"),
        D("8866.00"),
    )
    assert (len(rows.events_of(holder)), Approval.objects.count()) == (before, 0)


def test_an_approval_that_was_taken_back_meanwhile_carries_nothing_out(holder: Holder) -> None:
    position = bought(holder)
    command = command_for(position)
    with transaction.atomic():
        asked = reversals._request(position, command, MAKER)
    handler = reversals.ReversalHandler()
    stale = Approval.objects.get(pk=asked.pk)
    approvals.cancel(approval_id=asked.pk, actor=MAKER)

    with pytest.raises(approvals.ApprovalClosed):
        handler.execute(stale, actor=CHECKER)

    assert (Position.objects.get().side, is_sound(holder)) == ("buy", True)


def test_a_stop_out_at_the_same_moment_leaves_nothing_to_reverse(holder: Holder) -> None:
    position = bought(holder, "8.50")  # 9,351.45 of margin
    asked = ask(position, deviation=100_000)
    rows.show({"EURUSD": ("1.09390", "1.09407")})  # 5,329.50 lost: 49.9 % of the margin is left
    liquidation = StopOut(account_id=holder.id, command_id=uuid4(), actor=Actor.system("monitor"))

    stopped, status = at_once(lambda: executor.run(liquidation).type, lambda: decide(asked).status)

    asked.refresh_from_db()
    assert (stopped, status) == ("stopped_out", "refused")
    assert (asked.outcome.get("reject_reason") or asked.outcome["refusal"]) in (
        "no_money",
        "position_not_found",
    )
    assert (Position.objects.count(), is_sound(holder)) == (0, True)


def test_a_kill_switch_stops_the_new_side(holder: Holder) -> None:
    asked = ask(bought(holder))
    kill_switch.engage(
        target=Target(scope="account", account_id=holder.id), reason="drill", actor=rows.TESTER
    )

    done = decide(asked)

    assert (done.status, done.outcome["reject_reason"]) == ("refused", "kill_switch")


@pytest.mark.parametrize(
    ("kind", "most", "word"),
    [
        ("open_volume", "1", None),  # what leaves makes room for what enters
        ("positions", "1", None),
        ("symbol_exposure", "110017.00", None),
        ("order_volume", "0.99", "limit_volume"),
    ],
)
def test_limits_see_the_side_that_leaves(holder: Holder, kind: str, most: str, word: str | None) -> None:
    asked = ask(bought(holder))
    RiskLimit.objects.create(kind=kind, value=D(most), scope="account", account_id=holder.id)

    done = decide(asked)

    assert done.outcome.get("reject_reason") == word


def test_another_dealer_lets_it_happen(holder: Holder) -> None:
    asked = ask(bought(holder))
    dealer = staff("dealer@example.com", role="dealer", groups=(holder.row.group,))

    answer = Trader(token_of(dealer)).call(
        "POST",
        f"/api/admin/approval/{asked.pk}/approve",
        '{"reason": "seen, agreed"}',
        **{"Idempotency-Key": "k"},
    )

    assert (answer.status_code, answer.json()["status"]) == (200, "executed")
