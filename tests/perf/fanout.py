"""
Quote messages per second to 500 sockets: the hub of one stream process against `channel_layer.group_send`.

One message is one WebSocket frame with one quote that reached one client. Server, load generator and Redis
share the machine; both servers are uvicorn with uvloop, one process, no compression. The hub's sockets are
authenticated and get their group's price; the baseline's are not and get the raw one. The baseline is the
better of the two Redis channel layers, each with its best number of quotes under way. The engine must not run
meanwhile: the load generator is the only source of quotes, so that every frame can be accounted for.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rtx.local.home import REPOSITORY
from rtx.local.ports import scratch
from tests.perf.figures import Figure

SOCKETS = 500
SECONDS = 5.0
WINDOW = 6  # tick batches under way; the baseline tries several
BASELINE_WINDOWS = (2, 4)
SYMBOLS = ("EURUSD", "GBPUSD", "USDJPY", "NZDUSD", "EURGBP", "USDCHF", "AUDUSD", "XAUUSD")
GOAL_PER_S = 40_000
GOAL_RATIO = 6.0
START_TIMEOUT_S = 30.0
UVICORN = [
    "--loop",
    "uvloop",
    "--no-access-log",
    "--log-level",
    "critical",
    "--ws-per-message-deflate",
    "false",
]


class FanoutNotMeasured(RuntimeError):
    """The load generator failed; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A running stream process, the Redis it listens to, and a token of one of its traders."""

    port: int
    redis_url: str
    token: str
    symbols: tuple[str, ...] = SYMBOLS


def run(target: Target) -> list[Figure]:
    """Measure the hub of a running stream process and the baseline, one after the other."""
    one = hub(target, target.symbols[:1])
    many = hub(target, target.symbols)
    paced = hub(target, target.symbols[:1], rate=GOAL_PER_S / SOCKETS)
    kind, base = baseline(target.redis_url)
    per_s = one["frames_per_s"]
    ratio = per_s / base["frames_per_s"]
    detail = (
        f"{SOCKETS} sockets, 1 quote per frame, p50 {one['p50_ms']:.1f} ms; with {len(target.symbols)} "
        f"symbols per socket {many['quotes_per_s']:,.0f} quotes/s in {many['frames_per_s']:,.0f} frames/s; "
        f"at {paced['frames_per_s']:,.0f} frames/s tick to socket p50 {paced['p50_ms']:.1f}, "
        f"p99 {paced['p99_ms']:.1f} ms"
    )
    against = f"group_send ({kind} layer): {base['frames_per_s']:,.0f} messages/s"
    return [
        Figure("fanout_per_s", round(per_s), "messages/s", f">= {GOAL_PER_S:,}", per_s >= GOAL_PER_S, detail),
        Figure(
            "fanout_vs_group_send", round(ratio, 1), "x", f">= {GOAL_RATIO:g}", ratio >= GOAL_RATIO, against
        ),
    ]


def hub(target: Target, symbols: tuple[str, ...], *, rate: float = 0.0) -> dict[str, Any]:
    """Measure the hub, all sockets subscribed to these symbols; with `rate`, at so many batches a second."""
    return load(
        port=target.port,
        redis_url=target.redis_url,
        symbols=symbols,
        window=WINDOW,
        rate=rate,
        greetings=[
            {"op": "auth", "id": 1, "token": target.token},
            {"op": "subscribe", "id": 2, "channel": "quotes", "symbols": symbols},
        ],
    )


def baseline(redis_url: str) -> tuple[str, dict[str, Any]]:
    """Return the better channel layer and what it reached."""
    results = []
    for kind in ("core", "pubsub"):
        with GroupSendServer(kind, redis_url) as server:
            for window in BASELINE_WINDOWS:
                result = load(
                    port=server.port, redis_url=redis_url, symbols=SYMBOLS[:1], window=window, layer=kind
                )
                results.append((kind, result))
    return max(results, key=lambda measured: measured[1]["frames_per_s"])


class GroupSendServer:
    """The baseline's process."""

    def __init__(self, kind: str, redis_url: str) -> None:
        self.port = scratch()
        self._env = os.environ | {
            "DJANGO_SETTINGS_MODULE": "tests.perf.group_send_settings",
            "BENCH_LAYER": kind,
            "BENCH_SYMBOLS": SYMBOLS[0],
            "REDIS_URL": redis_url,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "GroupSendServer":
        address = ["tests.perf.group_send_app:application", "--port", str(self.port), "--lifespan", "off"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", *address, *UVICORN],
            env=self._env,
            cwd=REPOSITORY,
            stderr=subprocess.DEVNULL,
        )
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def load(
    *,
    port: int,
    redis_url: str,
    symbols: tuple[str, ...],
    window: int,
    rate: float = 0.0,
    greetings: list[Mapping[str, Any]] | None = None,
    layer: str = "",
) -> dict[str, Any]:
    """
    Run the load generator in a process of its own and return what it measured.

    :raises FanoutNotMeasured: it failed.
    """
    command = [sys.executable, "-m", "tests.perf.stream_load", "--port", str(port), "--redis", redis_url]
    command += ["--symbols", ",".join(symbols), "--sockets", str(SOCKETS), "--seconds", str(SECONDS)]
    command += ["--window", str(window), "--rate", str(rate), "--layer", layer]
    command += ["--patience", str(START_TIMEOUT_S)]
    for greeting in greetings or ():
        command += ["--greeting", json.dumps(greeting)]
    done = subprocess.run(
        command,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "rtx.settings.dev", "REDIS_URL": redis_url},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode != 0:
        raise FanoutNotMeasured(done.stderr[-2000:])
    result: dict[str, Any] = json.loads(done.stdout)
    if not result["frames"]:
        raise FanoutNotMeasured("no quote arrived")
    return result
