"""Whether a file that is to be kept, or to be put back, is a whole Foyer database."""
from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from server.core.errors import CommandFailed, ConfigError
from server.storage import inspection, schema
from server.storage.base import Tx
from server.storage.connection import sqlite

Prove = Callable[[Tx], Awaitable[list[str]]]  # gives a line for each rule of the program that the data breaks
MAGIC = b"SQLite format 3\0"
MOST_LINES = 5  # of what is wrong: one is enough to refuse the file

COUNT = """
    SELECT (SELECT count(*) FROM users) AS members, (SELECT count(*) FROM posts) AS posts,
        (SELECT count(*) FROM likes WHERE taken_back_at IS NULL) AS likes"""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a database holds."""

    schema: int
    members: int
    posts: int
    likes: int

    def __str__(self) -> str:
        schema_ = f"schema {self.schema}" + (" (older: the next start brings it up)" if self.older else "")
        return f"{schema_}, {self.members} members, {self.posts} posts, {self.likes} likes"

    @property
    def older(self) -> bool:
        """Whether the next start will bring its schema up; this program's rules cannot be asked of it before."""
        return self.schema < schema.VERSION


def verified(path: Path, prove: Prove, name: Path) -> Contents:
    """What the file holds, once all of it was found whole; errors speak of it as `name`.

    Raises `ConfigError` when it is not a Foyer database or one of a newer program, `CommandFailed` when it is damaged.
    """
    expect_database(path, name)
    try:
        inspection.expect_known(name, inspection.look(path, inspection.version))
        wrong = inspection.look(path, inspection.faults)
        contents = inspection.look(path, _contents)
        if not wrong and not contents.older:
            wrong = inspection.look(path, prove)
    except sqlite.Error as error:
        raise CommandFailed(f"{name} is damaged: {error}") from None
    if wrong:
        raise CommandFailed(f"{name} is not whole: {'; '.join(wrong[:MOST_LINES])}")
    return contents


def expect_database(path: Path, name: Path) -> None:
    """Raises `ConfigError` for a file that cannot be read, or is not even of SQLite."""
    try:
        with open(path, "rb") as file:
            ours = file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise ConfigError(f"{name} cannot be read: {error.strerror}") from None
    if not ours:
        raise ConfigError(f"{name} is not a Foyer database")


async def _contents(tx: Tx) -> Contents:
    row = await tx.one(COUNT)
    assert row is not None
    return Contents(await inspection.version(tx), row["members"], row["posts"], row["likes"])
