"""Nobody learns from an answer, or from its time, whether a name is a member's."""
from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from server.accounts.passwords import Hasher
from tests.accounts.timing import Ask, apart
from tests.conftest import Serve
from tests.support import Answer, Served

MOST = 0.03  # the share by which the medians may lie apart
SAMPLES = 200  # of each kind, in the first round
COST = "8"  # 16 ms a hash: what could differ around it is small, yet 400 of them take seconds

# The doors at which a stranger gives a name, and what they answer to a name that is nobody's and to one that is
# somebody's. `POST /api/password/forgot` comes with mail (part 4) and belongs here then: the last test asks for it.
DOORS = {"/api/login": ("username", {"password": "not-the-passw0rd"}, 401)}


@pytest.fixture
async def served(serve: Serve) -> Served:
    """A server on which a hash takes its time, nothing else happens, and nobody is held back by a limit."""
    served = await serve({"auth.bcrypt_cost": COST, "limits.enabled": "no", "sandbox.mode": "off"})
    await served.api.sign_up("member")
    return served


@pytest.fixture
def still() -> Iterator[None]:
    """The collector does not run in the middle of a measurement."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def asking(served: Served, path: str, name: str) -> Ask:
    """Asks at the door with a name; `#` in it becomes the number of the turn."""
    field, rest, status = DOORS[path]

    async def ask(turn: int) -> None:
        answer = await served.api.post(path, {field: name.replace("#", str(turn)), **rest})
        assert answer.status == status
    return ask


def seen(answer: Answer) -> tuple[Any, ...]:
    """All of an answer but what differs from request to request."""
    headers = [(name, value) for name, value in answer.headers.items()
               if name not in ("Date", "X-Request-ID", "Content-Length")]
    raw = answer.raw
    if answer.body and "request_id" in answer.body:
        raw = raw.replace(answer.body["request_id"].encode(), b"-")
    return answer.status, raw, headers


@pytest.mark.parametrize("path", DOORS)
async def test_the_answers_are_identical(served: Served, path: str) -> None:
    field, rest, status = DOORS[path]
    names = ("member", "MEMBER", "member@example.org", "nobody", "nobody@example.org", "no name at all", "a@b@c",
             "\u00e9", "member ", "x" * 200)
    answers = [await served.api.post(path, {field: name, **rest}) for name in names]
    assert {answer.status for answer in answers} == {status}
    assert len({str(seen(answer)) for answer in answers}) == 1


@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize("unknown", ["nobody#", "nobody#@example.org"])
async def test_the_time_tells_nothing(served: Served, path: str, unknown: str, still: None) -> None:
    known = "member@example.org" if "@" in unknown else "member"
    share = await apart(asking(served, path, known), asking(served, path, unknown), SAMPLES, MOST)
    assert share <= MOST, f"known and unknown names lie {share:.1%} apart"


async def test_a_hash_that_is_left_out_would_be_seen(served: Served, monkeypatch: pytest.MonkeyPatch,
                                                     still: None) -> None:
    verify = Hasher.verify

    async def without_dummy(self: Hasher, password: str, stored: str | None) -> bool:
        return stored is not None and await verify(self, password, stored)
    monkeypatch.setattr(Hasher, "verify", without_dummy)
    assert await apart(asking(served, "/api/login", "member"), asking(served, "/api/login", "nobody#"), 5, MOST) > 1


async def test_a_cheaper_dummy_would_be_seen(served: Served, monkeypatch: pytest.MonkeyPatch, still: None) -> None:
    monkeypatch.setattr(served.foyer.hasher, "_nobody", Hasher(int(COST) - 1)._nobody)
    assert await apart(asking(served, "/api/login", "member"), asking(served, "/api/login", "nobody#"), 5, MOST) > 0.5


async def test_every_door_is_measured(served: Served) -> None:
    doors = {"/api/login", "/api/password/forgot"} & {route.path for route in served.foyer.routes}
    assert doors == set(DOORS)
