"""flake8 on files that nobody trusts: keeps its parent process alive, hands it files, and hands back reports.

The processes are those of `server/cell`; here is nothing but the talk with them.
"""
from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec

import server.cell
from server.cell import frames
from server.core.clock import iso, now_ms

MOST_FINDINGS = 1000
START_SECONDS, STOP_SECONDS = 20.0, 3.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_PROGRAM = Path(server.cell.__file__).with_name("__main__.py")
_CODE = re.compile(r"[A-Z]{1,3}[0-9]{0,3}")
_READY, _FAILING, _STOPPED = "ready", "failing", "stopped"
_ENDED = "its process ended"

_log = logging.getLogger("foyer.providers")


class CellGone(Exception):
    """The processes ended while the check ran, or cannot be started: nothing is known of the file, check it again."""


@dataclass(frozen=True, slots=True)
class Options:
    """What may be chosen for a check; empty: as flake8 does it. Raises ValueError for what flake8 would not take."""

    max_line_length: int | None = None
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    package: bool = False  # whether it is an `__init__.py`

    def __post_init__(self) -> None:
        wrong = [code for code in (*self.select, *self.ignore) if not _CODE.fullmatch(code)]
        if wrong:
            raise ValueError(f"not codes of flake8: {', '.join(wrong)}")
        if self.max_line_length is not None and self.max_line_length < 1:
            raise ValueError("a line has at least one character")


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `column` counts from 1; `suppressed`: a `noqa` silenced it; `source`: the line it is about."""

    line: int
    column: int
    code: str
    text: str
    source: str
    suppressed: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a check. `status`: passed, violations, or error, which alone has a `reason`.

    `total` and `counts` are complete and without what was silenced; `findings` are the first thousand.
    """

    status: str
    reason: str | None
    total: int
    suppressed: int
    counts: dict[str, int]
    findings: list[Finding]
    flake8: str
    python: str


@dataclass(frozen=True, slots=True)
class _Versions:
    """What the parent says of itself when it is ready."""

    flake8: str
    python: str
    folder: str


@dataclass(frozen=True, slots=True)
class _Sheet:
    """What a child writes."""

    reason: str | None = None
    total: int = 0
    suppressed: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


_versions = msgspec.json.Decoder(_Versions)
_sheet = msgspec.json.Decoder(_Sheet)


class Cell:
    """Checks files, `concurrency` at a time, each within `seconds` of CPU (twice that by the clock) and `memory` bytes.

    The parent process is started by `start` or by the first check, and again when it has died.
    """

    name = "flake8"

    def __init__(self, seconds: float, memory: int, concurrency: int) -> None:
        self._arguments = (repr(float(seconds)), str(memory), str(concurrency))
        # For each check that runs one waits at the parent, so that no core waits for our loop.
        self._slots = asyncio.Semaphore(2 * concurrency)
        self._opening = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._line: _Line | None = None
        self._warming: asyncio.Task[None] | None = None
        self._failures = 0
        self._not_before = 0.0
        self._trouble = ""

    async def start(self) -> None:
        """Has the parent started, without waiting for it."""
        self._stopping.clear()
        self._warming = asyncio.create_task(self._warm())

    async def stop(self) -> None:
        """Ends all processes and removes their folders; checks under way raise CellGone."""
        self._stopping.set()
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.wait({self._warming})
        async with self._opening:
            line, self._line = self._line, None
        if line is not None:
            await line.close()

    async def check(self, source: bytes, options: Options) -> Report:
        """The report on a file. Raises CellGone; when it is cancelled, the check ends."""
        async with self._slots:
            line = await self._live()
            kind, body = await line.ask(frames.CHECK, frames.pack_check(asdict(options), source))
        if kind == frames.AGAIN:
            raise CellGone(body.decode())
        self._failures = 0
        return _report(kind, body, line.versions)

    def describe(self) -> dict[str, object]:
        """`state` (ready, failing, stopped), `reason` and `until` for /readyz."""
        if self._stopping.is_set():
            return {"state": _STOPPED, "reason": "", "until": None}
        left = self._not_before - time.monotonic() if self._trouble else 0.0
        until = iso(now_ms() + int(left * 1000)) if left > 0 else None
        return {"state": _FAILING if self._trouble else _READY, "reason": self._trouble, "until": until}

    async def _warm(self) -> None:
        with contextlib.suppress(CellGone):  # it is logged, and the next check tries again
            await self._live()

    async def _live(self) -> _Line:
        """The parent, started when there is none."""
        async with self._opening:
            if self._line is None or not self._line.alive:
                await self._pause(self._not_before - time.monotonic())
                if self._stopping.is_set():
                    raise CellGone("the server stops")
                self._line = await self._open()
            return self._line

    async def _pause(self, seconds: float) -> None:
        """Waits, but not longer than until the stop."""
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _open(self) -> _Line:
        try:
            line = await _open_line((*self._arguments, tempfile.gettempdir()), self._failed)
        except CellGone as gone:
            self._failed(str(gone))
            raise
        if self._trouble:
            _log.warning("%s is back", self.name)
        self._trouble = ""
        return line

    def _failed(self, why: str) -> None:
        self._not_before = time.monotonic() + min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._failures, 10))
        self._failures += 1
        if self._trouble != why:
            _log.warning("%s: %s", self.name, why)
        self._trouble = why


class _Line:
    """One life of the parent, and the talk with it. `ended` is told why it died, when that was unasked."""

    def __init__(self, process: asyncio.subprocess.Process, ended: Callable[[str], None]) -> None:
        self.alive = True
        self.versions = _Versions("", "", "")
        self._process, self._ended = process, ended
        self._unasked, self._why = False, _ENDED
        self._numbers = itertools.count(1)
        self._hello: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._waiting = {0: self._hello}
        self._listener = asyncio.create_task(self._listen())

    async def greet(self) -> None:
        """Waits until the parent is ready; raises CellGone."""
        kind, body = await self._hello
        if kind != frames.READY:
            raise CellGone(body.decode())
        self.versions = _versions.decode(body)
        self._unasked = True

    async def ask(self, kind: int, body: bytes) -> tuple[int, bytes]:
        """The answer to a frame; whoever does not wait for it any more has it cancelled."""
        if not self.alive:
            raise CellGone(self._why)
        number = next(self._numbers)
        answer: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self._say(number, kind, body)
        try:
            return await answer
        finally:
            if self._waiting.pop(number, None) is not None and self.alive:
                self._say(number, frames.CANCEL)

    async def close(self) -> None:
        """Closes our end, at which the parent ends with its children; waits for it."""
        self.alive = self._unasked = False
        if self._process.stdin is not None:
            self._process.stdin.close()
        _, late = await asyncio.wait({self._listener}, timeout=STOP_SECONDS)
        if late:
            self._process.kill()
        await self._listener

    def _say(self, number: int, kind: int, body: bytes = b"") -> None:
        # No more than twice the concurrency are said at a time: nothing here can pile up.
        assert self._process.stdin is not None
        if not self._process.stdin.is_closing():  # else its end is about to be heard of
            self._process.stdin.write(frames.frame(number, kind, body))

    async def _listen(self) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    self._hear(*await self._frame())
        finally:
            self.alive = False
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(CellGone(self._why))
            if self._unasked:
                self._ended(self._why)
            await self._buried()
            if self.versions.folder:  # it could not, when it was killed
                shutil.rmtree(self.versions.folder, ignore_errors=True)

    def _hear(self, number: int, kind: int, body: bytes) -> None:
        answer = self._waiting.pop(number, None)
        if answer is not None and not answer.done():
            answer.set_result((kind, body))
        elif number == 0:  # its last words
            self._why = body.decode()

    async def _frame(self) -> tuple[int, int, bytes]:
        assert self._process.stdout is not None
        head = await self._process.stdout.readexactly(frames.HEAD_SIZE)
        number, kind, size = frames.head(head)
        return number, kind, await self._process.stdout.readexactly(size)

    async def _buried(self) -> None:
        """Waits for the end of the process, which has closed its end or will be killed."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


async def _open_line(arguments: tuple[str, ...], ended: Callable[[str], None]) -> _Line:
    """Starts a parent that is ready; raises CellGone."""
    # Nothing but what this Python itself may need to be loaded.
    environ = {name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"}
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-B", "-W", "ignore", str(_PROGRAM), *arguments, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env=environ, cwd="/",
            start_new_session=True)
    except OSError as error:
        raise CellGone(f"its process cannot be started: {error.strerror}") from None
    line = _Line(process, ended)
    try:
        async with asyncio.timeout(START_SECONDS):
            await line.greet()
    except TimeoutError:
        await line.close()
        raise CellGone("its process does not get ready") from None
    except BaseException:
        await line.close()
        raise
    return line


def _report(kind: int, body: bytes, versions: _Versions) -> Report:
    """The report of a child; what is not whole is none."""
    sheet = _Sheet(reason=body.decode(errors="replace"))
    if kind == frames.REPORT:
        try:
            sheet = _sheet.decode(body)
            if sum(sheet.counts.values()) != sheet.total or len(sheet.findings) > MOST_FINDINGS:
                raise ValueError
        except ValueError:  # msgspec's errors are such
            sheet = _Sheet(reason="flake8 gave a report that cannot be read")
    status = "error" if sheet.reason is not None else "violations" if sheet.total else "passed"
    return Report(status, sheet.reason, sheet.total, sheet.suppressed, sheet.counts, sheet.findings,
                  versions.flake8, versions.python)
