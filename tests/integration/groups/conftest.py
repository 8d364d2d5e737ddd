"""A small broker with prices, one group with a position near its levels, and staff who edit terms."""

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.groups.models import TradingGroup
from apps.market.models import Symbol
from apps.risk.selectors import snapshot
from apps.trading.domain.orders import Side
from apps.trading.services import executor
from tests.factories import rows
from tests.factories.house import staff
from tests.factories.rows import Holder, make_group, make_holder, market_order
from tests.integration.admin.conftest import signed_in


@pytest.fixture(autouse=True)
def _fresh(db: None) -> None:
    snapshot.forget()


@pytest.fixture
def symbols(db: None) -> dict[str, Symbol]:
    """Symbols that are always open, priced as of now."""
    made = rows.make_symbols()
    rows.show()
    return made


@pytest.fixture
def group(symbols: dict[str, Symbol]) -> TradingGroup:
    """USD, hedging, 1:100, margin call at 100 %, stop-out at 50 %, no markup."""
    return make_group("usd")


@pytest.fixture
def holder(group: TradingGroup) -> Holder:
    """1.00 lot of EURUSD on 2,000.00: margin 1,100.17, equity 1,983.00, level 180.24 %."""
    made = make_holder(group=group, balance="2000")
    assert executor.run(market_order(made, Side.BUY, "EURUSD", lots="1.00")).order.status == "filled"
    return made


@pytest.fixture
def boss(db: None) -> User:
    """A super administrator who asks."""
    return User.objects.create_superuser("boss@example.com", "correct horse battery 17")


@pytest.fixture
def second(db: None) -> User:
    """Another one who decides."""
    return User.objects.create_superuser("second@example.com", "correct horse battery 17")


@pytest.fixture
def http(boss: User) -> Client:
    """The browser of the one who asks."""
    return signed_in(boss)


@pytest.fixture
def admin(group: TradingGroup) -> User:
    """An administrator who reaches this group only."""
    return staff("admin@example.com", role="admin", groups=(group,))
