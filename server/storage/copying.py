"""`run.py copy`: everything that one database holds in another one that is empty, SQLite or PostgreSQL.

The source is read on one snapshot, table by table, through a cursor in the order of the keys. The target is written in
one transaction (a file under another name). Then both are read again, each by itself, and counted and hashed row by
row; only when all is equal it is committed (takes its name). So whenever the power goes, the target holds everything or
is as it was. `backup` of a PostgreSQL database is the same copy, into a file.
"""
from __future__ import annotations

import asyncio
import hashlib
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Protocol

import msgspec
from tqdm import tqdm

from server.core.clock import now_ms
from server.core.errors import CommandFailed, ConfigError
from server.storage import dialect, inspection, restore, schema
from server.storage.base import Tx, drive
from server.storage.connection import sqlite
from server.storage.files import beside, create, remove, sync
from server.storage.inspection import Place
from server.storage.lock import only_one
from server.storage.restore import LOST_IDS
from server.storage.sqlite import SqliteTx
from server.storage.tables import Table, tables, truncate

Say = Callable[[str], None]
BATCH = 5000  # rows
COMING = ".copying"
# Until it has its name the file is nobody's: what is left of one that was killed is thrown away.
PRAGMAS = ("journal_mode=OFF", "synchronous=OFF", "foreign_keys=ON")


class Sum(NamedTuple):
    """What a table comes to."""

    rows: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.rows} rows, sha256 {self.sha256}"


class Side(Protocol):
    """A database that is read or written."""

    tx: Tx

    def batches(self, table: Table) -> AsyncIterator[list[tuple[Any, ...]]]:
        """All rows in the order of their keys, some at a time."""

    async def last_id(self, table: Table) -> int:
        """The highest id that the database remembers to have given; 0 when it remembers none."""

    async def add(self, table: Table, rows: list[tuple[Any, ...]]) -> None:
        """Writes these rows."""

    async def keep_last_id(self, table: Table, last: int) -> None:
        """Lets the next id be a higher one."""


LAST_ID = "SELECT seq FROM sqlite_sequence WHERE name = $1"
FORGET_LAST_ID = "DELETE FROM sqlite_sequence WHERE name = $1"
KEEP_LAST_ID = "INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)"


class SqliteSide:
    """A SQLite file."""

    def __init__(self, raw: Any) -> None:
        self.tx: Tx = SqliteTx(raw.cursor(), now_ms())
        self._raw = raw

    async def batches(self, table: Table) -> AsyncIterator[list[tuple[Any, ...]]]:
        cursor = self._raw.cursor()
        cursor.row_factory = None
        cursor.execute(table.read)
        while rows := cursor.fetchmany(BATCH):
            await asyncio.sleep(0)  # a chance for Ctrl-C
            yield rows

    async def last_id(self, table: Table) -> int:
        return int(await self.tx.value(LAST_ID, table.name) or 0)

    async def add(self, table: Table, rows: list[tuple[Any, ...]]) -> None:
        self._raw.executemany(table.insert, rows)

    async def keep_last_id(self, table: Table, last: int) -> None:
        if table.remembers:
            await self.tx.run(FORGET_LAST_ID, table.name)
            await self.tx.run(KEEP_LAST_ID, table.name, last)


LAST_OF_SEQUENCE = "SELECT pg_sequence_last_value(CAST(pg_get_serial_sequence($1, 'id') AS REGCLASS))"
SET_SEQUENCE = "SELECT setval(pg_get_serial_sequence($1, 'id'), $2)"


class PostgresSide:
    """A PostgreSQL database, in an open transaction."""

    def __init__(self, connection: Any, tx: Tx) -> None:
        self.tx = tx
        self._connection = connection

    async def batches(self, table: Table) -> AsyncIterator[list[tuple[Any, ...]]]:
        cursor = await self._connection.cursor(dialect.postgres(table.read))
        while rows := await cursor.fetch(BATCH):
            yield [tuple(row) for row in rows]

    async def last_id(self, table: Table) -> int:
        return int(await self.tx.value(LAST_OF_SEQUENCE, table.name) or 0)

    async def add(self, table: Table, rows: list[tuple[Any, ...]]) -> None:
        await self._connection.copy_records_to_table(table.name, records=rows, columns=table.columns)

    async def keep_last_id(self, table: Table, last: int) -> None:
        await self.tx.value(SET_SEQUENCE, table.name, last)


# -- the copy

def copy(source: Place, target: Place, say: Say) -> None:
    """Copies everything; `say` is told what each table comes to on both sides.

    Raises `ConfigError` when the one is no database of this program's schema, the other is not empty, or either is in
    use, and `CommandFailed` when the copy fails or is another one than its source. The target is as it was then.
    """
    _expect_two(source, target)
    with _failing("the copy"):
        asyncio.run(_copy(source, target, say))


def backup(url: str, partial: Path) -> None:
    """Copies a PostgreSQL database, beside its servers, into an empty file."""
    async def work() -> None:
        async with _postgres_source(url, offline=False) as old, _new_file(partial) as new:
            await _transfer(old, new, lambda line: None)
            await _settle(new, await _last_ids(old))
    with _failing("the backup"):
        asyncio.run(work())


NEW_EPOCH = "UPDATE meta SET epoch = $1"


async def _copy(source: Place, target: Place, say: Say) -> None:
    with _blamed("--from"):
        async with _source(source) as old:
            with _blamed("--to"):
                async with _target(target) as new:
                    await _transfer(old, new, say)
                    await new.tx.run(NEW_EPOCH, secrets.token_hex(8))
                    # The source may be a backup: what was given out after it must not come to mean somebody else.
                    await _settle(new, {name: last + LOST_IDS for name, last in (await _last_ids(old)).items()})


@contextmanager
def _blamed(option: str) -> Iterator[None]:
    """Lets the operator's line name the option that the URL came from."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(str(error).replace("[database] url", option)) from None


@contextmanager
def _failing(what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite.Error) as error:
        raise CommandFailed(f"{what} failed: {error}") from None


def _expect_two(source: Place, target: Place) -> None:
    if source == target or (isinstance(source, Path) and isinstance(target, Path)
                            and source.resolve() == target.resolve()):
        raise ConfigError("--from and --to are the same database")


# -- the rows

async def _transfer(old: Side, new: Side, say: Say) -> None:
    for table in tables():
        await _fill(table, old, new)
    differing = []
    for table in tables():
        was, became = await _sum(table, old), await _sum(table, new)
        say(f"{table.name}: {was}" if was == became else f"{table.name}: {was}, but the copy: {became}")
        if was != became:
            differing.append(table.name)
    if differing:
        raise CommandFailed(f"the copy is not what was copied, and is not kept: {', '.join(differing)}")


async def _fill(table: Table, old: Side, new: Side) -> None:
    with _progress(f"copying {table.name}", await old.tx.value(table.count)) as bar:
        async for batch in old.batches(table):
            await new.add(table, batch)
            bar.update(len(batch))


async def _sum(table: Table, side: Side) -> Sum:
    """Each row goes in as MessagePack, which tells a NULL from a text and one value from the next."""
    sha256, rows, encode = hashlib.sha256(), 0, msgspec.msgpack.Encoder().encode
    with _progress(f"comparing {table.name}", None) as bar:
        async for batch in side.batches(table):
            sha256.update(b"".join(map(encode, batch)))
            rows += len(batch)
            bar.update(len(batch))
    return Sum(rows, sha256.hexdigest())


def _progress(label: str, total: int | None) -> "tqdm[NoReturn]":
    return tqdm(total=total, desc=label, unit=" rows", unit_scale=True, leave=False, disable=not sys.stderr.isatty())


async def _last_ids(side: Side) -> dict[str, int]:
    """The highest id that each table has ever given."""
    return {table.name: max(await side.last_id(table), await side.tx.value(table.highest) or 0)
            for table in tables() if table.numbered}


async def _settle(side: Side, last_ids: Mapping[str, int]) -> None:
    for table in tables():
        if last_ids.get(table.name):
            await side.keep_last_id(table, last_ids[table.name])


# -- what is read

def _source(place: Place) -> AbstractAsyncContextManager[Side]:
    return _postgres_source(place, offline=True) if isinstance(place, str) else _sqlite_source(place)


@asynccontextmanager
async def _sqlite_source(path: Path) -> AsyncIterator[Side]:
    inspection.expect_schema(path, inspection.version_of(path))
    with only_one(path), inspection.opened(path) as raw:
        raw.execute("PRAGMA query_only=ON")
        raw.execute("BEGIN")
        yield SqliteSide(raw)


@asynccontextmanager
async def _postgres_source(url: str, offline: bool) -> AsyncIterator[Side]:
    from server.storage import postgres, postgres_connection
    async with postgres_connection.connected(url) as (connection, tx):
        await connection.execute(postgres.BEGIN_READ)
        if offline:
            await postgres_connection.expect_unused(tx)
        inspection.expect_schema(url, await postgres_connection.version(tx))
        yield PostgresSide(connection, tx)


# -- what is written

def _target(place: Place) -> AbstractAsyncContextManager[Side]:
    return _postgres_target(place) if isinstance(place, str) else _sqlite_target(place)


@asynccontextmanager
async def _postgres_target(url: str) -> AsyncIterator[Side]:
    from server.storage import postgres, postgres_connection
    async with postgres_connection.connected(url) as (connection, tx):
        await connection.execute("BEGIN")
        await postgres_connection.expect_unused(tx)
        await postgres.apply_schema(tx)
        if await tx.value(restore.HAS_MEMBERS):
            raise ConfigError(f"{inspection.named(url)} is not empty; expected one without members")
        await connection.execute(truncate(tables()))
        yield PostgresSide(connection, tx)
        await connection.execute("COMMIT")


@asynccontextmanager
async def _sqlite_target(path: Path) -> AsyncIterator[Side]:
    with only_one(path):
        if not restore.is_empty(path):
            raise ConfigError(f"{path} is not empty; expected one without members, or no file")
        coming = beside(path, COMING)
        try:
            remove(coming)  # what a copy that was killed has left
            create(coming)
            async with _new_file(coming) as side:
                yield side
            restore.give_away(coming, path)
            restore.exchange(coming, path, keep=False)
        finally:
            remove(coming)


DELETE_META = "DELETE FROM meta"


@asynccontextmanager
async def _new_file(path: Path) -> AsyncIterator[Side]:
    """The tables in an empty file, which is on the disk afterwards."""
    with inspection.opened(path) as raw:
        for pragma in PRAGMAS:
            raw.execute(f"PRAGMA {pragma}").fetchall()
        raw.execute("BEGIN")
        side = SqliteSide(raw)
        drive(schema.create(side.tx))
        await side.tx.run(DELETE_META)
        yield side
        raw.execute("COMMIT")
    wrong = inspection.look(path, inspection.faults)
    if wrong:
        raise CommandFailed(f"the copy is not whole: {wrong[0]}")
    sync(path)
