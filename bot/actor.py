"""Carries a plan out: members sign up, post and like, and every acknowledged step is noted for the proof."""

import asyncio
import base64
import secrets
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn, TypeVar

from tqdm import tqdm

from bot.client import FoyerClient
from bot.config import BotConfig
from bot.events import EventStream
from bot.models import ENRICHMENT_ENDS
from bot.plan import Plan, PostRef
from bot.transport import open_session
from bot.words import draft

T = TypeVar("T")
# Sockets that wait at the same time: each is an open file here and another one in the server.
_MOST_WAITING = 256
_GRACE = 2.0


@dataclass
class Member:
    """A member of the run; `enriched` are the statuses its socket told, `last_seq` the newest event.

    `pending` after a time-out: the server itself said that the search was still going on.
    """

    name: str
    client: FoyerClient
    enriched: list[str] = field(default_factory=list)
    last_seq: int = 0
    pending: bool = False

    @property
    def outcome(self) -> str:
        """The status the search ended with, "none" when the socket did not tell in time."""
        return self.enriched[0] if self.enriched else "none"


class DoneLike(NamedTuple):
    """A like the server acknowledged."""

    member: int
    post_id: int


@dataclass
class Run:
    """What has been done so far."""

    plan: Plan
    seed: int
    members: list[Member] = field(default_factory=list)
    posts: dict[PostRef, int] = field(default_factory=dict)
    likes: list[DoneLike] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def enriched(self) -> dict[str, int]:
        """Counts the members by how their enrichment ended."""
        return dict(Counter(member.outcome for member in self.members))

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Takes the time of a phase."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(time.perf_counter() - start, 3)


@asynccontextmanager
async def open_members(count: int, url: str) -> AsyncIterator[list[Member]]:
    """Makes members with names nobody has, who share one session; closes what is left open afterwards."""
    tag = base64.b32encode(secrets.token_bytes(5)).decode().lower()
    async with open_session() as session:
        members = [Member(f"bot_{tag}_{n}", FoyerClient(url, session=session)) for n in range(1, count + 1)]
        try:
            yield members
        finally:
            for member in members:
                await member.client.close()


async def act(run: Run, config: BotConfig) -> None:
    """Carries out the three phases.

    Arguments: the run, with its members and its plan, to note everything in; the settings. Raises FoyerError.
    """
    with run.phase("sign_up"):
        await _sign_up_all(run, config)
    with run.phase("posts"):
        await _post_all(run, config.concurrency)
    with run.phase("likes"):
        await _like_all(run)


async def each(label: str, items: Iterable[T], work: Callable[[T], Awaitable[None]],
               at_once: int | None = None) -> None:
    """Does some work for each item, so many at a time (None: all); the first error ends it and is raised."""
    todo = list(items)
    gate = asyncio.Semaphore(at_once or max(1, len(todo)))
    with progress(label, len(todo)) as bar:

        async def one(item: T) -> None:
            async with gate:
                await work(item)
            bar.update()

        try:
            async with asyncio.TaskGroup() as group:
                for item in todo:
                    group.create_task(one(item))
        except BaseExceptionGroup as failures:
            raise _first(failures) from None


def progress(label: str, total: int) -> "tqdm[NoReturn]":
    """Makes a progress bar, which shows only on a terminal."""
    return tqdm(total=total, desc=label, leave=False, disable=not sys.stderr.isatty())


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


async def _sign_up_all(run: Run, config: BotConfig) -> None:
    signing = asyncio.Semaphore(config.concurrency)
    waiting = asyncio.Semaphore(_MOST_WAITING)

    async def one(member: Member) -> None:
        async with waiting:
            async with signing:
                await _sign_up(member)
            # Waiting is no work for the server: it does not hold up the next one who signs up.
            await _await_enriched(member, config.enrich_timeout)

    await each("sign up", run.members, one)


async def _sign_up(member: Member) -> None:
    await member.client.sign_up(member.name, f"{member.name}@example.org", secrets.token_urlsafe(18))


async def _await_enriched(member: Member, seconds: float) -> None:
    async with member.client.events() as events:
        if await _hears(member, events, seconds):
            return
        member.pending = (await member.client.enrichment()).status not in ENRICHMENT_ENDS
        # It may have ended in the very moment the waiting did; later than this, the push is missing.
        if not member.pending:
            await _hears(member, events, _GRACE)


async def _hears(member: Member, events: EventStream, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            async for event in events:
                member.last_seq = event.seq
                if event.type == "enriched":
                    member.enriched.append(str(event.data.get("status")))
                    return True
    except TimeoutError:
        pass
    return False


async def _post_all(run: Run, concurrency: int) -> None:
    async def one(author: int) -> None:
        for n in range(run.plan.posts[author]):
            words = draft(run.seed, author, n)
            post = await run.members[author].client.create_post(words.title, words.text)
            run.posts[PostRef(author, n)] = post.id

    await each("post", range(len(run.members)), one, concurrency)


async def _like_all(run: Run) -> None:
    """Likes one after the other: the next one is allowed only because of those before it."""
    with progress("like", len(run.plan.likes)) as bar:
        for like in run.plan.likes:
            post_id = run.posts[like.post]
            await run.members[like.member].client.like(post_id)
            run.likes.append(DoneLike(like.member, post_id))
            bar.update()
