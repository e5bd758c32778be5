"""Jobs as administrators see them; trying a failed one again, and forgetting one."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from server.admin import job_queries as queries
from server.admin.model import Jobs, KnownJob
from server.audit import log
from server.audit.log import Actor
from server.audit.model import Act
from server.core.errors import Problem
from server.jobs import Handler, Queue
from server.jobs.model import Reopens
from server.storage import Tx
from server.web import paging, windows
from server.web.route import Answer, Call, Route


class Retrying:
    """What an administrator does with a failed job. `handlers`: those of all kinds."""

    def __init__(self, queue: Queue, handlers: Sequence[Handler]) -> None:
        self._queue = queue
        self._handlers: Mapping[str, Handler] = {handler.kind: handler for handler in handlers}

    async def retry(self, tx: Tx, call: Call, prepared: None) -> Answer:
        job = await _failed(tx, call.id)
        handler = self._handlers.get(job.kind)
        if handler is None:
            raise Problem("not_found", "Nobody does work of this kind any more; the job can only be forgotten.")
        if await queries.is_open(tx, job.kind, job.key):
            raise Problem("job_open", "Another job of this kind and key waits or runs already.")
        # Before the job's own row is touched: who holds what belongs to the member may be waiting for that one.
        if isinstance(handler, Reopens):
            await handler.reopen(tx, job.key)
        if not await queries.reopen(tx, job.id):
            raise _not_failed()  # somebody was faster
        self._queue.look_again(tx)
        await _record(tx, call, "job_retried", job)
        return Answer(await _existing(tx, job.id), status=202)

    async def drop(self, tx: Tx, call: Call, prepared: None) -> Answer:
        # Only what failed: what is still to be done belongs to a row that counts on it.
        job = await _failed(tx, call.id)
        if not await queries.drop(tx, job.id):
            raise _not_failed()
        await _record(tx, call, "job_dropped", job)
        return Answer(status=204)


async def _record(tx: Tx, call: Call, act: Act, job: KnownJob) -> None:
    await log.record(tx, act, Actor.of(call), target=f"job {job.id}", kind=job.kind)


async def _existing(tx: Tx, job_id: int) -> KnownJob:
    job = await queries.job(tx, job_id)
    if job is None:
        raise Problem("not_found", "There is no such job.")
    return job


async def _failed(tx: Tx, job_id: int) -> KnownJob:
    job = await _existing(tx, job_id)
    if job.state == "running":
        raise Problem("job_running", "The job is being worked on.")
    if job.state != "failed":
        raise _not_failed()
    return job


def _not_failed() -> Problem:
    return Problem("not_failed", "Only a job that has failed can be tried again or forgotten.")


async def list_jobs(tx: Tx, call: Call) -> Answer:
    """GET /api/admin/jobs."""
    query: Jobs = call.query
    before = paging.before("job", query)
    if query.q is None and query.state in (None, "failed"):
        found = await queries.newest(tx, query.state, before, query.limit + 1)
        return Answer(paging.newest_first("job", query, found))
    if query.q is None and query.state in ("ready", "running"):
        few = await queries.open_ones(tx, query.state, before, query.limit + 1)
        if few is not None:
            return Answer(paging.newest_first("job", query, few))
    some, looked = await queries.with_part(tx, query.state, query.q, before, query.limit + 1)
    return Answer(windows.listing("job", query.limit, some, looked))


def routes(queue: Queue, handlers: Sequence[Handler]) -> list[Route]:
    """The declarations."""
    retrying = Retrying(queue, handlers)
    return [
        Route("GET", "/api/admin/jobs", "The jobs, newest first; of one state, when it is given; a page may be short "
              "while `next` leads on", "admin", KnownJob, query=Jobs, listing=True, problems=("bad_cursor",),
              load=list_jobs),
        Route("POST", "/api/admin/jobs/{id}/retry", "Try a failed job again, with all its attempts", "admin", KnownJob,
              202, problems=("not_found", "not_failed", "job_running", "job_open"), store=retrying.retry),
        Route("DELETE", "/api/admin/jobs/{id}", "Forget a failed job", "admin", status=204,
              problems=("not_found", "not_failed", "job_running"), store=retrying.drop),
    ]
