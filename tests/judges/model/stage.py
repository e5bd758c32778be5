"""The stage of the model: one database, the server of the moment, a client, and what they should agree on."""
from __future__ import annotations

import asyncio
import itertools
from collections import Counter, deque
from collections.abc import Coroutine
from typing import Any, ClassVar

import aiohttp
import uvloop
from hypothesis.stateful import RuleBasedStateMachine, invariant

from server.ops import check
from server.storage.inspection import faults, inspect, place_of
from tests import mailbox
from tests.judges.model import processes
from tests.judges.model.accounts import ChangeMe, ChangePassword, SignUp, session_of
from tests.judges.model.afresh import Seen, Witness, after_a_storm, asked, caller_by, everything, settle, witness
from tests.judges.model.follower import Follower
from tests.judges.model.mailed import Confirm, Reset
from tests.judges.model.operations import Caller, Operation
from tests.judges.model.reading import ReadFeed
from tests.judges.model.serial import Asked, explained
from tests.judges.model.world import MailLink, World
from tests.support import Answer, Api, settings, until

JOURNAL = 60  # lines that are told of a failure


class Stage(RuleBasedStateMachine):
    """What the rules act on."""

    steps: ClassVar[int] = 0
    places: ClassVar[processes.Places] = processes.Places()
    requests: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.followers: list[Follower] = []
        self.kept: list[tuple[Operation, Answer, int | None]] = []  # with an Idempotency-Key
        self.numbers = itertools.count(1)
        self._journal: deque[str] = deque(maxlen=JOURNAL)
        self.ends = 0  # of a server
        self._step, self._sound = 0, True
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.place = Stage.places.take()
        self.api = self.run(self._connect())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Does it, and remembers when it went wrong."""
        try:
            return self._runner.run(work)
        except BaseException as error:
            self._sound = False
            error.add_note("\n".join(["the latest requests:", *self._journal]))
            raise

    async def _connect(self) -> Api:
        connector = aiohttp.TCPConnector(limit=0)
        session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), connector=connector)
        return Api(session, self.place.server.url)

    # -- asking

    async def ask(self, operation: Operation) -> Answer:
        """One request, compared; what it promised is waited for."""
        self.note(operation)
        answer = await asked(self.api, self.world, operation)
        await self.look(operation)
        if any(member.owed for member in self.world.members.values()):
            await self.settle()
        return answer

    async def settle(self) -> None:
        """What members are still to be told of comes."""
        for member in self.world.unsettled():
            await settle(self.api, self.world, member)

    def keep(self, operation: Operation, answer: Answer, member: int | None) -> None:
        """For `repeat`. `member`: whose data stands in the answer."""
        self.kept.append((operation, answer, member))

    async def at_once(self, operations: list[Operation]) -> None:
        """Requests that are under way together; some order of them must explain all that is seen."""
        for operation in operations:
            self.note(operation, "together")
        answers = await asyncio.gather(*(operation.send(self.api) for operation in operations))
        await self.explain(list(zip(operations, answers)), [])

    async def explain(self, done: list[Asked], then: Seen) -> None:
        """Finds the order of what was `done` together, with what was done `then`, and takes the world after it."""
        passwords = [operation.new for operation, _ in done if isinstance(operation, (ChangePassword, Reset))]
        witnesses = [witness(self.world, member, passwords) for member in self.world.members.values()]
        witnesses += [_newcomer(answer.data) for operation, answer in done
                      if isinstance(operation, SignUp) and answer is not None and answer.status == 201]
        seen = await after_a_storm(self.api, witnesses, then)
        self.world = explained(self.world, done, seen.compare)
        for operation, _ in done:
            await self.look(operation)

    async def look(self, operation: Operation) -> None:
        """A member's clients read their state again when the member has changed it by another request."""
        if isinstance(operation, (ChangeMe, Confirm)):
            for follower in self.followers:
                if self.world.sessions[follower.by.session].open:
                    await follower.look(self.api)

    async def with_letter(self, operation: Operation, member: int, to: str, page: str) -> Answer:
        """One request that, when it succeeds, has a letter with a link written to the member."""
        before = await self.tokens(to, page)
        answer = await self.ask(operation)
        if answer.status < 300:
            await self.learn(member, to, page, before)
        return answer

    async def tokens(self, to: str, page: str) -> list[str]:
        """The tokens of the links that this address has got."""
        return await mailbox.tokens(self.api, self.place.server.sandbox, to, page)

    async def learn(self, member: int, to: str, page: str, before: list[str]) -> None:
        """Waits for the letter behind those that came `before`."""
        async def new() -> list[str]:
            return [token for token in await self.tokens(to, page) if token not in before]
        [token] = await until(new)
        self.world.links[token] = MailLink(member, page, to)

    def note(self, operation: object, how: str = "") -> None:
        """For whoever reads of a failure."""
        Stage.requests[type(operation).__name__] += 1
        self._journal.append(f"  {how} {operation}")

    # -- the server

    def end_server(self, clean: bool) -> None:
        """It stops in order, or is killed."""
        self.ends += 1
        self.run(self._close())
        (self.place.server.stop if clean else self.place.server.kill)()

    async def restarted(self) -> None:
        """A new server on the same database. Whoever followed comes back and misses nothing."""
        await self._another_server()
        await self.settle()
        for follower in self.followers:
            await follower.again(self.api, self.world)

    async def _another_server(self) -> None:
        self.place.start_again()
        self.place.server.ready()
        self.api = await self._connect()

    async def killed(self, operations: list[Operation], seconds: float) -> None:
        """Killed while these are under way. Those without an answer are sent again to the next server, and may have
        been done before as well; what has an Idempotency-Key is done once."""
        for operation in operations:
            self.note(operation, "killed")
        tasks = [asyncio.create_task(operation.send(self.api)) for operation in operations]
        await asyncio.wait(tasks, timeout=seconds)
        self.place.server.kill()
        self.ends += 1
        answers = [_answer(result) for result in await asyncio.gather(*tasks, return_exceptions=True)]
        await self._close()
        await self._another_server()
        done, then = [], []
        for operation, answer in zip(operations, answers):
            if answer is None:
                again = await operation.send(self.api)
                if getattr(operation, "key", None):
                    answer = again
                else:
                    then.append((operation, again))
            done.append((operation, answer))
        await self.explain(done, then)
        for follower in self.followers:
            await follower.again(self.api, self.world)

    # -- after every step

    @invariant()
    def is_as_it_should_be(self) -> None:
        """Followers have what was told, and state and events are the state as it is read now; a stranger and a member
        see the same feed."""
        Stage.steps += 1
        self._step += 1
        self.run(self._compare())

    async def _compare(self) -> None:
        for follower in list(self.followers):
            await self._follow(follower)
        for by in (None, self._reader()):
            await asked(self.api, self.world, ReadFeed(by, limit=3 + self._step % 3))

    async def _follow(self, follower: Follower) -> None:
        if not self.world.sessions[follower.by.session].open:
            await follower.closed()
            self.followers.remove(follower)
            return
        member = self.world.members[follower.by.member]
        if member.news:
            await settle(self.api, self.world, member)
        if await follower.catch_up(self.world):
            await follower.compare(self.api, self.world)

    def _reader(self) -> Caller | None:
        open_ones = [each for each in self.world.sessions.values() if each.open]
        return caller_by(open_ones[self._step % len(open_ones)]) if open_ones else None

    # -- the end

    def teardown(self) -> None:
        """All there is, once more; a clean stop; and what `run.py check` would say."""
        try:
            if self._sound:
                self.run(everything(self.api, self.world, limit=7))
                self.run(self._close())
                self.place.server.stop()
                self._inspect()
        finally:
            self._runner.run(self._close())
            self._runner.close()
            self.place.clear()

    async def _close(self) -> None:
        for follower in self.followers:
            await follower.leave()
        await self.api.session.close()

    def _inspect(self) -> None:
        place = place_of(settings(self.place.folder))
        assert not inspect(place, check.broken)
        assert isinstance(place, str) or not inspect(place, faults)
        assert not processes.complaints(self.place.folder)


def _answer(result: Answer | BaseException) -> Answer | None:
    if isinstance(result, BaseException):
        if not isinstance(result, (aiohttp.ClientError, ConnectionError)):
            raise result
        return None
    return result


def _newcomer(data: Any) -> Witness:
    user, token = data["user"], data["access_token"]
    return Witness(user["id"], user["username"], 0, [Caller(user["id"], session_of(token), token)], [])
