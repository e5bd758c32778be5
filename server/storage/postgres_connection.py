"""A short connection to PostgreSQL for a command, beside the servers or without one: `inspection` for that database.

What such a command changes, the servers hear of at once, as of what any of them does.
"""
from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg

from server.core.clock import now_ms
from server.core.errors import CommandFailed, ConfigError
from server.storage import schema
from server.storage.base import Tx
from server.storage.channel import BYE, CHANGED
from server.storage.postgres import (BEGIN_READ, IS_OURS, TABLES, TRY_LOCK_SCHEMA, PostgresTx, expect_new_enough,
                                     unreachable)

T = TypeVar("T")
PATIENCE = 10.0  # seconds to connect
BYE_SECONDS = 3.0
SERVER_SETTINGS = {"application_name": "foyer command", "statement_timeout": "0", "lock_timeout": "10s",
                   "idle_in_transaction_session_timeout": "0", "synchronous_commit": "on"}
FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError, TimeoutError)

# The names that `open_postgres` gives the connections of a server.
SERVERS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name IN ('foyer', 'foyer channel')"""


class Refused(CommandFailed):
    """The database did not do it."""


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[tuple[Any, PostgresTx]]:
    """A connection, closed afterwards, and a `Tx` on it; what was not committed is taken back.

    Raises `ConfigError` when the database cannot be reached, `Refused` for what goes wrong afterwards.
    """
    try:
        connection = await asyncpg.connect(url, timeout=PATIENCE, server_settings=SERVER_SETTINGS)
    except (*FAILURES, OSError, ValueError) as error:
        raise unreachable(error) from None
    try:
        expect_new_enough(connection)
        yield connection, PostgresTx(connection, now_ms(), _payload)
    except FAILURES as error:
        raise Refused(f"the PostgreSQL database refused: {_said(error)}") from None
    finally:
        await _close(connection)


async def _close(connection: Any) -> None:
    try:
        await connection.close(timeout=BYE_SECONDS)
    except FAILURES:
        connection.terminate()


def _said(error: BaseException) -> str:
    """What went wrong and where, in one line; not the DETAIL, in which members' data may stand."""
    words = [getattr(error, "message", None) or str(error) or type(error).__name__, getattr(error, "context", None)]
    return "; ".join(" ".join(part.split()) for part in words if part)


def _payload(*lines: str) -> str:
    """What is told, in a way that nobody waits for more from us."""
    return "\n".join((secrets.token_hex(4), *lines, f"{BYE} "))


def inspect(url: str, function: Callable[[Tx], Awaitable[T]]) -> T:
    """Runs `function(tx)` on a snapshot. Raises `ConfigError` when the database cannot be reached or read."""
    try:
        return asyncio.run(_in_transaction(url, BEGIN_READ, function))
    except Refused as error:
        raise ConfigError(f"[database] url: {error}") from None


def change(url: str, function: Callable[[Tx], Awaitable[T]]) -> T:
    """Runs `function(tx)` in a transaction that is durable when this returns; servers may be using the database."""
    async def and_tell(tx: Tx) -> T:
        result = await function(tx)
        await tx.tell(CHANGED, "")
        return result
    return asyncio.run(_in_transaction(url, "BEGIN", and_tell))


async def _in_transaction(url: str, begin: str, function: Callable[[Tx], Awaitable[T]]) -> T:
    async with connected(url) as (connection, tx):
        await connection.execute(begin)
        result = await function(tx)
        await connection.execute("COMMIT")
        return result


async def version(tx: Tx) -> int:
    """Which schema the database has; 0 when it is not Foyer's."""
    return int(await tx.value(schema.READ_VERSION) or 0) if await tx.value(IS_OURS) == 2 else 0


async def is_blank(tx: Tx) -> bool:
    """Whether there is not one table."""
    return not await tx.value(TABLES)


async def expect_unused(tx: Tx) -> None:
    """Raises `ConfigError` when a server is connected; none can start to the end of the transaction."""
    if not await tx.value(TRY_LOCK_SCHEMA) or await tx.value(SERVERS):
        raise ConfigError("[database] url: the PostgreSQL database is in use by another Foyer process")
