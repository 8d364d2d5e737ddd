"""The house's policy, the strictest over all accounts of a client, and the order in which postings lock."""

from datetime import timedelta
from decimal import Decimal
from threading import Thread
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.accounts.services import trading_accounts
from apps.audit.services import approvals
from apps.funds.models import FundPolicy
from apps.funds.selectors.policies import room_of
from apps.funds.services import decisions, policies
from apps.trading.services import balances
from rtx.kernel import clock
from tests.factories import rows
from tests.factories.funds import acting, ask, postings
from tests.factories.rows import Holder
from tests.integration.funds.test_four_eyes import in_sql

pytestmark = pytest.mark.django_db
D = Decimal


def test_moving_the_account_away_does_not_help_for_a_week(policy, holder, maker):
    free = rows.make_group("free")
    balances.move_account(
        account_id=holder.id, command_id=uuid4(), group_id=free.pk, actor=acting(maker, "a milder group")
    )

    def threshold(days: int) -> object:
        room = room_of(holder.row, now=clock.now() + timedelta(days=days, minutes=-1))
        return room and room.threshold

    assert [threshold(days) for days in (0, 1, 7)] == [D("1000")] * 3
    assert threshold(8) is None


def test_a_second_account_in_a_group_without_a_policy_does_not_help(policy, holder, maker):
    free = rows.make_group("free")
    account = trading_accounts.open_account(client=holder.row.client, group=free, actor=rows.TESTER)
    second = Holder(id=account.pk, login=account.login, user_id=holder.user_id, token="")

    assert ask(second, maker, "1000000").status == "requested"
    with pytest.raises(DatabaseError, match="exceeds what one person"):
        in_sql(second.id, "1000.01")
    assert ask(second, maker, "600").status == "posted"
    assert ask(holder, maker, "600").status == "requested"


@pytest.fixture
def house(holder):
    """The house's own policy: 500 for groups that have none."""
    FundPolicy.objects.filter(group=None).update(threshold=D("500"))
    return FundPolicy.objects.get(group=None)


def test_a_group_without_a_policy_has_the_houses(house, holder, maker):
    assert ask(holder, maker, "500").status == "posted"
    assert ask(holder, maker, "0.01").status == "requested"
    with pytest.raises(DatabaseError, match="exceeds what one person"):
        in_sql(holder.id, "0.01")


def test_a_new_policy_is_not_milder_than_the_houses_nor_begins_anew(house, holder, maker):
    group = holder.row.group
    for milder in (None, D("500.01")):
        with pytest.raises(DatabaseError, match="higher threshold than the house's"):
            FundPolicy.objects.create(group=group, threshold=milder)
    assert ask(holder, maker, "400").status == "posted"

    FundPolicy.objects.create(group=group, threshold=D("450"))

    assert ask(holder, maker, "51").status == "requested"
    assert ask(holder, maker, "50").status == "posted"


def test_the_houses_policy_is_loosened_by_two_and_stays(house, maker, checker):
    for change in ({"threshold": D("501")}, {"threshold": None}):
        with pytest.raises(DatabaseError, match="higher threshold needs a second person"):
            FundPolicy.objects.filter(group=None).update(**change)
    with pytest.raises(DatabaseError):
        FundPolicy.objects.create(group=None, threshold=D("90000"))
    with pytest.raises(DatabaseError):
        house.delete()
    with transaction.atomic():
        asked = policies.ask_looser(house, D("900"), actor=acting(maker, "larger clients"))

    approvals.approve(approval_id=asked.pk, actor=acting(checker), may=checker.has_perm)

    assert FundPolicy.objects.get(group=None).threshold == D("900")


def test_rejecting_locks_the_approval_before_its_operation(policy, holder, maker, checker):
    waiting = ask(holder, maker, "5000")

    with CaptureQueriesContext(connection) as asked:
        decisions.reject(waiting, actor=acting(checker), may=checker.has_perm, key="k", message="no")

    locks = [one["sql"] for one in asked if "FOR UPDATE" in one["sql"] or one["sql"].startswith("UPDATE")]
    told = [sql for sql in locks if "audit_approval" in sql or "funds_fundoperation" in sql]
    assert told[0].endswith("FOR UPDATE")
    assert 'FROM "audit_approval"' in told[0]
    assert told[1].startswith('UPDATE "funds_fundoperation"')


def test_postings_of_one_transaction_are_locked_in_one_order(policy, holder, owner):
    other = rows.make_holder(group=holder.row.group, balance="100")
    keys = {one.id: str(one.row.client_id) for one in (holder, other)}
    small, big = sorted(keys, key=lambda account_id: keys[account_id])
    owner.autocommit = False
    owner.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [keys[small]])

    def post_both() -> None:
        try:
            with transaction.atomic():
                in_sql(big, "1.00", reference="big")
                in_sql(small, "1.00", reference="small")
        finally:
            connection.close()

    posting = Thread(target=post_both)
    posting.start()
    waits = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    while not (found := owner.execute(waits).fetchone()):
        pass
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = %s"
    is_free = owner.execute(held, found).fetchone() == (0,)  # the big one was not taken first
    owner.rollback()
    posting.join(20)

    assert is_free
    assert postings(holder) + postings(other) == 2
