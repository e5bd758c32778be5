"""What hypothesis chooses among: words, profiles, addresses, and requests of every kind."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from tests.judges.model.accounts import ChangeMe, ChangePassword, DeleteMe, EndSession, LogIn, LogOut, Refresh, SignUp
from tests.judges.model.afresh import caller_by
from tests.judges.model.mailed import NONE, Confirm, Reset
from tests.judges.model.operations import Acknowledge, Caller, DeletePost, EditPost, Like, Operation, WritePost
from tests.judges.model.reading import ReadEvents, ReadFeed, ReadLikers, ReadMe, ReadPost, ReadSessions
from tests.judges.model.world import World

USERNAMES = ("ada", "Bo_b", "cyd.3", "DI-di", "eve", "f00")
PASSWORDS = ("corr3ct-horse", "b4ttery staple", "ünïcødé-wörd")
FAR = 10**9  # an event number that nobody has reached
anyone = precondition(lambda self: any(session.open for session in self.world.sessions.values()))

words = st.sampled_from(["Tea", "ö", "a \"b\" \\c", "<b>&amp;</b>", "日本語 🎈", "x" * 119, "like_count\":7,\"liked\":"])
texts = st.one_of(words, st.sampled_from(["two\nlines\t", "\u2028", "y" * 1000]))
links = st.sampled_from(["https://example.org/", "http://example.org/ä?b=c#d"])
posts = st.fixed_dictionaries({"title": words, "text": texts}, optional={"link": links})
edits = st.fixed_dictionaries({}, optional={"title": words, "text": texts, "link": st.none() | links})
profiles = st.fixed_dictionaries({}, optional={
    "name": words, "title": words, "company": words, "location": words, "bio": texts, "site": links,
    "avatar_url": links, "birth_date": st.sampled_from(["1990-02-28", "2000-01-01"])})
tags = st.sampled_from(["", "", "later", "nobody", "accept_all", "webmail", "claimed", "invalid", "disposable"])


def pick(data: st.DataObject, items: Iterable[Any], label: str) -> Any:
    """One of them."""
    listed = list(items)
    return listed[data.draw(st.integers(0, len(listed) - 1), label)]


def somebody(data: st.DataObject, world: World) -> Caller:
    """A member by one of their open sessions."""
    return caller_by(pick(data, [each for each in world.sessions.values() if each.open], "by"))


def anybody(data: st.DataObject, world: World) -> Caller | None:
    """A member or a stranger."""
    is_member = any(each.open for each in world.sessions.values()) and data.draw(st.booleans(), "signed in")
    return somebody(data, world) if is_member else None


def post_of(data: st.DataObject, world: World) -> int:
    """A post; rarely one that is not there."""
    return int(pick(data, [*world.posts, max(world.posts, default=0) + 1000], "post"))


def feed(data: st.DataObject, world: World) -> ReadFeed:
    """A first page, behind any filters and in any order."""
    names = [None, None, "nobody-there", *(member.username.swapcase() for member in world.members.values())]
    return ReadFeed(anybody(data, world), pick(data, names, "author"), data.draw(st.booleans(), "unliked"),
                    pick(data, ["new", "likes"], "sort"), data.draw(st.integers(1, 5), "limit"))


def change_of_profile(data: st.DataObject, world: World) -> ChangeMe:
    """Some fields; some of them emptied."""
    given = data.draw(profiles, "profile")
    emptied = data.draw(st.sets(st.sampled_from(["name", "avatar_url", "bio", "site"]), max_size=2), "emptied")
    wish = data.draw(st.none() | st.booleans(), "mail_checks")
    return ChangeMe(somebody(data, world), tuple({**given, **dict.fromkeys(sorted(emptied))}.items()), mail_checks=wish)


def write(data: st.DataObject, world: World, key: str | None = None) -> WritePost:
    """A new post."""
    return WritePost(somebody(data, world), data.draw(posts, "post"), key)


def edit(data: st.DataObject, world: World) -> EditPost:
    """Changes of a post; by its author, most often."""
    post = post_of(data, world)
    return EditPost(_author_or(data, world, post), post, data.draw(edits, "changes"))


def delete(data: st.DataObject, world: World) -> DeletePost:
    """The end of a post; by its author, most often."""
    post = post_of(data, world)
    return DeletePost(_author_or(data, world, post), post)


def _author_or(data: st.DataObject, world: World, post: int) -> Caller:
    by = somebody(data, world)
    if post in world.posts and data.draw(st.integers(0, 3), "author's") and by.member != world.posts[post].author:
        sessions = world.sessions_of(world.posts[post].author)
        return caller_by(sessions[0]) if sessions else by
    return by


def like(data: st.DataObject, world: World) -> Like:
    """A like, or the end of one."""
    return Like(somebody(data, world), post_of(data, world), data.draw(st.integers(0, 2), "on") > 0)


def log_in(data: st.DataObject, world: World, key: str | None = None) -> LogIn:
    """By name or by address, in any case; now and then with the wrong password."""
    member = pick(data, world.members.values(), "member")
    name = pick(data, [member.username, member.username.upper(), member.email, member.email.upper(), "no-one"], "name")
    right = data.draw(st.integers(0, 3), "right") > 0
    return LogIn(name, member.password if right else pick(data, PASSWORDS, "password"), key)


def refresh(data: st.DataObject, world: World) -> Refresh:
    """With the newest token, most often; or an older one."""
    session = pick(data, world.sessions.values(), "session")
    newest = len(session.pairs) - 1
    generation = newest - min(newest, pick(data, [0, 0, 0, 1, 1, 2], "older by"))
    return Refresh(session.id, generation, session.pairs[generation]["refresh_token"])


def end_session(data: st.DataObject, world: World) -> EndSession:
    """One's own, somebody else's, or one that has ended."""
    return EndSession(somebody(data, world), pick(data, world.sessions, "session"))


def change_password(data: st.DataObject, world: World) -> ChangePassword:
    """With the right password, most often."""
    by = somebody(data, world)
    right = data.draw(st.integers(0, 3), "right") > 0
    current = world.members[by.member].password if right else "wr0ng-password"
    return ChangePassword(by, current, pick(data, PASSWORDS, "new"))


def confirm(data: st.DataObject, world: World, key: str | None = None) -> Confirm:
    """By a good link, most often; by one that was good, one for something else, or none."""
    return Confirm(_token(data, world, "confirm"), key)


def confirmation_of(world: World, email: str) -> Confirm:
    """By the link that went to this address, if one did."""
    return Confirm(next((token for token, link in world.links.items() if link.email == email), NONE))


def reset(data: st.DataObject, world: World) -> Reset:
    """Likewise."""
    return Reset(_token(data, world, "reset"), pick(data, PASSWORDS, "new"))


def _token(data: st.DataObject, world: World, page: str) -> str:
    good = [token for token, link in world.links.items() if link.page == page]
    others = [token for token, link in world.links.items() if link.page != page]
    return str(pick(data, [*good, *good, *good, *others[-1:], *world.useless[-2:], NONE], "token"))


def leave(data: st.DataObject, world: World) -> DeleteMe:
    """With the right password, most often."""
    by = somebody(data, world)
    right = data.draw(st.integers(0, 3), "right") > 0
    return DeleteMe(by, world.members[by.member].password if right else "wr0ng-password")


def sign_up(data: st.DataObject, world: World) -> SignUp:
    """By a name that may be taken, and an address that may be so, too."""
    name = pick(data, USERNAMES, "name")
    number = pick(data, range(3), "number")
    return SignUp(name, f"storm{number}@example.org", PASSWORDS[0])


def acknowledge(data: st.DataObject, world: World) -> Acknowledge:
    """A number that was given out, or one far above."""
    by = somebody(data, world)
    return Acknowledge(by, pick(data, [*range(len(world.members[by.member].log) + 1), FAR], "seq"))


def events(data: st.DataObject, world: World) -> ReadEvents:
    """From any number, in pages of any size."""
    by = somebody(data, world)
    after = pick(data, [None, *range(len(world.members[by.member].log) + 1), FAR], "after")
    return ReadEvents(by, after, data.draw(st.integers(1, 5), "limit"))


def for_a_storm(data: st.DataObject, world: World) -> Operation:
    """A request that may be under way together with others."""
    kinds = (write, edit, edit, delete, like, like, like, like, change_of_profile, change_password, refresh, log_out,
             end_session, log_in, acknowledge, leave, sign_up, sign_up, confirm, confirm, reset, read_post, read_post,
             feed, feed, events, read_me, likers, sessions)
    operation: Operation = pick(data, kinds, "kind")(data, world)
    return operation


def about(data: st.DataObject, world: World, post: int) -> Operation:
    """A request about this post."""
    match pick(data, ("on", "on", "off", "read", "feed", "edit", "delete", "author"), "kind"):
        case "on" | "off" as on:
            return Like(somebody(data, world), post, on == "on")
        case "read":
            return ReadPost(anybody(data, world), post)
        case "feed":
            return replace(feed(data, world), limit=data.draw(st.integers(5, 30), "limit"))
        case "edit":
            return EditPost(_author_or(data, world, post), post, data.draw(edits, "changes"))
        case "delete":
            return DeletePost(_author_or(data, world, post), post)
    return replace(change_of_profile(data, world), by=_author_or(data, world, post))


def for_a_kill(data: st.DataObject, world: World, number: int) -> Operation:
    """A request that can be sent once more when nobody heard its answer."""
    kind = pick(data, (write, edit, delete, like, like, like, confirm), "kind")
    operation: Operation = kind(data, world, f"killed-{number}") if kind in (write, confirm) else kind(data, world)
    return operation


def change_of_posts(data: st.DataObject, world: World) -> Operation:
    """A request that changes what feeds show."""
    operation: Operation = pick(data, (write, edit, delete, like, like, change_of_profile), "kind")(data, world)
    return operation


def log_out(data: st.DataObject, world: World) -> LogOut:
    """Somebody goes."""
    return LogOut(somebody(data, world))


def read_post(data: st.DataObject, world: World) -> ReadPost:
    """One post."""
    return ReadPost(anybody(data, world), post_of(data, world))


def read_me(data: st.DataObject, world: World) -> ReadMe:
    """Oneself."""
    return ReadMe(somebody(data, world))


def likers(data: st.DataObject, world: World) -> ReadLikers:
    """Who likes a post."""
    return ReadLikers(post_of(data, world))


def sessions(data: st.DataObject, world: World) -> ReadSessions:
    """One's open sessions."""
    return ReadSessions(somebody(data, world))
