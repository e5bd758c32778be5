"""The parent: has flake8 in memory, forks a child for each file, and ends with all of them when the server goes away.

It looks at no file itself, has one thread, and waits for everything in one place: frames from the server, reports and
ends of children, and the clock.
"""
from __future__ import annotations

import gc
import json
import os
import resource
import selectors
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from server.cell import frames, verdict
from server.cell.child import Limits, be_a_child, prctl
from server.cell.folders import Folder, remove_one, sweep

if TYPE_CHECKING:
    from server.cell.checking import Flake8

_BYTES = 262_144
_OPEN_FILES = 64  # beside those of the children


@dataclass
class _Check:
    """A file whose child runs."""

    number: int
    pid: int
    pipe: int
    folder: str
    until: float  # when the clock ends it
    received: bytearray = field(default_factory=bytearray)
    ended_for: str = ""  # why we ended it
    wanted: bool = True
    read_to_end: bool = False


class Parent:
    """One life of the parent."""

    def __init__(self, inward: int, outward: int, limits: Limits, concurrency: int, folder: Folder,
                 flake8: Flake8) -> None:
        self._inward, self._outward = inward, outward
        self._limits, self._concurrency = limits, concurrency
        self._folder, self._flake8 = folder, flake8
        self._pid, self._control = os.getpid(), prctl()
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._running: dict[int, _Check] = {}  # by process
        self._read, self._unsent = bytearray(), bytearray()
        self._serving = True
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Works until the server closes its end."""
        self._hear_of_children()
        for handle in (self._inward, self._outward):
            os.set_blocking(handle, False)
        self._selector.register(self._inward, selectors.EVENT_READ, self._listen)
        self._send(0, frames.READY, json.dumps({**self._flake8.versions, "folder": self._folder.path}).encode())
        try:
            while self._serving:
                for key, _ in self._selector.select(self._until_next()):
                    key.data()
                self._end_late()
                while self._waiting and len(self._running) < self._concurrency:
                    self._start(*self._waiting.popleft())
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            why = f"its process failed: {type(error).__name__} in {Path(place.filename).name}, line {place.lineno}"
            self._send(0, frames.AGAIN, why.encode())
            raise
        finally:
            self._end_all()

    def _hear_of_children(self) -> None:
        self._woken, wake = os.pipe()
        for handle in (self._woken, wake):
            os.set_blocking(handle, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        self._selector.register(self._woken, selectors.EVENT_READ, self._bury)

    def _until_next(self) -> float | None:
        """Seconds until the clock ends a check; None when there is none."""
        if not self._running:
            return None
        return max(0.0, min(check.until for check in self._running.values()) - time.monotonic())

    def _listen(self) -> None:
        try:
            data = os.read(self._inward, _BYTES)
        except ConnectionError:
            data = b""
        self._serving = bool(data)
        self._read += data
        for number, kind, body in frames.take(self._read):
            if kind == frames.CHECK:
                self._waiting.append((number, body))
            elif kind == frames.CANCEL:
                self._cancel(number)

    def _cancel(self, number: int) -> None:
        self._waiting = deque(item for item in self._waiting if item[0] != number)
        for check in self._running.values():
            if check.number == number:
                check.wanted = False
                _kill(check.pid)

    def _send(self, number: int, kind: int, body: bytes) -> None:
        self._unsent += frames.frame(number, kind, body)
        self._flush()

    def _flush(self) -> None:
        """Sends what the server takes now, and asks to be told when it takes more."""
        was_full = self._outward in self._selector.get_map()
        try:
            del self._unsent[:os.write(self._outward, self._unsent)]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._serving = False
            self._unsent.clear()
        if self._unsent and not was_full:
            self._selector.register(self._outward, selectors.EVENT_WRITE, self._flush)
        elif was_full and not self._unsent:
            self._selector.unregister(self._outward)

    def _start(self, number: int, body: bytes) -> None:
        """Starts the check of a file; when that is not possible, the server may come again."""
        try:
            pid, pipe, folder = self._fork(number, body)
        except OSError as error:
            self._send(number, frames.AGAIN, f"no check could be started: {error.strerror}".encode())
            self._serving = os.path.isdir(self._folder.path)  # who comes after us makes another one
            return
        until = time.monotonic() + 2 * self._limits.seconds
        check = self._running[pid] = _Check(number, pid, pipe, folder, until)
        self._selector.register(pipe, selectors.EVENT_READ, lambda: self._receive(check))

    def _fork(self, number: int, body: bytes) -> tuple[int, int, str]:
        """A child for the file: its number, the pipe that its report comes from, its folder."""
        with ExitStack() as undo:
            folder = self._folder.new(number)
            undo.callback(remove_one, folder)
            pipe, writing = os.pipe()
            undo.callback(os.close, pipe)
            undo.callback(os.close, writing)
            pid = os.fork()
            undo.pop_all()
        if not pid:
            be_a_child(writing, folder, self._limits, self._pid, self._control, lambda: self._work(body))
        os.close(writing)
        _group(pid)
        os.set_blocking(pipe, False)
        return pid, pipe, folder

    def _work(self, body: bytes) -> Mapping[str, Any]:
        options, source = frames.unpack_check(body)
        return self._flake8.check(source, options)

    def _receive(self, check: _Check) -> bool:
        """Reads what there is of a report; False when nothing more is there now."""
        if check.read_to_end:  # by what came in the same moment
            return False
        try:
            data = os.read(check.pipe, _BYTES)
        except BlockingIOError:
            return False
        check.received += data
        if len(check.received) > verdict.LARGEST_REPORT:
            check.received.clear()
            self._end(check, verdict.too_large())
        if not data:  # its end follows, by a signal
            self._finish_reading(check)
        return bool(data)

    def _finish_reading(self, check: _Check) -> None:
        if not check.read_to_end:
            check.read_to_end = True
            self._selector.unregister(check.pipe)
            os.close(check.pipe)

    def _end_late(self) -> None:
        now = time.monotonic()
        for check in self._running.values():
            if now >= check.until:
                self._end(check, verdict.too_slow(self._limits))
                check.until = now + 1.0

    def _end(self, check: _Check, reason: str) -> None:
        check.ended_for = check.ended_for or reason
        _kill(check.pid)

    def _bury(self) -> None:
        """Takes leave of the children that have ended."""
        os.read(self._woken, 4096)
        while self._running:
            # It stays a zombie, and its number its own, until the group is ended as well.
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                return
            _kill(ended.si_pid)
            _, status, usage = os.wait4(ended.si_pid, 0)
            check = self._running.pop(ended.si_pid)
            while self._receive(check):
                pass
            self._finish_reading(check)
            remove_one(check.folder)
            if check.ended_for:
                self._send(check.number, frames.FAILED, check.ended_for.encode())
            elif check.wanted:
                self._send(check.number, *verdict.judge(status, usage, bytes(check.received), self._limits))

    def _end_all(self) -> None:
        for pid in self._running:
            _kill(pid)
        for pid in self._running:
            os.waitpid(pid, 0)


def _group(pid: int) -> None:
    try:
        os.setpgid(pid, pid)  # the child does it as well: whoever comes first
    except OSError:
        pass


def _kill(pid: int) -> None:
    """Ends a child and what it may have started."""
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except OSError:
            pass


def main(arguments: Sequence[str]) -> None:
    """Runs a parent between stdin and stdout."""
    seconds, memory, concurrency, place = arguments
    _close_inherited()
    inward, outward = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    os.close(nothing)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.clear()
    _limit_files(int(concurrency))
    try:
        sweep(place)
        folder = Folder(place)
    except OSError as error:
        _give_up(outward, f"there is no folder to work in: {error.strerror}")
    try:
        os.chdir(folder.path)
        limits = Limits(float(seconds), int(memory))
        Parent(inward, outward, limits, int(concurrency), folder, _flake8(outward)).run()
    finally:
        folder.remove()


def _close_inherited() -> None:
    """Not everybody who starts a process closes what is open in its own."""
    for handle in map(int, os.listdir("/dev/fd")):
        if handle > 2:
            try:
                os.close(handle)
            except OSError:  # the one that listed them
                pass


def _limit_files(concurrency: int) -> None:
    """A child closes all that it may have inherited, up to here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, _OPEN_FILES + 2 * concurrency), hard))


def _flake8(outward: int) -> Flake8:
    gc.disable()  # what it frees would leave gaps in memory that is shared, to be filled and so copied by each child
    try:
        from server.cell.checking import Flake8  # here, because it may be missing, and the server is to know
    except ImportError:
        _give_up(outward, "flake8 cannot be imported")
    flake8 = Flake8()
    flake8.warm()
    gc.freeze()
    gc.enable()
    return flake8


def _give_up(outward: int, reason: str) -> NoReturn:
    os.write(outward, frames.frame(0, frames.AGAIN, reason.encode()))
    sys.exit(1)
