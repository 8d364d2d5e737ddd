"""Prometheus figures of a stream process, read when somebody asks; counting costs the hot path nothing."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from apps.trading.consumers.process import StreamProcess


class StreamCollector(Collector):
    """Shows what one stream process does."""

    def __init__(self) -> None:
        self.process: StreamProcess | None = None

    def collect(self) -> Iterable[Metric]:
        """Return the present figures; none where no stream runs."""
        process = self.process
        if process is None:
            return
        connections = [session.connection for session in list(process.sessions)]
        yield GaugeMetricFamily("rtx_stream_sockets", "Open sockets.", len(connections))
        yield GaugeMetricFamily(
            "rtx_stream_buffered_bytes",
            "Bytes waiting for slow clients.",
            sum(connection.buffered_bytes() for connection in connections),
        )
        yield CounterMetricFamily("rtx_stream_ticks", "Quotes taken from the bus.", process.hub.ticks)
        yield CounterMetricFamily("rtx_stream_frames", "Quote frames for clients.", process.hub.messages)
        conflated = process.conflated + sum(connection.conflated for connection in connections)
        yield CounterMetricFamily(
            "rtx_stream_conflated", "Quote frames that a slow client got a newer one for.", conflated
        )
        closed = CounterMetricFamily("rtx_stream_closed", "Sockets that the server closed.", labels=["code"])
        for code, count in list(process.closed.items()):
            closed.add_metric([str(int(code))], count)
        yield closed


collector = StreamCollector()
REGISTRY.register(collector)
