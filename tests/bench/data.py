"""A database with members and posts, written directly, and tokens for the members."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from server.accounts import queries as accounts
from server.accounts.queries import NewUser
from server.accounts.tokens import Tokens
from server.core.clock import DAY, MINUTE, now_ms
from server.enrichment import queries as enrichment
from server.posts import queries as posts
from server.storage import Database
from server.storage.postgres import open_postgres
from server.storage.sqlite import open_database

SECRET = "the benchmark's secret, 32 characters and more"
TEXT = "A post of ordinary length, as people write them: two or three sentences and then it is over. " * 3


async def fill(place: Path | str, members: int, post_count: int) -> list[str]:
    """Writes members and posts (taken in turn by all) into a SQLite file or the PostgreSQL of a URL; returns an access
    token for each member."""
    database: Database = await (open_database(place) if isinstance(place, Path) else open_postgres(place))
    grants = []
    for begin in range(0, members, 500):
        grants += await database.write(_members, begin, min(begin + 500, members))
    for begin in range(0, post_count, 5000):
        await database.write(_posts, begin, min(begin + 5000, post_count), members)
    await database.close()
    tokens = Tokens(SECRET, 600 * MINUTE, now_ms)
    return [tokens.access(grant) for grant in grants]


async def _members(tx: Any, begin: int, end: int) -> list[Any]:
    grants = []
    for number in range(begin, end):
        name = f"member{number}"
        user_id = await accounts.insert_user(tx, NewUser(
            name, f"{name}@example.org", f"{name}@example.org", "valid", "no hash", f"code{number}",
            (f"Member {number}", None, None, None, None, None, f"https://example.org/{number}.png", None)))
        assert user_id is not None
        await enrichment.insert(tx, user_id)
        await enrichment.end(tx, user_id, "not_found", None, {})
        grants.append(await accounts.insert_session(tx, user_id, f"nonce{number}", "bench", "127.0.0.1", DAY))
    return grants


async def _posts(tx: Any, begin: int, end: int, members: int) -> None:
    for number in range(begin, end):
        await posts.count_new_post(tx, 1 + number % members)
        await posts.insert_post(tx, 1 + number % members, f"Post number {number}", TEXT, None)
