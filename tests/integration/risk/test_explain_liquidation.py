"""`explain_liquidation`: the story of a dossier, and whether it comes out the same once more."""

from io import StringIO

import psycopg
import pytest
from django.core.management import CommandError, call_command

from apps.groups.models import StopOutRule, TradingGroup
from apps.market.models import Symbol
from apps.risk.models import Liquidation
from apps.risk.services import liquidation
from apps.trading.domain.orders import OrderType, Side
from apps.trading.services import executor
from rtx.kernel.actor import Actor
from tests.factories import rows
from tests.factories.rows import Holder
from tests.factories.stop_outs import crash, exposed, liquidations
from tests.factories.triggering import pending


def stopped_out(holder: Holder) -> Liquidation:
    crash()
    liquidation.enforce(holder.id, cause="sweep", actor=Actor.system("sweep"))
    return liquidations(holder)[0]


def explained(row: Liquidation) -> str:
    out = StringIO()
    call_command("explain_liquidation", str(row.pk), stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("rule", list(StopOutRule))
def test_each_rule_is_told_and_reproduced(symbols: dict[str, Symbol], rule: str) -> None:
    Symbol.objects.update(margin_rate_pending=1)
    group = rows.make_group(
        stop_out_rule=rule, markup_ask_points=3, commission_mode="per_lot", commission_value=7
    )
    holder = exposed(group=group, balance="1700", lots=("0.05", "0.10"))
    executor.run(rows.market_order(holder, Side.SELL, "USDJPY", lots="0.20"))
    executor.run(pending(holder, Side.BUY, OrderType.LIMIT, "0.90000"))

    told = explained(stopped_out(holder))

    assert f"Account {holder.login} in group standard" in told
    assert "cancel order" in told
    assert "1. " in told
    assert "identical, byte for byte" in told


def test_an_unknown_number_is_said_so(group: TradingGroup) -> None:
    with pytest.raises(CommandError, match="There is no liquidation 17"):
        call_command("explain_liquidation", "17")


def test_a_changed_dossier_is_found_out(group: TradingGroup, owner: psycopg.Connection) -> None:
    row = stopped_out(exposed(group=group))
    owner.execute("ALTER TABLE risk_liquidation DISABLE TRIGGER USER")
    owner.execute(
        "UPDATE risk_liquidation SET dossier = replace(dossier, %s, %s)",
        ['"compensation":"3.40"', '"compensation":"3.41"'],
    )

    with pytest.raises(CommandError, match=r"compensation: '3.41', then '3.40'"):
        explained(row)
