"""`run.py admin`: makes the first administrator, and others, while a server may be running."""
from __future__ import annotations

import asyncio
import json
import secrets
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from server.accounts import addresses
from server.accounts import queries as accounts
from server.accounts.model import Role, SignUp
from server.accounts.passwords import Hasher
from server.accounts.queries import NewUser
from server.accounts.service import PROFILE, referral_code
from server.audit.log import NOBODY, record
from server.core.errors import CommandFailed, ConfigError, Problem
from server.enrichment import queries as enrichment
from server.settings import Settings
from server.storage import Database, Tx
from server.storage.inspection import Place, change, is_unmade, place_of
from server.storage.lock import only_one
from server.storage.sqlite import open_database
from server.web import bodies

LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that look like another
TAKEN = {"username_taken": "there is a member {} already: run.py admin promote makes them an administrator",
         "email_taken": "the address {} belongs to a member already"}
HERE = {"by": "command line"}  # what the audit says of who did it

# Whoever can run this vouches for the address, so that a sign-in that asks for a confirmed one works at once.
MAKE_ADMINISTRATOR = "UPDATE users SET role = 'admin', email_confirmed_at = $2 WHERE id = $1"
FIND_MEMBER = "SELECT id, username, role FROM users WHERE username_key = $1 /* postgres: FOR UPDATE */"
CHANGE_ROLE = "UPDATE users SET role = $2 WHERE id = $1"
COUNT_ADMINISTRATORS = "SELECT count(*) FROM users WHERE role = 'admin' AND suspended_at IS NULL"


@dataclass(frozen=True, slots=True)
class Changed:
    """Whose role it is, and how many administrators there are now."""

    username: str
    administrators: int


def create(settings: Settings, username: str, email: str) -> str:
    """Makes an account with a random password, which is returned; the database too, when there is none yet.

    Raises `ConfigError` when the name or the address cannot be one, `CommandFailed` when it is taken.
    """
    password = "-".join("".join(secrets.choice(LETTERS) for _ in range(5)) for _ in range(4))
    body = _checked(username, email, password)
    place = place_of(settings)
    if is_unmade(place):
        _make_database(place, settings.database.durability)
    hashed = asyncio.run(_hashed(password, settings.auth.bcrypt_cost))
    change(place, partial(_create, body=body, password_hash=hashed))
    return password


def _checked(username: str, email: str, password: str) -> SignUp:
    """The same rules as at sign-up."""
    raw = json.dumps({"username": username, "email": email, "password": password}).encode()
    try:
        return bodies.decode(SignUp, raw, "application/json")
    except Problem as problem:
        raise ConfigError("; ".join(f"{error.field} {error.message}" for error in problem.errors)) from None


def _make_database(place: Place, durability: str) -> None:
    with only_one(place) if isinstance(place, Path) else nullcontext():
        asyncio.run(_open_and_close(place, durability))


async def _open_and_close(place: Place, durability: str) -> None:
    if isinstance(place, Path):
        database: Database = await open_database(place, durability=durability)
    else:
        from server.storage.postgres import open_postgres
        database = await open_postgres(place, durability=durability)
    await database.close()


async def _hashed(password: str, cost: int) -> str:
    hasher = Hasher(cost)
    try:
        return await hasher.hash(password)
    finally:
        hasher.close()


async def _create(tx: Tx, body: SignUp, password_hash: str) -> None:
    address = addresses.parse(body.email)
    assert address is not None
    user = NewUser(body.username, address.email, address.key, "unchecked", password_hash, referral_code(),
                   (None,) * len(PROFILE))
    user_id = await accounts.insert_user(tx, user)
    if user_id is None:
        code = await accounts.taken(tx, user.username, user.email_key)
        raise CommandFailed(TAKEN[code].format(body.username if code == "username_taken" else body.email)
                            if code else "the new referral code is taken: try again")
    await tx.run(MAKE_ADMINISTRATOR, user_id, tx.now)
    await enrichment.insert_unasked(tx, user_id)
    await record(tx, "administrator_created", NOBODY, user_id, **HERE)


def change_role(settings: Settings, username: str, role: Role) -> Changed:
    """Gives a member the role; no harm when they have it. Raises `CommandFailed` when there is no such member."""
    return change(place_of(settings), partial(_change_role, username=username, role=role))


async def _change_role(tx: Tx, username: str, role: Role) -> Changed:
    row = await tx.one(FIND_MEMBER, accounts.name_key(username))
    if row is None:
        raise CommandFailed(f"there is no member {username}")
    if row["role"] != role:
        await tx.run(CHANGE_ROLE, row["id"], role)
        await record(tx, "member_promoted" if role == "admin" else "member_demoted", NOBODY, row["id"], **HERE)
    return Changed(row["username"], await tx.value(COUNT_ADMINISTRATORS))
