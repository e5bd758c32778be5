"""DELETE /api/me: nothing of the member stays, everybody else keeps what is theirs."""
from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from server.accounts.model import ChangeMe
from server.core.errors import Problem
from server.files.model import Options
from server.ops import check
from server.posts.model import NewPost
from server.storage import Tx
from server.storage.connection import sqlite
from server.web.route import Member
from server.web.uploads import Upload
from tests.conftest import Serve
from tests.enrichment.support import Held, settled
from tests.files.support import checked, send
from tests.support import PASSWORD, Answer, Served, close_code, frame, until
from tests.web.hostile import FILE, file_body, problem

NAME = "Quintessa-Zephyrine"
EMAIL = "quintessa.zephyrine@folly.example"
PROFILE = {"name": "Quintessa Zephyrine Ondine", "bio": "Weaves kaleidoscopes of nightingales",
           "birth_date": "1931-07-19", "company": "Kaleidoscope Cooperative",
           "site": "https://kaleidoscope.example/quintessa",
           "avatar_url": "https://kaleidoscope.example/picture.png"}


async def leave(served: Served, token: str | None, password: str = PASSWORD, **options: Any) -> Answer:
    """DELETE /api/me."""
    return await served.api.call("DELETE", "/api/me", token=token, json={"password": password}, **options)


async def like(served: Served, token: str, post: Any, method: str = "PUT") -> Answer:
    """Likes the post, or with DELETE no longer does."""
    return await served.api.call(method, f"/api/posts/{post['id']}/like", token=token)


async def whole(served: Served) -> bool:
    """Whether all invariants hold."""
    assert await served.foyer.database.read(check.broken) == []
    return True


# -- in the files, or the tables


def _found(served: Served, words: set[str]) -> dict[str, str]:
    stored = {name: content.lower() for name, content in served.stored().items()}
    return {word: name for word in words for name, content in stored.items() if word.lower().encode() in content}


async def _secrets(tx: Tx, member_id: int) -> set[str]:
    """What stands in the tables and is never shown."""
    user = await tx.one("SELECT password_hash, referral_code FROM users WHERE id = $1", member_id)
    assert user is not None
    nonces = await tx.all("SELECT nonce FROM sessions WHERE user_id = $1", member_id)
    return {user["password_hash"], user["referral_code"], *(row["nonce"] for row in nonces)}


async def _rich_life(served: Served, others: list[str]) -> tuple[str, set[str]]:
    """A member who has left traces everywhere; the token, and what of them must not be found afterwards."""
    api, key = served.api, {"headers": {"Idempotency-Key": "the-key", "User-Agent": "Hurdygurdy/4.2"}}
    body = {"username": NAME, "email": "before." + EMAIL, "password": PASSWORD}
    token = (await api.post("/api/signup", body, **key)).data["access_token"]
    second = (await api.post("/api/login", {"username": NAME, "password": PASSWORD}, **key)).data
    await api.post("/api/token/refresh", {"refresh_token": second["refresh_token"]}, **key)
    await settled(served)
    me = (await api.get("/api/me", token=token)).data
    learned = {str(field["value"]) for name, field in me["enrichment"]["fields"].items()
               if name in ("name", "bio", "avatar_url")}
    await api.call("PATCH", "/api/me", json={**PROFILE, "email": EMAIL}, token=token)
    texts = {f"xylophone-{number}-marmalade" for number in range(60)}
    own = [(await api.post("/api/posts", {"title": f"Of {text}", "text": f"{text} " + "x" * 150 * number}, token=token,
                           headers={"Idempotency-Key": text})).data for number, text in enumerate(sorted(texts))]
    theirs = [await api.write_post(others[number % 2], f"Post {number}") for number in range(8)]
    for post in theirs:
        await like(served, token, post)
    await like(served, token, theirs[1], "DELETE")
    await like(served, others[0], own[0])
    await like(served, others[1], own[1])
    for post, who in ((theirs[2], others[0]), (theirs[3], others[1]), (own[2], token)):
        await api.call("DELETE", f"/api/posts/{post['id']}", token=who)
    source = "catamaran" + "-of-herons" * 100
    file = await send(served, token, source.encode(), "catamaran-of-herons.py")
    await send(served, token, f"{source} = 1".encode(), file=file.data["id"])
    await checked(served)
    words = {source, "catamaran-of-herons.py", NAME, EMAIL, "before." + EMAIL, "Hurdygurdy", *learned, *texts,
             *PROFILE.values()}
    return token, words | await served.foyer.database.read(_secrets, me["id"])


async def test_nothing_is_left_in_the_files(server: Served) -> None:
    others = [(await server.api.sign_up(name))["access_token"] for name in ("ada", "bob")]
    token, words = await _rich_life(server, others)
    assert len(words) > 75 and set(_found(server, words)) == words
    assert (await leave(server, token)).status == 204
    await until(lambda: not _found(server, words))  # with SQLite, when the log has been emptied
    await until(lambda: whole(server))
    await settled(server)
    await server.stop()
    assert _found(server, words) == {}


@pytest.mark.sqlite
async def test_somebody_who_reads_an_older_state_holds_it_up_and_nobody_else(server: Served) -> None:
    token, other = [(await server.api.sign_up(name))["access_token"] for name in (NAME, "bob")]
    assert server.settings.sqlite_file is not None
    reader = sqlite.connect(str(server.settings.sqlite_file), isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM users").fetchone() == (2,)
    assert (await leave(server, token)).status == 204
    assert not await server.foyer.database.scrub()
    await server.api.write_post(other)
    assert _found(server, {NAME})
    reader.close()
    assert await server.foyer.database.scrub()
    assert not _found(server, {NAME})


# -- what everybody sees


async def test_posts_and_likes_go_and_counts_go_down(server: Served) -> None:
    api = server.api
    token, ada, bob = [(await api.sign_up(name))["access_token"] for name in ("leaver", "ada", "bob")]
    adas, bobs, own = [await api.write_post(who) for who in (ada, bob, token)]
    for who, post in ((token, adas), (bob, adas), (token, bobs), (ada, own)):
        await like(server, who, post)
    assert (await leave(server, token)).status == 204
    feed = {post["id"]: post for post in (await api.get("/api/posts", token=ada)).data}
    assert {id_: post["like_count"] for id_, post in feed.items()} == {adas["id"]: 1, bobs["id"]: 0}
    assert [who["username"] for who in (await api.get(f"/api/posts/{adas['id']}/likes")).data] == ["bob"]
    assert (await api.get("/api/posts?unliked=true")).data[0]["id"] == bobs["id"]
    assert (await api.get("/api/posts?author=leaver")).data == []
    problem(await api.get(f"/api/posts/{own['id']}"), 404)
    problem(await like(server, ada, own), 404)
    problem(await api.get("/api/users/leaver"), 404)
    assert await whole(server)


async def test_others_keep_their_events_without_the_name(server: Served) -> None:
    api = server.api
    token, ada, bob = [(await api.sign_up(name))["access_token"] for name in ("leaver", "ada", "bob")]
    await settled(server)
    first, second = await api.write_post(ada), await api.write_post(ada)
    for who in (token, bob):
        for post in (first, second):
            await like(server, who, post)
    await like(server, token, first, "DELETE")
    await api.call("DELETE", f"/api/posts/{second['id']}", token=ada)
    before = (await api.get("/api/events?after=0", token=ada)).data
    assert (await leave(server, token)).status == 204
    after = (await api.get("/api/events?after=0", token=ada)).data
    for event in before:
        if event["type"] == "post_liked" and event["data"]["by"]["username"] == "leaver":
            event["data"]["by"] = None
    assert after == before and sum(event["data"].get("by", 1) is None for event in after) == 2
    await like(server, token := (await api.sign_up("newcomer"))["access_token"], first)
    assert (await api.get("/api/events?after=0", token=ada)).data[-1]["seq"] == len(before) + 1
    assert await whole(server)


async def test_name_and_address_are_free_again(server: Served) -> None:
    old = await server.api.sign_up("Leaver", email="leaver@example.org")
    assert (await leave(server, old["access_token"])).status == 204
    new = await server.api.sign_up("leaver", email="Leaver@example.org")
    assert new["user"]["id"] > old["user"]["id"]
    problem(await server.api.get("/api/me", token=old["access_token"]), 401)
    await settled(server)
    assert (await server.api.get("/api/events?after=0", token=new["access_token"])).data[0]["seq"] == 1


# -- the end of every way in


async def test_tokens_and_sockets_end_at_once(server: Served) -> None:
    api = server.api
    session = await api.sign_up("leaver")
    other = (await api.post("/api/login", {"username": "leaver", "password": PASSWORD})).data
    sockets = [await server.socket(one["access_token"]) for one in (session, other)]
    for socket in sockets:
        await frame(socket, "ready")
    answer = await leave(server, session["access_token"])
    assert (answer.status, answer.raw) == (204, b"") and 'foyer_refresh=""' in answer.headers["Set-Cookie"]
    for one in (session, other):
        problem(await api.get("/api/me", token=one["access_token"]), 401)
        problem(await api.get("/api/posts", token=one["access_token"]), 401)
        problem(await api.post("/api/token/refresh", {"refresh_token": one["refresh_token"]}), 401)
    assert [await close_code(socket) for socket in sockets] == [4401, 4401]
    gone = await api.post("/api/login", {"username": "leaver", "password": PASSWORD})
    nobody = await api.post("/api/login", {"username": "nobody", "password": PASSWORD})
    assert problem(gone, 401) == problem(nobody, 401) == "bad_credentials"
    assert gone.body["detail"] == nobody.body["detail"]


async def test_a_kept_answer_is_not_given_again(server: Served) -> None:
    body, key = {"username": "leaver", "email": "leaver@example.org", "password": PASSWORD}, {"Idempotency-Key": "k"}
    first = (await server.api.post("/api/signup", body, headers=key)).data
    assert (await server.api.post("/api/signup", body, headers=key)).data == first
    assert (await leave(server, first["access_token"])).status == 204
    assert (await server.api.post("/api/signup", body, headers=key)).data["user"]["id"] != first["user"]["id"]


# -- the password


async def test_it_takes_the_password(server: Served) -> None:
    token = (await server.api.sign_up("ada"))["access_token"]
    problem(await leave(server, None), 401)
    answer = await leave(server, token, "wr0ng-horse")
    changing = await server.api.post("/api/me/password", {"current": "wr0ng-horse", "new": "an0ther-good-one"},
                                     token=token)
    assert problem(answer, 403) == problem(changing, 403) == "wrong_password"
    assert answer.fields == {"password": "wrong_password"} and answer.body["detail"] == changing.body["detail"]
    problem(await server.api.call("DELETE", "/api/me", token=token), 400)
    for body, fields in (({}, {"password": "required"}), ({"password": ""}, {"password": "too_short"}),
                         ({"password": PASSWORD, "sure": True}, {"sure": "unknown_field"}),
                         ({"password": None}, {"password": "wrong_type"})):
        answer = await server.api.call("DELETE", "/api/me", token=token, json=body)
        problem(answer, 422)
        assert answer.fields == fields
    assert (await server.api.get("/api/me", token=token)).status == 200
    assert (await server.api.call("DELETE", "/api/me", token=token, data={"password": PASSWORD})).status == 204


async def test_guesses_share_the_limit_of_the_password_change(serve: Serve) -> None:
    server = await serve({"sandbox.mode": "off", "limits.login": "6/hour"})
    token, other = [(await server.api.sign_up(name))["access_token"] for name in ("ada", "bob")]

    async def guess(number: int) -> Answer:
        if number % 2:
            return await leave(server, token, f"wr0ng-{number}")
        return await server.api.post("/api/me/password", {"current": f"wr0ng-{number}", "new": "an0ther-good-one"},
                                     token=token)
    answers = await asyncio.gather(*[guess(number) for number in range(40)])
    assert Counter(answer.status for answer in answers) == {403: 6, 429: 34}
    assert problem(await leave(server, token), 429) == "rate_limited"
    assert (await leave(server, other)).status == 204


# -- what is under way meanwhile


class Witness:
    """Counts what is left of a member."""

    def __init__(self, served: Served, member_id: int) -> None:
        self._served, self._id = served, member_id

    async def _count(self, tx: Tx) -> int:
        of = [("users", "id"), ("sessions", "user_id"), ("events", "user_id"), ("enrichments", "user_id"),
              ("posts", "author_id"), ("likes", "user_id"), ("idempotency", "member_id"), ("mentions", "member_id"),
              ("links", "user_id"), ("mails", "user_id"), ("referrals", "inviter_id"), ("inviters", "user_id"),
              ("files", "user_id"), ("file_versions", "user_id"), ("checks", "user_id")]
        return sum([await tx.value(f"SELECT count(*) FROM {table} WHERE {column} = $1", self._id)
                    for table, column in of])

    async def nothing_left(self) -> None:
        """Fails when a row is left, or an invariant is broken."""
        assert await self._served.foyer.database.read(self._count) == 0
        assert await whole(self._served)


def _others_at_once(served: Served, session: Any, post: Any) -> list[Callable[[], Awaitable[Answer]]]:
    """What else the member may be doing."""
    api, token = served.api, session["access_token"]
    return [
        lambda: like(served, token, post),
        lambda: like(served, token, post, "DELETE"),
        lambda: api.post("/api/posts", {"title": "a", "text": "b"}, token=token),
        lambda: api.post("/api/posts", {"title": "a", "text": "b"}, token=token, headers={"Idempotency-Key": "p"}),
        lambda: api.call("PATCH", "/api/me", json={"name": "Other"}, token=token),
        lambda: api.call("PATCH", "/api/me", json={"email": "other@example.org"}, token=token),
        lambda: api.post("/api/me/enrichment", token=token),
        lambda: api.post("/api/me/password", {"current": PASSWORD, "new": "an0ther-good-one"}, token=token),
        lambda: api.post("/api/login", {"username": "leaver", "password": PASSWORD}),
        lambda: api.post("/api/token/refresh", {"refresh_token": session["refresh_token"]}),
        lambda: api.post("/api/logout", token=token, headers={"Idempotency-Key": "l"}),
        lambda: api.post("/api/events/ack", {"seq": 1}, token=token),
        lambda: api.call("POST", "/api/files", token=token, data=file_body(b"x = 1"), headers=FILE),
        lambda: api.call("POST", "/api/files", token=token, data=file_body(), headers={**FILE, "Idempotency-Key": "f"}),
        lambda: api.post("/api/email/resend", token=token),
        lambda: api.post("/api/password/forgot", {"email": "leaver@example.org"}),
        *[lambda path=path: api.get(path, token=token) for path in (  # type: ignore[misc]
            "/api/me", "/api/me/enrichment", "/api/me/export", "/api/sessions", "/api/events", "/api/posts",
            "/api/files")],
    ]


async def test_whatever_else_happens_at_once(serve: Serve) -> None:
    server = await serve({"limits.enabled": "no", "hunter.timeout": "1 s"})
    post = await server.api.write_post((await server.api.sign_up("ada"))["access_token"])
    dice, left = random.Random(20261121), 0
    for _ in range(12):
        session = await server.api.sign_up("leaver")
        work = [*_others_at_once(server, session, post), lambda: leave(server, session["access_token"])]
        dice.shuffle(work)
        answers = await asyncio.gather(*[one() for one in work])
        assert [answer.raw for answer in answers if answer.status >= 500] == []
        for password in (PASSWORD, "an0ther-good-one"):  # when it was changed or signed out of first
            signed_in = await server.api.post("/api/login", {"username": "leaver", "password": password})
            if signed_in.status == 200:
                left += 1
                assert (await leave(server, signed_in.data["access_token"], password)).status == 204
        await Witness(server, session["user"]["id"]).nothing_left()
    assert left < 12


async def test_of_many_at_once_one_deletes(server: Served) -> None:
    session = await server.api.sign_up("leaver")
    answers = await asyncio.gather(*[leave(server, session["access_token"]) for _ in range(20)])
    assert Counter(answer.status for answer in answers) == {204: 1, 401: 19}
    await Witness(server, session["user"]["id"]).nothing_left()


def _in_flight(served: Served, member: Member, post: int, account: Any) -> list[Callable[[Tx], Awaitable[Any]]]:
    """Transactions of requests that were let in before the member left."""
    foyer, upload = served.foyer, Upload("a.py", b"", "")
    return [
        lambda tx: foyer.posts.like(tx, member, post, None),
        lambda tx: foyer.posts.create(tx, member, NewPost("a", "b")),
        lambda tx: foyer.accounts.me(tx, member.id),
        lambda tx: foyer.accounts.change_me(tx, member.id, ChangeMe(name="x"), None),
        lambda tx: foyer.accounts.log_in(tx, account, None, None),  # type: ignore[arg-type]
        lambda tx: foyer.accounts.change_password(tx, account, "a hash", member.session_id, "::1"),
        lambda tx: foyer.enricher.again(tx, member.id, False),
        lambda tx: foyer.files.add(tx, member.id, upload),
        lambda tx: foyer.files.replace(tx, member.id, 1, upload),
        lambda tx: foyer.files.check_again(tx, member.id, 1, Options()),
        lambda tx: foyer.erasure.erase(tx, account),
    ]


async def test_a_request_that_was_let_in_before_finds_nobody(server: Served) -> None:
    from server.accounts import queries
    post = await server.api.write_post((await server.api.sign_up("ada"))["access_token"])
    session = await server.api.sign_up("leaver")
    member = await server.foyer.gate.authenticate(session["access_token"])
    account = await server.foyer.database.read(queries.account, member.id)
    assert (await leave(server, session["access_token"])).status == 204
    for work in _in_flight(server, member, post["id"], account):
        with pytest.raises(Problem) as caught:
            await server.foyer.database.write(work)
        assert caught.value.status == 401
    await Witness(server, member.id).nothing_left()
    assert (await server.api.get(f"/api/posts/{post['id']}")).data["like_count"] == 0


@pytest.mark.parametrize(("position", "remembered"), [("found", []), ("404-unknown-record", []), ("451", ["claimed"])])
async def test_an_enrichment_that_is_being_asked_for_ends_harmlessly(
        serve: Serve, monkeypatch: pytest.MonkeyPatch, position: str, remembered: list[str]) -> None:
    server = await serve({"enrichment.providers": "clearbit"})
    provider = server.foyer.outside.clearbit
    assert provider is not None
    held = Held(provider, "find", monkeypatch)
    await server.api.switch(server.sandbox, "clearbit", find=position)
    session = await server.api.sign_up("leaver")
    await held.begun()
    assert (await leave(server, session["access_token"])).status == 204
    held.release()
    await settled(server)
    assert await _answers(server) == remembered
    await Witness(server, session["user"]["id"]).nothing_left()


async def _answers(served: Served) -> list[str]:
    async def read(tx: Tx) -> list[str]:
        return [row["answer"] for row in await tx.all("SELECT answer FROM provider_answers")]
    return await served.foyer.database.read(read)


@pytest.mark.parametrize(("tag", "before", "after"), [
    ("nobody", {"not_found"}, []), ("claimed", {"claimed"}, ["claimed"])])
async def test_what_providers_said_of_the_address(server: Served, tag: str, before: set[str], after: list[str]) -> None:
    await server.api.switch(server.sandbox, "hunter", find="404")
    session = await server.api.sign_up("leaver", email=f"leaver+{tag}@example.org")
    await settled(server)
    assert set(await _answers(server)) == before
    assert (await leave(server, session["access_token"])).status == 204
    assert await _answers(server) == after
