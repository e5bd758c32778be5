"""Who may do what: every declared route for everybody, with a request that is good. The matrix comes from the
declarations, so a new route stands in it by itself."""
from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from server.web.route import Route
from tests.admin.support import Desk
from tests.admin.test_lists import job
from tests.people import stored
from tests.support import Served
from tests.web.administrators import administrator
from tests.web.hostile import FILE, file_body, filled, upload
from tests.web.test_bad_bodies import GOOD

ROLES = ("anonymous", "member", "suspended", "administrator")
# Whoever opens a route to more people says so here, too.
OPEN = {
    "POST /api/signup", "POST /api/login", "POST /api/token/refresh", "POST /api/email/confirm",
    "POST /api/password/forgot", "POST /api/password/reset", "GET /api/users", "GET /api/users/{username}",
    "GET /api/posts/{id}/likes", "GET /api/referrals/{code}", "GET /livez", "GET /readyz", "GET /metrics",
    "GET /api/openapi.json", "GET /api/asyncapi.json",
}
ANYONE = {"GET /api/posts", "GET /api/posts/{id}"}
# Routes whose good request does not succeed, though it is allowed, and why.
OTHERWISE = {
    "POST /api/token/refresh": (401, "token_invalid"),  # the token is made up
    "POST /api/email/confirm": (422, "token_invalid"),  # likewise
    "POST /api/password/reset": (422, "token_invalid"),
    "POST /api/me/enrichment": (429, "rate_limited"),  # once an hour, and that of the sign-up counts
}
_NUMBERS = itertools.count(1)


@dataclass
class Caller:
    """Somebody who tries a route: what is theirs, and that of others which they name."""

    desk: Desk
    session: Any

    @property
    def token(self) -> str:
        return str(self.session["access_token"])

    async def own_post(self) -> int:
        return int((await self.desk.api.write_post(self.token))["id"])

    async def others_post(self) -> int:
        return int((await self.desk.api.write_post(self.desk.token))["id"])

    async def file(self) -> int:
        return int((await upload(self.desk.api, self.token))["id"])

    async def own_session(self) -> int:
        return int((await self.desk.api.get("/api/sessions", token=self.token)).data[0]["id"])

    async def other(self) -> int:
        return int((await self.desk.api.sign_up())["user"]["id"])

    async def mail(self) -> int:
        return int((await self.desk.get("mails")).data[0]["id"])

    async def failed_job(self) -> int:
        await job(self.desk.served, "check_files", str(self.session["user"]["id"] + 5_000_000), "failed")
        return int((await self.desk.get("jobs", state="failed", q="check_files")).data[0]["id"])

    async def person(self) -> int:
        return int(await self.desk.served.foyer.database.write(stored.add_person))


# What stands for `{id}` in paths that begin so; the longest beginning counts.
IDS: dict[str, Callable[[Caller], Awaitable[int]]] = {
    "/api/posts/{id}": Caller.own_post, "/api/posts/{id}/like": Caller.others_post, "/api/files/{id}": Caller.file,
    "/api/sessions/{id}": Caller.own_session, "/api/admin/users/{id}": Caller.other,
    "/api/admin/mails/{id}": Caller.mail, "/api/admin/jobs/{id}": Caller.failed_job,
    "/api/people/{id}": Caller.person, "/api/admin/people/{id}": Caller.person,
}


def expected(route: Route, role: str) -> tuple[int, str | None]:
    """The status and the code of a cell."""
    if role == "anonymous" and route.who in ("member", "admin"):
        return 401, "not_signed_in"
    if role == "suspended" and route.who != "open":
        return 401, "not_signed_in"  # a token that is no longer good is not as none
    if role == "member" and route.who == "admin":
        return 403, "forbidden"
    return OTHERWISE.get(route.key, (route.status, None))


async def caller(desk: Desk, role: str) -> Caller:
    """Somebody new."""
    if role == "administrator":
        return Caller(desk, await administrator(desk.served, f"administrator{next(_NUMBERS)}"))
    return Caller(desk, await desk.api.sign_up())


async def path_of(route: Route, who: Caller) -> str:
    if "{id}" not in route.path:
        return filled(route.path)
    beginnings = [each for each in IDS if route.path.startswith(each)]
    assert beginnings, f"say in IDS what stands for the id in {route.path}"
    return filled(route.path, await IDS[max(beginnings, key=len)](who))


async def tried(route: Route, who: Caller, role: str) -> tuple[int, str | None]:
    """The status and the code of a good request; of an answer that has no end the head is enough."""
    path = await path_of(route, who)
    if role == "suspended":
        await who.desk.suspend(who.session["user"]["id"])
    headers = {} if role == "anonymous" else {"Authorization": f"Bearer {who.token}"}
    sent: dict[str, Any] = {"json": GOOD[route.key]} if route.takes else {}
    if route.uploads:
        sent, headers = {"data": file_body()}, {**headers, **FILE}
    async with who.desk.api.session.request(route.method, who.desk.api.url + path, headers=headers, **sent) as answer:
        return answer.status, await _code(answer)


async def _code(answer: aiohttp.ClientResponse) -> str | None:
    if answer.content_type != "application/problem+json":
        return None
    return str((await answer.json())["code"])


@pytest.mark.parametrize("role", ROLES)
async def test_every_cell(server: Served, role: str) -> None:
    desk = await Desk.of(server)
    await server.api.sign_up("ada")
    found = {}
    for route in server.foyer.routes:
        who = await caller(desk, role)
        if route.key == "POST /api/events/ack":
            await _is_told(server, who)
        found[route.key] = await tried(route, who, role)
    assert len(found) == len(server.foyer.routes)
    told = {route.key: expected(route, role) for route in server.foyer.routes}
    assert {key: (cell, told[key]) for key, cell in found.items() if cell != told[key]} == {}


async def _is_told(server: Served, who: Caller) -> None:
    """Something that can be acknowledged."""
    await server.foyer.database.write(server.foyer.enricher.claimed, who.session["user"]["id"])


def test_who_may_is_said_twice(routes: dict[str, Route]) -> None:
    by_who: dict[str, set[str]] = {}
    for key, route in routes.items():
        by_who.setdefault(route.who, set()).add(key)
    assert by_who["open"] == OPEN and by_who["anyone"] == ANYONE
    assert by_who["admin"] == {key for key in routes if "/api/admin/" in key}


def test_what_is_said_here_is_still_there(routes: dict[str, Route]) -> None:
    assert set(OTHERWISE) <= set(routes)
    assert all(any(route.path.startswith(each) for route in routes.values()) for each in IDS)


@pytest.fixture
async def routes(server: Served) -> dict[str, Route]:
    return {route.key: route for route in server.foyer.routes}
