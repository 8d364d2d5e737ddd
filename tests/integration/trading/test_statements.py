"""`GET /api/statements`: what a period says equals the journal and the ledger, in every format."""

import csv
import io
import itertools
import json
import re
from datetime import timedelta
from decimal import Decimal
from functools import cache
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command

from apps.accounts.domain.ledger import BalanceKind
from apps.accounts.models import AccountEvent, LedgerLine
from apps.accounts.selectors import tokens
from apps.groups.models import TradingGroup
from apps.market.models import LastQuote, Symbol
from apps.market.selectors.history_quotes import quotes_at
from apps.trading.adapters import sheet
from apps.trading.api.statements import EXAMPLE, StatementOut, StatementThrottle
from apps.trading.domain.orders import Side
from apps.trading.domain.statements import Difference, Period, Statement
from apps.trading.selectors import statements
from apps.trading.services import balances, executor
from rtx.kernel import clock, limits
from rtx.kernel.rest import UserThrottle
from tests.factories import rows
from tests.factories.problems import is_problem
from tests.factories.rows import Holder, Trader

D = Decimal


@pytest.fixture(autouse=True)
def _fresh_process_memory() -> None:
    tokens.forget()
    UserThrottle._bucket._levels.clear()
    StatementThrottle._bucket._levels.clear()


@pytest.fixture
def traded(holder: Holder) -> Holder:
    """The trader after a round turn that won 18.30, a purchase that is open, credit and a withdrawal."""
    _do(rows.market_order(holder, lots="0.10"))
    rows.show({"EURUSD": ("1.10200", "1.10217")})
    position = holder.row.positions.get()
    _do(rows.close_order(holder, position.pk))
    _do(rows.market_order(holder, Side.SELL, lots="0.20", comment="=1+1"))
    for kind, amount in ((BalanceKind.CREDIT, "50.00"), (BalanceKind.WITHDRAWAL, "-100.00")):
        balances.change(
            account_id=holder.id, kind=kind, amount=D(amount), reference=kind.value, actor=rows.TESTER
        )
    return holder


def _do(command: Any) -> None:
    assert executor.submit(command).result().refusal is None


@cache
def days() -> tuple[str, str]:
    """Return the day on which these tests began and the next one: midnight may come while they run."""
    begin = clock.now()
    return f"{begin:%Y-%m-%d}", f"{begin + timedelta(days=1):%Y-%m-%d}"


def ask(holder: Holder, **query: Any) -> Any:
    since, until = days()
    given = {"account": holder.login, "from": since, "to": until, **query}
    text = "&".join(f"{name}={value}" for name, value in given.items() if value is not None)
    return Trader(holder.token).call("GET", f"/api/statements?{text}")


def test_a_statement_equals_the_books_to_the_cent(traded):
    answer = ask(traded)

    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    assert answer["Cache-Control"] == "no-store"
    since, until = (day.replace("-", "") for day in days())
    name = f"statement-{traded.login}-{since}-{until}.json"
    assert answer["Content-Disposition"] == f'inline; filename="{name}"'
    shown = json.loads(answer.content)
    msgspec.convert(shown, StatementOut, strict=True)  # as it is documented
    assert shown["account"] == {
        "login": traded.login,
        "holder": "Test Trader",
        "group": "standard",
        "currency": "USD",
        "position_mode": "hedging",
        "leverage": 100,
    }
    assert shown["opening"] == {"balance": "0.00", "credit": "0.00"}
    assert shown["closing"]["balance"] == "9918.30"  # 10000 + 18.30 - 100
    assert shown["closing"]["credit"] == "50.00"
    assert [deal["profit"] for deal in shown["deals"]] == ["0.00", "18.30", "0.00"]
    assert [move["kind"] for move in shown["movements"]] == ["deposit", "credit", "withdrawal"]
    assert [(row["symbol"], row["net"]) for row in shown["symbols"]] == [("EURUSD", "18.30")]
    assert [row["volume"] for row in shown["positions"]] == ["0.2"]
    client = LedgerLine.objects.filter(account_id=traded.id, ledger="client")
    assert sum(client.values_list("amount", flat=True)) == D(shown["closing"]["balance"])


def test_the_documented_example_has_the_documented_form():
    msgspec.convert(EXAMPLE, StatementOut, strict=True)


def test_any_cut_chains_opening_and_closing(traded):
    times = list(AccountEvent.objects.filter(account_id=traded.id).values_list("at", flat=True))
    begin, end = min(times) - timedelta(seconds=1), max(times) + timedelta(seconds=1)
    cuts = sorted({begin, *times, end})

    made = [
        statements.statement(traded.row, period=Period(*pair), now=end) for pair in itertools.pairwise(cuts)
    ]

    whole = statements.statement(traded.row, period=Period(begin, end), now=end)
    assert made[0].opening == whole.opening
    assert [part.opening for part in made[1:]] == [part.closing.money for part in made[:-1]]
    assert made[-1].closing.money == whole.closing.money
    assert [deal for part in made for deal in part.deals] == whole.deals


def test_open_positions_are_valued_at_the_quotes_stored_then(traded):
    symbol = Symbol.objects.get(name="EURUSD")
    assert statements_now(traded).closing.equity is None  # no quote is stored yet

    LastQuote.objects.create(symbol=symbol, bid=D("1.10300"), ask=D("1.10317"), time=clock.now())
    found = statements_now(traded)

    assert [(shown.price, shown.profit) for shown in found.positions] == [(D("1.10317"), D("-23.40"))]
    assert found.closing.floating == D("-23.40")  # sold 0.20 at 1.10200
    assert found.closing.equity == D("9944.90")  # 9918.30 + 50 credit - 23.40
    assert found.curve[-1].equity == D("9944.90")
    assert found.curve[0].equity == D(0)  # before the deposit


def test_the_markup_of_then_values_what_was_open_then(traded, group):
    symbol = Symbol.objects.get(name="EURUSD")
    LastQuote.objects.create(symbol=symbol, bid=D("1.10300"), ask=D("1.10317"), time=clock.now())
    before = clock.now()
    TradingGroup.objects.filter(pk=group.pk).update(markup_ask_points=10)

    then = statements.statement(
        traded.row, period=Period(before - timedelta(hours=1), before), now=clock.now()
    )

    assert then.closing.floating == D("-23.40")
    assert statements_now(traded).closing.floating == D("-25.40")


def statements_now(holder: Holder) -> Statement:
    now = clock.now()
    return statements.statement(holder.row, period=Period(now - timedelta(hours=1), now), now=now)


def test_csv_opens_in_a_spreadsheet(traded):
    answer = ask(traded, format="csv")

    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert int(answer["RateLimit-Limit"]) > 0
    assert answer["Content-Disposition"].startswith("attachment; ")
    assert answer.content.startswith(b"\xef\xbb\xbf")
    table = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
    assert [row["text"] for row in table if row["record"] == "deal"] == ["", "", "'=1+1"]
    assert [row["amount"] for row in table if row["kind"] == "withdrawal"] == ["-100.00", "-100.00"]
    assert next(row["balance"] for row in table if row["record"] == "closing") == "9918.30"


def test_pdf_is_a_file_to_keep(traded):
    answer = ask(traded, format="pdf")

    assert answer["Content-Type"] == "application/pdf"
    assert re.fullmatch(
        rf'attachment; filename="statement-{traded.login}-\d{{8}}-\d{{8}}\.pdf"',
        answer["Content-Disposition"],
    )
    assert answer.content.startswith(b"%PDF-")


def test_before_the_account_was_opened_all_is_zero(traded):
    shown = json.loads(ask(traded, **{"from": "2020-01-01", "to": "2020-12-31"}).content)

    assert (shown["opening"]["balance"], shown["closing"]["balance"]) == ("0.00", "0.00")
    assert (shown["deals"], shown["positions"]) == ([], [])
    assert len(shown["curve"]) == 367


def test_only_the_quotes_that_value_a_position_are_read(holder, monkeypatch):
    rows.show()
    _do(rows.market_order(holder, symbol="USDJPY"))
    _do(rows.market_order(holder, symbol="EURGBP"))
    for name, (bid, ask) in rows.PRICES.items():
        symbol = Symbol.objects.get(name=name)
        LastQuote.objects.create(symbol=symbol, bid=D(bid), ask=D(ask), time=clock.now())
    now = clock.now()
    period = Period(now - timedelta(hours=3), now)
    read = []

    def recorded(at: Any, *, names: Any) -> Any:
        read.append(names)
        return quotes_at(at, names=names)

    monkeypatch.setattr(statements, "quotes_at", recorded)
    found = statements.statement(holder.row, period=period, now=now)
    monkeypatch.setattr(statements, "quotes_at", lambda at, *, names: quotes_at(at))

    assert read == [{"USDJPY", "EURGBP", "GBPUSD"}]
    assert found == statements.statement(holder.row, period=period, now=now)
    assert found.closing.floating is not None


def test_statements_have_a_limit_of_their_own(holder, monkeypatch):
    monkeypatch.setattr(limits, "time", SimpleNamespace(monotonic=lambda: 1000.0))  # however busy the machine
    answers = [ask(holder) for _ in range(6)]

    assert [answer.status_code for answer in answers[:5]] == [200] * 5
    is_problem(answers[5], 429, "rate_limit")
    assert (answers[5]["RateLimit-Limit"], answers[5]["Retry-After"]) == ("5", "1")
    assert Trader(holder.token).call("GET", "/api/accounts").status_code == 200


def test_a_pdf_that_waits_too_long_is_busy(traded, monkeypatch):
    monkeypatch.setattr(sheet, "WAIT_MAX_S", 0.01)

    with sheet._one_at_a_time:
        answer = ask(traded, format="pdf")

    is_problem(answer, 503, "busy")
    assert answer["Retry-After"] == "1"
    assert ask(traded, format="pdf").status_code == 200


@pytest.mark.parametrize(
    ("query", "status", "code", "field"),
    [
        ({"account": None}, 400, "invalid", "account"),
        ({"account": "x"}, 400, "invalid", "account"),
        ({"account": 1}, 404, "account_not_found", None),
        ({"format": "xlsx"}, 400, "invalid", "format"),
        ({"format": ""}, 400, "invalid", "format"),
        ({"from": None}, 400, "invalid_period", "from"),
        ({"to": None}, 400, "invalid_period", "to"),
        ({"from": "yesterday"}, 400, "invalid_period", "from"),
        ({"from": "%00"}, 400, "invalid_period", "from"),
        ({"from": "2014-01-01", "to": "2015-01-02"}, 400, "invalid_period", "to"),
        ({"from": "2014-01-02", "to": "2014-01-01"}, 400, "invalid_period", "from"),
        ({"from": "2999-01-02", "to": "2999-01-03"}, 400, "invalid_period", "from"),
    ],
)
def test_a_wrong_question_gets_a_problem(holder, query, status, code, field):
    found = is_problem(ask(holder, **query), status, code)

    assert list(found.get("errors", {})) == ([field] if field else [])


def test_somebody_elses_account_is_not_there(holder, group):
    other = rows.make_holder(group=group)

    is_problem(ask(holder, account=other.login), 404, "account_not_found")


def test_statements_are_for_those_who_logged_in(holder):
    since, until = days()
    answer = Trader().call("GET", f"/api/statements?account={holder.login}&from={since}&to={until}")

    is_problem(answer, 401, "not_authenticated")


def test_a_statement_that_the_ledger_contradicts_is_not_given(traded, owner):
    owner.execute("ALTER TABLE accounts_ledgerline DISABLE TRIGGER USER")
    owner.execute(
        "UPDATE accounts_ledgerline SET amount = amount + 0.01 WHERE id = (SELECT min(id) FROM "
        "accounts_ledgerline WHERE account_id = %s AND ledger = 'client')",
        [traded.id],
    )

    now = clock.now()
    with pytest.raises(Difference, match="amount of event 2 adds up to 10000"):
        statements.statement(traded.row, period=Period(now - timedelta(days=1), now), now=now)
    is_problem(ask(traded), 500, "internal")


def test_the_command_writes_a_file(traded, tmp_path, capsys):
    target = tmp_path / "statement.csv"
    since, until = days()

    call_command(
        "statement", "--account", str(traded.login), "--from", since, "--to", until,
        "--format", "csv", "--output", str(target),
    )  # fmt: skip

    assert b"9918.30" in target.read_bytes()
    assert str(target) in capsys.readouterr().out


def test_the_command_names_what_is_wrong(traded):
    since, until = days()
    for options, reason in (
        (["--account", "1", "--from", since, "--to", until], "There is no account 1"),
        (["--account", str(traded.login), "--from", "x", "--to", until], "from is neither"),
    ):
        with pytest.raises(CommandError, match=reason):
            call_command("statement", *options)
