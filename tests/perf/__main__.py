"""
`make bench`: measures every figure, prints a table and writes `bench.json`.

`python -m tests.perf --only NAME` runs only the scenario that yields this figure. Exits non-zero when
something could not be measured; a target that was missed is printed and written down, it is no error.
"""

import argparse
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict

from rtx.local.home import REPOSITORY
from tests.perf import (
    admin_lists,
    audit_verify,
    crash,
    crm_full,
    crm_kill,
    crm_push,
    crm_webhooks,
    fanout,
    guards_share,
    latency,
    many_positions,
    rest_orders,
    revalue,
    rollover,
    stop_out,
    sweep,
    trigger_burst,
    trigger_check,
    verify,
    what_if,
    ws_orders,
)
from tests.perf.broker import Broker, Say, broker
from tests.perf.figures import Figure

OUTPUT = REPOSITORY / "bench.json"

Scenario = tuple[str, tuple[str, ...], Callable[[Broker, Say], list[Figure]]]


def scenarios() -> list[Scenario]:
    """Return every scenario with the names of its figures, in the order of running."""
    return [
        ("orders over REST", rest_orders.NAMES, rest_orders.run),
        ("orders over WebSocket", ws_orders.NAMES, ws_orders.run),
        ("latency at 200 orders/s", latency.NAMES, latency.run),
        ("verify_books", verify.NAMES, verify.run),
        ("ticks that reach nothing", trigger_check.NAMES, trigger_check.run),
        ("orders beside many positions", many_positions.NAMES, many_positions.run),
        ("a burst of triggers", trigger_burst.NAMES, trigger_burst.run),
        ("what guards add to an order", guards_share.NAMES, guards_share.run),  # before the large houses
        ("a change on its way to the CRM", crm_push.NAMES, crm_push.run),
        ("a full sync of 10,000 clients", crm_full.NAMES, crm_full.run),
        ("workers of the sync killed", crm_kill.NAMES, crm_kill.run),
        ("rollover of 100,000 positions", rollover.NAMES, rollover.run),
        ("sweep of 500,000 positions", sweep.NAMES, sweep.run),
        ("a crash that stops out 5,000 accounts", crash.NAMES, crash.run),
        ("revaluation of 500,000 positions", revalue.NAMES, revalue.run),
        ("stop-out of one account", stop_out.NAMES, stop_out.run),
        ("webhooks of a CRM", crm_webhooks.NAMES, crm_webhooks.run),
        ("quotes to 500 sockets", ("fanout_per_s", "fanout_vs_group_send"), quotes),
        ("what-if on 100,000 accounts", what_if.NAMES, what_if.run),  # a house without journal
        ("every list page of the admin", admin_lists.NAMES, admin_lists.run),
        (
            "sealing and verifying a million entries",
            audit_verify.NAMES,
            audit_verify.run,
        ),  # the last: no books
    ]


def quotes(opened: Broker, say: Say) -> list[Figure]:
    """Measure the fan-out; its generator is the only source of quotes, so the engine stands still."""
    opened.start("web", "stream")  # web: traders log in there
    opened.stop("web", "engine")
    target = fanout.Target(
        port=opened.stack.stream_port,
        redis_url=opened.stack.redis_url,
        token=opened.traders[0].token,
        symbols=tuple(latency.HELD)[:8],
    )
    figures = fanout.run(target)
    for figure in figures:
        say(f"  {figure.name}: {figure.value:,.1f} {figure.unit}")
    return figures


def machine() -> str:
    """Describe this machine in one line."""
    model = platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            model = next(line.split(":", 1)[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    system = f"{platform.system()} {platform.release()}"
    return f"{os.cpu_count()} cores, {model}, {system}, Python {platform.python_version()}"


def say(text: str) -> None:
    """Show progress at once."""
    print(text, flush=True)


def measure(wanted: list[Scenario]) -> tuple[list[Figure], list[str]]:
    """Run scenarios one after another; return their figures and the titles of those that failed."""
    figures: list[Figure] = []
    failed: list[str] = []
    with broker(say) as opened:
        for title, _, run in wanted:
            say(f"{title}:")
            started = time.monotonic()
            try:
                figures += run(opened, say)
            except Exception:  # noqa: BLE001 - the other figures can still be measured
                traceback.print_exc()
                failed.append(title)
            say(f"  ({time.monotonic() - started:.0f} s)")
    return figures, failed


def table(figures: list[Figure]) -> str:
    """Return the figures as a table, what was missed marked."""
    rows = [("figure", "value", "unit", "target", "")]
    rows += [(f.name, f"{f.value:,.2f}", f.unit, f.target, "ok" if f.ok else "MISSED") for f in figures]
    name, value, unit, target, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "\n".join(
        f"{row[0]:{name}}  {row[1]:>{value}}  {row[2]:{unit}}  {row[3]:{target}}  {row[4]}".rstrip()
        for row in rows
    )


def main(names: list[str]) -> int:
    """Measure, print, write."""
    every = scenarios()
    known = [name for _, given, _ in every for name in given]
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no such figure: {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    wanted = [one for one in every if not names or set(names) & set(one[1])]
    figures, failed = measure(wanted)
    shown = [figure for figure in figures if not names or figure.name in names]
    say("")
    say(machine())
    say(table(shown))
    for figure in shown:
        say(f"{figure.name}: {figure.detail}")
    missing = [name for name in names or known if name not in {figure.name for figure in shown}]
    content = {"machine": machine(), "figures": [asdict(figure) for figure in shown]}
    OUTPUT.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    missed = [figure.name for figure in shown if not figure.ok]
    if missed:
        say(f"missed: {', '.join(missed)}")
    if missing:
        say(f"could not be measured: {', '.join(missing)}")
    return 1 if failed or missing else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.perf", description="Measure RTX on this machine.")
    parser.add_argument(
        "--only", action="append", default=[], metavar="FIGURE", help="measure only this figure"
    )
    sys.exit(main(parser.parse_args().only))
