"""What a limit of loss is measured against, when money moved since the monitor stored its marks."""

import pytest
from django.db import connection, transaction
from psycopg import Cursor

from apps.accounts.domain.ledger import BalanceKind
from apps.accounts.models import AccountState
from apps.risk.models import AccountRisk
from apps.risk.selectors import limit_facts
from apps.trading.services import balances
from rtx.kernel import clock
from tests.factories import rows
from tests.factories.rows import D, Holder


@pytest.mark.parametrize(
    ("equity", "amount", "day_start", "peak"),
    [
        ("10000", "-9000", "1100", "1050"),
        ("10000", "1000", "11100", "11550"),
        ("-500", "1000", "11100", "11500"),
    ],
)
def test_a_withdrawal_changes_no_drawdown(
    holder: Holder, equity: str, amount: str, day_start: str, peak: str
) -> None:
    AccountRisk.objects.create(
        account_id=holder.id,
        seq=AccountState.objects.get(account_id=holder.id).seq,
        equity=D(equity),
        margin=0,
        peak_equity=D("10500"),
        peak_at=clock.now(),
        day=clock.now().date(),
        day_start_equity=D("10100"),
        day_low_equity=D("10000"),
        day_high_equity=D("10500"),
        used_credit=0,
        used_credit_max=0,
        updated_at=clock.now(),
    )
    balances.change(
        account_id=holder.id,
        kind=BalanceKind.ADJUSTMENT,
        amount=D(amount),
        reference="moved",
        actor=rows.TESTER,
    )

    with transaction.atomic(), Cursor(connection.connection) as cursor:
        mark = limit_facts.read_marks(cursor, [holder.id], now=clock.now())[holder.id]

    assert (mark.day_start, mark.peak) == (D(day_start), D(peak))
