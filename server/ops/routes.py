"""Metrics and the description of the API."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec

from server.core.clock import SECOND
from server.jobs import queue
from server.ops import backups
from server.storage import Database
from server.web.metrics import Metrics
from server.web.route import Answer, Call, Route

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


def metrics_route(database: Database, metrics: Metrics, backed_up: bool) -> Route:
    """GET /metrics. `backed_up`: whether there are scheduled backups; else the age of an old one sets off alarms."""
    backup_age = metrics.labelled_gauge(
        "foyer_backup_age_seconds", "Since the last scheduled backup that was verified; NaN: there is none.", ())
    backup_failures = metrics.labelled_gauge("foyer_backup_failures", "Scheduled backups that failed since.", ())
    jobs = metrics.labelled_gauge("foyer_jobs", "Jobs that are not done.", ("kind", "state"))

    async def tell(call: Call) -> Answer:
        jobs.clear()
        for (kind, state), number in (await database.read(queue.counts)).items():
            jobs.labels(kind, state).set(number)
        backup = await database.read(backups.state) if backed_up else backups.State(None, 0)
        backup_age.set(math.nan if backup.age_ms is None else backup.age_ms / SECOND)
        backup_failures.set(backup.failures)
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
