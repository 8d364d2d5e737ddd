"""A stream server on a small broker with one group and one trader."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from apps.groups import selectors as group_selectors
from apps.groups.models import TradingGroup
from apps.trading.consumers import access
from tests.factories.stream_server import Broker, StreamServer, Trader


@pytest.fixture
def broker(db: None, settings: Any) -> Iterator[Broker]:
    settings.SESSIONS_ALWAYS_OPEN = True
    group_selectors._current = None
    access._owned.clear()
    with closing(Broker()) as made:
        yield made


@pytest.fixture
def standard(broker: Broker) -> TradingGroup:
    return broker.group("standard")


@pytest.fixture
def trader(broker: Broker, standard: TradingGroup) -> Trader:
    return broker.trader(standard)


@pytest.fixture
def server(broker: Broker) -> Iterator[StreamServer]:
    with StreamServer() as running:
        yield running
