"""The feed: filters, orders and pages that visit each post exactly once."""
from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from tests.support import Api
from tests.web.hostile import problem


async def pages(api: Api, query: str, token: str | None = None, limit: int = 3, between: Any = None) -> list[Any]:
    """All items of a list, page by page."""
    found: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = await api.get(f"/api/posts?limit={limit}&{query}{cursor and '&cursor=' + cursor}", token=token)
        assert set(answer.body) == {"data", "next"} and len(answer.data) <= limit
        assert answer.body["next"] is None or len(answer.data) == limit
        found += answer.data
        cursor = answer.body["next"]
        if between is not None:
            await between()
    return found


@pytest.fixture
async def town(api: Api) -> Any:
    """Three members, seventeen posts, some likes."""
    dice = random.Random(7)
    tokens = [(await api.sign_up(name))["access_token"] for name in ("ada", "Bob", "eve")]
    posts = []
    for number in range(17):
        author = number % 3
        posts.append((await api.write_post(tokens[author], f"Post {number}"))["id"])
        for liker in dice.sample([other for other in range(3) if other != author], dice.randint(0, 2)):
            await api.call("PUT", f"/api/posts/{posts[-1]}/like", token=tokens[liker])
    return tokens, posts


QUERIES = ("", "sort=new", "sort=likes", "unliked=true", "author=ada", "author=BOB", "author=bob&sort=likes",
           "author=eve&unliked=true", "unliked=true&sort=likes", "unliked=false", "author=nobody")


async def _wanted(api: Api, posts: list[int], query: str, token: str | None) -> list[Any]:
    """What a query must give, made of single posts."""
    found = [(await api.get(f"/api/posts/{post}", token=token)).data for post in reversed(posts)]
    words = dict(part.split("=") for part in query.split("&") if part)
    if "author" in words:
        found = [post for post in found if post["author"]["username"].lower() == words["author"].lower()]
    if words.get("unliked") == "true":
        found = [post for post in found if post["like_count"] == 0]
    elif words.get("sort") == "likes":
        found.sort(key=lambda post: -post["like_count"])
    return found


@pytest.mark.parametrize("limit", [1, 3, 17, 100])
async def test_every_query_gives_what_it_says(api: Api, town: Any, limit: int) -> None:
    tokens, posts = town
    for token in (None, tokens[1]):
        for query in QUERIES:
            wanted = await _wanted(api, posts, query, token)
            for _ in range(2):  # from the database, and from memory
                assert await pages(api, query, token, limit) == wanted, query


async def test_twenty_to_a_page(api: Api) -> None:
    token = (await api.sign_up())["access_token"]
    for number in range(21):
        await api.write_post(token, f"Post {number}")
    answer = await api.get("/api/posts")
    assert len(answer.data) == 20 and answer.body["next"]
    rest = await api.get("/api/posts", params={"cursor": answer.body["next"]})
    assert [post["title"] for post in rest.data] == ["Post 0"] and rest.body["next"] is None


async def test_new_posts_meanwhile_do_not_move_the_pages(api: Api, town: Any) -> None:
    tokens, posts = town

    async def write() -> None:
        await api.write_post(tokens[0], "Meanwhile")
    found = await pages(api, "sort=new", tokens[1], 4, write)
    assert [post["id"] for post in found] == list(reversed(posts))


async def test_deleted_posts_meanwhile_do_not_move_the_pages(api: Api, town: Any) -> None:
    tokens, posts = town
    gone = [post for number, post in enumerate(posts) if number % 3 == 0]

    async def delete() -> None:
        if gone:
            await api.call("DELETE", f"/api/posts/{gone.pop()}", token=tokens[0])
    kept = {post for number, post in enumerate(posts) if number % 3}
    found = [post["id"] for post in await pages(api, "", None, 2, delete)]
    assert found == sorted(found, reverse=True) and kept <= set(found) and len(found) == len(set(found))


async def test_likes_meanwhile_lose_no_post_that_they_do_not_move(api: Api, town: Any) -> None:
    tokens, posts = town
    moving = posts[0]

    async def like() -> None:
        for method in ("PUT", "DELETE"):
            await api.call(method, f"/api/posts/{moving}/like", token=tokens[1])
    found = [post["id"] for post in await pages(api, "sort=likes", tokens[2], 2, like)]
    others = [post for post in found if post != moving]
    assert sorted(others) == sorted(set(posts) - {moving})


async def test_unliked_posts_are_unliked_on_every_page(api: Api, town: Any) -> None:
    tokens, posts = town

    async def like_one() -> None:
        left = (await api.get("/api/posts?unliked=true")).data
        mine = [post for post in left if post["author"]["username"] != "ada"]
        if mine:
            await api.call("PUT", f"/api/posts/{mine[-1]['id']}/like", token=tokens[0])
    found = await pages(api, "unliked=true", tokens[0], 2, like_one)
    assert all(post["like_count"] == 0 for post in found)
    assert len({post["id"] for post in found}) == len(found)


async def test_anonymous_and_signed_in_at_once(api: Api, town: Any) -> None:
    tokens, posts = town
    answers = await asyncio.gather(*[api.get("/api/posts?limit=17", token=token) for _ in range(10)
                                     for token in (None, *tokens)])
    for token, answer, number in zip((None, *tokens), answers, range(4)):
        assert answer.data == await _wanted(api, posts, "", token)
        assert {same.raw for same in answers[number::4]} == {answer.raw}


async def test_a_bad_token_is_not_taken_for_a_stranger(api: Api, town: Any) -> None:
    problem(await api.get("/api/posts", token="nonsense"), 401)
