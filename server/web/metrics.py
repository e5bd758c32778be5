"""What is counted, for `/metrics` (Prometheus). Labels come from declarations, never from what a client sent."""
from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter("foyer_http_requests", "Answered requests.", ("route", "status"),
                                 registry=self.registry)
        self._seconds = Histogram("foyer_http_request_seconds", "How long requests took.", buckets=BUCKETS,
                                  registry=self.registry)
        self._children: dict[tuple[str, int], Counter] = {}
        self._gauges: list[tuple[Gauge, Callable[[], float]]] = []

    def request(self, route: str, status: int, seconds: float) -> None:
        """Counts one answered request."""
        child = self._children.get((route, status))
        if child is None:
            child = self._children[route, status] = self._requests.labels(route, str(status))
        child.inc()
        self._seconds.observe(seconds)

    def gauge(self, name: str, sentence: str, read: Callable[[], float]) -> None:
        """A number that is read when somebody asks for it."""
        Gauge(name, sentence, registry=self.registry).set_function(read)

    def labelled_gauge(self, name: str, sentence: str, labels: tuple[str, ...]) -> Gauge:
        """A number for each label, set by whoever asked for it."""
        return Gauge(name, sentence, labels, registry=self.registry)

    def counter(self, name: str, sentence: str, labels: tuple[str, ...] = ()) -> Counter:
        """A counter for a room that keeps its own."""
        return Counter(name, sentence, labels, registry=self.registry)

    def text(self) -> bytes:
        """Everything, in the Prometheus text format."""
        return generate_latest(self.registry)
