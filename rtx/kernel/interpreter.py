"""How a serving process runs Python: turns of its threads, collections of garbage. Knows no application."""

import gc
import sys

# The executor's thread wakes after each of its statements. With Python's 5 ms it would wait that long for the
# interpreter each time, behind threads that serve requests or ticks: short turns halve every latency.
SWITCH_INTERVAL_S = 0.0005
# Python's own thresholds let a burst of triggers collect so often that it takes a fifth of the CPU time. Rare
# collections are longer ones, which whoever serves requests would feel.
COLLECT_AFTER = (50_000, 20, 50)


def prepare(*, collects_rarely: bool = False) -> None:
    """Set the interpreter up once everything is imported: what lives by then is never collected again."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.collect()
    gc.freeze()
    if collects_rarely:
        gc.set_threshold(*COLLECT_AFTER)
