"""The rules: what members, strangers and operators do to a Foyer."""
from __future__ import annotations

import asyncio
from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.judges.model import chance
from tests.judges.model.accounts import AskAgain, ChangeMe, SignUp
from tests.judges.model.afresh import asked, caller_by, everything, next_of, pages, settle
from tests.judges.model.chance import anyone, pick
from tests.judges.model.follower import Follower
from tests.judges.model.letters import Letters
from tests.judges.model.operations import Operation, WritePost, data_of, refused
from tests.judges.model.reading import WHOLE, Behind, ReadEvents, ReadFeed, ReadLikers, ReadMe, ReadMembers, ReadProfile
from tests.judges.model.stage import Stage
from tests.judges.model.world import tag_of
from tests.support import Answer

MOST_MEMBERS = 6
MOST_POSTS = 25
MOST_FOLLOWERS = 3
MOST_ENDS = 1  # of the server, in each play: a start takes as long as ten other steps


class Accounts(Stage):
    """Coming, going, and changing oneself."""

    @initialize()
    def begin(self) -> None:
        """Two members, so that there is something to do from the first step on."""
        for name in chance.USERNAMES[:2]:
            self.run(self._sign_up(SignUp(name, f"{name}@example.org", chance.PASSWORDS[0]), followed=False))

    @precondition(lambda self: len(self.world.members) < MOST_MEMBERS)
    @rule(data=st.data(), tag=chance.tags, profile=chance.profiles, followed=st.booleans())
    def sign_up(self, data: st.DataObject, tag: str, profile: dict[str, str], followed: bool) -> None:
        """Somebody comes; now and then with a name or an address that is taken."""
        operation = self._newcomer(data, tag, profile)
        self.run(self._sign_up(operation, followed))

    def _newcomer(self, data: st.DataObject, tag: str, profile: dict[str, str]) -> SignUp:
        name = pick(data, chance.USERNAMES, "name")
        address = f"{name}{next(self.numbers)}{tag and '+' + tag}@example.org"
        taken = [member.email for member in self.world.members.values()]
        free = [email for email in self.world.free if tag_of(email) != "later"]  # of these it would be known by now
        email = pick(data, [address, address, address, *taken, *free], "email")
        return SignUp(name, email, chance.PASSWORDS[0], tuple(profile.items()), f"signing-up-{next(self.numbers)}")

    async def _sign_up(self, operation: SignUp, followed: bool) -> None:
        self.note(operation)
        before = await self.tokens(operation.email, "confirm")
        answer = await asked(self.api, self.world, operation)
        if answer.status == 201:
            if operation.key is not None:
                self.keep(operation, answer, answer.data["user"]["id"])
            await self.learn(answer.data["user"]["id"], operation.email, "confirm", before)
            if followed and len(self.followers) < MOST_FOLLOWERS:
                await self._follow_newcomer(operation.username)
            await self.settle()

    async def _follow_newcomer(self, name: str) -> None:
        """From the first moment: the news of the newcomer's enrichment comes by the socket."""
        member = self.world.named(name)
        assert member is not None
        follower = Follower(caller_by(self.world.sessions_of(member.id)[0]), name)
        self.followers.append(follower)
        await follower.begin(self.api, self.world, by_frame=False)

    @precondition(lambda self: len(self.world.members) < MOST_MEMBERS)
    @rule(data=st.data(), tag=st.sampled_from(["", "later", "nobody", "claimed"]))
    def sign_up_and_change(self, data: st.DataObject, tag: str) -> None:
        """The newcomer writes a name of their own and a post while they are looked up; their words stay."""
        operation = self._newcomer(data, tag, {})
        changes = {"name": data.draw(chance.words, "name"), "avatar_url": data.draw(chance.links, "avatar_url")}
        self.run(self._sign_up_and_change(operation, tuple(changes.items())))

    async def _sign_up_and_change(self, operation: SignUp, changes: tuple[tuple[str, str | None], ...]) -> None:
        answer = await asked(self.api, self.world, operation)
        if answer.status == 201:
            member = self.world.named(operation.username)
            assert member is not None
            by = caller_by(self.world.sessions_of(member.id)[0])
            await asked(self.api, self.world, WritePost(by, {"title": "First", "text": "Here I am"}))
            await self.ask(ChangeMe(by, changes))

    @precondition(lambda self: self.world.members)
    @rule(data=st.data())
    def log_in(self, data: st.DataObject) -> None:
        """Somebody signs in, or tries to."""
        operation = chance.log_in(data, self.world, f"signing-in-{next(self.numbers)}")
        answer = self.run(self.ask(operation))
        self.keep(operation, answer, answer.data["user"]["id"] if answer.status == 200 else None)

    @precondition(lambda self: self.world.sessions)
    @rule(data=st.data())
    def refresh(self, data: st.DataObject) -> None:
        """New tokens for a session."""
        self.run(self.ask(chance.refresh(data, self.world)))

    @anyone
    @rule(data=st.data())
    def log_out(self, data: st.DataObject) -> None:
        """Somebody goes."""
        self.run(self.ask(chance.log_out(data, self.world)))

    @anyone
    @rule(data=st.data())
    def end_session(self, data: st.DataObject) -> None:
        """Somebody ends a session."""
        self.run(self.ask(chance.end_session(data, self.world)))

    @precondition(lambda self: not all(session.open for session in self.world.sessions.values()))
    @rule(data=st.data())
    def come_with_an_old_token(self, data: st.DataObject) -> None:
        """A session that is over opens no door."""
        session = pick(data, [each for each in self.world.sessions.values() if not each.open], "session")
        self.run(self.ask(ReadMe(caller_by(session))))
        self.run(self.ask(ReadFeed(caller_by(session))))

    @anyone
    @rule(data=st.data())
    def read_sessions(self, data: st.DataObject) -> None:
        """Somebody looks at their sessions, and at themselves."""
        self.run(self.ask(chance.sessions(data, self.world)))
        self.run(self.ask(chance.read_me(data, self.world)))

    @anyone
    @rule(data=st.data())
    def change_profile(self, data: st.DataObject) -> None:
        """Another name, another picture: all posts show them at once."""
        operation = chance.change_of_profile(data, self.world)
        self.run(self.ask(operation))
        name = self.world.members[operation.by.member].username
        for by in (None, chance.anybody(data, self.world)):
            self.run(pages(self.api, self.world, ReadFeed(by, author=name, limit=5)))
            self.run(pages(self.api, self.world, ReadFeed(by, limit=5)))

    @anyone
    @rule(data=st.data())
    def change_password(self, data: st.DataObject) -> None:
        """All other sessions end."""
        self.run(self.ask(chance.change_password(data, self.world)))

    @precondition(lambda self: len(self.world.members) > 2)
    @anyone
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """Somebody goes for good."""
        self.run(self.ask(chance.leave(data, self.world)))

    @rule(data=st.data(), limit=st.integers(1, 3))
    def read_members(self, data: st.DataObject, limit: int) -> None:
        """A list of the members, in pages, and a profile."""
        names = [*chance.USERNAMES, "no-one"]
        self.run(self.ask(ReadProfile(pick(data, names, "name").swapcase())))
        self.run(self._members(ReadMembers(pick(data, [None, "a", "B", "d", "zz"], "q"), limit)))

    async def _members(self, page: ReadMembers | None) -> None:
        while page is not None:
            answer = await self.ask(page)
            cursor = answer.body["next"]
            page = replace(page, behind=(answer.body["data"][-1]["username"], cursor)) if cursor else None

    @anyone
    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        """Once an hour is often enough."""
        self.run(self.ask(AskAgain(chance.somebody(data, self.world))))


class Posts(Stage):
    """Writing, liking and reading."""

    @anyone
    @precondition(lambda self: len(self.world.posts) < MOST_POSTS)
    @rule(data=st.data(), times=st.integers(1, 4))
    def write(self, data: st.DataObject, times: int) -> None:
        """A few posts."""
        for _ in range(times):
            operation = chance.write(data, self.world, f"writing-{next(self.numbers)}")
            self.keep(operation, self.run(self.ask(operation)), operation.by.member)

    @anyone
    @precondition(lambda self: len(self.world.posts) < MOST_POSTS)
    @rule(data=st.data())
    def write_twice_at_once(self, data: st.DataObject) -> None:
        """The same request with the same key, under way twice: one post, one answer."""
        operation = chance.write(data, self.world, f"writing-{next(self.numbers)}")
        self.keep(operation, self.run(self._twice(operation)), operation.by.member)

    async def _twice(self, operation: Operation) -> Answer:
        first, second = await asyncio.gather(operation.send(self.api), operation.send(self.api))
        assert (first.status, first.raw) == (second.status, second.raw)
        operation.check(self.world, first)
        return first

    @anyone
    @rule(data=st.data())
    def edit(self, data: st.DataObject) -> None:
        """Other words."""
        self.run(self.ask(chance.edit(data, self.world)))

    @anyone
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        """A post less."""
        self.run(self.ask(chance.delete(data, self.world)))

    @anyone
    @rule(data=st.data(), times=st.integers(1, 4))
    def like(self, data: st.DataObject, times: int) -> None:
        """A few likes, or ends of likes."""
        for _ in range(times):
            self.run(self.ask(chance.like(data, self.world)))

    @rule(data=st.data())
    def read_post(self, data: st.DataObject) -> None:
        """One post, twice: the second time it is remembered."""
        operation = chance.read_post(data, self.world)
        self.run(self.ask(operation))
        self.run(self.ask(operation))

    @anyone
    @rule(data=st.data())
    def read_feed(self, data: st.DataObject) -> None:
        """All pages of a feed, by two readers, from memory and not."""
        query = chance.feed(data, self.world)
        for by in (query.by, None, chance.somebody(data, self.world)):
            self.run(pages(self.api, self.world, replace(query, by=by)))

    @anyone
    @rule(data=st.data())
    def read_while_it_changes(self, data: st.DataObject) -> None:
        """Pages of a feed with changes between them: nothing that stayed where it was is lost or comes twice."""
        query: ReadFeed | None = chance.feed(data, self.world)
        assert query is not None
        stayed, seen = self._feed(query), []
        first = query
        while query is not None and self._may_read(query):
            answer = self.run(self.ask(query))
            seen += [each["id"] for each in data_of(answer)]
            behind = next_of(query, answer)
            query = replace(query, behind=behind) if behind else None
            for _ in range(data.draw(st.integers(0, 2), "changes")):
                self.run(self.ask(chance.change_of_posts(data, self.world)))
            stayed &= self._feed(first)
        if query is None:
            in_place = [id_ for id_ in seen if id_ in {id_ for _, id_ in stayed}]
            assert len(set(in_place)) == len(in_place) == len(stayed), (seen, stayed)

    def _may_read(self, query: ReadFeed) -> bool:
        return query.by is None or self.world.sessions[query.by.session].open

    def _feed(self, query: ReadFeed) -> set[tuple[int, int]]:
        return {post.key(query.by_likes) for post in self.world.feed(query.author, query.unliked, query.by_likes)}

    @precondition(lambda self: self.world.posts)
    @rule(data=st.data(), limit=st.integers(1, 3))
    def read_likers(self, data: st.DataObject, limit: int) -> None:
        """Who likes a post: all at once, then in pages."""
        post = pick(data, self.world.posts, "post")
        self.run(self._likers(ReadLikers(post), limit))

    async def _likers(self, query: ReadLikers, limit: int) -> None:
        await self.ask(query)
        page: ReadLikers | None = replace(query, limit=limit)
        while page is not None:
            answer = await self.ask(page)
            cursor = answer.body["next"]
            page = replace(page, behind=Behind((0, answer.body["data"][-1]["id"]), cursor)) if cursor else None


class Events(Stage):
    """Hearing of what happens."""

    @anyone
    @rule(data=st.data())
    def read_events(self, data: st.DataObject) -> None:
        """Pages of events from any number on."""
        self.run(self._read_events(chance.events(data, self.world)))

    async def _read_events(self, query: ReadEvents) -> None:
        await settle(self.api, self.world, self.world.members[query.by.member])
        answer = await self.ask(query)
        while answer.body["next"] is not None:
            query = replace(query, after=answer.body["data"][-1]["seq"], cursor=answer.body["next"])
            answer = await self.ask(query)

    @anyone
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        """All up to a number is done with."""
        self.run(self.ask(chance.acknowledge(data, self.world)))

    @anyone
    @precondition(lambda self: len(self.followers) < MOST_FOLLOWERS)
    @rule(data=st.data(), by_frame=st.booleans())
    def follow(self, data: st.DataObject, by_frame: bool) -> None:
        """Somebody opens a socket."""
        by = chance.somebody(data, self.world)
        member = self.world.members[by.member]
        follower = Follower(by, member.username)
        self.run(settle(self.api, self.world, member))
        self.run(follower.begin(self.api, self.world, by_frame))
        self.followers.append(follower)

    @precondition(lambda self: self.followers)
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        """A follower asks once more for what it may have had before."""
        follower = pick(data, self.followers, "follower")
        after = pick(data, [*range(follower.last + 1), chance.FAR], "after")
        self.run(follower.resume(self.world, after))

    @precondition(lambda self: self.followers)
    @rule(data=st.data())
    def acknowledge_by_socket(self, data: st.DataObject) -> None:
        """A follower is done with all up to a number."""
        follower = pick(data, self.followers, "follower")
        self.run(follower.acknowledge(self.world, pick(data, [*range(follower.last + 1), chance.FAR], "seq")))

    @precondition(lambda self: self.followers)
    @rule(data=st.data())
    def lose_connection(self, data: st.DataObject) -> None:
        """A follower's connection breaks, and it comes back."""
        follower = pick(data, self.followers, "follower")
        self.run(follower.leave())
        self.run(follower.again(self.api, self.world))


class Machine(Accounts, Letters, Posts, Events):
    """All of it, with storms and restarts."""

    @anyone
    @rule(data=st.data(), count=st.integers(2, 5))
    def storm(self, data: st.DataObject, count: int) -> None:
        """Several requests at once."""
        self.run(self.settle())
        self.run(self.at_once([chance.for_a_storm(data, self.world) for _ in range(count)]))

    @anyone
    @precondition(lambda self: self.world.posts)
    @rule(data=st.data(), count=st.integers(2, 5))
    def storm_about_a_post(self, data: st.DataObject, count: int) -> None:
        """Several requests at once that are all about the same post."""
        post = pick(data, self.world.posts, "post")
        self.run(self.settle())
        self.run(self.at_once([chance.about(data, self.world, post) for _ in range(count)]))

    @precondition(lambda self: self.ends < MOST_ENDS)
    @rule(clean=st.booleans())
    def restart(self, clean: bool) -> None:
        """The server ends, in order or not, and another one begins."""
        self.end_server(clean)
        self.run(self.restarted())

    @anyone
    @precondition(lambda self: self.ends < MOST_ENDS)
    @rule(data=st.data(), count=st.integers(1, 4), moment=st.floats(0, 0.004))
    def kill_in_a_storm(self, data: st.DataObject, count: int, moment: float) -> None:
        """The server is killed while requests are under way; those without an answer are sent again to the next."""
        operations = [chance.for_a_kill(data, self.world, next(self.numbers)) for _ in range(count)]
        self.run(self.settle())
        self.run(self.killed(operations, moment))

    @rule(limit=st.integers(2, WHOLE))
    def look_at_everything(self, limit: int) -> None:
        """By all eyes, in pages of any size."""
        self.run(everything(self.api, self.world, limit))

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """A request that was answered before is sent again with its key: the same bytes, and nothing happens."""
        operation, answer, member = pick(data, self.kept, "request")
        if member is not None and member not in self.world.members:
            return  # whoever leaves takes the kept answers along
        again = self.run(operation.send(self.api))
        if isinstance(operation, WritePost) and not self.world.sessions[operation.by.session].open:
            refused(again, 401, "not_signed_in")
        else:
            assert (again.status, again.raw) == (answer.status, answer.raw)
