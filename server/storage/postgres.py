"""PostgreSQL behind the `Database` interface: a pool of connections, a transaction for each function.

A write runs READ COMMITTED: two that touch the same row wait for each other, and what only one may do at a time takes
`tx.lock`. A read runs on one snapshot and cannot write. Each runs in a task of its own, so a cancelled request leaves
nothing half done. What collides with somebody else's is run again, and so is what lost its connection before its
COMMIT was sent; afterwards nobody can know, and the caller hears 503.
"""
from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, ParamSpec, TypeVar, cast

import asyncpg

from server.core.clock import Clock, now_ms
from server.core.errors import ConfigError, Problem, StorageUnavailable
from server.storage import base, dialect, schema
from server.storage.base import Receiver, Row, Size, Tx, TxFunction
from server.storage.channel import NOTIFY, Channel

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger("foyer.storage")
CONNECTIONS = 12
PATIENCE = 5.0  # seconds that a transaction waits for a connection
TRIES = 5  # of a transaction that collides with others
STATEMENT_SECONDS = 30
LOCK_SECONDS = 10
OLDEST = 15  # the oldest PostgreSQL that is known to do

BEGIN_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
# One number for everybody: two processes that start at once must not both make the tables.
LOCK_SCHEMA = "SELECT pg_advisory_xact_lock(7305809155423069281)"
TRY_LOCK_SCHEMA = "SELECT pg_try_advisory_xact_lock(7305809155423069281)"
BYTES = "SELECT pg_database_size(current_database())"
TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()"
IS_OURS = """
    SELECT count(*) FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = 'meta'
        AND column_name IN ('schema_version', 'epoch')"""

# The last two: somebody took the name, or removed the member, after we had looked. The next look sees it.
_COLLISIONS = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.UniqueViolationError,
               asyncpg.ForeignKeyViolationError)
_LOST = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.CannotConnectNowError,
         asyncpg.AdminShutdownError, asyncpg.CrashShutdownError, asyncpg.TooManyConnectionsError,
         asyncpg.InternalClientError, OSError)
_REFUSED = (asyncpg.DiskFullError, asyncpg.OutOfMemoryError, asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError,
            asyncpg.ReadOnlySQLTransactionError, asyncpg.PostgresIOError)


class PostgresTx:
    """A transaction on a connection of the pool."""

    __slots__ = ("now", "actions", "_connection", "_payload")

    def __init__(self, connection: Any, now: int, payload: Callable[..., str]) -> None:
        self.now = now
        self._payload = payload
        self.actions: list[Callable[[], None]] = []
        self._connection = connection

    async def one(self, sql: str, *args: Any) -> Row | None:
        return cast(Row | None, await self._connection.fetchrow(dialect.postgres(sql), *args))

    async def all(self, sql: str, *args: Any) -> list[Row]:
        return cast(list[Row], await self._connection.fetch(dialect.postgres(sql), *args))

    async def value(self, sql: str, *args: Any) -> Any:
        return await self._connection.fetchval(dialect.postgres(sql), *args)

    async def run(self, sql: str, *args: Any) -> int:
        told: str = await self._connection.execute(dialect.postgres(sql), *args)
        count = told.rpartition(" ")[2]  # "UPDATE 3", "INSERT 0 1"
        return int(count) if count.isdigit() else 0

    async def lock(self, what: str) -> None:
        await self._connection.fetchval(LOCK, what)

    async def tell(self, topic: str, text: str) -> None:
        await self._connection.fetchval(NOTIFY, self._payload(f"{topic} {text} 1"))

    def after_commit(self, action: Callable[[], None]) -> None:
        self.actions.append(action)


class _Lost(Exception):
    """The connection was lost before the COMMIT was sent."""


class PostgresDatabase:
    """A PostgreSQL database. Make it with `open_postgres`."""

    def __init__(self, pool: Any, clock: Clock, channel: Channel) -> None:
        self.refuses_writes = False
        self.channel: base.Channel | None = channel
        self._payload = channel.payload
        self._pool, self._clock = pool, clock
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def read(self, function: TxFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return cast(T, await self._in_task(BEGIN_READ, _called(function, args, kwargs)))

    async def write(self, function: TxFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return cast(T, await self._in_task("BEGIN", _called(function, args, kwargs)))

    def read_to(self, receiver: Receiver, function: TxFunction[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        self._task(self._tell(receiver, BEGIN_READ, _called(function, args, kwargs)))

    def write_to(self, receiver: Receiver, function: TxFunction[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        self._task(self._tell(receiver, "BEGIN", _called(function, args, kwargs)))

    async def size(self) -> Size:
        return Size(await self.read(_bytes), None)

    async def scrub(self) -> bool:
        return True  # what was deleted is taken by VACUUM, which is the server's own business

    async def close(self) -> None:
        self._closed = True
        while self._tasks:
            await asyncio.wait(self._tasks)
        try:
            async with asyncio.timeout(3):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    # -- in tasks of their own

    def _task(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _in_task(self, begin: str, function: Callable[[PostgresTx], Awaitable[Any]]) -> Any:
        task = self._task(self._repeat(begin, function))
        try:
            return await asyncio.shield(task)
        finally:
            if not task.done():  # its caller has gone; nobody else will look at how it ends
                task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())

    async def _tell(self, receiver: Receiver, begin: str, function: Callable[[PostgresTx], Awaitable[Any]]) -> None:
        try:
            result = await self._repeat(begin, function)
        except Exception as error:
            receiver.set_exception(error)
        else:
            receiver.set_result(result)

    # -- transactions

    async def _repeat(self, begin: str, function: Callable[[PostgresTx], Awaitable[Any]]) -> Any:
        for attempt in range(1, TRIES + 1):
            try:
                return await self._once(begin, function)
            except _COLLISIONS as error:
                if attempt == TRIES:
                    log.warning("a transaction collided %s times: %s", TRIES, type(error).__name__)
                    raise Problem("busy", "Too many requests want the same thing.",
                                  headers={"Retry-After": "2"}) from None
                await asyncio.sleep(random.uniform(0, 0.02 * 2 ** attempt))
            except _Lost:
                if attempt >= 2:
                    raise StorageUnavailable() from None
        raise AssertionError("unreachable")

    async def _once(self, begin: str, function: Callable[[PostgresTx], Awaitable[Any]]) -> Any:
        connection = await self._connection()
        try:
            tx = PostgresTx(connection, self._clock(), self._payload)
            result = await self._transaction(connection, begin, function, tx)
            # Before anything is awaited: who waited for a lock of ours cannot have committed yet, so the actions come
            # in the order of the commits.
            self._run(tx.actions)
        finally:
            await self._give_back(connection)
        return result

    async def _transaction(self, connection: Any, begin: str, function: Callable[[PostgresTx], Awaitable[Any]],
                           tx: PostgresTx) -> Any:
        try:
            await connection.execute(begin)
            result = await function(tx)
        except BaseException as error:
            await _roll_back(connection)
            # Also when somebody on the way has given it words of their own.
            collision = error.__cause__ if isinstance(error.__cause__, _COLLISIONS) else error
            raise _told(collision) from error.__cause__
        try:
            if await connection.execute("COMMIT") != "COMMIT":  # the function has swallowed the error that ended it
                raise StorageUnavailable()
        except (*_LOST, *_REFUSED) as error:
            log.warning("nobody knows whether a transaction was committed: %s", type(error).__name__)
            raise StorageUnavailable() from None
        return result

    async def _connection(self) -> Any:
        if self._closed:
            raise StorageUnavailable("The server is stopping.")
        try:
            return await self._pool.acquire(timeout=PATIENCE)
        except TimeoutError:
            raise Problem("busy", "Too many requests wait for the database.", headers={"Retry-After": "2"}) from None
        except (*_LOST, asyncpg.PostgresError) as error:
            log.warning("no connection to the database: %s", type(error).__name__)
            raise StorageUnavailable() from None

    async def _give_back(self, connection: Any) -> None:
        try:
            await self._pool.release(connection, timeout=PATIENCE)
        except (*_LOST, asyncpg.PostgresError, TimeoutError):
            _end(connection)

    def _run(self, actions: list[Callable[[], None]]) -> None:
        for action in actions:
            try:
                action()
            except Exception:
                log.exception("an action after commit failed")


def _called(function: Callable[..., Any], args: tuple[Any, ...],
            kwargs: dict[str, Any]) -> Callable[[PostgresTx], Awaitable[Any]]:
    return lambda tx: cast(Awaitable[Any], function(tx, *args, **kwargs))


def _told(error: BaseException) -> BaseException:
    """What is made of an error before the COMMIT."""
    if isinstance(error, _LOST) and not isinstance(error, ValueError):  # an argument of the wrong type is our fault
        log.warning("the database was lost: %s", type(error).__name__)
        return _Lost()
    if isinstance(error, _REFUSED):
        log.warning("the database refused: %s", type(error).__name__)
        return StorageUnavailable()
    return error


async def _roll_back(connection: Any) -> None:
    try:
        await connection.execute("ROLLBACK")
    except (*_LOST, asyncpg.PostgresError):
        _end(connection)


def _end(connection: Any) -> None:
    try:
        connection.terminate()
    except asyncpg.InterfaceError:
        pass  # the pool has given it up already


async def open_postgres(url: str, *, durability: str = "full", clock: Clock = now_ms,
                        connections: int = CONNECTIONS) -> PostgresDatabase:
    """Connects, and makes or upgrades the schema.

    Raises `ConfigError` when there is no such database, when it is too old or holds something else.
    """
    try:
        pool = await asyncpg.create_pool(
            url, min_size=0, max_size=connections, command_timeout=2 * STATEMENT_SECONDS, timeout=PATIENCE,
            server_settings={
                "application_name": "foyer", "statement_timeout": f"{STATEMENT_SECONDS}s",
                "lock_timeout": f"{LOCK_SECONDS}s", "idle_in_transaction_session_timeout": "60s",
                "synchronous_commit": "on" if durability == "full" else "off"},
            reset=_nothing_to_reset)
    except (*_LOST, asyncpg.PostgresError, TimeoutError, ValueError) as error:
        raise unreachable(error) from None
    channel = Channel(partial(asyncpg.connect, url, timeout=PATIENCE, server_settings={
        "application_name": "foyer channel"}))
    database = PostgresDatabase(pool, clock, channel)
    try:
        await _check_version(pool)
        await database.write(apply_schema)
    except asyncpg.PostgresError as error:
        await database.close()
        raise ConfigError(f"[database] url: the tables cannot be made: {_said(error)}") from None
    except BaseException:
        await database.close()
        raise
    return database


async def _bytes(tx: Tx) -> int:
    return int(await tx.value(BYTES))


async def _nothing_to_reset(connection: Any) -> None:
    """A transaction changes no setting of its connection, so a round trip is saved."""


def unreachable(error: BaseException) -> ConfigError:
    """The operator's line when there is no connection. No word of a URL that cannot be read: it may be the password's.
    """
    why = _said(error)
    if isinstance(error, ValueError):
        why = "the URL cannot be read; expected postgresql://USER:PASSWORD@HOST/DATABASE with special characters as %XX"
    elif isinstance(error, TimeoutError):
        why = "no answer in time"
    return ConfigError(f"[database] url: the PostgreSQL database cannot be reached: {why}")


def _said(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


async def _check_version(pool: Any) -> None:
    try:
        async with pool.acquire() as connection:  # the pool's first one
            expect_new_enough(connection)
    except (*_LOST, asyncpg.PostgresError, TimeoutError, ValueError) as error:
        raise unreachable(error) from None


def expect_new_enough(connection: Any) -> None:
    """Raises `ConfigError` when the server at the other end is too old."""
    found = connection.get_server_version()
    if found.major < OLDEST:
        raise ConfigError(f"[database] url: PostgreSQL {found.major} is too old; expected {OLDEST} or newer")


async def apply_schema(tx: Tx) -> None:
    """Makes the tables, or brings them up; nobody else does so to the end of the transaction."""
    await tx.run(LOCK_SCHEMA)
    if await tx.value(IS_OURS) == 2:
        await schema.upgrade(tx, dialect.postgres_schema)
    elif await tx.value(TABLES):
        raise ConfigError("[database] url: the database holds tables that are not Foyer's; expected an empty one")
    else:
        await schema.create(tx, dialect.postgres_schema)
