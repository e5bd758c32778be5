"""What administrators are shown, and what they ask for."""
from __future__ import annotations

from typing import Any, Literal

import msgspec

from server.accounts.model import Role
from server.web.windows import Search

State = Literal["ready", "running", "done", "failed"]


class KnownMember(msgspec.Struct):
    """A member as administrators see them."""

    id: int
    username: str
    name: str | None
    email: str
    email_status: str
    email_confirmed_at: str | None
    role: Role
    suspended_at: str | None
    created_at: str
    post_count: int


class KnownJob(msgspec.Struct):
    """Work that happens in the background, or did."""

    id: int
    kind: str
    key: str
    state: State
    attempts: int
    run_at: str
    last_error: str | None
    request_id: str | None
    created_at: str
    finished_at: str | None


class Members(Search, forbid_unknown_fields=True):
    """Which members, newest first."""


class Posts(Search, forbid_unknown_fields=True):
    """Which posts, newest first."""


class Jobs(Search, forbid_unknown_fields=True):
    """Which jobs, newest first."""

    state: State | None = None


class Counted(msgspec.Struct):
    """When each number was counted: now, or some minutes ago where there are many. Without a time that is still to
    come, and there are more."""

    members_at: str | None
    posts_at: str | None
    likes_at: str | None


class JobCounts(msgspec.Struct):
    """How many jobs there are, by state; of those that are done at most 100 000 are counted."""

    ready: int
    running: int
    done: int
    failed: int


class Imported(msgspec.Struct):
    """What was imported."""

    people: int
    addresses: int
    cards: int


class Space(msgspec.Struct):
    """What the database takes on the disk. `wal_bytes`: of SQLite's write-ahead log; null on PostgreSQL."""

    bytes: int
    wal_bytes: int | None


class LastBackup(msgspec.Struct):
    """The newest scheduled backup that was opened, checked and read."""

    file: str
    finished_at: str
    bytes: int


class Stats(msgspec.Struct):
    """The state of the server."""

    version: str
    started_at: str
    members: int
    posts: int
    likes: int
    counted: Counted
    jobs: JobCounts
    people: Imported
    sockets: int
    database: Space
    last_backup: LastBackup | None
    providers: dict[str, Any]
