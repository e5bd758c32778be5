"""Posts and likes by the rules."""
from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support import Answer, Api, Served
from tests.web.hostile import problem

Members = list[Any]
FIELDS = ["id", "author", "title", "text", "link", "created_at", "edited_at", "like_count", "liked"]


@pytest.fixture
async def members(api: Api) -> Members:
    """Four members' tokens: the first is the author."""
    return [(await api.sign_up(f"member-{name}"))["access_token"] for name in "abcd"]


async def like(api: Api, token: str, post: int, method: str = "PUT") -> Answer:
    """Likes, or with DELETE no longer."""
    return await api.call(method, f"/api/posts/{post}/like", token=token)


async def test_a_post_is_made_and_read(api: Api, members: Members) -> None:
    answer = await api.post("/api/posts",
                            {"title": " A title ", "text": "Line\nline \U0001f600", "link": "https://example.org/"},
                            token=members[0])
    post = answer.data
    assert answer.status == 201 and answer.headers["Location"] == f"/api/posts/{post['id']}"
    assert sorted(post) == sorted(FIELDS) and sorted(post["author"]) == ["avatar_url", "id", "name", "username"]
    assert (post["title"], post["text"], post["link"]) == (" A title ", "Line\nline \U0001f600", "https://example.org/")
    assert (post["like_count"], post["liked"], post["edited_at"]) == (0, False, None)
    for token in (None, *members):
        shown = (await api.get(answer.headers["Location"], token=token)).data
        assert {**shown, "author": {}} == {**post, "author": {}}
    assert (await api.get("/api/me", token=members[0])).data["post_count"] == 1


@pytest.mark.parametrize(("body", "codes"), [
    ({"title": "", "text": ""}, {"title": "too_short", "text": "too_short"}),
    ({"title": "x" * 256, "text": "x" * 20_001}, {"title": "too_long", "text": "too_long"}),
    ({"title": "a", "text": "b", "link": "javascript:alert(1)"}, {"link": "bad_format"}),
    ({"title": "a", "text": "b", "id": 1, "author_id": 2, "like_count": 9},
     {"id": "unknown_field", "author_id": "unknown_field", "like_count": "unknown_field"}),
    ({"title": None, "text": 1, "link": False}, {"title": "wrong_type", "text": "wrong_type", "link": "wrong_type"})])
async def test_posts_that_are_refused(api: Api, members: Members, body: Any, codes: dict[str, str]) -> None:
    answer = await api.post("/api/posts", body, token=members[0])
    problem(answer, 422)
    assert answer.fields == codes
    assert (await api.get("/api/posts")).data == []


async def test_the_longest_post(api: Api, members: Members) -> None:
    post = await api.write_post(members[0], "\U0001f600" * 255, "\U0001f600" * 20_000)
    assert (await api.get(f"/api/posts/{post['id']}")).data["text"] == "\U0001f600" * 20_000


async def test_the_author_changes_it(api: Api, members: Members) -> None:
    post = await api.write_post(members[0], "Old", "Old text", link="https://example.org/")
    path = f"/api/posts/{post['id']}"
    await like(api, members[1], post["id"])
    for change in ({"title": "New"}, {"text": "New text"}, {"link": None}, {"link": "http://example.org/2"}):
        before = (await api.get(path)).data
        changed = (await api.call("PATCH", path, json=change, token=members[0])).data
        assert {**before, **change, "edited_at": changed["edited_at"]} == changed
        assert changed["edited_at"] is not None and changed["like_count"] == 1
        assert (await api.get(path)).data == changed
        assert (await api.get("/api/posts")).data == [changed]


async def test_nobody_else_changes_or_deletes_it(api: Api, members: Members) -> None:
    path = f"/api/posts/{(await api.write_post(members[0]))['id']}"
    for method, body in (("PATCH", {"title": "Mine now"}), ("DELETE", None)):
        problem(await api.call(method, path, json=body), 401)
        assert problem(await api.call(method, path, json=body, token=members[1]), 403) == "forbidden"
        assert problem(await api.call(method, "/api/posts/4711", json=body, token=members[1]), 404) == "not_found"
    assert (await api.get(path)).data["title"] == "A title"


async def test_an_administrator_may_delete_but_not_change_it(server: Served, members: Members) -> None:
    async def promote(tx: Any) -> None:
        await tx.run("UPDATE users SET role = 'admin' WHERE username_key = 'root'")

    api = server.api
    await api.sign_up("root")
    await server.foyer.database.write(promote)
    root = (await api.post("/api/login", {"username": "root", "password": "corr3ct-horse"})).data["access_token"]
    path = f"/api/posts/{(await api.write_post(members[0]))['id']}"
    problem(await api.call("PATCH", path, json={"title": "x"}, token=root), 403)
    assert (await api.call("DELETE", path, token=root)).status == 204
    assert (await api.get("/api/me", token=members[0])).data["post_count"] == 0


async def test_what_is_deleted_is_gone(api: Api, members: Members) -> None:
    post = await api.write_post(members[0])
    path = f"/api/posts/{post['id']}"
    await like(api, members[1], post["id"])
    assert (await api.call("DELETE", path, token=members[0])).status == 204
    for method, rest in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("PUT", "/like"), ("DELETE", "/like"),
                         ("GET", "/likes")):
        body = {"title": "x"} if method == "PATCH" else None
        assert problem(await api.call(method, path + rest, json=body, token=members[0]), 404) == "not_found", rest
    assert (await api.get("/api/posts")).data == []


async def test_an_id_is_never_given_again(api: Api, members: Members) -> None:
    """Else who liked the one that is gone seems to like the new one."""
    old = await api.write_post(members[0])
    await like(api, members[1], old["id"])
    assert (await api.get(f"/api/posts/{old['id']}", token=members[1])).data["liked"]
    await api.call("DELETE", f"/api/posts/{old['id']}", token=members[0])
    new = await api.write_post(members[0])
    assert new["id"] > old["id"]
    for path in (f"/api/posts/{new['id']}", "/api/posts"):
        data = (await api.get(path, token=members[1])).data
        assert (data if isinstance(data, dict) else data[0])["liked"] is False
    problem(await api.get(f"/api/posts/{old['id']}"), 404)


async def test_liking_twice_is_liking_once(api: Api, members: Members) -> None:
    post = (await api.write_post(members[0]))["id"]
    for method, count, liked in (("PUT", 1, True), ("PUT", 1, True), ("DELETE", 0, False), ("DELETE", 0, False),
                                 ("PUT", 1, True)):
        answer = await like(api, members[1], post, method)
        assert (answer.status, answer.data["like_count"], answer.data["liked"]) == (200, count, liked)
        for token, seen in ((members[1], liked), (members[2], False), (members[0], False), (None, False)):
            shown = (await api.get(f"/api/posts/{post}", token=token)).data
            assert (shown["like_count"], shown["liked"]) == (count, seen)


async def test_ones_own_post(api: Api, members: Members) -> None:
    post = (await api.write_post(members[0]))["id"]
    assert problem(await like(api, members[0], post), 403) == "own_post"
    assert (await api.get(f"/api/posts/{post}")).data["like_count"] == 0
    assert (await like(api, members[0], post, "DELETE")).status in (200, 403)


async def test_who_liked_newest_first_in_pages(api: Api, members: Members) -> None:
    post = (await api.write_post(members[0]))["id"]
    for token in members[1:]:
        await like(api, token, post)
    await like(api, members[1], post, "DELETE")
    await like(api, members[1], post)
    names, cursor = [], ""
    while cursor is not None:
        answer = await api.get(f"/api/posts/{post}/likes?limit=1{cursor and '&cursor=' + cursor}")
        assert all(set(liker) == {"id", "username", "name", "avatar_url", "liked_at"} for liker in answer.data)
        names += [liker["username"] for liker in answer.data]
        cursor = answer.body["next"]
    assert names == ["member-b", "member-d", "member-c"]


async def test_fifty_likes_at_once_are_one(api: Api, members: Members) -> None:
    post = (await api.write_post(members[0]))["id"]
    answers = await asyncio.gather(*[like(api, members[1], post) for _ in range(50)])
    assert {(answer.status, answer.data["like_count"], answer.data["liked"]) for answer in answers} == {(200, 1, True)}
    assert [liker["username"] for liker in (await api.get(f"/api/posts/{post}/likes")).data] == ["member-b"]


async def test_likes_and_unlikes_at_once_end_in_agreement(api: Api, members: Members) -> None:
    post = (await api.write_post(members[0]))["id"]
    await asyncio.gather(*[like(api, token, post, method) for _ in range(15) for token in members[1:]
                           for method in ("PUT", "DELETE")])
    shown = (await api.get(f"/api/posts/{post}")).data
    likers = (await api.get(f"/api/posts/{post}/likes")).data
    assert shown["like_count"] == len(likers) == len({liker["id"] for liker in likers})
    for token in members[1:]:
        me = (await api.get("/api/me", token=token)).data["id"]
        liked = (await api.get(f"/api/posts/{post}", token=token)).data["liked"]
        assert liked == (me in {liker["id"] for liker in likers})


async def test_the_author_is_told_of_each_liker_once(api: Api, members: Members) -> None:
    posts = [(await api.write_post(members[0]))["id"] for _ in range(2)]
    for method in ("PUT", "PUT", "DELETE", "PUT", "DELETE", "PUT"):
        for post in posts:
            for token in members[1:3]:
                await like(api, token, post, method)
    events = [event for event in (await api.get("/api/events?after=0", token=members[0])).data
              if event["type"] == "post_liked"]
    told = [(event["data"]["post_id"], event["data"]["by"]["username"]) for event in events]
    assert sorted(told) == sorted((post, name) for post in posts for name in ("member-b", "member-c"))
    for token in members[1:]:
        others = (await api.get("/api/events?after=0", token=token)).data
        assert "post_liked" not in {event["type"] for event in others}
