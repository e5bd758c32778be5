"""Nobody learns from an answer, or from its time, whether a name is a member's."""
from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from server.accounts.passwords import Hasher
from server.storage import Tx
from tests.accounts.timing import Ask, apart
from tests.conftest import Serve
from tests.support import Answer, Served

MOST = 0.03  # the share by which the medians may lie apart
SAMPLES = 200  # of each kind, in the first round
COST = "8"  # 16 ms a hash: what could differ around it is small, yet 400 of them take seconds

# The doors at which a stranger gives a name, and what they answer to a name that is nobody's and to one that is
# somebody's.
DOORS = {"/api/login": ("username", {"password": "not-the-passw0rd"}, 401),
         "/api/password/forgot": ("email", {}, 202)}
ADDRESSES = ("member@example.org", "MEMBER@example.org", "\uff4dember@example.org", "nobody@example.org",
             "nobody@nowhere.example")
NAMES = ("member", "MEMBER", "nobody", "no name at all", "a@b@c", "\u00e9", "member ", "x" * 200)
# Each door with a name, or an address, that is somebody's, and one that is nobody's.
PAIRS = [("/api/login", "member", "nobody#"), ("/api/login", "member@example.org", "nobody#@example.org"),
         ("/api/password/forgot", "member@example.org", "nobody#@example.org")]


@pytest.fixture
async def served(serve: Serve) -> Served:
    """A server on which a hash takes its time, nothing else happens, and nobody is held back by a limit."""
    served = await serve({"auth.bcrypt_cost": COST, "limits.enabled": "no", "sandbox.mode": "off"})
    await served.api.sign_up("member")
    await served.foyer.worker.stop()  # what is done later, at no certain time, is not part of an answer
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
    names = ADDRESSES if field == "email" else (*ADDRESSES, *NAMES)
    answers = [await served.api.post(path, {field: name, **rest}) for name in names]
    assert {answer.status for answer in answers} == {status}
    assert len({str(seen(answer)) for answer in answers}) == 1


@pytest.mark.long
@pytest.mark.parametrize(("path", "known", "unknown"), PAIRS)
async def test_the_time_tells_nothing(served: Served, path: str, known: str, unknown: str, still: None) -> None:
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


async def test_a_letter_that_is_asked_for_once_would_be_seen(served: Served, monkeypatch: pytest.MonkeyPatch,
                                                             still: None) -> None:
    enqueue, open_ones = served.foyer.queue.enqueue, set[str]()

    async def once_open(tx: Tx, kind: str, key: str, run_at: int | None = None) -> bool:
        name = key.partition(" ")[0]
        if name != "nobody" and name in open_ones:
            return False
        open_ones.add(name)
        return await enqueue(tx, kind, key, run_at)
    monkeypatch.setattr(served.foyer.queue, "enqueue", once_open)
    door = "/api/password/forgot"
    assert await apart(asking(served, door, "member@example.org"), asking(served, door, "nobody#@example.org"),
                       20, MOST) > 0.1


async def test_every_door_is_measured(served: Served) -> None:
    doors = {"/api/login", "/api/password/forgot"} & {route.path for route in served.foyer.routes}
    assert doors == set(DOORS) == {path for path, _, _ in PAIRS}
