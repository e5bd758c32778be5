"""The rules of files: whose they are, how many, and which check speaks for which version."""
from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from server.core.errors import Problem
from server.events import EventLog, EventType
from server.files import checks, queries
from server.files.checks import Waiting
from server.files.letter import words
from server.files.model import Check, Checked, File, Options, Status
from server.jobs import Queue
from server.providers.flake8 import Report
from server.storage import Tx, member_lock
from server.web.route import unauthorized
from server.web.uploads import Upload

KIND = "check_files"
FILE_CHECKED = EventType("file_checked", Checked, "A check of one of the member's files has ended, however it did.")
SendLetter = Callable[[Tx, int, dict[str, Any]], Awaitable[int | None]]


class Files:
    """What happens inside the transactions. `most`: files of a member."""

    def __init__(self, most: int, queue: Queue, events: EventLog, check_may_write: Callable[[Tx, int], Awaitable[None]],
                 send_letter: SendLetter) -> None:
        self._most, self._queue, self._events = most, queue, events
        self._check_may_write, self._send_letter = check_may_write, send_letter

    async def add(self, tx: Tx, user_id: int, upload: Upload) -> File:
        """A new file, to be checked; raises Problem 409 when the member has as many as there may be."""
        await self._enter(tx, user_id)
        if await queries.count(tx, user_id) >= self._most:
            raise Problem("file_limit", f"You have {self._most} files already; delete one first.")
        file_id = await queries.insert(tx, user_id, upload)
        await self._ask(tx, user_id, file_id, 1, Options())
        return await self.existing(tx, user_id, file_id)

    async def replace(self, tx: Tx, user_id: int, file_id: int, upload: Upload) -> File:
        """A new version of a file, to be checked."""
        await self._enter(tx, user_id)
        version = await queries.replace(tx, user_id, file_id, upload)
        if version is None:
            raise no_such_file()
        await self._ask(tx, user_id, file_id, version, Options())
        return await self.existing(tx, user_id, file_id)

    async def check_again(self, tx: Tx, user_id: int, file_id: int, options: Options) -> Check:
        """Another check of the newest version."""
        await self._enter(tx, user_id)
        file = await self.existing(tx, user_id, file_id)
        await queries.set_status(tx, file_id, file.version, "pending")
        check_id = await self._ask(tx, user_id, file_id, file.version, options)
        check = await checks.read(tx, check_id)
        assert check is not None
        return check

    async def _enter(self, tx: Tx, user_id: int) -> None:
        await tx.lock(member_lock(user_id))
        if not await queries.hold_member(tx, user_id):
            raise unauthorized()  # the account is gone since the request came
        await self._check_may_write(tx, user_id)

    async def _ask(self, tx: Tx, user_id: int, file_id: int, version: int, options: Options) -> int:
        check_id = await checks.insert(tx, user_id, file_id, version, options)
        # One job for each member: their files are checked one after the other, in turn with those of others. One that
        # is open is left alone: it may be locked by whoever waits for our lock, and then finds this check.
        if not await checks.has_job(tx, KIND, user_id):
            await self._queue.enqueue(tx, KIND, str(user_id))
        return check_id

    async def delete(self, tx: Tx, user_id: int, file_id: int) -> None:
        """Removes a file; its bytes go at once."""
        await tx.lock(member_lock(user_id))
        if not await queries.delete(tx, user_id, file_id):
            raise no_such_file()

    async def existing(self, tx: Tx, user_id: int, file_id: int) -> File:
        """One of the member's files; raises Problem 404, also for somebody else's."""
        file = await queries.read(tx, user_id, file_id)
        if file is None:
            raise no_such_file()
        return file

    async def begin(self, tx: Tx, user_id: int) -> Waiting | None:
        """The member's next check, which runs from now on."""
        check = await checks.next_waiting(tx, user_id)
        if check is None:
            # Only then: who holds this lock may wait for somebody who waits for the job. One that is just being asked
            # for counts on the job.
            await tx.lock(member_lock(user_id))
            check = await checks.next_waiting(tx, user_id)
        if check is not None:
            await queries.hold_file(tx, check.file_id)
            await checks.begin(tx, check)
            if await checks.is_newest(tx, check):
                await queries.set_status(tx, check.file_id, check.version, "running")
        return check

    async def end(self, tx: Tx, user_id: int, check: Waiting, report: Report) -> bool:
        """Writes what came of a check, and tells the member; whether more of theirs wait."""
        await tx.lock(member_lock(user_id))
        status = cast(Status, report.status)
        if await queries.hold_member(tx, user_id) and await checks.end(tx, check.id, report):
            if await checks.is_newest(tx, check):
                await queries.set_status(tx, check.file_id, check.version, status)
            await self._tell(tx, user_id, check, status, report)
        return await checks.is_waiting(tx, user_id)

    async def _tell(self, tx: Tx, user_id: int, check: Waiting, status: Status, report: Report) -> None:
        news = Checked(check.file_id, check.name, check.version, check.id, status, report.total,
                       report.suppressed, report.counts, report.reason)
        await self._events.append(tx, user_id, FILE_CHECKED.name, FILE_CHECKED.encode(news))
        mail_id = await self._send_letter(tx, user_id, words(news, report.findings))
        if mail_id is not None:
            await checks.set_mail(tx, check.id, mail_id)


def no_such_file() -> Problem:
    """The 404, the same for somebody else's."""
    return Problem("not_found", "There is no such file of yours.")
