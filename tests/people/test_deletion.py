"""An administrator deletes a person: what their record carried goes, the rest of theirs waits for others."""
from __future__ import annotations

import asyncio
from typing import Any

import pytest

from server.ops import check
from server.people.model import What
from server.people.service import Importing
from tests.conftest import Serve
from tests.people import stored
from tests.support import Served
from tests.web.administrators import administrator
from tests.web.hostile import problem

AUDIT = "SELECT act, actor_id, member_id, target, address FROM audit WHERE act = 'person_deleted' ORDER BY id"


@pytest.fixture
async def server(serve: Serve) -> Served:
    return await serve({"sandbox.mode": "off", "limits.enabled": "no"})


def _person(name: str) -> dict[str, Any]:
    return {"uid": stored.uid(), "first_name": name, "last_name": "Lovelace", "username": name.lower(),
            "address": {"city": "At home", "coordinates": {"lat": 1.5, "lng": -2.5}},
            "credit_card": {"cc_number": "0000-0000-0000-1111"}}


async def _imported(server: Served) -> None:
    """Two people; the first has an address and a card by adoption, and an address by its place."""
    importing = Importing("a key of cards, 32 characters and more")
    runs: list[tuple[What, list[dict[str, Any]]]] = [
        ("users", [_person("Ada"), _person("Bob")]),
        ("addresses", [{"uid": stored.uid(), "city": "Adopted"}]),
        ("addresses", [{"uid": stored.uid(), "city": "Placed", "latitude": 1.5, "longitude": -2.5}]),
        ("cards", [{"uid": stored.uid(), "credit_card_number": "0000-0000-0000-2222"}])]
    for what, records in runs:
        taken = importing.take(what, records)
        assert not taken.rejected
        await server.foyer.database.write(importing.store, what, taken)


async def _delete(server: Served, token: str, id_: int) -> Any:
    return await server.api.call("DELETE", f"/api/admin/people/{id_}", token=token)


async def test_what_is_theirs_waits_for_others_and_the_rest_goes(server: Served) -> None:
    root = await administrator(server)
    token = root["access_token"]
    await _imported(server)
    ada, = (await server.api.get("/api/people?q=ada", token=token)).data
    rules = sorted(each["link_rule"] for each in (*ada["addresses"], *ada["cards"]))
    assert rules == ["adopted", "adopted", "coordinates", "embedded", "embedded"]
    before = (await server.api.get("/api/people/counts", token=token)).data

    answer = await _delete(server, token, ada["id"])
    assert (answer.status, answer.raw) == (204, b"")
    problem(await server.api.get(f"/api/people/{ada['id']}", token=token), 404)
    bob, = (await server.api.get("/api/people", token=token)).data
    assert bob["first_name"] == "Bob"
    for q in ("ada", "lovelace ada"):
        assert (await server.api.get("/api/people", token=token, params={"q": q})).data == []
    for what, left in ("addresses", 2), ("cards", 1):
        waiting = (await server.api.get(f"/api/people/{what}?linked=false", token=token)).data
        assert [(each["person_id"], each["link_rule"]) for each in waiting] == [(None, None)] * left
        assert (await server.api.get(f"/api/people/{what}?person_id={ada['id']}", token=token)).data == []
    counts = (await server.api.get("/api/people/counts", token=token)).data
    assert counts == {
        "people": 1, "addresses": 2, "cards": 1, "unlinked": {"addresses": 2, "cards": 1},
        "links": {"uid": 0, "embedded": 2, "coordinates": 0, "card": 0, "adopted": 0}} and before["people"] == 2
    row, = await server.foyer.database.read(lambda tx: tx.all(AUDIT))
    assert list(row) == ["person_deleted", root["user"]["id"], None, f"person {ada['id']}", "127.0.0.1"]
    assert await server.foyer.database.read(check.broken) == []


async def test_who_is_not_there_cannot_be_deleted(server: Served) -> None:
    token = (await administrator(server))["access_token"]
    await _imported(server)
    for id_ in (77, 0):
        assert problem(await _delete(server, token, id_), 404) == "not_found"
    assert (await server.api.get("/api/people/counts", token=token)).data["people"] == 2
    assert await server.foyer.database.read(lambda tx: tx.all(AUDIT)) == []


async def test_only_administrators_delete(server: Served) -> None:
    member = (await server.api.sign_up())["access_token"]
    await _imported(server)
    id_ = (await server.api.get("/api/people", token=member)).data[0]["id"]
    problem(await _delete(server, member, id_), 403)
    problem(await server.api.call("DELETE", f"/api/admin/people/{id_}"), 401)
    assert (await server.api.get(f"/api/people/{id_}", token=member)).status == 200


async def test_of_many_who_delete_one_person_one_does(server: Served) -> None:
    token = (await administrator(server))["access_token"]
    await _imported(server)
    id_ = (await server.api.get("/api/people", token=token)).data[0]["id"]
    answers = await asyncio.gather(*[_delete(server, token, id_) for _ in range(8)])
    assert sorted(answer.status for answer in answers) == [204] + [404] * 7
    assert (await server.api.get("/api/people/counts", token=token)).data["people"] == 1
    assert len(await server.foyer.database.read(lambda tx: tx.all(AUDIT))) == 1
    assert await server.foyer.database.read(check.broken) == []
