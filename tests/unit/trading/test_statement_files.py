"""Statements as CSV, PDF and JSON: what a spreadsheet, a reader and a program find in them."""

import csv
import io
import re
from dataclasses import replace
from decimal import Decimal

import orjson
import pytest

from apps.trading.adapters import sheet, statement_csv, statement_json, statement_pdf
from apps.trading.adapters.statement_csv import harmless
from tests.factories.statements import make_heading, make_statement

D = Decimal


def _rows(body: bytes) -> list[dict[str, str]]:
    assert body.startswith(b"\xef\xbb\xbf")
    text = body.decode("utf-8-sig")
    assert text.endswith("\r\n")
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ('=HYPERLINK("http://x")', '\'=HYPERLINK("http://x")'),
        ("+1+1", "'+1+1"),
        ("-5", "'-5"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t'=1"),
        ("\r=1", "'\r'=1"),
        ("  =1", "'  =1"),
        ("＝1+1", "'＝1+1"),
        ("a;=1+1", "a;'=1+1"),
        ("a\n=1+1", "a\n'=1+1"),
        ('x;"=1+1;y', "x;'\"=1+1;y"),
        ('"=1+1', "'\"=1+1"),
        ('a, "" -1', 'a,\' "" -1'),
        ('say "=1"', 'say "=1"'),
        ("1 = 1", "1 = 1"),
        ("buy-the-dip", "buy-the-dip"),
        ("", ""),
    ],
)
def test_text_is_never_a_formula(given, shown):
    assert harmless(given) == shown


def test_negative_amounts_stay_numbers_and_texts_stay_texts():
    body = statement_csv.rendered(make_statement(comment="=1+1", reference="@x"), make_heading(holder="-Max"))
    rows = _rows(body)

    deal = next(row for row in rows if row["record"] == "deal")
    assert (deal["profit"], deal["amount"], deal["balance"]) == ("-0.50", "-1.25", "998.75")
    assert deal["text"] == "'=1+1"
    movement = next(row for row in rows if row["record"] == "movement")
    assert (movement["amount"], movement["reference"], movement["text"]) == ("1000.00", "'@x", "'=1+1")
    assert next(row for row in rows if row["reference"] == "holder")["text"] == "'-Max"


def test_only_numbers_may_begin_like_a_formula():
    body = statement_csv.rendered(make_statement(comment="+x", reference="\t=1"), make_heading(holder="=A1"))

    risky = [cell for row in _rows(body) for cell in row.values() if re.match(r"\s*[=+\-@]", cell)]

    assert risky
    assert all(re.fullmatch(r"-\d+\.\d+", cell) for cell in risky)


def test_every_line_has_every_column_and_quoting_survives():
    comment = 'says "no", twice\nand Žluťoučký'
    body = statement_csv.rendered(make_statement(comment=comment), make_heading())

    rows = _rows(body)
    assert {len(row) for row in rows} == {len(statement_csv.COLUMNS)}
    assert {row["text"] for row in rows if row["record"] == "deal"} == {comment}


def test_csv_lines_lead_from_opening_to_closing():
    rows = _rows(statement_csv.rendered(make_statement(deals=7), make_heading()))

    opening, closing = (next(r for r in rows if r["record"] == name) for name in ("opening", "closing"))
    moved = sum((D(r["amount"]) for r in rows if r["record"] in ("deal", "movement")), D(0))
    assert D(opening["balance"]) + moved == D(closing["balance"]) == D("991.25")


def _pages_of(pdf: bytes) -> int:
    return len(re.findall(rb"/Type /Page\b", pdf))


def test_a_long_statement_has_numbered_pages_and_the_same_bytes_each_time():
    told, heading = make_statement(deals=400), make_heading()

    first = statement_pdf.rendered(told, heading)

    assert first.startswith(b"%PDF-")
    assert _pages_of(first) > 8
    assert first == statement_pdf.rendered(told, heading)
    assert first != statement_pdf.rendered(told, replace(heading, holder="Somebody Else"))


def test_an_empty_statement_can_be_printed():
    told = make_statement(deals=0)
    told.movements.clear()
    told.swaps.clear()
    told.positions.clear()
    told.orders.clear()

    assert _pages_of(statement_pdf.rendered(told, make_heading(holder=""))) == 1


def test_names_of_other_scripts_are_printed_and_the_rest_is_marked():
    shown = "Zoë Łukasiewicz Őrsi Дмитрий Ψ Şahin"

    assert sheet.printable(shown) == shown
    assert sheet.printable("Li 李\x07") == "Li \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"


def test_what_does_not_fit_is_cut_with_an_ellipsis():
    cut = sheet.fitted("a comment that is much too long", 60)

    assert cut.endswith("…")
    assert "a comment that is much too long".startswith(cut[:-1])
    assert sheet.fitted("short", 60) == "short"


def test_json_keeps_amounts_as_exact_texts():
    shown = orjson.loads(orjson.dumps(statement_json.view(make_statement(), make_heading())))

    assert shown["opening"] == {"balance": "0.00", "credit": "0.00"}
    assert shown["closing"]["balance"] == "996.25"
    assert shown["closing"]["profit"] == "-12.30"
    assert shown["totals"]["commission"] == "-2.10"
    assert shown["totals"]["deposits"] == "1000.00"
    assert shown["totals"]["swap_charged"] == "-0.52"
    assert [row["net"] for row in shown["symbols"]] == ["-2.50", "-1.25"]
    assert shown["deals"][0]["at"] == "2026-01-05T00:00:00Z"
    assert shown["positions"][1]["current_price"] is None
    assert shown["orders"][0]["type"] == "stop_limit"
    assert shown["curve"][1] == {"time": "2026-01-07T00:00:00Z", "balance": "996.25", "equity": None}
