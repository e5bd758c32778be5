"""What is counted, for `/metrics` (Prometheus). Labels come from declarations, never from what a client sent."""
from __future__ import annotations

from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Requests:
    """Counts requests: plain numbers while they come, made into metrics when somebody asks."""

    def __init__(self) -> None:
        self._answered: Tally[tuple[str, int]] = Tally()
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0

    def count(self, route: str, status: int, seconds: float) -> None:
        """Counts one."""
        self._answered[route, status] += 1
        self._buckets[bisect_left(BUCKETS, seconds)] += 1
        self._seconds += seconds

    def collect(self) -> Iterable[Metric]:
        """The metrics."""
        answered = CounterMetricFamily("foyer_http_requests", "Answered requests.", labels=("route", "status"))
        for (route, status), number in self._answered.items():
            answered.add_metric((route, str(status)), number)
        yield answered
        took = HistogramMetricFamily("foyer_http_request_seconds", "How long requests took.")
        total, buckets = 0, []
        for bound, number in zip([*map(str, BUCKETS), "+Inf"], self._buckets):
            total += number
            buckets.append((bound, total))
        # To the microsecond: the last digits say nothing, and a long run of them could be taken for a card's number.
        took.add_metric((), buckets, round(self._seconds, 6))
        yield took


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Requests()
        self.registry.register(self.requests)

    def gauge(self, name: str, sentence: str, read: Callable[[], float]) -> None:
        """A number that is read when somebody asks for it."""
        Gauge(name, sentence, registry=self.registry).set_function(read)

    def labelled_gauge(self, name: str, sentence: str, labels: tuple[str, ...]) -> Gauge:
        """A number for each label, set by whoever asked for it."""
        return Gauge(name, sentence, labels, registry=self.registry)

    def text(self) -> bytes:
        """Everything, in the Prometheus text format."""
        return generate_latest(self.registry)
