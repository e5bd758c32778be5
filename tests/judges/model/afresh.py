"""Reads what a Foyer holds, from the outside, and compares it with the world."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.judges.model.accounts import LogIn, session_of
from tests.judges.model.operations import Caller, Operation, data_of
from tests.judges.model.reading import (
    WHOLE, Behind, ReadEvents, ReadFeed, ReadLikers, ReadMe, ReadMembers, ReadPost, ReadProfile, ReadSessions, path_of,
)
from tests.judges.model.world import ENDED, Member, Session, World
from tests.support import Answer, Api, until

Seen = list[tuple[Operation, Answer]]


def caller_by(session: Session) -> Caller:
    """Asks by this session."""
    return Caller(session.member, session.id, session.pairs[-1]["access_token"])


async def asked(api: Api, world: World, operation: Operation) -> Answer:
    """Sends one operation and compares the answer."""
    answer = await operation.send(api)
    world.just_ended.clear()
    operation.check(world, answer)
    return answer


async def caller(api: Api, world: World, member: Member) -> Caller:
    """Somebody who asks for the member; signs in when they have no session left."""
    if not world.sessions_of(member.id):
        await asked(api, world, LogIn(member.username, member.password))
    return caller_by(world.sessions_of(member.id)[0])


async def frames(api: Api, by: Caller, after: int) -> list[Any]:
    """All events behind `after`."""
    found: list[Any] = []
    cursor = None
    while True:
        path = path_of("/api/events", after=after if cursor is None else None, cursor=cursor, limit=WHOLE)
        answer = await api.get(path, token=by.token)
        found += data_of(answer)
        cursor = answer.body["next"]
        if cursor is None:
            return found


async def nothing_under_way(api: Api, by: Caller) -> None:
    """Waits until the member's address is judged and their enrichment has ended."""
    async def quiet() -> bool:
        data = data_of(await ReadMe(by).send(api))
        return data["email_status"] != "pending" and data["enrichment"]["status"] in ENDED
    await until(quiet, 30)


async def settle(api: Api, world: World, member: Member) -> None:
    """What the member is still to be told of comes, and nothing else."""
    by = await caller(api, world, member)
    if member.owed:
        await nothing_under_way(api, by)
    world.heard(member, await frames(api, by, len(member.log)), whole=True)
    await asked(api, world, ReadMe(by))


async def everything(api: Api, world: World, limit: int) -> None:
    """All there is, in pages of this size, by the eyes of every member and of a stranger, twice: the second time from
    memory."""
    callers = [await caller(api, world, member) for member in world.members.values()]
    for member in world.members.values():
        await settle(api, world, member)
    for by in [None, *callers]:
        for query in (ReadFeed(by, limit=limit), ReadFeed(by, limit=limit), ReadFeed(by, limit=limit, sort="likes")):
            await pages(api, world, query)
    await pages(api, world, ReadFeed(unliked=True, limit=limit))
    for by in callers:
        await pages(api, world, ReadFeed(by, author=world.members[by.member].username, limit=limit))
        await asked(api, world, ReadProfile(world.members[by.member].username))
        await asked(api, world, ReadSessions(by))
        await asked(api, world, ReadEvents(by, after=0))
    await asked(api, world, ReadMembers(limit=limit))
    for post in list(world.posts):
        await asked(api, world, ReadLikers(post))
        for by in [None, *callers[:2]]:
            await asked(api, world, ReadPost(by, post))


async def pages(api: Api, world: World, query: ReadFeed) -> list[int]:
    """All pages of a feed; the ids."""
    ids: list[int] = []
    while True:
        answer = await asked(api, world, query)
        ids += [each["id"] for each in data_of(answer)]
        behind = next_of(query, answer)
        if behind is None:
            return ids
        query = replace(query, behind=behind)


def next_of(query: ReadFeed, answer: Answer) -> Behind | None:
    """Where the page after this one begins, if there is one."""
    cursor = answer.body["next"]
    if cursor is None:
        return None
    last = answer.body["data"][-1]
    return Behind((last["like_count"] if query.by_likes else 0, last["id"]), cursor)


@dataclass
class Witness:
    """A member whose log is read when nobody knows yet in which order things happened: by a session that still lives,
    or by signing in with one of these passwords. `heard`: how many events were known before."""

    id: int
    username: str
    heard: int
    callers: list[Caller]
    passwords: list[str]


def witness(world: World, member: Member, passwords: Sequence[str]) -> Witness:
    """The member, for `after_a_storm`; `passwords` are those that they may have now."""
    callers = [caller_by(session) for session in world.sessions_of(member.id)]
    return Witness(member.id, member.username, len(member.log), callers, [member.password, *passwords])


class Afterwards:
    """What was sent once more, the members' new events, and answers that were given one after the other."""

    def __init__(self, again: Seen) -> None:
        self.again = again
        self.frames: dict[int, list[Any]] = {}
        self.answers: Seen = []

    def compare(self, world: World) -> None:
        """Raises AssertionError when the world is not like this."""
        world.just_ended.clear()
        for operation, answer in self.again:  # first: it may have been done only now, and somebody is told of it
            operation.check(world, answer)
        for id_, found in self.frames.items():
            assert id_ in world.members, "somebody reads the events of a member who has left"
            world.heard(world.members[id_], found, whole=True)
        assert self.frames.keys() == world.members.keys(), "nobody can sign in as a member"
        for operation, answer in self.answers:
            operation.check(world, answer)


async def after_a_storm(api: Api, witnesses: Sequence[Witness], again: Seen) -> Afterwards:
    """What is seen when requests that were under way together have ended, and those `again` behind them."""
    seen = Afterwards(again)
    for each in witnesses:
        by = await _way_in(api, each, seen.answers)
        if by is not None:
            await nothing_under_way(api, by)
            seen.frames[each.id] = await frames(api, by, each.heard)
            for operation in (ReadMe(by), ReadFeed(by, limit=WHOLE), ReadSessions(by), ReadEvents(by)):
                seen.answers.append((operation, await operation.send(api)))
    read = ReadFeed(limit=WHOLE)
    answer = await read.send(api)
    others = (ReadMembers(limit=WHOLE), *(ReadLikers(post["id"]) for post in data_of(answer)))
    seen.answers += [(read, answer), *[(operation, await operation.send(api)) for operation in others]]
    return seen


async def _way_in(api: Api, member: Witness, seen: Seen) -> Caller | None:
    """A session that still lives, or a new one, or None when there is neither; all that was tried is `seen`."""
    for by in member.callers:
        answer = await ReadMe(by).send(api)
        if answer.status == 200:
            return by
        seen.append((ReadMe(by), answer))
    for password in dict.fromkeys(member.passwords):
        log_in = LogIn(member.username, password)
        answer = await log_in.send(api)
        seen.append((log_in, answer))
        if answer.status == 200 and answer.data["user"]["id"] == member.id:
            return Caller(member.id, session_of(answer.data["access_token"]), answer.data["access_token"])
    return None
