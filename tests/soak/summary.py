"""The soak's figures, and how they are shown."""

import argparse
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.soak.player import Player

DIFFERENCES_SHOWN = 40


def figures(players: list[Player], options: argparse.Namespace, took_s: float) -> dict[str, Any]:
    """Return what was asked, what was answered and how long it took."""
    took: dict[str, list[float]] = {"REST": [], "WebSocket": []}
    for player in players:
        for transport, seconds in player.record.took_s:
            took[transport].append(seconds)
    ended = sum((player.record.ended for player in players), Counter[str]())
    asked = sum((player.record.asked for player in players), Counter[str]())
    answered = sum((player.record.answered for player in players), Counter[tuple[str, str]]())
    return {
        "minutes": options.minutes,
        "speed": options.speed,
        "accounts": len(players),
        "seed": options.seed,
        "took_s": round(took_s, 1),
        "requests": asked.total(),
        "requests_per_s": round(asked.total() / took_s, 1),
        "repeated": sum(player.record.repeats for player in players),
        "reconnected": sum(player.record.reconnects for player in players),
        "connections_lost": sum(player.record.lost for player in players),
        "sockets_ended": dict(ended),
        "asked": dict(asked),
        "answered": {f"{op} -> {code}": count for (op, code), count in sorted(answered.items())},
        "latency_ms": {name: _latency(seconds) for name, seconds in took.items()},
    }


def _latency(took: list[float]) -> dict[str, float]:
    ordered = sorted(took) or [0.0]
    return {
        name: round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 1)
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
    } | {"count": len(took)}


def show(result: dict[str, Any], say: Callable[[str], None]) -> None:
    """Print the summary; what differs comes last."""
    say("")
    say(
        f"{result['accounts']} accounts, seed {result['seed']}: {result['requests']:,} requests in "
        f"{result['took_s']:g} s ({result['requests_per_s']:g}/s), {result['repeated']} sent twice, "
        f"{result['reconnected']} sockets opened again on purpose, {result['connections_lost']} requests "
        "repeated because their connection had ended"
    )
    for name, times in result["latency_ms"].items():
        shown = ", ".join(f"{key} {value:g} ms" for key, value in times.items() if key != "count")
        say(f"  {name}: {times['count']:,} answers, {shown}")
    for reason, count in result["sockets_ended"].items():
        say(f"  {count:,} sockets ended: {reason}")
    say(f"Feed at {result['speed']:g}x:")
    for name, one in result["feed"].items():
        share = f", {one['share']:.1%} of the {one['recorded']:,} recorded" if one.get("share") else ""
        say(f"  {name} ({one['provider']}): {one['ticks']:,} ticks, {one['per_s']:g}/s{share}")
    say("Answers:")
    for name, count in result["answered"].items():
        say(f"  {count:7,}  {name}")
    say("Journal:")
    for name, count in result["events"].items():
        say(f"  {count:7,}  {name}")
    say(f"{result['openings_valued']} fills that opened exposure were valued anew")
    say(result["verify_books"])
    found = result["differences"]
    for one in found[:DIFFERENCES_SHOWN]:
        say(f"DIFFERENCE: {one}")
    if len(found) > DIFFERENCES_SHOWN:
        say(f"... and {len(found) - DIFFERENCES_SHOWN} more")
    say(f"{len(found)} differences" if found else "No difference.")
