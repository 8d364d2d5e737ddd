"""Reads the figures that Prometheus is told about risk. Each is one small statement."""

from typing import Any

from django.db import connection

STATUS = """
    SELECT shard, lag_ms, lag_max_ms, follow_lag_ms, levels, called, below, without_price, house_floating,
           positions, accounts, extract(epoch FROM clock_timestamp() - at)::float8 AS age_s
    FROM risk_monitorstatus ORDER BY shard
"""
LIQUIDATIONS = "SELECT rule, cause, count(*) FROM risk_liquidation GROUP BY 1, 2"
CALLS = "SELECT count(*), count(*) FILTER (WHERE cleared_at IS NULL) FROM risk_margincall"
QUEUED = "SELECT count(*) FROM risk_queuedliquidation WHERE resolved_at IS NULL"
BREAKERS = """
    SELECT b.name, s.state, count(*) FROM risk_breakerstate s JOIN risk_breaker b ON b.id = s.breaker_id
    GROUP BY 1, 2
"""
SWITCHES = "SELECT scope, count(*) FROM risk_killswitch WHERE released_at IS NULL GROUP BY 1"
ALARMS = "SELECT kind, severity, count(*) FROM risk_riskalarm WHERE cleared_at IS NULL GROUP BY 1, 2"
SWEEP = """
    SELECT found, missed, took_ms, extract(epoch FROM clock_timestamp() - at)::float8 AS age_s
    FROM risk_sweeprun ORDER BY id DESC LIMIT 1
"""
SWEEPS_MISSED = "SELECT coalesce(sum(missed), 0) FROM risk_sweeprun"

Rows = list[dict[str, Any]]


def _read(statement: str) -> Rows:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def monitor_shards() -> Rows:
    """Return each shard's row of the margin monitor, with its age in seconds."""
    return _read(STATUS)


def liquidations() -> Rows:
    """Return the number of liquidations by rule and cause."""
    return _read(LIQUIDATIONS)


def margin_calls() -> tuple[int, int]:
    """Return how many margin calls there were, and how many are open."""
    row = list(_read_one(CALLS))
    return int(row[0]), int(row[1])


def queued_liquidations() -> int:
    """Return how many accounts wait to be liquidated."""
    return int(_read_one(QUEUED)[0])


def breakers() -> Rows:
    """Return the number of subjects by breaker and state."""
    return _read(BREAKERS)


def kill_switches() -> Rows:
    """Return the number of kill switches that are on, by scope."""
    return _read(SWITCHES)


def alarms() -> Rows:
    """Return the number of open alarms by kind and severity."""
    return _read(ALARMS)


def sweeps() -> tuple[Rows, int]:
    """Return the latest sweep (none yet: nothing), and what all that are kept found to be missed."""
    return _read(SWEEP), int(_read_one(SWEEPS_MISSED)[0])


def _read_one(statement: str) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        found: tuple[Any, ...] = cursor.fetchone()
        return found
