"""A small broker: symbols with prices, one group, one trader with money."""

from collections.abc import Iterator

import pytest

from apps.groups.models import TradingGroup
from apps.market.models import Symbol
from apps.risk.services import liquidation
from apps.risk.services.liquidation_dispatch import Dispatcher
from tests.factories import rows
from tests.factories.rows import Holder


@pytest.fixture
def symbols(db: None) -> dict[str, Symbol]:
    """Symbols that are always open, priced as of now."""
    made = rows.make_symbols()
    rows.show()
    return made


@pytest.fixture
def group(symbols: dict[str, Symbol]) -> TradingGroup:
    """USD, hedging, 1:100, stop-out at 50 %, no markup, no commission."""
    return rows.make_group()


@pytest.fixture
def holder(group: TradingGroup) -> Holder:
    """A trader with one account of 10,000.00 USD."""
    return rows.make_holder(group=group)


@pytest.fixture(autouse=True)
def _fresh_dispatcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget which accounts rest: every test's accounts have the same numbers."""
    made = Dispatcher()
    monkeypatch.setattr(liquidation, "_dispatcher", made)
    yield
    made.stop()
