"""`server.workers` processes on one port: started together, started again when one dies, stopped together.

Each of them binds the port for itself (SO_REUSEPORT), and the kernel shares the connections out among those that
listen. They know of each other only by the database. The first one is ready before the others are started, so that
what is wrong with the settings is told once.
"""
from __future__ import annotations

import logging
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import NoReturn

from server import ports
from server.core import log as logs
from server.settings import Server, Settings

log = logging.getLogger("foyer")
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0  # seconds until one that died is started again
STEADY = 5.0  # who has lived so long begins with the first pause again
STOP_SECONDS, KILL_SECONDS = 9.0, 0.5

# Settings, where it writes its process number once it is ready, what ends it when it is closed; the exit code.
Child = Callable[[Settings, int, int], int]


@dataclass
class _Process:
    """One of the processes, through all its lives."""

    pid: int = 0
    ready: bool = False
    began: float = 0.0
    due: float = 0.0  # when it is started (again)
    pause: float = FIRST_PAUSE

    def ended(self) -> None:
        """Says when it is started again."""
        now = time.monotonic()
        self.pause = FIRST_PAUSE if now - self.began > STEADY else min(2 * self.pause, LONGEST_PAUSE)
        self.pid, self.ready, self.due = 0, False, now + self.pause


class Supervisor:
    """Starts, watches and stops the processes."""

    def __init__(self, given: Settings, child: Child) -> None:
        self._settings, self._child = given, child
        self._processes = [_Process() for _ in range(given.server.workers)]
        self._stopping = False
        self._began = False  # one of them has been ready
        self._announced = False
        self._signals, self._wake = os.pipe()
        self._told, self._tell = os.pipe()
        self._alive, self._ours = os.pipe()  # the children end when `_ours` is closed, however we end

    def run(self) -> int:
        """Runs until SIGTERM or SIGINT; the exit code."""
        server = self._settings.server
        logs.set_up(server.log_format)
        with _reserved(server) as port:
            self._settings = replace(self._settings, server=replace(server, port=port, workers=1))
            os.set_blocking(self._wake, False)
            signal.set_wakeup_fd(self._wake)
            for number in SIGNALS:
                signal.signal(number, self._note)
            code = self._watch()
            self._stop()
        return code

    def _note(self, number: int, frame: object) -> None:
        self._stopping |= number != signal.SIGCHLD

    def _watch(self) -> int:
        while not self._stopping:
            self._start_who_is_due()
            self._wait(self._until_next())
            for pid, code in self._bury():
                if self._stopping:
                    continue
                if not self._began:  # it has said why
                    return code if code > 0 else 1
                log.error("process %s ended with %s; another one takes its place", pid, code)
        return 0

    def _wanted(self) -> list[_Process]:
        """Those that are to run now."""
        return self._processes if self._began else self._processes[:1]

    def _until_next(self) -> float | None:
        """Seconds until one of them is to be started; None when all run."""
        due = [process.due for process in self._wanted() if not process.pid]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _start_who_is_due(self) -> None:
        for process in self._wanted():
            if not process.pid and time.monotonic() >= process.due:
                process.began = time.monotonic()
                process.pid = os.fork()
                if not process.pid:
                    self._be_a_child()

    def _be_a_child(self) -> NoReturn:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            for handle in (self._signals, self._wake, self._told, self._ours):
                os.close(handle)
            code = self._child(self._settings, self._tell, self._alive)
        except Exception:
            log.exception("a process failed")
        finally:
            os._exit(code)

    def _wait(self, seconds: float | None) -> None:
        """Waits until something happens, at most so long."""
        readable, _, _ = select.select([self._signals, self._told], [], [], seconds)
        if self._signals in readable:
            os.read(self._signals, 4096)
        if self._told in readable:
            self._hear(int.from_bytes(os.read(self._told, 4), "big"))

    def _hear(self, pid: int) -> None:
        for process in self._processes:
            process.ready |= process.pid == pid
        self._began = True
        if not self._announced and all(process.ready for process in self._processes):
            self._announced = True
            server = self._settings.server
            # In one piece with its end: the processes may be saying something at the same time.
            print(f"Foyer is ready at http://{ports.shown(server.host)}:{server.port}\n", end="", flush=True)

    def _bury(self) -> Iterator[tuple[int, int]]:
        """Takes leave of those that have ended: number and exit code."""
        for process in self._processes:
            if process.pid and (ended := os.waitpid(process.pid, os.WNOHANG))[0]:
                process.ended()
                yield ended[0], os.waitstatus_to_exitcode(ended[1])

    def _stop(self) -> None:
        for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
            end = time.monotonic() + seconds
            for process in self._processes:
                if process.pid:
                    os.kill(process.pid, number)
            while any(process.pid for process in self._processes) and (left := end - time.monotonic()) > 0:
                self._wait(left)
                list(self._bury())


@contextmanager
def _reserved(server: Server) -> Iterator[int]:
    """The port, kept for the processes without listening on it; a free one for 0."""
    for each in ports.bound(server):  # not shared, so it is refused when anybody listens there, another Foyer included
        each.close()
    with ExitStack() as stack:
        sockets = [stack.enter_context(each) for each in ports.bound(server, shared=True)]
        yield int(sockets[0].getsockname()[1])
