"""The SQL of files and their versions."""
from __future__ import annotations

from server.core.clock import iso, iso_or_none
from server.files.model import ExportedVersion, File, Status
from server.storage import Row, Tx
from server.web.uploads import Upload

VERSIONS_KEPT = 20  # of a file; older ones go

ADD_CONTENT = """
    INSERT INTO contents (sha256, bytes, uses) VALUES ($1, $2, 1)
    ON CONFLICT (sha256) DO UPDATE SET uses = contents.uses + 1"""
RELEASE_CONTENT = "UPDATE contents SET uses = uses - 1 WHERE sha256 = $1"
DELETE_CONTENT = "DELETE FROM contents WHERE sha256 = $1 AND uses = 0"
HOLD_MEMBER = "SELECT 1 FROM users WHERE id = $1 /* postgres: FOR KEY SHARE */"
HOLD_FILE = "SELECT 1 FROM files WHERE id = $1 /* postgres: FOR NO KEY UPDATE */"
COUNT_FILES = "SELECT count(*) FROM files WHERE user_id = $1"
INSERT_FILE = """
    INSERT INTO files (user_id, name, version, sha256, size, status, created_at)
    VALUES ($1, $2, 1, $3, $4, 'pending', $5) RETURNING id"""
NEXT_VERSION = """
    UPDATE files SET name = $3, version = version + 1, sha256 = $4, size = $5, status = 'pending', checked_at = NULL
    WHERE id = $1 AND user_id = $2 RETURNING version"""
INSERT_VERSION = """
    INSERT INTO file_versions (user_id, file_id, version, name, sha256, size, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)"""
_FILE = "SELECT id, name, size, sha256, version, status, checked_at, created_at FROM files "
READ_FILE = _FILE + "WHERE id = $1 AND user_id = $2"
LIST_FILES = _FILE + "WHERE user_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
READ_CONTENT = """
    SELECT c.bytes FROM files f JOIN file_versions v ON v.file_id = f.id AND v.version = coalesce($3, f.version)
        JOIN contents c ON c.sha256 = v.sha256
    WHERE f.id = $1 AND f.user_id = $2"""
DELETE_OLD_VERSIONS = "DELETE FROM file_versions WHERE file_id = $1 AND version <= $2 RETURNING sha256"
DELETE_VERSIONS = "DELETE FROM file_versions WHERE file_id = $1 RETURNING sha256"
DELETE_VERSIONS_OF = "DELETE FROM file_versions WHERE user_id = $1 RETURNING sha256"
DELETE_FILE = "DELETE FROM files WHERE id = $1 AND user_id = $2 RETURNING id"
SET_STATUS = "UPDATE files SET status = $3, checked_at = $4 WHERE id = $1 AND version = $2"
EXPORT_VERSIONS = """
    SELECT v.id, v.file_id, v.name, v.version, v.sha256, v.size, v.created_at, c.bytes
    FROM file_versions v JOIN contents c ON c.sha256 = v.sha256 WHERE v.user_id = $1 AND v.id > $2
    ORDER BY v.id LIMIT $3"""


def _file(row: Row) -> File:
    return File(row["id"], row["name"], row["size"], row["sha256"], row["version"], row["status"],
                iso_or_none(row["checked_at"]), iso(row["created_at"]))


async def hold_member(tx: Tx, user_id: int) -> bool:
    """Whether the member is there, and stays until the commit."""
    return await tx.value(HOLD_MEMBER, user_id) is not None


async def hold_file(tx: Tx, file_id: int) -> None:
    """Makes whoever changes the file wait until the commit."""
    await tx.value(HOLD_FILE, file_id)


async def count(tx: Tx, user_id: int) -> int:
    """How many files the member has."""
    return int(await tx.value(COUNT_FILES, user_id))


async def insert(tx: Tx, user_id: int, upload: Upload) -> int:
    """Adds a file with its first version; its id."""
    file_id = int(await tx.value(INSERT_FILE, user_id, upload.name, upload.sha256, len(upload.content), tx.now))
    await _insert_version(tx, user_id, file_id, 1, upload)
    return file_id


async def replace(tx: Tx, user_id: int, file_id: int, upload: Upload) -> int | None:
    """Adds a version, and lets go of those that are too old; its number, or None when there is no such file."""
    version = await tx.value(NEXT_VERSION, file_id, user_id, upload.name, upload.sha256, len(upload.content))
    if version is None:
        return None
    await _insert_version(tx, user_id, file_id, version, upload)
    await _release(tx, await tx.all(DELETE_OLD_VERSIONS, file_id, version - VERSIONS_KEPT))
    return int(version)


async def _insert_version(tx: Tx, user_id: int, file_id: int, version: int, upload: Upload) -> None:
    await tx.run(ADD_CONTENT, upload.sha256, upload.content)
    await tx.run(INSERT_VERSION, user_id, file_id, version, upload.name, upload.sha256, len(upload.content), tx.now)


async def _release(tx: Tx, rows: list[Row]) -> None:
    # In one order everywhere: two who let go of the same contents must not wait for each other.
    for sha256 in sorted(row["sha256"] for row in rows):
        await tx.run(RELEASE_CONTENT, sha256)
        await tx.run(DELETE_CONTENT, sha256)


async def read(tx: Tx, user_id: int, file_id: int) -> File | None:
    """One of the member's files."""
    row = await tx.one(READ_FILE, file_id, user_id)
    return None if row is None else _file(row)


async def files(tx: Tx, user_id: int, before: int, limit: int) -> list[File]:
    """The member's files, newest first."""
    return [_file(row) for row in await tx.all(LIST_FILES, user_id, before, limit)]


async def content(tx: Tx, user_id: int, file_id: int, version: int | None) -> bytes | None:
    """The bytes of a version that is kept, or of the newest."""
    found = await tx.value(READ_CONTENT, file_id, user_id, version)
    return None if found is None else bytes(found)


async def delete(tx: Tx, user_id: int, file_id: int) -> bool:
    """Removes a file with its versions, checks and bytes; False when there is no such file."""
    if await read(tx, user_id, file_id) is None:
        return False
    await _release(tx, await tx.all(DELETE_VERSIONS, file_id))
    return await tx.value(DELETE_FILE, file_id, user_id) is not None


async def erase(tx: Tx, user_id: int) -> None:
    """Lets go of all bytes of a member who leaves; the rest goes with their row."""
    await _release(tx, await tx.all(DELETE_VERSIONS_OF, user_id))


async def set_status(tx: Tx, file_id: int, version: int, status: Status) -> None:
    """Writes how far the check of the newest version has come; of an older one it is not the file's."""
    checked_at = None if status in ("pending", "running") else tx.now
    await tx.run(SET_STATUS, file_id, version, status, checked_at)


async def exported_versions(tx: Tx, user_id: int, after: int, limit: int) -> list[ExportedVersion]:
    """The versions of the member's files behind one, as they are exported."""
    return [ExportedVersion(row["id"], row["file_id"], row["name"], row["version"], row["sha256"], row["size"],
                            iso(row["created_at"]), bytes(row["bytes"]))
            for row in await tx.all(EXPORT_VERSIONS, user_id, after, limit)]
