"""Runs the checks: one job for each member who has files to be checked, one check at a time."""
from __future__ import annotations

import logging
import platform

from server.files.checks import Waiting
from server.files.service import KIND, Files
from server.jobs import Decision, Done, Job, Retry, RetryPolicy
from server.providers import flake8
from server.providers.flake8 import Cell, CellGone, Report
from server.storage import Tx

log = logging.getLogger("foyer.files")
TRIES = 5  # of one check, when the processes that run it die again and again
BEGUN = 20  # times at most, whatever came in between: the end of the server, a result that could not be stored
UNTRIED = "the checker broke down again and again: ask for another check later"


class CheckJob:
    """The job behind every check. It goes on as long as the member has files that wait, behind those of others."""

    kind = KIND
    policy = RetryPolicy(1_000_000, 0.5, 30.0)

    def __init__(self, cell: Cell | None, files: Files, concurrency: int) -> None:
        self._cell, self._files = cell, files
        # For each child that runs one check waits at the cell, so that none waits for our transactions.
        self.concurrency = 2 * concurrency

    async def load(self, tx: Tx, job: Job) -> Waiting | None:
        return await self._files.begin(tx, int(job.key))

    async def call(self, job: Job, loaded: Waiting) -> Report | None:
        """The report; None when nothing is known of the file, so that it is checked again."""
        if loaded.content is None:
            return _error("this version is not kept any more")
        if loaded.tries >= BEGUN:
            return _error(UNTRIED)
        assert self._cell is not None, "only who does background work checks files"
        chosen = loaded.options
        try:
            options = flake8.Options(chosen.max_line_length, tuple(chosen.select or ()), tuple(chosen.ignore or ()),
                                     loaded.name == "__init__.py")
            return await self._cell.check(loaded.content, options)
        except CellGone:
            return None
        except Exception:
            log.exception("check %s failed unexpectedly", loaded.id)
            return None

    async def store(self, tx: Tx, job: Job, loaded: Waiting, result: Report | None) -> Decision:
        if result is None and loaded.tries + 1 < TRIES:
            return Retry(self.policy.wait(loaded.tries + 1), "the checker broke down")
        more = await self._files.end(tx, int(job.key), loaded, result or _error(UNTRIED))
        return Retry(0, "more files of the member wait", burn=False) if more else Done()

    async def give_up(self, tx: Tx, job: Job, error: str) -> None:
        return None


def _error(reason: str) -> Report:
    return Report("error", reason, 0, 0, {}, [], "", platform.python_version())
