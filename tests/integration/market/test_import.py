"""`import_ticks`: history and candles from recordings, whole files, twice without harm."""

import zipfile
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from apps.market.models import Candle, TickDay

TICKS = """0,1.39101,1.39114
500,1.39103,1.39116
500,1.39104,1.39117
600,1.39120,1.39110
60000,1.39200,1.39210
"""


def zipped(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("table.csv", text)
    return path


def run(*paths: Path, **options) -> str:
    out = StringIO()
    call_command("import_ticks", *map(str, paths), stdout=out, **options)
    return out.getvalue()


def stored() -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT to_char(time, 'HH24:MI:SS.MS'), nth, source, bid::text FROM market_tick "
            "ORDER BY time, nth"
        )
        return cursor.fetchall()


def test_ticks_pass_the_filters_into_history_and_candles(tmp_path, eurusd):
    out = run(zipped(tmp_path, "oanda/eurusd_tick_20140508.zip", TICKS))

    assert stored() == [
        ("00:00:00.000", 0, "oanda", "1.39101"),
        ("00:00:00.500", 0, "oanda", "1.39103"),
        ("00:00:00.500", 1, "oanda", "1.39104"),
        ("00:01:00.000", 0, "oanda", "1.39200"),
    ]
    assert "5 read, 4 added, 0 already there, 1 refused (crossed 1), 2 candles written" in out
    minute = Candle.objects.get(interval="1m", opened_at__minute=0)
    assert (str(minute.open), str(minute.close), minute.ticks) == ("1.39101", "1.39104", 3)
    assert Candle.objects.filter(interval="1d").get().ticks == 4
    assert TickDay.objects.get().keeps_history is True


def test_second_run_adds_nothing(tmp_path, eurusd):
    path = zipped(tmp_path, "oanda/eurusd_tick_20140508.zip", TICKS)
    run(path)
    before = stored(), list(Candle.objects.order_by("pk").values_list())

    out = run(path)

    assert "5 read, 0 added, 4 already there, 1 refused (crossed 1), 0 candles written" in out
    assert (stored(), list(Candle.objects.order_by("pk").values_list())) == before


def test_file_with_a_bad_line_is_not_taken_and_the_others_are(tmp_path, symbols):
    zipped(tmp_path, "oanda/eurusd_tick_20140508.zip", TICKS + "x,1,2\n")
    zipped(tmp_path, "oanda/nzdusd_tick_20140508.zip", "0,0.86,0.87\n")

    with pytest.raises(CommandError, match=r"eurusd_tick_20140508\.zip, line 6: not of the day_file layout"):
        run(tmp_path)

    assert stored() == [("00:00:00.000", 0, "oanda", "0.86")]


def test_unknown_symbol_is_named_and_can_be_given(tmp_path, eurusd):
    path = zipped(tmp_path, "oanda/xyzabc_tick_20140508.zip", "0,1.3,1.4\n")

    with pytest.raises(CommandError, match="no symbol is named 'XYZABC'"):
        run(path)
    run(path, symbol="EURUSD", provider="mine", no_candles=True)

    assert stored() == [("00:00:00.000", 0, "mine", "1.3")]
    assert not Candle.objects.exists()


def test_path_that_is_no_recording_is_an_error(tmp_path, db):
    (tmp_path / "notes.csv").write_text("hello\n")

    with pytest.raises(CommandError, match="not a recording of quotes"):
        run(tmp_path / "notes.csv")
    with pytest.raises(CommandError, match="no such file"):
        run(tmp_path / "absent")


def test_bars_become_candles_and_never_replace_those_of_ticks(tmp_path, symbols):
    run(zipped(tmp_path, "oanda/eurusd_tick_20140508.zip", TICKS))
    bars = "0,9,9,9,9,0,10,10,10,10,0\n120000,5,8,4,7,0,6,9,5,8,0\n"

    out = run(zipped(tmp_path, "bars/eurusd_minute_20140508.zip", bars))

    assert "2 read, 1 added, 1 already there" in out
    minutes = Candle.objects.filter(interval="1m").order_by("opened_at")
    assert [(str(one.close), one.ticks) for one in minutes] == [("1.39104", 3), ("1.39200", 1), ("7", 0)]
    assert Candle.objects.get(interval="5m").ticks == 4
    assert "0 added, 2 already there" in run(tmp_path / "bars" / "eurusd_minute_20140508.zip")


def test_days_become_daily_candles(tmp_path, symbols):
    line = "20070101 00:00,0.67,0.68,0.66,0.675,0,0.68,0.69,0.67,0.685,0\n"

    run(zipped(tmp_path, "bars/eurgbp_daily.zip", line))

    day = Candle.objects.get()
    assert (day.interval, f"{day.opened_at:%Y-%m-%d}", str(day.high)) == ("1d", "2007-01-01", "0.68")
