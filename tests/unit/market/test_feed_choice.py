"""Which feed prices a symbol: the settings decide, and what they cannot mean is said at the start."""

import zipfile
from decimal import Decimal
from pathlib import Path

import pytest

from apps.market.adapters.feed import FeedRefused
from apps.market.adapters.feeds import FeedFactory, LastPrice
from tests.unit.market.test_simulated import START_MS, spec


@pytest.fixture
def folder(tmp_path) -> Path:
    """Lay down EURUSD by two providers."""
    for provider in ("oanda", "fxcm"):
        (tmp_path / provider).mkdir()
        with zipfile.ZipFile(tmp_path / provider / "eurusd_tick_20140508.zip", "w") as archive:
            archive.writestr("table.csv", "".join(f"{ms},1.39101,1.39114\n" for ms in range(0, 90_000, 1000)))
    return tmp_path


def made(name: str = "EURUSD", last: LastPrice | None = None):
    return FeedFactory(waits=True).make(spec(name), now_ms=START_MS, last=last)


@pytest.fixture
def chosen(settings):
    """Return a function that sets the feed settings."""

    def choose(*, default: str = "replay", folder: object = "", **by_symbol: str) -> None:
        settings.DEMO = True
        settings.FEED_DEFAULT, settings.FEED_BY_SYMBOL = default, by_symbol
        settings.TICKS_DIR, settings.FEED_SPEED, settings.FEED_SEED = str(folder), 1.0, 1

    return choose


def test_each_symbol_takes_its_own_provider(chosen, folder):
    chosen(folder=folder, EURUSD="oanda", GBPUSD="simulated")

    assert (made().provider, made().is_simulated) == ("replay:oanda", False)
    assert (made("GBPUSD").provider, made("GBPUSD").is_simulated) == ("simulated", True)


def test_symbol_without_a_recording_is_simulated_and_marked(chosen, folder):
    chosen(folder=folder)

    assert made().provider == "replay:fxcm"
    assert made("NZDUSD").is_simulated is True


def test_one_symbol_can_be_replayed_while_the_rest_is_simulated(chosen, folder):
    chosen(default="simulated", folder=folder, EURUSD="oanda")

    assert (made().provider, made("NZDUSD").provider) == ("replay:oanda", "simulated")


def test_simulated_price_goes_on_only_from_a_simulated_one(chosen):
    chosen(default="simulated")

    own = made(last=LastPrice(Decimal("1.2"), "simulated")).take(START_MS)[0]
    other = made(last=LastPrice(Decimal("1.2"), "replay:oanda")).take(START_MS)[0]

    assert abs(own.bid - Decimal("1.2")) < Decimal("0.001")
    assert abs(other.bid - Decimal("1.085")) < Decimal("0.001")


@pytest.mark.parametrize(
    ("default", "by_symbol", "with_folder", "reason"),
    [
        ("replay", {}, False, "the replay feed needs RTX_TICKS_DIR, a folder of recordings; it is not set"),
        ("simulated", {"EURUSD": "oanda"}, False, "the oanda feed needs RTX_TICKS_DIR"),
        ("replay", {"EURUSD": "nobody"}, True, "holds nothing by nobody"),
    ],
)
def test_settings_that_cannot_be_meant_end_the_start(chosen, folder, default, by_symbol, with_folder, reason):
    chosen(default=default, folder=folder if with_folder else "", **by_symbol)

    with pytest.raises(FeedRefused, match=reason):
        FeedFactory()


def test_folder_that_is_absent_is_named(chosen):
    chosen(folder="/no/such/folder")

    with pytest.raises(FeedRefused, match="it is /no/such/folder"):
        FeedFactory()


def test_provider_without_this_symbol_is_refused(chosen, folder):
    chosen(folder=folder, GBPUSD="oanda")

    with pytest.raises(FeedRefused, match="holds no recording of GBPUSD by 'oanda'"):
        made("GBPUSD")


@pytest.mark.parametrize("default", ["simulated", "replay"])
def test_demo_feeds_do_not_start_in_production(chosen, folder, settings, default):
    chosen(default=default, folder=folder)
    settings.DEMO = False

    with pytest.raises(FeedRefused, match=f"the {default} feed only runs in a demo"):
        FeedFactory()
