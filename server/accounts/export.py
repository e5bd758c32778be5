"""Everything that is stored about a member, as one JSON document.

It is read and sent in small parts, so that of an export never more than one part is in memory, however much the member
has written, and nobody waits for the reader longer than for a page of a list. A member's exports go one after the
other. Each part is a snapshot, the whole is not: what changes meanwhile is there as it was when its part was read.
"""
from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import msgspec

from server.accounts import queries
from server.accounts.model import Export, ExportedAnswer, ExportedJob, ExportHead, Me
from server.accounts.queries import Account
from server.audit import queries as audit
from server.core.clock import iso, iso_or_none
from server.enrichment.model import ExportedEnrichment
from server.events import log as events
from server.jobs import queue
from server.files.model import ExportedCheck, ExportedVersion
from server.mail.model import ExportedMail
from server.posts.model import ExportedLike, ExportedPost
from server.providers import answers
from server.providers.answers import AddressHash
from server.referrals.model import ExportedEntry, ExportedInvited
from server.storage import Database, Row, Tx
from server.web import idempotency
from server.web.route import Answer, Call, Route, unauthorized

Numbered = tuple[int, bytes]  # an item's number in its list, and its JSON
ReadPart = Callable[[Tx, int, int, int], Awaitable[Sequence[Numbered]]]  # of a member, behind a number, so many
POSTS_AT_ONCE = 20  # each has up to 80 KB
FILES_AT_ONCE = 4  # each has up to `checks.max_file` bytes, or a thousand findings
OTHERS_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What of a member stands in other rooms, handed over by `app`."""

    me: Callable[[Tx, int], Awaitable[Me]]
    enrichment: Callable[[Tx, int], Awaitable[ExportedEnrichment]]
    inviter: Callable[[Tx, int], Awaitable[str | None]]
    posts: Callable[[Tx, int, int, int], Awaitable[list[ExportedPost]]]
    likes: Callable[[Tx, int, int, int], Awaitable[list[ExportedLike]]]
    mails: Callable[[Tx, int, int, int], Awaitable[list[ExportedMail]]]
    invited: Callable[[Tx, int, int, int], Awaitable[list[ExportedInvited]]]
    ledger: Callable[[Tx, int, int, int], Awaitable[list[ExportedEntry]]]
    files: Callable[[Tx, int, int, int], Awaitable[list[ExportedVersion]]]
    checks: Callable[[Tx, int, int, int], Awaitable[list[ExportedCheck]]]
    address_hash: AddressHash
    jobs: tuple[str, ...]  # the kinds whose key is a member's id


class Exporting:
    """GET /api/me/export."""

    def __init__(self, database: Database, elsewhere: Elsewhere) -> None:
        self._database, self._elsewhere = database, elsewhere
        self._turns: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._lists: tuple[tuple[str, ReadPart, int], ...] = (
            ("sessions", _sessions, OTHERS_AT_ONCE),
            ("posts", _numbered(elsewhere.posts), POSTS_AT_ONCE),
            ("likes", self._likes, OTHERS_AT_ONCE),
            ("mails", _numbered(elsewhere.mails), OTHERS_AT_ONCE),
            ("invited", _numbered(elsewhere.invited), OTHERS_AT_ONCE),
            ("ledger", _numbered(elsewhere.ledger), OTHERS_AT_ONCE),
            ("files", _numbered(elsewhere.files), FILES_AT_ONCE),
            ("checks", _numbered(elsewhere.checks), FILES_AT_ONCE),
            ("audit", _numbered(audit.exported), OTHERS_AT_ONCE),
            ("events", _events, OTHERS_AT_ONCE),
        )

    async def tell(self, call: Call) -> Answer:
        head = await self._database.read(self._head, call.me.id)
        name = {"Content-Disposition": f'attachment; filename="foyer-{call.me.username}.json"'}
        return Answer(parts=self._parts(call.me.id, head), headers=name)

    async def _head(self, tx: Tx, member_id: int) -> ExportHead:
        account = await queries.account(tx, member_id)
        if account is None:
            raise unauthorized()
        return ExportHead(
            exported_at=iso(tx.now),
            profile=await self._elsewhere.me(tx, member_id),
            enrichment=await self._elsewhere.enrichment(tx, member_id),
            jobs=[_job(row) for row in await queue.about(tx, self._elsewhere.jobs, str(member_id))],
            provider_answers=await self._answers(tx, account),
            invited_by=await self._elsewhere.inviter(tx, member_id),
            kept_answers=await idempotency.count(tx, member_id),
            events_acknowledged=(await events.position(tx, member_id)).acked)

    async def _answers(self, tx: Tx, account: Account) -> list[ExportedAnswer]:
        rows = await answers.about(tx, self._elsewhere.address_hash(account.email_key))
        return [ExportedAnswer(row["provider"], row["answer"], iso(row["at"])) for row in rows]

    async def _parts(self, member_id: int, head: ExportHead) -> AsyncGenerator[bytes, None]:
        async with self._turns.setdefault(member_id, asyncio.Lock()):
            yield b'{"data":' + msgspec.json.encode(head)[:-1]
            for name, read, most in self._lists:
                async for part in self._list(name, read, member_id, most):
                    yield part
            yield b"}}"

    async def _list(self, name: str, read: ReadPart, member_id: int, most: int) -> AsyncGenerator[bytes, None]:
        opening, last = b',"' + name.encode() + b'":[', 0
        while found := await self._database.read(read, member_id, last, most):
            yield opening + b",".join(item for _, item in found)
            opening, last = b",", found[-1][0]
        yield b"]" if last else opening + b"]"

    async def _likes(self, tx: Tx, member_id: int, after: int, limit: int) -> list[Numbered]:
        return [(like.post_id, _encoded(like)) for like in await self._elsewhere.likes(tx, member_id, after, limit)]


def _numbered(read: Callable[[Tx, int, int, int], Awaitable[Sequence[Any]]]) -> ReadPart:
    """Reads a list whose items have an `id`."""
    async def part(tx: Tx, member_id: int, after: int, limit: int) -> list[Numbered]:
        return [(item.id, _encoded(item)) for item in await read(tx, member_id, after, limit)]
    return part


async def _sessions(tx: Tx, member_id: int, after: int, limit: int) -> list[Numbered]:
    return [(one.id, _encoded(one)) for one in await queries.exported_sessions(tx, member_id, after, limit)]


async def _events(tx: Tx, member_id: int, after: int, limit: int) -> list[Numbered]:
    page = await events.page(tx, member_id, after, limit)
    return [(event.seq, event.frame.encode()) for event in page.events]


def _job(row: Row) -> ExportedJob:
    return ExportedJob(row["kind"], row["state"], row["attempts"], row["last_error"], row["request_id"],
                       iso(row["created_at"]), iso(row["run_at"]), iso_or_none(row["finished_at"]))


def _encoded(item: Any) -> bytes:
    return msgspec.json.encode(item)


def route(exporting: Exporting) -> Route:
    """The declaration."""
    return Route("GET", "/api/me/export", "Everything stored about oneself, as one document", "member", Export,
                 tell=exporting.tell)
