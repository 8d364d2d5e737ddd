"""Every layout of recorded prices: what a line becomes, and what a bad line is called."""

import gzip
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from apps.market.adapters.library import Library
from apps.market.adapters.recordings import Kind, RecordingError, Tick, identify, symbol_of


def us(text: str) -> int:
    delta = datetime.fromisoformat(text).replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return delta.days * 86_400_000_000 + delta.seconds * 1_000_000 + delta.microseconds


def tick(time: str, bid: str | None, ask: str | None) -> Tick:
    return Tick(us(time), *(None if price is None else Decimal(price) for price in (bid, ask)))


def packed(folder: Path, name: str, text: str, inner: str = "table.csv") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(inner, text)
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "text", "symbol", "provider", "ticks"),
    [
        (
            "oanda/eurusd_tick_20140508.zip",
            "8715,1.39101,1.39114\n42431.2345,1.391,1.3912\n", "EURUSD", "oanda",
            [tick("2014-05-08T00:00:08.715", "1.39101", "1.39114"),
             tick("2014-05-08T00:00:42.431234", "1.391", "1.3912")],
        ),
        (
            "fxcm/eurusd_tick_20140508.zip",
            "17007,1.39147,1.39148\r\n86399235,1.38371,1.38374", "EURUSD", "fxcm",
            [tick("2014-05-08T05:00:17.007", "1.39147", "1.39148"),
             tick("2014-05-09T04:59:59.235", "1.38371", "1.38374")],
        ),
        (
            "truefx/usdjpy-ticks.csv", "timestamp,bid,ask\n2013-01-01 22:00:00.295000+00:00,86.655,86.728\n",
            "USDJPY", "truefx", [tick("2013-01-01T22:00:00.295", "86.655", "86.728")],
        ),
        (
            "binance/btcusdt-quotes-20210108.csv",
            "timestamp,bid,ask,bid_size,ask_size\n2021-01-08T00:00:01.076Z,39432.99,39433.62,0.0031,0.066851\n",
            "BTCUSD", "binance", [tick("2021-01-08T00:00:01.076", "39432.99", "39433.62")],
        ),
        (
            "DAT_ASCII_EURUSD_T_201407.csv",
            "20140701 235959123,1.36910,1.36920,0\n20140702 000000000,1.3,1.4,0\n",
            "EURUSD", "histdata",
            # EST without daylight saving: five hours even in July
            [tick("2014-07-02T04:59:59.123", "1.36910", "1.36920"),
             tick("2014-07-02T05:00:00", "1.3", "1.4")],
        ),
        (
            "HISTDATA_COM_ASCII_GBPUSD_T201401.zip", "20140101 170000000,1.65,1.66,0\n", "GBPUSD", "histdata",
            [tick("2014-01-01T22:00:00", "1.65", "1.66")],
        ),
        (
            "oanda/xauusd_tick_20140508.zip",
            "1,,1290.66\n2,1290.33,\n\n3,1290.33,1290.66\n", "XAUUSD", "oanda",
            [tick("2014-05-08T00:00:00.001", None, "1290.66"),
             tick("2014-05-08T00:00:00.002", "1290.33", None),
             tick("2014-05-08T00:00:00.003", "1290.33", "1290.66")],
        ),
        (
            "bars/de30eur_minute_20190220.zip",
            "60000,5,8,4,7,0,5.5,8.5,4.5,7.5,0\n120000,7,9,3,6,0,8,10,4,7,0\n",
            "DE30EUR", "bars",
            [tick("2019-02-20T00:01:00", "5", "5.5"), tick("2019-02-20T00:01:15", "4", "4.5"),
             tick("2019-02-20T00:01:30", "8", "8.5"), tick("2019-02-20T00:01:45", "7", "7.5"),
             tick("2019-02-20T00:02:00", "7", "8"), tick("2019-02-20T00:02:15", "9", "10"),
             tick("2019-02-20T00:02:30", "3", "4"), tick("2019-02-20T00:02:45", "6", "7")],
        ),
    ],
)  # fmt: skip
def test_layout_becomes_ticks_in_utc(tmp_path, name, text, symbol, provider, ticks):
    recording = identify(packed(tmp_path, name, text))

    assert recording is not None
    assert (recording.symbol, recording.provider) == (symbol, provider)
    assert list(recording.ticks()) == ticks
    assert recording.count_lines() == len(text.splitlines())


def test_bid_and_ask_bars_are_joined_by_their_minute(tmp_path):
    head = "timestamp,open,high,low,close\n"
    path = packed(
        tmp_path,
        "bars/gbpusd-m1-bid-2012.csv.gz",
        head + "2012-02-01 00:00:00+00:00,1.1,1.4,1.0,1.3\n2012-02-01 00:01:00+00:00,2,2,2,2\n",
    )
    packed(
        tmp_path, "bars/gbpusd-m1-ask-2012.csv.gz", head + "2012-02-01 00:00:00+00:00,1.15,1.45,1.05,1.35\n"
    )

    bars = list(identify(path).bars())

    assert [bar.opened_us for bar in bars] == [us("2012-02-01T00:00:00")]
    assert bars[0].bid == (Decimal("1.1"), Decimal("1.4"), Decimal("1.0"), Decimal("1.3"))
    assert bars[0].ask == (Decimal("1.15"), Decimal("1.45"), Decimal("1.05"), Decimal("1.35"))


def test_ask_bars_that_are_missing_are_named(tmp_path):
    path = packed(tmp_path, "bars/gbpusd-m1-bid-2012.csv.gz", "timestamp,open,high,low,close\n")

    with pytest.raises(RecordingError, match=r"gbpusd-m1-ask-2012\.csv\.gz is not beside it"):
        list(identify(path).bars())


def test_daily_bars_are_days(tmp_path):
    path = packed(
        tmp_path, "bars/eurgbp_daily.zip", "20070101 00:00,0.67,0.68,0.66,0.675,0,0.68,0.69,0.67,0.685,0\n"
    )

    recording = identify(path)

    assert recording.kind is Kind.DAYS
    assert [bar.opened_us for bar in recording.bars()] == [us("2007-01-01T00:00:00")]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("oanda/eurusd_tick_20140508.zip", "1,1.1,1.2\n2,abc,1.2\n", 2),
        ("oanda/eurusd_tick_20140508.zip", "1,1.1,1.2\n\n3,1.1\n", 3),
        ("oanda/eurusd_tick_20140508.zip", "x,1.1,1.2\n", 1),
        ("truefx/usdjpy-ticks.csv", "timestamp,bid,ask\n2013-13-01 22:00:00,1,2\n", 2),
        ("a_eurusd.csv", "20140701 235959123,1.3,1.4,0\n20140701 2359,1.3,1.4,0\n", 2),
        ("bars/de30eur_minute_20190220.zip", "60000,5,8,4,7,0,5.5\n", 1),
    ],
)
def test_bad_line_is_named_by_its_number(tmp_path, name, text, line):
    recording = identify(packed(tmp_path, name, text))

    with pytest.raises(RecordingError, match=rf"line {line}: not of the \w+ layout"):
        list(recording.ticks())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("binance/btcusdt-trades-1.csv", "timestamp,trade_id,price,quantity,buyer_maker\n"),
        ("LICENSE.apache-2.0", "Apache"),
        ("notes.txt", "hello"),
        ("empty.csv", ""),
    ],
)
def test_other_files_are_no_recordings(tmp_path, name, text):
    assert identify(packed(tmp_path, name, text)) is None


def test_damaged_archive_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "quotes.zip"
    path.write_bytes(b"not a zip")

    with pytest.raises(RecordingError, match=r"quotes\.zip: cannot be read"):
        identify(path)


def test_tether_pairs_are_dollar_pairs():
    assert [symbol_of(name) for name in ("btcusdt", "eurusd", "usdt")] == ["BTCUSD", "EURUSD", "USDT"]


def test_library_prefers_ticks_to_bars_and_more_days_to_fewer(tmp_path):
    for name in (
        "fxcm/eurusd_tick_20140508.zip",
        "oanda/eurusd_tick_20140508.zip",
        "oanda/eurusd_tick_20140509.zip",
    ):
        packed(tmp_path, name, "1,1.1,1.2\n")
    packed(tmp_path, "bars/eurusd_minute_20140508.zip", "0,5,8,4,7,0,5.5,8.5,4.5,7.5,0\n")

    library = Library(tmp_path)

    assert library.reel("EURUSD").provider == "oanda"
    assert library.reel("EURUSD", "fxcm").provider == "fxcm"
    assert library.reel("EURUSD", "bars").kind is Kind.MINUTES
    assert library.reel("GBPUSD") is None
    assert library.providers() == {"fxcm", "oanda", "bars"}
    assert [one.day for one in library.reel("EURUSD").recordings] == [date(2014, 5, 8), date(2014, 5, 9)]


def test_library_goes_on_without_a_file_that_it_cannot_open(tmp_path):
    packed(tmp_path, "oanda/eurusd_tick_20140508.zip", "1,1.1,1.2\n")
    (tmp_path / "broken.zip").write_bytes(b"not a zip")

    assert Library(tmp_path).symbols() == ["EURUSD"]


def test_tape_holds_the_first_five_days(tmp_path):
    lines = "".join(f"201401{day:02} 050000000,1.3,1.4,0\n" for day in range(1, 9))
    packed(tmp_path, "DAT_ASCII_EURUSD_T_201401.csv", lines)

    assert len(Library(tmp_path).reel("EURUSD").load().times_ms) == 5
