"""Metrics and the description of the API."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from server.jobs import queue
from server.storage import Database
from server.web.metrics import Metrics
from server.web.route import Answer, Call, Route

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


def metrics_route(database: Database, metrics: Metrics) -> Route:
    """GET /metrics."""
    jobs = metrics.labelled_gauge("foyer_jobs", "Jobs that are not done.", ("kind", "state"))

    async def tell(call: Call) -> Answer:
        jobs.clear()
        for (kind, state), number in (await database.read(queue.counts)).items():
            jobs.labels(kind, state).set(number)
        return Answer(raw=metrics.text(), content_type=PROMETHEUS)

    return Route("GET", "/metrics", "The counters, in the Prometheus text format", "open", media=PROMETHEUS,
                 limit="none", tell=tell)


def openapi_route(document: dict[str, Any]) -> Route:
    """GET /api/openapi.json; `document` may be filled after the route is made."""
    def recall(call: Call) -> Answer:
        return Answer(raw=msgspec.json.encode(document))

    return Route("GET", "/api/openapi.json", "This document", "open", limit="read", recall=recall)


def asyncapi_route(document: Callable[[], dict[str, Any]]) -> Route:
    """GET /api/asyncapi.json."""
    def recall(call: Call) -> Answer:
        return Answer(raw=msgspec.json.encode(document()))

    return Route("GET", "/api/asyncapi.json", "The socket and the event stream, as AsyncAPI 3.0", "open", limit="read",
                 recall=recall)
