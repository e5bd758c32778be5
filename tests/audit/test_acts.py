"""Each act is written by what it tells of: once, with who did it and whom it concerns."""
from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, get_args

import pytest

from server.audit.log import Actor
from server.audit.model import Act
from server.core.clock import now_ms
from server.ops import administrators
from server.storage import Tx
from tests.accounts.conftest import HandClock
from tests.accounts.letters import confirmed, quiet, token, want
from tests.conftest import Serve
from tests.audit.support import WRONG, acts, login, rows
from tests.support import PASSWORD, Served, until
from tests.web.administrators import administrator
from tests.web.hostile import problem

ADA = "ada@example.org"
REQUEST = "the-request"
COMMAND = {"by": "command line"}
FAILED_JOB = """
    INSERT INTO jobs (kind, key, body, state, run_at, attempts, last_error, created_at, finished_at)
    VALUES ('housekeeping', 'x', '{}', 'failed', 1, 3, 'it broke', 1, 2) RETURNING id"""
INSERT_PERSON = """
    INSERT INTO people (uid, first_name, last_name, created_at, updated_at) VALUES ('u', 'a', 'b', 1, 1) RETURNING id"""


@dataclass
class House:
    """A server with an administrator and a member."""

    served: Served
    root: Any
    ada: Any

    @classmethod
    async def of(cls, served: Served) -> House:
        root = await administrator(served)
        return cls(served, root, await served.api.sign_up("ada"))

    async def ask(self, who: Any, method: str, path: str, **options: Any) -> Any:
        """A request of somebody's, which must succeed."""
        answer = await self.served.api.call(method, path, token=who["access_token"] if who else None,
                                            headers={"X-Request-ID": REQUEST}, **options)
        assert answer.status < 300, answer.body
        return answer.body and answer.data

    async def command(self, function: Callable[..., Any], *args: str) -> None:
        """A command of the operator's."""
        await asyncio.to_thread(function, self.served.settings, *args)

    async def insert(self, sql: str) -> int:
        """Adds a row; its id."""
        async def write(tx: Tx) -> int:
            return int(await tx.value(sql))
        return await self.served.foyer.database.write(write)

    def session_of(self, who: Any) -> int:
        """Which session the member has."""
        return self.served.foyer.tokens.verify(who["access_token"]).session_id

    @property
    def path(self) -> str:
        """Where an administrator finds the member."""
        return f"/api/admin/users/{self.ada['user']['id']}"


@dataclass
class Expected:
    """What is to be written; `by` and `about`: "root", "ada" or nobody."""

    by: str | None = None
    about: str | None = None
    target: str | None = None
    address: str | None = "127.0.0.1"
    details: dict[str, Any] | None = None  # None: none
    request_id: bool = True


Drive = Callable[[House], Awaitable[Expected]]


async def administrator_created(house: House) -> Expected:
    await house.command(administrators.create, "second", "second@example.org")
    return Expected(about="second", address=None, details=COMMAND, request_id=False)


async def member_promoted(house: House) -> Expected:
    for _ in range(2):  # the second time changes nothing
        await house.command(administrators.change_role, "ada", "admin")
    return Expected(about="ada", address=None, details=COMMAND, request_id=False)


async def member_demoted(house: House) -> Expected:
    for _ in range(2):
        await house.command(administrators.change_role, "root", "member")
    return Expected(about="root", address=None, details=COMMAND, request_id=False)


async def member_suspended(house: House) -> Expected:
    for _ in range(2):
        await house.ask(house.root, "POST", f"{house.path}/suspend")
    return Expected("root", "ada")


async def member_restored(house: House) -> Expected:
    await house.ask(house.root, "POST", f"{house.path}/restore")  # changes nothing yet
    await house.ask(house.root, "POST", f"{house.path}/suspend")
    await house.ask(house.root, "POST", f"{house.path}/restore")
    return Expected("root", "ada")


async def post_deleted(house: House) -> Expected:
    own, mine = [await house.served.api.write_post(who["access_token"]) for who in (house.ada, house.ada)]
    await house.ask(house.ada, "DELETE", f"/api/posts/{mine['id']}")  # one's own is nobody's business
    await house.ask(house.root, "DELETE", f"/api/posts/{own['id']}")
    return Expected("root", "ada", f"post {own['id']}")


async def job_retried(house: House) -> Expected:
    id_ = await house.insert(FAILED_JOB)
    await house.ask(house.root, "POST", f"/api/admin/jobs/{id_}/retry")
    return Expected("root", target=f"job {id_}", details={"kind": "housekeeping"})


async def job_dropped(house: House) -> Expected:
    id_ = await house.insert(FAILED_JOB)
    await house.ask(house.root, "DELETE", f"/api/admin/jobs/{id_}")
    return Expected("root", target=f"job {id_}", details={"kind": "housekeeping"})


async def schedule_changed(house: House) -> Expected:
    await house.ask(house.root, "PATCH", "/api/admin/schedules/cards", json={"batch": 7})
    return Expected("root", target="schedule cards",
                    details={"every_seconds": 60, "enabled": False, "batch": 7})


async def schedule_run(house: House) -> Expected:
    await house.ask(house.root, "POST", "/api/admin/schedules/cards/run")
    return Expected("root", target="schedule cards")


async def person_deleted(house: House) -> Expected:
    id_ = await house.insert(INSERT_PERSON)
    await house.ask(house.root, "DELETE", f"/api/admin/people/{id_}")
    return Expected("root", target=f"person {id_}")


async def mail_link_shown(house: House) -> Expected:
    await house.ask(None, "POST", "/api/password/forgot", json={"email": ADA})
    mails: list[Any] = []

    async def written() -> bool:
        mails[:] = await house.ask(house.root, "GET", "/api/admin/mails?q=reset")
        return bool(mails)
    await until(written)
    await house.ask(house.root, "GET", f"/api/admin/mails/{mails[0]['id']}")
    return Expected("root", "ada", target=f"mail {mails[0]['id']}")


async def login_failed(house: House) -> Expected:
    problem(await login(house.served, "ada", WRONG, **{"X-Request-ID": REQUEST}), 401)
    problem(await login(house.served, "Ada@example.org", WRONG), 401)
    return Expected(about="ada", details={"times": 2})


async def login_blocked(house: House) -> Expected:
    house.served.foyer.limiter.is_exempt = lambda address: False
    for _ in range(5):
        problem(await login(house.served, "ada", WRONG), 401)
    for _ in range(3):
        problem(await login(house.served, "ada", WRONG, **{"X-Request-ID": REQUEST}), 429)
    return Expected(about="ada")


async def signed_in(house: House) -> Expected:
    await house.ask(None, "POST", "/api/login", json={"username": "ada", "password": PASSWORD})  # no administrator
    session = await house.ask(None, "POST", "/api/login", json={"username": "root", "password": PASSWORD})
    return Expected("root", "root", f"session {house.session_of(session)}")


async def session_ended(house: House) -> Expected:
    other = (await login(house.served, "ada")).data
    id_ = house.session_of(other)
    await house.ask(house.ada, "DELETE", f"/api/sessions/{id_}")
    problem(await house.served.api.call("DELETE", f"/api/sessions/{id_}", token=house.ada["access_token"]), 404)
    await house.ask(house.ada, "POST", "/api/logout")  # signing out is nothing to worry about
    return Expected("ada", "ada", f"session {id_}")


async def token_reused(house: House) -> Expected:
    clock, api, stolen = HandClock(house.served), house.served.api, {"refresh_token": house.ada["refresh_token"]}
    await api.post("/api/token/refresh", stolen)
    clock.wait(31)
    answers = [await api.post("/api/token/refresh", stolen, headers={"X-Request-ID": REQUEST}) for _ in range(2)]
    assert [problem(answer, 401) for answer in answers] == ["token_reused", "token_invalid"]
    return Expected(about="ada", target=f"session {house.session_of(house.ada)}")


async def password_changed(house: House) -> Expected:
    await house.ask(house.ada, "POST", "/api/me/password", json={"current": PASSWORD, "new": "an0ther-good-one"})
    return Expected("ada", "ada")


async def password_reset(house: House) -> Expected:
    await house.ask(None, "POST", "/api/password/forgot", json={"email": ADA})
    given = {"token": await token(house.served, ADA, "reset"), "password": "an0ther-good-one"}
    await house.ask(None, "POST", "/api/password/reset", json=given)
    problem(await house.served.api.post("/api/password/reset", given), 422)
    return Expected(about="ada")


async def email_changed(house: House) -> Expected:
    await confirmed(house.served, ADA)  # the first address is not a change
    await want(house.served, house.ada["access_token"], "ada@example.net")
    given = await token(house.served, "ada@example.net", "confirm_new")
    await house.ask(None, "POST", "/api/email/confirm", json={"token": given})
    return Expected(about="ada")


async def member_left(house: House) -> Expected:
    await house.ask(house.ada, "DELETE", "/api/me", json={"password": PASSWORD})
    return Expected("ada", "ada", address=None, request_id=False)


DRIVEN: dict[str, Drive] = {drive.__name__: drive for drive in (
    administrator_created, member_promoted, member_demoted, member_suspended, member_restored, post_deleted,
    job_retried, job_dropped, schedule_changed, schedule_run, person_deleted, mail_link_shown, login_failed,
    login_blocked, signed_in, session_ended, token_reused, password_changed, password_reset, email_changed,
    member_left)}


BESIDES = {"login_blocked": {"login_failed"}, "member_restored": {"member_suspended"}}  # what had to happen before


async def _ids(house: House) -> dict[str | None, int | None]:
    async def read(tx: Tx) -> dict[str | None, int | None]:
        return {row["username"]: row["id"] for row in await tx.all("SELECT id, username FROM users")}
    return {None: None, "ada": house.ada["user"]["id"], **await house.served.foyer.database.read(read)}


@pytest.mark.parametrize("act", get_args(Act))
async def test_it_is_written_once_for_what_it_tells_of(serve: Serve, act: str) -> None:
    # Without a mail server links are shown.
    server = await serve({"sandbox.mode": "off"} if act == "mail_link_shown" else {})
    house = await House.of(server)
    before, begin = len(await rows(server)), now_ms()
    expected = await DRIVEN[act](house)
    new = (await rows(server))[before:]
    found = [row for row in new if row["act"] == act]
    assert {row["act"] for row in new} == {act, *BESIDES.get(act, ())}
    ids = await _ids(house)
    assert [(row["actor_id"], row["member_id"], row["target"]) for row in found] == [
        (ids[expected.by], ids[expected.about], expected.target)]
    assert (found[0]["address"], found[0]["details"]) == (expected.address, expected.details or {})
    assert found[0]["request_id"] == (REQUEST if expected.request_id else None)
    assert found[0]["at"] >= begin - 1000
    await quiet(server)


def test_each_act_is_driven() -> None:
    assert set(DRIVEN) == set(get_args(Act))


async def test_what_a_member_does_every_day_is_not_written(server: Served) -> None:
    session = await server.api.sign_up("ada")
    post = await server.api.write_post(session["access_token"])
    await server.api.call("PATCH", "/api/me", json={"name": "Ada"}, token=session["access_token"])
    await server.api.call("DELETE", f"/api/posts/{post['id']}", token=session["access_token"])
    again = (await login(server, "ada")).data
    await server.api.post("/api/token/refresh", {"refresh_token": again["refresh_token"]})
    await server.api.post("/api/logout", token=again["access_token"])
    assert await acts(server) == []


async def test_what_is_taken_back_is_not_written(server: Served) -> None:
    session = await server.api.sign_up("ada")
    member = await server.foyer.gate.authenticate(session["access_token"])

    async def fail(tx: Tx) -> None:
        await server.foyer.accounts.end_listed_session(tx, Actor(member.id, "::1"), member.session_id)
        raise KeyError
    with pytest.raises(KeyError):
        await server.foyer.database.write(fail)
    assert await acts(server) == []
