"""SQLite behind the `Database` interface: one writer with group commit, one reader that batches.

Writing: transactions that wait at the same moment share one BEGIN ... COMMIT (and get a SAVEPOINT each when one of them
fails); each is answered only after the COMMIT. So durability costs one fsync for many. Reading: what waits in the same
turn of the loop travels to the reader's thread together and sees one snapshot. The functions are coroutines that await
only their `tx`; they are driven to their end in one go on the connection's thread, so a cancelled request cannot leave
anything half done.
"""
from __future__ import annotations

import asyncio
import logging
import os
import re
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from functools import cache, partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from server.core.clock import Clock, now_ms
from server.core.errors import ConfigError, Problem, StorageUnavailable
from server.storage import driver, files, schema, scrubbing
from server.storage.base import Channel, Receiver, Row, Size, TxFunction, drive
from server.storage.connection import Connection, opened, sqlite

P = ParamSpec("P")
T = TypeVar("T")
Job = tuple[Receiver, Callable[["SqliteTx"], Any], Context | None]
Outcome = tuple[Receiver, "SqliteTx | None", Any, BaseException | None]

log = logging.getLogger("foyer.storage")
GROUP = 256  # how many transactions share a commit at the most: bounds what one fault can take along
PATIENCE = 32  # how many turns of the loop a group waits at the most, as long as each brings more
PATIENCE_MS = 5000  # how long a lock of another connection is waited for
ROOM = 1024**2  # how much must be free on the disk before a refused write is forgotten
QUEUE = 10_000  # how many may wait before the next is told that we are too busy


@cache
def _numbered(sql: str) -> str:
    """The statement with SQLite's own numbered parameters: `$1` would be a *named* one, and a sequence bound to names
    goes by their order of appearance."""
    return re.sub(r"\$(?=\d)", "?", sql)


class SqliteTx:
    """A transaction on the thread of its connection."""

    __slots__ = ("now", "actions", "_cursor")

    def __init__(self, cursor: Any, now: int) -> None:
        self.now = now
        self.actions: list[Callable[[], None]] = []
        self._cursor = cursor  # shared by many: whatever a statement gives is taken at once

    async def one(self, sql: str, *args: Any) -> Row | None:
        # All rows are taken, else a statement with RETURNING stays unfinished.
        rows = self._cursor.execute(_numbered(sql), args).fetchall()
        return rows[0] if rows else None

    async def all(self, sql: str, *args: Any) -> list[Row]:
        return cast(list[Row], self._cursor.execute(_numbered(sql), args).fetchall())

    async def value(self, sql: str, *args: Any) -> Any:
        rows = self._cursor.execute(_numbered(sql), args).fetchall()
        return rows[0][0] if rows else None

    async def run(self, sql: str, *args: Any) -> int:
        return cast(int, self._cursor.execute(_numbered(sql), args).rowcount)

    async def lock(self, what: str) -> None:
        pass  # nobody else writes at the same time

    async def tell(self, topic: str, text: str) -> None:
        pass  # nobody else serves; who writes beside us is noticed by `watch`

    def after_commit(self, action: Callable[[], None]) -> None:
        self.actions.append(action)


class Lane:
    """A connection and the functions that wait for it; they go to its thread in groups."""

    def __init__(self, connection: Connection, run_group: Callable[[Any, Sequence[Job]], list[Outcome]],
                 patience: int) -> None:
        self.connection = connection
        self._run_group, self._patience = run_group, patience
        self._waiting: deque[Job] = deque()
        self._busy = False
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, receiver: Receiver, function: Callable[[SqliteTx], Any], context: Context | None) -> None:
        """Queues the function; the receiver is told its result once it is durable."""
        if self._closed:
            raise StorageUnavailable("The server is stopping.")
        if len(self._waiting) >= QUEUE:
            raise Problem("busy", "Too many requests wait for the database.", headers={"Retry-After": "2"})
        self._waiting.append((receiver, function, context))
        if not self._busy:
            self._busy = True
            self._idle.clear()
            self._loop.call_soon(self._gather, 1, self._patience)

    @property
    def waiting(self) -> int:
        """How many functions wait."""
        return len(self._waiting)

    def _gather(self, seen: int, patience: int) -> None:
        """Sends a group off, once a turn of the loop has brought nothing more: what comes together shares the hop and
        the commit, and the two threads do not wrestle for the interpreter while requests still pour in."""
        waiting = len(self._waiting)
        if patience and seen < waiting < GROUP:
            self._loop.call_soon(self._gather, waiting, patience - 1)
        else:
            self.connection.submit(partial(self._work, self._take()))

    def _take(self) -> list[Job]:
        group: list[Job] = []
        while self._waiting and len(group) < GROUP:
            job = self._waiting.popleft()
            if not job[0].cancelled():
                group.append(job)
        return group

    def _work(self, group: list[Job]) -> None:
        """On the connection's thread."""
        outcomes = self._run_group(self.connection.raw, group) if group else []
        self._loop.call_soon_threadsafe(self._finish, outcomes)

    def _finish(self, outcomes: list[Outcome]) -> None:
        _deliver(outcomes)
        if self._waiting:
            self._loop.call_soon(self._gather, 0, self._patience)
        else:
            self._busy = False
            self._idle.set()

    async def close(self) -> None:
        """Finishes what waits, then closes the connection."""
        self._closed = True
        await self._idle.wait()
        await self.connection.close()


def _deliver(outcomes: list[Outcome]) -> None:
    """On the loop: first every action that the commit set free, then the answers, so that nobody reads his own
    write from a cache that does not know it yet."""
    for _, tx, _, error in outcomes:
        for action in (tx.actions if tx and error is None else ()):
            try:
                action()
            except Exception:
                log.exception("an action after commit failed")
    for receiver, _, result, error in outcomes:
        if receiver.done():
            continue
        if error is None:
            receiver.set_result(result)
        else:
            receiver.set_exception(error)


def _fail(group: Sequence[Job], error: BaseException) -> list[Outcome]:
    return [(receiver, None, None, error) for receiver, _, _ in group]


def _unavailable(error: BaseException) -> BaseException:
    """What a caller is told: a fault of the database is a 503, anything else is what it is."""
    if isinstance(error, sqlite.OperationalError):
        log.warning("the database refused: %s", error)
        return StorageUnavailable()
    return error


class SqliteDatabase:
    """One SQLite file. Make it with `open_database`."""

    def __init__(self, path: Path, clock: Clock, writer: Connection, reader: Connection) -> None:
        self.path = path
        self.channel: Channel | None = None
        self.refuses_writes = False
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._writer = Lane(writer, self._commit_group, PATIENCE)
        self._reader = Lane(reader, self._read_group, 1)

    async def read(self, function: TxFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        future = self._loop.create_future()
        self.read_to(future, function, *args, **kwargs)
        return cast(T, await future)

    async def write(self, function: TxFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        future = self._loop.create_future()
        self.write_to(future, function, *args, **kwargs)
        return cast(T, await future)

    def read_to(self, receiver: Receiver, function: TxFunction[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        self._reader.add(receiver, partial(_called, function, args, kwargs), None)

    def write_to(self, receiver: Receiver, function: TxFunction[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        # What the caller's task carries, the request's id say, is known on the thread too.
        self._writer.add(receiver, partial(_called, function, args, kwargs), copy_context())

    async def size(self) -> Size:
        return files.size(self.path)

    async def scrub(self) -> bool:
        return await scrubbing.scrub(self._writer.connection, PATIENCE_MS)

    async def close(self) -> None:
        await self._reader.close()
        await self._writer.close()

    @property
    def waiting(self) -> dict[str, int]:
        """How many functions wait to read and to write."""
        return {"read": self._reader.waiting, "write": self._writer.waiting}

    def in_transaction(self) -> bool:
        """Whether a transaction is open on the writer now (for tests: it never is when nothing waits)."""
        return bool(self._writer.connection.raw.in_transaction)

    def _read_group(self, raw: Any, group: Sequence[Job]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        try:
            raw.execute("BEGIN")
            cursor = raw.cursor()
            for job in group:
                outcomes.append(self._attempt(cursor, job))
            raw.execute("COMMIT")
        except BaseException as error:
            _roll_back(raw)
            outcomes += _fail(group[len(outcomes):], _unavailable(error))
        return outcomes

    def _commit_group(self, raw: Any, group: Sequence[Job]) -> list[Outcome]:
        before = raw.total_changes
        try:
            outcomes = self._together(raw, group)
            if outcomes is None:
                _roll_back(raw)
                outcomes = self._each_in_savepoint(raw, group)
            raw.execute("COMMIT")
            if any(isinstance(error, StorageUnavailable) for *_, error in outcomes):
                self.refuses_writes = True
            elif self.refuses_writes and raw.total_changes != before:  # a commit of nothing succeeds on a full disk too
                self.refuses_writes = not _has_room(self.path)
            return outcomes
        except BaseException as error:
            # A full disk inside one SAVEPOINT takes the *whole* transaction back; nobody of the group is in it then.
            _roll_back(raw)
            self.refuses_writes = True
            told = _unavailable(error)
            return _fail(group, told if isinstance(told, Problem) else StorageUnavailable())

    def _together(self, raw: Any, group: Sequence[Job]) -> list[Outcome] | None:
        """Runs the group without savepoints, which cost a copy of every page that changes; None when one of it failed
        after it had changed something. Then the group runs again: a function must bear that anyway, because a database
        with many writers runs it again when they collide."""
        outcomes = []
        cursor = raw.cursor()
        raw.execute("BEGIN IMMEDIATE")
        for job in group:
            before = raw.total_changes
            outcome = self._attempt(cursor, job)
            if outcome[3] is not None and (raw.total_changes != before or not raw.in_transaction or len(group) == 1):
                return None  # alone too: `total_changes` does not count what a step of the schema did
            _still_open(raw)
            outcomes.append(outcome)
        return outcomes

    def _each_in_savepoint(self, raw: Any, group: Sequence[Job]) -> list[Outcome]:
        raw.execute("BEGIN IMMEDIATE")
        return [self._attempt_alone(raw, job) for job in group]

    def _attempt_alone(self, raw: Any, job: Job) -> Outcome:
        raw.execute("SAVEPOINT one")
        outcome = self._attempt(raw.cursor(), job)
        if outcome[3] is not None:
            if not raw.in_transaction:
                raise outcome[3]
            raw.execute("ROLLBACK TO one")
        _still_open(raw)
        raw.execute("RELEASE one")
        return outcome

    def _attempt(self, cursor: Any, job: Job) -> Outcome:
        receiver, function, context = job
        tx = SqliteTx(cursor, self._clock())
        try:
            result = context.run(drive, function(tx)) if context else drive(function(tx))
            return receiver, tx, result, None
        except Exception as error:
            return receiver, tx, None, _unavailable(error)


def _called(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], tx: SqliteTx) -> Any:
    return function(tx, *args, **kwargs)


def _has_room(path: Path) -> bool:
    # What is small still fits where something larger was refused.
    disk = os.statvfs(path.parent)
    return disk.f_bavail * disk.f_frsize >= ROOM


def _still_open(raw: Any) -> None:
    # A function may have swallowed the error that took the transaction back; the next one would commit statement by
    # statement.
    if not raw.in_transaction:
        raise StorageUnavailable()


def _roll_back(raw: Any) -> None:
    # `in_transaction` and never a flag of our own: only the database knows.
    if raw.in_transaction:
        try:
            raw.execute("ROLLBACK")
        except sqlite.Error:
            log.exception("the database could not roll back")


def _pragmas(durability: str) -> tuple[str, ...]:
    synchronous = "FULL" if durability == "full" else "NORMAL"
    return ("journal_mode=WAL", f"synchronous={synchronous}", "foreign_keys=ON", "secure_delete=ON",
            f"busy_timeout={PATIENCE_MS}", "journal_size_limit=67108864", "wal_autocheckpoint=8000",
            "cache_size=-16384")


async def open_database(path: Path, *, durability: str = "full", clock: Clock = now_ms) -> SqliteDatabase:
    """Opens the file, makes or upgrades its schema.

    Raises `ConfigError` when the file cannot be used.
    """
    driver.warn_if_old(sqlite)
    files.create(path)  # SQLite would leave its mode to the umask; its logs get the mode of the file
    try:
        writer = await opened(path, _pragmas(durability))
    except sqlite.Error as error:
        raise ConfigError(f"[database] url: {path} cannot be opened: {error}") from None
    try:
        reader = await opened(path, ("query_only=ON", f"busy_timeout={PATIENCE_MS}", "cache_size=-8192"))
    except BaseException:
        await writer.close()
        raise
    database = SqliteDatabase(path, clock, writer, reader)
    try:
        await database.write(_apply_schema)
    except BaseException:
        await database.close()
        raise
    return database


HAS_META = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'meta'"


async def _apply_schema(tx: Any) -> None:
    if await tx.value(HAS_META) is None:
        await schema.create(tx)
    else:
        await schema.upgrade(tx)
