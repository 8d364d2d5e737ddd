"""The real recordings, counted: skipped where the folder is absent."""

import os
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from apps.market.adapters.library import Library
from apps.market.adapters.recordings import identify
from apps.market.domain.quotes import Refusal, TickFilter

FOLDER = os.environ.get("RTX_TICKS_DIR", "")

pytestmark = pytest.mark.skipif(not FOLDER, reason="RTX_TICKS_DIR names no folder of recordings")


@pytest.mark.parametrize(
    ("name", "symbol", "read", "crossed"),
    [
        ("oanda/eurusd_tick_20140508.zip", "EURUSD", 87_833, 0),
        ("fxcm/eurusd_tick_20140508.zip", "EURUSD", 167_466, 18_285),
        ("truefx/usdjpy-ticks.csv", "USDJPY", 1_000, 0),
        ("binance/btcusdt-quotes-20210108.csv", "BTCUSD", 451, 0),
    ],
)
def test_recording_is_read_and_filtered_to_the_quote(name, symbol, read, crossed):
    recording = identify(Path(FOLDER) / name)
    assert recording is not None
    assert recording.symbol == symbol
    judge = TickFilter(spike_max_pct=Decimal(2))

    count = Counter(
        judge.refusal(bid=tick.bid, ask=tick.ask, time_ms=tick.time_us // 1000) for tick in recording.ticks()
    )

    assert count == Counter({None: read - crossed, Refusal.CROSSED: crossed})


def test_minutes_of_february_are_joined():
    recording = identify(Path(FOLDER) / "bars" / "gbpusd-m1-bid-2012.csv.gz")

    assert recording is not None
    assert sum(1 for _ in recording.bars()) == 30_117


def test_library_names_every_recorded_symbol():
    assert Library(FOLDER).symbols() == [
        "BTCUSD", "DE30EUR", "EURUSD", "GBPUSD", "NZDUSD", "USDJPY", "XAUUSD",
    ]  # fmt: skip
