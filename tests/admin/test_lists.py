"""The administrators' lists: who may, what they show, what is found, and that no page looks through a whole table."""
from __future__ import annotations

from typing import Any

import pytest

from server.admin import job_queries
from server.web import windows
from tests.admin.support import Desk, written
from tests.support import Served
from tests.web.hostile import problem

LISTS = ("users", "posts", "jobs")
JOB = """
    INSERT INTO jobs (kind, key, body, state, run_at, attempts, last_error, request_id, created_at, lease_until, worker,
        finished_at)
    VALUES ($1, $2, '{}', $3, 5, 2, $4, 'request-1', 4, $5, $6, $7)"""


async def job(served: Served, kind: str, key: str, state: str, error: str | None = None) -> None:
    """A job of a kind that nobody does."""
    lease, worker = (9_000_000_000_000, "w") if state == "running" else (None, None)
    await written(served, JOB, kind, key, state, error, lease, worker, 9 if state in ("done", "failed") else None)


def names(found: list[Any]) -> list[str]:
    return [each["username"] for each in found]


def titles(found: list[Any]) -> list[str]:
    return [each["title"] for each in found]


def keys(found: list[Any]) -> list[str]:
    return [each["key"] for each in found]


@pytest.mark.parametrize("what", LISTS)
async def test_for_administrators_only(desk: Desk, what: str) -> None:
    ada = await desk.api.sign_up("ada")
    problem(await desk.api.get(f"/api/admin/{what}"), 401)
    answer = await desk.api.get(f"/api/admin/{what}", token=ada["access_token"])
    assert problem(answer, 403) == "forbidden"
    assert (await desk.get(what)).status == 200


# -- members

async def test_what_is_shown_of_a_member(desk: Desk) -> None:
    ada = await desk.api.sign_up("Ada", title="Countess", birth_date="1987-12-10")
    await desk.api.write_post(ada["access_token"])
    shown, root = (await desk.get("users")).data
    me = ada["user"]
    assert shown == {"id": me["id"], "username": "Ada", "name": None, "email": "Ada@example.org",
                     "email_status": "unchecked", "email_confirmed_at": None, "role": "member", "suspended_at": None,
                     "created_at": me["created_at"], "post_count": 1}
    assert (root["username"], root["role"]) == ("root", "admin")


async def test_members_are_listed_newest_first_page_by_page(desk: Desk) -> None:
    for number in range(5):
        await desk.api.sign_up(f"member-{number}")
    for limit in (1, 2, 3, 6, 7):
        assert names(await desk.listed("users", limit)) == [*(f"member-{n}" for n in range(4, -1, -1)), "root"]


@pytest.mark.parametrize(("q", "found"), [
    ("ada", ["ada", "grada", "b_ada.x"]), ("ADA", ["ada", "grada", "b_ada.x"]), ("b_", ["b_ada.x"]), ("%", []),
    ("!", []), ("_ada", ["b_ada.x"]), ("b_ada@", []), ("OTHER.example", ["eve"]), ("mail", ["email-less"]),
    ("Éve@other.example", ["eve"]), ("root", ["root"]), ("nobody", []), ("byron", ["eve"]), ("'", []), ("\\", [])])
async def test_members_are_found_by_a_part(desk: Desk, q: str, found: list[str]) -> None:
    for name in ("b_ada.x", "grada", "ada"):
        await desk.api.sign_up(name, email=f"{name.replace('ada', 'a')}@example.org")
    eve = await desk.api.sign_up("eve", email="éve@other.example")
    await desk.api.call("PATCH", "/api/me", json={"name": "E. Byron"}, token=eve["access_token"])
    await desk.api.sign_up("email-less", email="x@y.example")
    for limit in (1, 2, 100):
        assert names(await desk.listed("users", limit, q=q)) == found


@pytest.mark.parametrize("q", ["ada", "AdA", "ada@example.org", "ADA@EXAMPLE.org"])
async def test_who_is_called_so_stands_first_and_once(desk: Desk, q: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await desk.api.sign_up("ada", email="ada@example.org")
    for number in range(6):
        await desk.api.sign_up(f"ada{number}", email=f"x.ada@example.org{number}.example")
    monkeypatch.setattr(windows, "SIZE", 2)
    first = (await desk.get("users", q=q, limit="1"))
    assert names(first.data) == ["ada"] and first.body["next"]
    for limit in (1, 2, 3, 100):
        found = names(await desk.listed("users", limit, q=q))
        assert found[0] == "ada" and len(found) == len(set(found)), (limit, found)
        assert found[1:] == [f"ada{number}" for number in range(5, -1, -1)], (limit, found)


async def test_one_who_is_called_so_is_all_of_the_page(desk: Desk) -> None:
    await desk.api.sign_up("ada")
    answer = await desk.get("users", q="ada@example.org")
    assert names(answer.data) == ["ada"] and answer.body["next"] is None


# -- windows

async def test_a_page_looks_through_one_window(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "SIZE", 3)
    await desk.api.sign_up("needle")
    for number in range(6):
        await desk.api.sign_up(f"member-{number}")
    place: dict[str, str] = {}
    pages = []
    while True:
        answer = await desk.get("users", q="needl", **place)
        pages.append(names(answer.data))
        if answer.body["next"] is None:
            break
        place = {"cursor": answer.body["next"]}
    assert pages == [[], [], ["needle"]]
    assert names((await desk.get("users", limit="2")).data) == ["member-5", "member-4"]


async def test_a_window_with_more_than_fits_goes_on_inside_of_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "SIZE", 5)
    for number in range(8):
        await desk.api.sign_up(f"member-{number}")
    for limit in range(1, 10):
        found = names(await desk.listed("users", limit, q="member"))
        assert found == [f"member-{number}" for number in range(7, -1, -1)], limit


# -- posts

async def test_posts_as_everybody_sees_them_and_by_a_part(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    ada, bob = [(await desk.api.sign_up(name))["access_token"] for name in ("Ada", "bob")]
    liked = await desk.api.write_post(ada, "100% of it", link="https://example.org/")
    for token, title in ((bob, "Second"), (ada, "third"), (bob, "Fourth Å")):
        await desk.api.write_post(token, title)
    await desk.api.call("PUT", f"/api/posts/{liked['id']}/like", token=desk.token)
    everything = await desk.listed("posts", 2)
    assert everything == (await desk.api.get("/api/posts", token=desk.token)).data
    assert [post["liked"] for post in everything] == [False, False, False, True]
    for size in (windows.SIZE, 1, 3):
        monkeypatch.setattr(windows, "SIZE", size)
        for q, found in (("SECOND", ["Second"]), ("0%", ["100% of it"]), ("th", ["Fourth Å", "third"]), ("Å", [
                "Fourth Å"]), ("ada", ["third", "100% of it"]), ("_", []), ("some text", [])):
            assert titles(await desk.listed("posts", 1, q=q)) == found, (size, q)
    assert (await desk.listed("posts", q="100")) == everything[3:]


# -- jobs

async def test_what_is_shown_of_a_job(desk: Desk) -> None:
    await job(desk.served, "toy", "12", "failed", "it broke")
    shown, = await desk.listed("jobs", q="toy")
    assert shown == {"id": shown["id"], "kind": "toy", "key": "12", "state": "failed", "attempts": 2,
                     "run_at": "1970-01-01T00:00:00.005Z", "last_error": "it broke", "request_id": "request-1",
                     "created_at": "1970-01-01T00:00:00.004Z", "finished_at": "1970-01-01T00:00:00.009Z"}


@pytest.mark.parametrize("size", [10_000, 2, 1])
async def test_jobs_by_state_and_by_a_part(desk: Desk, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    await desk.served.foyer.worker.stop()
    monkeypatch.setattr(windows, "SIZE", size)
    for state in ("done", "failed", "ready", "running"):
        for number in range(3):
            await job(desk.served, f"toy{number}", f"{state}!", state, "No Luck" if number == 1 else None)
    for limit in (1, 2, 100):
        for state in ("done", "failed", "ready", "running"):
            assert keys(await desk.listed("jobs", limit, state=state, q="toy")) == [f"{state}!"] * 3
            found = await desk.listed("jobs", limit, state=state, q="NO LUCK")
            assert [(each["kind"], each["state"]) for each in found] == [("toy1", state)]
        assert keys(await desk.listed("jobs", limit, state="failed")) == ["failed!"] * 3
        assert set(keys(await desk.listed("jobs", limit, state="running"))) == {"running!"}
        assert keys(await desk.listed("jobs", limit, q="d!")) == ["failed!"] * 3
        everything = await desk.listed("jobs", limit)
        assert [each["id"] for each in everything] == sorted((each["id"] for each in everything), reverse=True)
        assert keys(everything)[:12] == ["running!"] * 3 + ["ready!"] * 3 + ["failed!"] * 3 + ["done!"] * 3


@pytest.mark.parametrize("query", [{"state": "lost"}, {"state": ""}, {"q": ""}, {"q": "x" * 255}, {"q": "a\nb"},
                                   {"limit": "0"}, {"state": "READY"}])
async def test_what_cannot_be_looked_for(desk: Desk, query: dict[str, str]) -> None:
    problem(await desk.get("jobs", **query), 422)


async def test_what_arrives_meanwhile_moves_no_page(desk: Desk) -> None:
    for number in range(4):
        await desk.api.sign_up(f"ada-{number}")
    first = await desk.get("users", q="ada-", limit="2")
    await desk.api.sign_up("ada-late")
    second = await desk.get("users", q="ada-", limit="2", cursor=first.body["next"])
    assert names(first.data + second.data) == ["ada-3", "ada-2", "ada-1", "ada-0"]


@pytest.mark.parametrize("state", ["ready", "running"])
@pytest.mark.parametrize("few", [1000, 2])
async def test_the_open_ones_are_found_behind_however_many_ended_ones(desk: Desk, monkeypatch: pytest.MonkeyPatch,
                                                                      state: str, few: int) -> None:
    await desk.served.foyer.worker.stop()
    monkeypatch.setattr(windows, "SIZE", 2)
    monkeypatch.setattr(job_queries, "FEW", few)  # with more than a few it is a window again
    for number in range(3):
        await job(desk.served, f"toy{number}", "open", state)
    for number in range(5):
        await job(desk.served, f"toy{number}", "over", "done")
    first = (await desk.get("jobs", state=state, limit="2")).data
    assert [each["kind"] for each in first] == (["toy2", "toy1"] if few > 3 else [])
    for limit in (1, 2, 100):
        found = [each["kind"] for each in await desk.listed("jobs", limit, state=state) if each["key"] == "open"]
        assert found == ["toy2", "toy1", "toy0"]
