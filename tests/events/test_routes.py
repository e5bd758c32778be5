"""GET /api/events and POST /api/events/ack."""
from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Serve
from tests.support import Served
from tests.ws.support import QUIET, many


@pytest.fixture
async def served(serve: Serve) -> Served:
    return await serve(QUIET)


@pytest.fixture
async def session(served: Served) -> Any:
    return await served.api.sign_up("ada")


async def get(served: Served, session: Any, **params: Any) -> Any:
    answer = await served.api.get("/api/events", params={name: str(value) for name, value in params.items()},
                                  token=session["access_token"])
    assert answer.status == 200, answer.body
    return answer.body


async def test_the_pages_lead_from_the_first_to_the_last(served: Served, session: Any) -> None:
    await many(served, session, 249)
    found, page = [], await get(served, session)
    assert set(page) == {"data", "gap", "next"} and set(page["data"][0]) == {"type", "seq", "at", "data"}
    while True:
        found += [event["seq"] for event in page["data"]]
        assert len(page["data"]) <= 100 and page["gap"] is None
        if page["next"] is None:
            break
        page = await get(served, session, cursor=page["next"])
    assert found == list(range(1, 251))


async def test_after_and_limit(served: Served, session: Any) -> None:
    await many(served, session, 9)
    assert [event["seq"] for event in (await get(served, session, after=7))["data"]] == [8, 9, 10]
    assert [event["seq"] for event in (await get(served, session, after=3, limit=2))["data"]] == [4, 5]
    assert await get(served, session, after=10) == {"data": [], "gap": None, "next": None}
    assert (await get(served, session, after=11))["gap"] == 11
    assert (await get(served, session, after=2**53 - 1))["gap"] == 11


async def test_pages_over_a_gap(served: Served, session: Any) -> None:
    await many(served, session, 1005, type_="post_liked")
    page = await get(served, session, after=0)
    assert [event["seq"] for event in page["data"]] == [1] and page["gap"] is None and page["next"]
    page = await get(served, session, cursor=page["next"])
    assert page["data"][0]["seq"] == page["gap"] == 8
    assert (await get(served, session, after=3))["gap"] == 8


async def test_acknowledged_is_where_it_begins_without_after(served: Served, session: Any) -> None:
    await many(served, session, 4)
    for seq, first in ((2, 3), (1, 3), (4, 5), (99, 5)):
        answer = await served.api.post("/api/events/ack", {"seq": seq}, token=session["access_token"])
        assert answer.status == 204 and answer.raw == b""
        assert [event["seq"] for event in (await get(served, session))["data"]][0] == first
    assert [event["seq"] for event in (await get(served, session, after=0))["data"]] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("params", [{"after": "-1"}, {"after": "x"}, {"after": "1.5"}, {"after": str(2**63)},
                                    {"limit": "0"}, {"limit": "101"}, {"limit": ""}, {"unknown": "1"}, {"after": "\0"}])
async def test_bad_queries(params: dict[str, str], served: Served, session: Any) -> None:
    answer = await served.api.get("/api/events", params=params, token=session["access_token"])
    assert answer.status == 422 and set(answer.fields) == set(params)


@pytest.mark.parametrize("cursor", ["x", "", "AAAA", "\ud83d\ude00", "a" * 300])
async def test_bad_cursors(cursor: str, served: Served, session: Any) -> None:
    cursor = cursor.encode("utf-16", "surrogatepass").decode("utf-16")
    answer = await served.api.get("/api/events", params={"cursor": cursor}, token=session["access_token"])
    assert answer.status in (400, 422), answer.body


@pytest.mark.parametrize("body, status", [
    ({}, 422), ({"seq": None}, 422), ({"seq": -1}, 422), ({"seq": "1"}, 422), ({"seq": 1.5}, 422),
    ({"seq": 2**63}, 422), ({"seq": 2**53}, 422), ({"seq": True}, 422), ([], 400), ({"seq": 1, "x": 1}, 422)])
async def test_bad_acknowledgements(body: Any, status: int, served: Served, session: Any) -> None:
    answer = await served.api.call("POST", "/api/events/ack", json=body, token=session["access_token"])
    assert answer.status in (status, 422) and answer.code
    assert (await get(served, session))["data"]


async def test_nobody_reads_without_a_token_or_another_members(served: Served, session: Any) -> None:
    assert (await served.api.get("/api/events")).status == 401
    assert (await served.api.post("/api/events/ack", {"seq": 1})).status == 401
    bob = await served.api.sign_up("bob")
    await many(served, session, 3)
    assert len((await get(served, bob, after=0))["data"]) == 1
