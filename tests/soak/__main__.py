"""
Run the soak: `python -m tests.soak [--minutes N] [--speed X] [--accounts N] [--seed N]`.

Exits with 1 when anything differs. Orders and times depend on the machine, so that two runs with one seed are
alike, not equal.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.soak import feed, summary
from tests.soak.broker import CONTRACTS, SYMBOLS, Broker, broker
from tests.soak.feed import Seen
from tests.soak.plan import Plan
from tests.soak.player import Player, Quotes
from tests.soak.wire import Socket

DAY_MINUTES = 1440.0
SETTLE_S = 60.0  # for the streams to bring the last events
OPENING_AT_ONCE = 20
FILLS_PER_ACCOUNT = 30
# What must have happened at least once: in a slice, and in a whole day.
SLICE = ("order_filled", "order_placed", "order_canceled", "position_modified (client)", "balance_changed")
WHOLE = (
    *SLICE,
    "order_filled (limit)",
    "order_filled (stop)",
    "order_activated",
    "order_filled (stop_loss)",
    "order_filled (take_profit)",
    "position_modified (trailing)",
    "order_modified",
    "positions_closed",
    "positions_closed_by",
    "order_rejected",
)


def say(text: str) -> None:
    """Tell what goes on, at once."""
    print(text, flush=True)


def main() -> int:
    """Soak, check, print; return the process's exit code."""
    options = _options()
    seconds = options.minutes * 60 / options.speed
    with broker(
        accounts=options.accounts, speed=options.speed, ticks=options.ticks, home=options.home, say=say
    ) as opened:
        if not opened.is_recorded:
            say("no recordings (RTX_TICKS_DIR): prices are simulated")
        say(f"{options.minutes:g} recorded minutes at {options.speed:g}x: {seconds:.0f} s of trading")
        result = asyncio.run(_soak(opened, options, seconds))
    summary.show(result, say)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))
    return 1 if result["differences"] else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=DAY_MINUTES, help="of the recorded day (all of it)")
    parser.add_argument("--speed", type=float, default=100.0, help="times real time")
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20140508)
    parser.add_argument("--pause", type=float, default=3.0, help="mean seconds between an account's steps")
    parser.add_argument("--ticks", default=os.environ.get("RTX_TICKS_DIR", ""), help="folder of recordings")
    parser.add_argument("--home", type=Path, help="a stopped, migrated installation to use up")
    parser.add_argument("--json", type=Path, help="write the result here too")
    return parser.parse_args()


async def _soak(opened: Broker, options: argparse.Namespace, seconds: float) -> dict[str, Any]:
    from rtx.kernel import clock

    quotes: dict[str, Quotes] = {}
    watchers = await _watch(opened, quotes)
    players = [_player(opened, seat, options.seed, quotes[seat.group]) for seat in opened.seats]
    for first in range(0, len(players), OPENING_AT_ONCE):
        await asyncio.gather(*(player.open() for player in players[first : first + OPENING_AT_ONCE]))
    await _wait(lambda: all(len(known) == len(SYMBOLS) for known in quotes.values()), "prices", 30)
    await asyncio.to_thread(_warm, opened)
    stopping = asyncio.Event()
    before, since, started = await asyncio.to_thread(feed.seen), clock.now(), time.monotonic()
    playing = [asyncio.create_task(player.play(stopping, pause_s=options.pause)) for player in players]
    await _pass(seconds, playing, players)
    after, took_s = await asyncio.to_thread(feed.seen), time.monotonic() - started
    stopping.set()
    await asyncio.gather(*playing)
    say("trading has ended; the engine stops and the streams catch up")
    await asyncio.to_thread(opened.stack.stop, "beat", "worker", "sync", "prompt", "engine")
    late = await _settled(players)
    for watcher in watchers:
        await watcher.close()
    until = clock.now()
    result = await asyncio.to_thread(_checked, opened, players, since, until, options.minutes >= DAY_MINUTES)
    result["differences"] = [*([late] if late else []), *result["differences"]]
    result["feed"] = await asyncio.to_thread(_feed, options, before, after)
    await asyncio.gather(*(player.close() for player in players))
    return result | summary.figures(players, options, took_s)


async def _watch(opened: Broker, quotes: dict[str, Quotes]) -> list[Socket]:
    """Follow each group's prices on one socket, as a trader of the group sees them."""
    watchers = []
    for seat in {seat.group: seat for seat in opened.seats}.values():
        known = quotes.setdefault(seat.group, {})

        def hear(message: dict[str, Any], known: Quotes = known) -> None:
            if message["ch"] == "quotes":
                known.update({q["s"]: (Decimal(q["b"]), Decimal(q["a"])) for q in message["q"]})

        watcher = Socket(opened.stack.stream_url, seat.token, hear)
        await watcher.open()
        await watcher.request({"op": "subscribe", "channel": "quotes", "symbols": list(SYMBOLS)})
        watchers.append(watcher)
    return watchers


def _player(opened: Broker, seat: Any, seed: int, quotes: Quotes) -> Player:
    return Player(
        seat,
        Plan(seed=f"{seed}:{seat.login}", login=seat.login, contracts=CONTRACTS, hedging=seat.is_hedging),
        web_port=opened.stack.web_port,
        stream_url=opened.stack.stream_url,
        quotes=quotes,
        pay=lambda kind, amount, reference: opened.pay(seat.account_id, kind, amount, reference),
    )


def _warm(opened: Broker) -> None:
    """Make this process's executor and price board ready: withdrawals are valued at prices."""
    from apps.market.services.board import board

    deadline = time.monotonic() + 20
    while set(board().latest) < set(SYMBOLS) and time.monotonic() < deadline:
        time.sleep(0.05)


async def _wait(condition: Any, what: str, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come within {within_s:g} s")
        await asyncio.sleep(0.05)


async def _pass(seconds: float, playing: list[asyncio.Task[None]], players: list[Player]) -> None:
    """Let time pass, with a word now and then; a trader's program that breaks ends the soak."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        done, _ = await asyncio.wait(playing, timeout=min(30, left), return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
        asked = sum(player.record.asked.total() for player in players)
        say(f"  {max(0.0, deadline - time.monotonic()):4.0f} s left, {asked:,} requests")


async def _settled(players: list[Player]) -> str:
    """Wait until every stream has brought the last event; say so when it does not happen."""
    from tests.soak import checks

    deadline = time.monotonic() + SETTLE_S
    await asyncio.gather(*(player.stay_open() for player in players))
    while not await asyncio.to_thread(checks.caught_up, players):
        if time.monotonic() > deadline:
            return f"streams did not bring all events within {SETTLE_S:g} s"
        await asyncio.sleep(0.5)
    return ""


def _checked(
    opened: Broker, players: list[Player], since: datetime, until: datetime, is_whole: bool
) -> dict[str, Any]:
    """Run all checks."""
    from rtx.local.home import LocalError
    from tests.soak import checks, solvency

    say("checking")
    try:
        told = opened.stack.manage("verify_books", "--verbosity", "0").strip().splitlines()[-1]
        differences = []
    except LocalError as error:
        told, differences = "the books differ", [str(error)]
    beyond, valued = solvency.opened_beyond_means(fills_per_account=FILLS_PER_ACCOUNT)
    counts = checks.event_counts()
    differences += [
        *checks.answers(players),
        *checks.streams(players),
        *checks.ids(players),
        *checks.lives(),
        *checks.ledger(),
        *checks.statements_add_up(players, since=since, until=until),
        *beyond,
        *(f"there was no {kind}" for kind in (WHOLE if is_whole else SLICE) if not counts[kind]),
    ]
    return {
        "verify_books": told,
        "openings_valued": valued,
        "events": dict(sorted(counts.items())),
        "differences": differences,
    }


def _feed(options: argparse.Namespace, before: dict[str, Seen], after: dict[str, Seen]) -> dict[str, Any]:
    """Compare the ticks that the engine took with those of the recording."""
    found = {}
    for name in SYMBOLS:
        first, last = before[name], after[name]
        ticks = last.ticks - first.ticks
        seconds = (last.counted_at - first.counted_at).total_seconds()
        found[name] = {"provider": last.provider, "ticks": ticks, "per_s": round(ticks / max(seconds, 1), 1)}
        if last.provider.startswith("replay:"):
            wanted = feed.expected(
                options.ticks,
                name,
                last.provider.removeprefix("replay:"),
                from_ms=last.moment_ms(first.counted_at, options.speed),
                recorded_ms=round(seconds * options.speed * 1000),
            )
            found[name] |= {"recorded": wanted, "share": round(ticks / wanted, 3) if wanted else None}
    return found


if __name__ == "__main__":
    sys.exit(main())
