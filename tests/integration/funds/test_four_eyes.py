"""Ways round the second person, each of which has to fail: by the service, in a shell, in SQL, by racing."""

import json
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from apps.accounts.domain.ledger import BalanceKind
from apps.accounts.models import AccountEvent, User
from apps.accounts.services import trading_accounts
from apps.audit.models import Approval
from apps.audit.services import approvals
from apps.funds.models import FundOperation, FundPolicy
from apps.funds.services import policies
from apps.trading.domain.commands import ChangeBalance, balance_command_id
from apps.trading.services import balances, executor
from apps.trading.services.executor import Executor
from rtx.kernel import clock
from rtx.kernel.actor import Actor
from rtx.kernel.errors import Conflict, Forbidden
from tests.factories import rows
from tests.factories.funds import acting, approve, ask, balance, postings, race
from tests.factories.house import staff
from tests.factories.rows import Holder

pytestmark = pytest.mark.django_db
D = Decimal
SHELL = Actor.system("shell")


def in_a_shell(holder: Holder, amount: str, kind: str = "deposit") -> object:
    """Post as whoever sits at a shell of the production machine would."""
    return balances.change(
        account_id=holder.id,
        kind=BalanceKind(kind),
        amount=D(amount),
        reference=f"shell-{uuid4().hex}",
        actor=SHELL,
    )


def in_sql(
    account_id: int,
    amount: str,
    *,
    kind: str = "deposit",
    command_id: UUID | None = None,
    reference: str = "sql",
    at: str = "now()",
    booked: str | None = None,
) -> None:
    """Insert an event with its ledger lines, past the whole program, as the application's role."""
    payload = {"kind": kind, "amount": amount, "reference": reference, "comment": ""}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"""INSERT INTO accounts_accountevent
                (account_id, seq, type, at, command_id, fingerprint, actor, request_id, payload)
            VALUES (%s, 999, 'balance_changed', {at}, %s, '', 'system:sql', '', %s) RETURNING id""",
            [account_id, command_id or uuid4(), json.dumps(payload)],
        )
        event = cursor.fetchone()[0]
        cursor.execute(
            """INSERT INTO accounts_ledgerline (event_id, account_id, ledger, amount, currency, at)
            SELECT %s, %s, v.ledger, v.amount, 'USD', now()
            FROM (VALUES ('client', %s::numeric), ('cash', -%s::numeric)) v(ledger, amount)""",
            [event, account_id, booked or amount, booked or amount],
        )


def other_account(holder: Holder, *, currency: str = "USD") -> Holder:
    """Open another account of the same client."""
    group = holder.row.group
    if currency != group.currency:
        group = rows.make_group(currency.lower(), currency=currency)
        FundPolicy.objects.create(group=group, threshold=D("1000"))
    account = trading_accounts.open_account(client=holder.row.client, group=group, actor=rows.TESTER)
    return Holder(id=account.pk, login=account.login, user_id=holder.user_id, token="")


def test_splitting_into_many_small_ones_does_not_help(policy, holder, maker):
    statuses = [ask(holder, maker, "300").status for _ in range(5)]

    assert statuses == ["posted"] * 3 + ["requested"] * 2
    assert balance(holder) == D("10900")


def test_splitting_over_kinds_and_signs_does_not_help(policy, holder, maker):
    steps = [("deposit", "400"), ("withdrawal", "400"), ("adjustment", "-100"), ("credit", "100.01")]

    statuses = [ask(holder, maker, amount, kind).status for kind, amount in steps]

    assert statuses == ["posted", "posted", "posted", "requested"]


def test_splitting_over_accounts_of_one_client_does_not_help(policy, holder, maker):
    second = other_account(holder)

    statuses = [ask(one, maker, "600").status for one in (holder, second)]

    assert statuses == ["posted", "requested"]


def test_splitting_over_makers_does_not_help(policy, holder, maker, checker):
    assert ask(holder, maker, "600").status == "posted"
    assert ask(holder, checker, "600").status == "requested"


def test_whoever_asked_cannot_approve_in_another_session(policy, holder, maker):
    waiting = ask(holder, maker, "5000")
    elsewhere = Actor(kind=acting(maker).kind, name=f"user:{maker.pk}", ip="198.51.100.9", reason="me too")

    with pytest.raises(approvals.SamePerson):
        approvals.approve(approval_id=waiting.approval_id, actor=elsewhere, may=maker.has_perm)
    with pytest.raises(IntegrityError, match="approval_needs_another_person"):
        Approval.objects.update(
            status="executed", checker_id=maker.pk, checker="staff:user:9", checked_at=clock.now()
        )
    with pytest.raises(IntegrityError, match="approval_needs_a_checker"):
        Approval.objects.update(status="executed", checked_at=clock.now())
    assert balance(holder) == D("10000")


def test_a_raised_role_does_not_make_two_people_of_one(policy, holder):
    clerk = staff("clerk@example.com", role="support", groups=(holder.row.group,))
    waiting = ask(holder, clerk, "5000")
    User.objects.filter(pk=clerk.pk).update(role="admin")

    with pytest.raises(approvals.SamePerson):
        approve(waiting, User.objects.get(pk=clerk.pk))
    assert balance(holder) == D("10000")


def test_the_content_cannot_be_edited_once_it_waits(policy, holder, maker, checker):
    waiting = ask(holder, maker, "5000", reference="r")

    for change in ({"amount": D("90000")}, {"account": other_account(holder).id}, {"reference": "x"}):
        with pytest.raises(DatabaseError, match="content of fund operation"):
            FundOperation.objects.filter(pk=waiting.pk).update(**change)
    changed = approvals.canonical({**json.loads(waiting.approval.content), "amount": "90000.00"})
    with pytest.raises(DatabaseError, match="content of approval"):
        Approval.objects.update(content=changed, content_hash=approvals.hash_of(changed), status="expired")

    approve(waiting, checker)
    assert balance(holder) == D("15000")


def test_an_approval_is_used_once(policy, holder, maker, checker):
    waiting = ask(holder, maker, "5000", reference="r")
    approve(waiting, checker)

    approve(waiting, checker)  # the same person again: the same answer
    third = staff("third@example.com", role="admin", groups=(holder.row.group,))
    with pytest.raises(approvals.ApprovalClosed):
        approve(waiting, third)
    with pytest.raises(IntegrityError):
        in_sql(holder.id, "5000.00", reference="r", command_id=waiting.approval_id)
    with pytest.raises(DatabaseError, match="exceeds what one person"):
        in_sql(holder.id, "5000.00", reference="r")
    assert (balance(holder), postings(holder)) == (D("15000"), 1)


@pytest.mark.parametrize(
    ("kind", "amount"),
    [("deposit", "1000.01"), ("withdrawal", "-1000.01"), ("adjustment", "-1000.01"), ("credit", "1000.01"),
     ("compensation", "1000.01")],
)  # fmt: skip
def test_a_shell_posts_no_more_than_one_person_may(policy, holder, kind, amount):
    with pytest.raises(Conflict) as refused:
        in_a_shell(holder, amount, kind)

    assert refused.value.code == "second_person_needed"
    assert postings(holder) == 0
    in_a_shell(holder, "1000")
    assert postings(holder) == 1


def test_sql_posts_no_more_than_one_person_may(policy, holder):
    with pytest.raises(DatabaseError, match="exceeds what one person"):
        in_sql(holder.id, "1000.01")
    with pytest.raises(DatabaseError, match="bears the time"):
        in_sql(holder.id, "900", at="now() - interval '2 days'")
    with pytest.raises(DatabaseError, match="ledger lines"):
        in_sql(holder.id, "1.00", booked="900000")

    assert postings(holder) == 0


def test_an_approval_books_nothing_but_its_content(policy, holder, maker, checker):
    waiting = ask(holder, maker, "5000", reference="r")
    approval = waiting.approval
    elsewhere = {
        "other account": other_account(holder).id,
        "other currency": other_account(holder, currency="EUR").id,
    }

    def forged(account_id: int, amount: str = "5000.00", kind: str = "deposit", reference: str = "r") -> None:
        with transaction.atomic():
            approvals.consume(approval, actor=acting(checker), outcome={})
            in_sql(account_id, amount, kind=kind, reference=reference, command_id=approval.pk)

    for account_id in elsewhere.values():
        with pytest.raises(DatabaseError, match="not what approval"):
            forged(account_id)
    for change in ({"amount": "5000.01"}, {"kind": "credit"}, {"reference": "s"}):
        with pytest.raises(DatabaseError, match="not what approval"):
            forged(holder.id, **change)
    assert Approval.objects.get().status == "pending"


def test_an_approval_that_nobody_gave_books_nothing(policy, holder, maker):
    waiting = ask(holder, maker, "5000", reference="r")

    with pytest.raises(DatabaseError, match="not what approval"):
        in_sql(holder.id, "5000.00", reference="r", command_id=waiting.approval_id)

    assert balance(holder) == D("10000")


def test_an_approval_past_its_time_books_nothing(policy, holder, maker, checker, time_machine):
    waiting = ask(holder, maker, "5000")
    time_machine.move_to(clock.now() + timedelta(hours=24, seconds=1))

    with pytest.raises(approvals.ApprovalClosed):
        approve(waiting, checker)
    with connection.cursor() as cursor, pytest.raises(DatabaseError, match="has expired"):
        cursor.execute(  # made in the past, as the database's clock sees it
            """INSERT INTO audit_approval (id, kind, content, content_hash, summary, maker_id, maker, reason,
                created_at, expires_at, status, checker, check_reason, outcome)
            SELECT gen_random_uuid(), kind, content, content_hash, summary, maker_id, maker, reason,
                now() - interval '2 days', now() - interval '1 day', 'pending', '', '', '{}'
            FROM audit_approval;
            UPDATE audit_approval SET status = 'executed', checker_id = 9, checked_at = now()
            WHERE expires_at < now()"""
        )
    assert balance(holder) == D("10000")


def test_two_checkers_at_the_same_moment_post_once(policy, holder, maker, checker):
    third = staff("third@example.com", role="admin", groups=(holder.row.group,))
    waiting = ask(holder, maker, "5000")

    answers = race(*[lambda who=who: approve(waiting, who) for who in (checker, third) for _ in range(4)])

    done = [answer for answer in answers if isinstance(answer, Approval)]
    assert {answer.checker_id for answer in done} in ({checker.pk}, {third.pk})
    assert {getattr(answer, "code", "") for answer in answers if answer not in done} == {"approval_closed"}
    assert (balance(holder), postings(holder)) == (D("15000"), 1)


def test_deposits_split_over_threads_and_processes_do_not_pass_together(policy, holder):
    accounts = [holder, other_account(holder)]
    both = (executor._executor, Executor())

    def post(number: int) -> object:
        account = accounts[number % 2]
        command = ChangeBalance(
            account_id=account.id,
            command_id=balance_command_id(account_id=account.id, reference=f"race-{number}"),
            actor=SHELL,
            kind=BalanceKind.DEPOSIT,
            amount=D("300"),
            reference=f"race-{number}",
        )
        return both[number // 2 % 2].run(command)

    answers = race(*[lambda number=number: post(number) for number in range(12)])

    refused = [answer for answer in answers if isinstance(answer, Conflict)]
    assert {answer.code for answer in refused} == {"second_person_needed"}
    assert (len(answers) - len(refused), len(refused)) == (3, 9)
    posted = AccountEvent.objects.filter(type="balance_changed", payload__reference__startswith="race-")
    assert posted.count() == 3


def test_staff_who_race_each_other_leave_the_rest_to_a_second_person(policy, holder, maker, checker):
    answers = race(
        *[
            lambda who=who, n=n: ask(holder, who, "300", key=f"k-{n}")
            for n in range(4)
            for who in (maker, checker)
        ]
    )

    assert sorted(answer.status for answer in answers) == ["posted"] * 3 + ["requested"] * 5
    assert Approval.objects.filter(status="pending").count() == 5
    assert balance(holder) == D("10900")


def test_a_refused_posting_harms_nobody_in_its_batch(policy, holder):
    stranger = rows.make_holder(group=rows.make_group("free"))
    commands = [rows.market_order(stranger), rows.market_order(holder), rows.market_order(stranger)]
    too_much = ChangeBalance(
        account_id=holder.id,
        command_id=uuid4(),
        actor=SHELL,
        kind=BalanceKind.DEPOSIT,
        amount=D("5000"),
        reference="too-much",
    )

    futures = executor.submit_all([commands[0], too_much, *commands[1:]])

    assert futures[1].exception(20).code == "second_person_needed"
    assert [futures[n].result(20).order.status for n in (0, 2, 3)] == ["filled"] * 3


def test_the_threshold_is_not_raised_by_one_person(policy, holder, maker, checker):
    for change in ({"threshold": D("90000")}, {"threshold": None}):
        with pytest.raises(DatabaseError, match="higher threshold needs a second person"):
            FundPolicy.objects.filter(pk=policy.pk).update(**change)
    with pytest.raises(DatabaseError):
        policy.delete()
    with transaction.atomic():
        asked = policies.ask_looser(policy, D("90000"), actor=acting(maker, "a large client"))
    with pytest.raises(Forbidden):
        approvals.approve(approval_id=asked.pk, actor=acting(maker), may=maker.has_perm)

    approvals.approve(approval_id=asked.pk, actor=acting(checker), may=checker.has_perm)

    assert FundPolicy.objects.get(pk=policy.pk).threshold == D("90000")
    FundPolicy.objects.filter(pk=policy.pk).update(threshold=D("500"))  # stricter: one person is enough
    with transaction.atomic():
        stale = policies.ask_looser(policy, None, actor=acting(maker, "it said 90,000"))
    done = approvals.approve(approval_id=stale.pk, actor=acting(checker), may=checker.has_perm)
    assert (done.status, FundPolicy.objects.get(pk=policy.pk).threshold) == ("refused", D("500"))


def test_moving_the_account_away_for_a_day_does_not_help(policy, holder, maker):
    free = rows.make_group("free")
    balances.move_account(
        account_id=holder.id, command_id=uuid4(), group_id=free.pk, actor=acting(maker, "a milder group")
    )

    assert ask(holder, maker, "1000.01").status == "requested"
    with pytest.raises(DatabaseError, match="exceeds what one person"):
        in_sql(holder.id, "1000.01")
