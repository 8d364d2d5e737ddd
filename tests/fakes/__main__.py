"""
Serves the fakes on one port until it is stopped: `python -m tests.fakes --port 8010`. Their records stand on
the page at `/`. With `--keep FILE` all survives a restart.
"""

import argparse
import os
import signal
import threading
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rtx.settings.dev")


def main() -> None:
    """Serve until the process is told to end."""
    from tests.fakes.demo import Courier, Desk, Shelf
    from tests.fakes.hubspot import HubSpotFake
    from tests.fakes.salesforce import SalesforceFake
    from tests.fakes.server import Fake, serving
    from tests.fakes.zoho import ZohoFake

    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, default=8010)
    options.add_argument("--latency-ms", type=float, default=20)
    options.add_argument("--keep", type=Path, help="file that holds the records")
    chosen = options.parse_args()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    hubspot = HubSpotFake()
    hubspot.calls_back = True
    fakes: tuple[Fake, ...] = (hubspot, SalesforceFake(), ZohoFake())
    shelf = Shelf(chosen.keep, fakes) if chosen.keep else None
    if shelf:
        shelf.load()
    courier = Courier(hubspot, stopping)
    with serving(Desk(*fakes), *fakes, port=chosen.port, latency_ms=chosen.latency_ms) as url:
        print(f"CRM fakes at {url}/", flush=True)
        courier.start()
        while not stopping.wait(5):
            if shelf:
                shelf.save()
    courier.join(10)
    if shelf:
        shelf.save()


if __name__ == "__main__":
    main()
