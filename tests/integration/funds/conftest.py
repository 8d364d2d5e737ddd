"""A small broker whose group lets one person post 1,000.00 USD per client and day."""

from decimal import Decimal

import pytest

from apps.accounts.models import User
from apps.audit.services import approvals
from apps.funds.models import FundPolicy
from apps.groups.models import TradingGroup
from tests.factories import rows
from tests.factories.house import staff
from tests.factories.rows import Holder

D = Decimal


@pytest.fixture
def group(db: None) -> TradingGroup:
    """USD, hedging, 1:100, with prices."""
    rows.make_symbols()
    rows.show()
    return rows.make_group()


@pytest.fixture
def holder(group: TradingGroup) -> Holder:
    """A trader with 10,000.00 USD, deposited before there was a policy."""
    return rows.make_holder(group=group)


@pytest.fixture
def policy(holder: Holder, group: TradingGroup) -> FundPolicy:
    """One person may post 1,000.00 a day; the trader's first deposit was before."""
    return FundPolicy.objects.create(group=group, threshold=D("1000"), minimum=D("10"))


@pytest.fixture
def maker(group: TradingGroup) -> User:
    """An administrator."""
    return staff("maker@example.com", role="admin", groups=(group,))


@pytest.fixture
def checker(group: TradingGroup) -> User:
    """Another administrator."""
    return staff("checker@example.com", role="admin", groups=(group,))


@pytest.fixture(autouse=True)
def _handlers_anew() -> None:
    approvals._handler.cache_clear()
