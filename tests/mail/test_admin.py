"""The administrator's routes: who may, pages, what is looked for."""
from __future__ import annotations

from typing import Any

import pytest

from server.web import windows
from tests.admin.support import Desk
from tests.conftest import Serve
from tests.mail.support import Reader
from tests.support import PASSWORD, Served

PATHS = ("/api/admin/mails", "/api/admin/mails/1")


@pytest.fixture
async def served(serve: Serve) -> Served:
    return await serve({"sandbox.mode": "off"})


@pytest.mark.parametrize("path", PATHS)
async def test_for_administrators_only(served: Served, path: str) -> None:
    session = await served.api.sign_up("ada")
    assert (await served.api.get(path)).status == 401
    answer = await served.api.get(path, token=session["access_token"])
    assert answer.status == 403 and b"ada@example.org" not in answer.raw
    token = (await Reader.of(served)).token
    assert (await served.api.get(path, token=token)).status == 200


async def listed(served: Served, token: str, limit: int, **query: str) -> list[Any]:
    """All, page by page; each full but the last."""
    found: list[Any] = []
    place: dict[str, str] = {}
    while True:
        answer = await served.api.get("/api/admin/mails", token=token, params={"limit": str(limit), **query, **place})
        found += answer.data
        if answer.body["next"] is None:
            assert len(answer.data) <= limit
            return found
        assert len(answer.data) == limit
        place = {"cursor": answer.body["next"]}


async def test_pages_show_each_once_newest_first(served: Served) -> None:
    token = (await Reader.of(served)).token
    for number in range(5):
        await served.api.sign_up(f"member{number}", email=f"m{number}@example.org")
    for limit in (1, 2, 3, 6, 7):
        found = await listed(served, token, limit)
        assert [mail["recipient"] for mail in found] == [*(f"m{number}@example.org" for number in range(4, -1, -1)),
                                                         "root@example.org"]
        assert [mail["id"] for mail in found] == sorted((mail["id"] for mail in found), reverse=True)


async def test_a_page_is_not_moved_by_what_arrives(served: Served) -> None:
    token = (await Reader.of(served)).token
    for number in range(3):
        await served.api.sign_up(f"member{number}")
    first = await served.api.get("/api/admin/mails?limit=2", token=token)
    await served.api.sign_up("later")
    second = await served.api.get(f"/api/admin/mails?limit=2&cursor={first.body['next']}", token=token)
    assert {mail["recipient"] for mail in second.data} == {"member0@example.org", "root@example.org"}
    assert second.body["next"] is None


async def test_what_is_shown_of_one(served: Served) -> None:
    reader = await Reader.of(served)
    session = await served.api.sign_up("ada")
    mail, = await reader.kept(q="ada@example.org")
    assert mail == {"id": mail["id"], "user_id": session["user"]["id"], "letter": "confirm",
                    "recipient": "ada@example.org", "subject": mail["subject"], "status": "not_configured",
                    "reason": None, "created_at": mail["created_at"], "sent_at": None}
    whole = await reader.whole("ada@example.org")
    assert set(whole) - set(mail) == {"text", "message_id"} and {**whole, **mail} == whole
    assert "Hello ada," in whole["text"] and "#token=" not in str(mail)


async def test_by_address_and_by_status(served: Served) -> None:
    reader = await Reader.of(served)
    session = await served.api.sign_up("ada")
    for _ in range(2):
        assert (await served.api.post("/api/email/resend", token=session["access_token"])).status == 202
    assert {mail["recipient"] for mail in await listed(served, reader.token, 2, q="ada@example.org")} == {
        "ada@example.org"}
    assert len(await listed(served, reader.token, 2, q="ada@example.org")) == 3
    assert await reader.kept(q="nobody@example.org") == await reader.kept(q="%") == await reader.kept(q="a_a") == []
    assert len(await listed(served, reader.token, 2, status="not_configured")) == 4
    assert await reader.kept(status="sent") == await reader.kept(status="queued") == await reader.kept(
        status="failed") == []


@pytest.mark.parametrize("size", [windows.SIZE, 2, 1])
async def test_by_a_part_and_of_a_status(served: Served, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    desk = await Desk.of(served)
    for name in ("ada", "grada", "bob"):
        await served.api.sign_up(name)
    await served.api.sign_up("other", email="xada@example.org.example")
    monkeypatch.setattr(windows, "SIZE", size)
    for limit in (1, 2, 100):
        async def found(**query: str) -> list[str]:
            return [mail["recipient"].partition("@")[0] for mail in await desk.listed("mails", limit, **query)]
        assert await found(q="ADA@") == ["xada", "grada", "ada"]
        assert await found(q="ada@example.org") == ["ada"], "a whole address is found by itself"
        assert await found(q="ONFIR") == ["xada", "bob", "grada", "ada", "root"], "the letter's name"
        assert await found(q="ada", status="not_configured") == ["xada", "grada", "ada"]
        assert await found(q="ada", status="sent") == await found(q="ada@example.org", status="sent") == []
        assert await found(q="ada@example.org", status="not_configured") == ["ada"]


@pytest.mark.parametrize(("query", "field"), [
    ({"status": "lost"}, {"status": ""}),
    ({"limit": "0"}, {"limit": ""}), ({"limit": "101"}, {"limit": ""}), ({"q": ""}, {"q": ""}),
    ({"q": "x" * 255}, {"q": ""}), ({"to": "ada"}, {"to": ""})])
async def test_what_cannot_be_looked_for(served: Served, query: dict[str, str], field: dict[str, str]) -> None:
    token = (await Reader.of(served)).token
    answer = await served.api.get("/api/admin/mails", token=token, params=query)
    assert answer.status == 422 and set(answer.fields) == set(field)
    assert all(answer.fields[name] == code for name, code in field.items() if code)


async def test_what_is_not_there(served: Served) -> None:
    token = (await Reader.of(served)).token
    assert (await served.api.get("/api/admin/mails/77", token=token)).code == "not_found"
    assert (await served.api.get("/api/admin/mails/x", token=token)).status in (404, 422)
    assert (await served.api.get("/api/admin/mails?cursor=bm90aGluZw", token=token)).code == "bad_cursor"


async def test_the_mails_of_who_has_left_are_gone(served: Served) -> None:
    reader = await Reader.of(served)
    session = await served.api.sign_up("ada")
    answer = await served.api.call("DELETE", "/api/me", json={"password": PASSWORD}, token=session["access_token"])
    assert answer.status == 204 and await reader.kept(q="ada@example.org") == []
