"""/feed in a real browser, as a person uses it."""
from __future__ import annotations

import json
from typing import Any

import pytest

from tests.pages.attacks import ATTACKS, HURT, answered, gives, unhurt
from tests.pages.browser import Page
from tests.pages.members import named, sign_in
from tests.support import Api, Served, until
from ws import protocol

pytestmark = pytest.mark.browser

LINK = "https://example.org/engine?a=1&b=2"
TITLES = "[...document.querySelectorAll('#posts h3')].map(each => each.textContent)"
LIKED = "[...document.querySelectorAll('#posts [aria-pressed]')].map(each => each.ariaPressed)"


async def at_feed(page: Page, server: Served, path: str = "/feed") -> str:
    """Somebody who is signed in at the feed; an access token of another session of theirs."""
    token: str = (await server.api.sign_up("ada"))["access_token"]
    await read_by(page, "ada", path)
    return token


async def read_by(page: Page, name: str, path: str = "/feed") -> None:
    """Signs in, and waits until the feed is read, and once more because the socket is ready."""
    await sign_in(page, path, name)
    await until(lambda: page.asked("GET", "/api/posts") == 2)
    await until(lambda: page.js("document.querySelector('#posts').children.length || "
                                "document.querySelector('#none').checkVisibility()"))


async def like(api: Api, token: str, post: Any) -> None:
    """Likes a post."""
    assert (await api.call("PUT", f"/api/posts/{post['id']}/like", token=token)).status == 200


async def test_a_post_is_written_changed_and_deleted(page: Page, server: Served) -> None:
    token = await at_feed(page, server)
    assert await page.text("#none") == "There are no posts here yet."
    await page.press("#write")
    assert await page.text("#post-title") == "Write a post" and await page.focused() == "title"
    await page.fill(title="The engine", text="It weaves\n  patterns.", link=LINK)
    await page.press("#post .send")
    await page.sees("#posts", "The engine")
    assert not await page.text("#post") and await page.text("#posts .text") == "It weaves\n  patterns."
    assert await page.js("(a => [a.href, a.rel])(document.querySelector('#posts li > p > a[rel]'))") == [
        LINK, "noopener noreferrer"]
    await page.press("#posts .deeds button")
    assert await page.js("document.querySelector('#text').value") == "It weaves\n  patterns."
    await page.fill(title="The loom", link="")
    await page.press("#post .send")
    await page.sees("#posts", "edited")
    post = (await server.api.get("/api/posts", token=token)).data[0]
    assert (post["title"], post["text"], post["link"]) == ("The loom", "It weaves\n  patterns.", None)
    assert await page.js(TITLES) == ["The loom"] and await page.js("!document.querySelector('#posts a[rel]')")
    await page.press("#write")
    assert await page.js("document.querySelector('#title').value") == "", "what was edited is no draft"
    await page.key("Escape")
    await page.press("#posts .deeds button:nth-of-type(2)")
    assert await page.sees("#asked", "Delete") == "Delete The loom? It cannot be brought back."
    await page.press("#keep")
    assert (await server.api.get("/api/posts", token=token)).data
    await page.press("#posts .deeds button:nth-of-type(2)")
    await page.sees("#asked", "Delete The loom?")
    await page.press("#sure")
    await page.sees("#none", "There are no posts here yet.")
    assert (await server.api.get("/api/posts", token=token)).data == [] and await page.focused() == "heading"


async def test_what_is_wrong_is_said_at_the_fields_and_a_draft_is_kept(page: Page, server: Served) -> None:
    await at_feed(page, server)
    page.refusals += [("/api/posts", 422)]
    await page.press("#write")
    await page.fill(text="Text", link="javascript:1")
    await page.press("#post .send")
    assert (await page.sees("#title-wrong", "must")).startswith("Title must ")
    assert (await page.sees("#link-wrong", "must")).startswith("Link must ")
    assert await page.focused() == "title" and not await page.text("#text-wrong")
    await page.press("#post .cancel")
    await page.press("#write")
    assert await page.js("document.querySelector('#text').value") == "Text"
    await page.fill(title="Title", link="")
    await page.press("#post .send")
    await page.sees("#posts", "Title")
    await page.press("#write")
    assert await page.js("[...new FormData(document.querySelector('#post form')).values()].join('')") == ""


async def test_a_post_that_is_sent_twice_is_one(page: Page, server: Served) -> None:
    token = await at_feed(page, server)
    await page.press("#write")
    await page.fill(title="Once", text="and only once")
    await page.js("(() => { const real = fetch; fetch = async (...told) => { await real(...told); fetch = real; "
                  "throw new TypeError('lost'); }; })()")
    await page.press("#post .send")
    await page.sees("#post .problem", "The server did not answer. Try again.")
    await page.press("#post .send")
    await page.sees("#posts", "Once")
    assert len((await server.api.get("/api/posts", token=token)).data) == 1 and page.asked("POST", "/api/posts") == 2


async def test_posts_of_others_are_liked_and_one_is_not_able_to_like_ones_own(page: Page, server: Served) -> None:
    bob = await named(server.api, "bob", "Bob Boole")
    post = await server.api.write_post(bob, "Of Bob")
    ada = (await server.api.sign_up("ada"))["access_token"]
    await server.api.write_post(ada, "Of Ada")
    await read_by(page, "ada")
    assert await page.js(TITLES) == ["Of Ada", "Of Bob"] and await page.js(LIKED) == ["false"]
    assert (await page.text("#posts li:last-child .by")).startswith("Bob Boole, ")
    await page.js("document.querySelector('[aria-pressed]').focus()")
    for pressed, likes in (("true", "1 like"), ("false", "0 likes"), ("true", "1 like")):
        await page.key("Enter")
        await page.sees("#posts li:last-child .likes", likes)
        assert await page.js(LIKED) == [pressed]
        assert await page.js("document.activeElement.ariaLabel") == "Like Of Bob", "one stays at the button"
        told = (await server.api.get(f"/api/posts/{post['id']}", token=ada)).data
        assert told["liked"] == (pressed == "true")


async def test_a_like_of_ones_post_arrives_by_itself(page: Page, server: Served) -> None:
    ada = (await server.api.sign_up("ada"))["access_token"]
    bob = (await server.api.sign_up("bob"))["access_token"]
    posts = [await server.api.write_post(ada, title) for title in ("First", "Second")]
    await read_by(page, "ada")
    await page.js("document.querySelectorAll('#posts button')[3].focus()")
    await like(server.api, bob, posts[0])
    await page.sees("#posts li:last-child .likes", "1 like")
    assert await page.text("#posts li .likes") == "0 likes" and await page.focused() == "Delete"
    assert page.asked("GET", "/api/posts") == 2, "the event says it all"


async def test_what_happens_while_the_connection_is_lost_is_looked_up(page: Page, server: Served) -> None:
    token = await at_feed(page, server)
    connections: Any = server.foyer.hub._by_member
    await until(lambda: connections)
    await server.api.write_post(token, "Meanwhile")
    for connection in [each for of_one in connections.values() for each in of_one]:
        connection.end(protocol.GOING_AWAY)
    await page.sees("#posts", "Meanwhile")
    await until(lambda: page.asked("SOCKET", "/ws") == 2)


async def test_all_posts_are_reached_in_any_order_and_each_once(page: Page, server: Served) -> None:
    ada = (await server.api.sign_up("ada"))["access_token"]
    bob = (await server.api.sign_up("bob"))["access_token"]
    posts = [await server.api.write_post(ada, f"Post {number}") for number in range(45)]
    for liked in (posts[7], posts[30]):
        await like(server.api, bob, liked)
    await read_by(page, "ada")
    newest = [post["title"] for post in reversed(posts)]
    for shown in (20, 40, 45):
        await until(lambda: page.js(f"{TITLES}.length === {shown}"))
        assert await page.js(TITLES) == newest[:shown]
        assert bool(await page.text("#more")) == (shown < 45)
        if shown < 45:
            await page.press("#more")
    await page.js("(field => { field.value = 'likes'; field.dispatchEvent(new Event('change')); })"
                  "(document.querySelector('#sort'))")
    await until(lambda: page.js(f"{TITLES}[0] === 'Post 30'"))
    assert (await page.js(TITLES))[:3] == ["Post 30", "Post 7", "Post 44"]
    await page.press("#unliked")
    await until(lambda: page.js(f"{TITLES}[0] === 'Post 44'"))
    for shown in (40, 43):
        await page.press("#more")
        await until(lambda: page.js(f"{TITLES}.length === {shown}"))
    assert await page.js(TITLES) == [title for title in newest if title not in ("Post 7", "Post 30")]


async def test_what_comes_while_more_is_asked_for_stands_in_its_place(page: Page, server: Served) -> None:
    ada = (await server.api.sign_up("ada"))["access_token"]
    titles = [(await server.api.write_post(ada, f"Post {number}"))["title"] for number in range(45)]
    await read_by(page, "ada")
    await page.js("""void (() => {
        const real = fetch;
        const until = new Promise((resolve) => { window.goOn = () => { fetch = real; resolve(); }; });
        fetch = async (path, told) => { if (path.includes("cursor")) await until; return real(path, told); };
    })()""")
    await page.press("#more")
    await page.press("#write")
    await page.fill(title="Meanwhile", text="Text")
    await page.press("#post .send")
    await page.sees("#posts", "Meanwhile")
    await page.js("goOn()")
    await until(lambda: page.js(f"{TITLES}.length === 40"))
    assert await page.js(TITLES) == ["Meanwhile", *reversed(titles[6:])]


async def test_what_is_deleted_while_the_list_is_read_stays_away(page: Page, server: Served) -> None:
    token = await at_feed(page, server)
    await server.api.write_post(token, "Doomed")
    await page.js("document.querySelector('#unliked').click()")
    await page.sees("#posts", "Doomed")
    await server.api.write_post(token, "Meanwhile")
    await page.js("""void (() => {
        const real = fetch;
        const until = new Promise((resolve) => { window.goOn = resolve; });
        fetch = async (path, told) => {
            const answer = await real(path, told);
            if (!path.startsWith("/api/posts?")) return answer;
            window.held = true;
            await until;
            return answer;
        };
    })()""")
    for connection in [each for of_one in server.foyer.hub._by_member.values() for each in of_one]:
        connection.end(protocol.GOING_AWAY)  # so that the list is read again
    await until(lambda: page.js("window.held === true"))
    await page.press("#posts .deeds button:nth-of-type(2)")
    await page.sees("#asked", "Delete Doomed?")
    await page.press("#sure")
    await page.sees("#none", "There are no posts here yet.")
    await page.js("goOn()")
    await page.sees("#posts", "Meanwhile")
    assert await page.js(TITLES) == ["Meanwhile"]


async def test_the_posts_of_one_member_have_an_address(page: Page, server: Served) -> None:
    bob = (await server.api.sign_up("bob"))["access_token"]
    await server.api.write_post(bob, "Of Bob")
    ada = (await server.api.sign_up("ada"))["access_token"]
    await server.api.write_post(ada, "Of Ada")
    await read_by(page, "ada", "/feed#by=bob")
    assert await page.text("#heading") == "Posts of bob" and await page.js(TITLES) == ["Of Bob"]
    await page.press("#everybody a")
    await page.sees("#posts", "Of Ada")
    assert await page.text("#heading") == "Feed" and await page.focused() == "heading"
    await page.press("#posts .by a")
    await page.sees("#heading", "Posts of ada")
    await until(lambda: page.js(f"JSON.stringify({TITLES}) === '[\"Of Ada\"]'"))


async def test_the_pages_for_members_lead_to_each_other(page: Page, server: Served) -> None:
    await at_feed(page, server)
    told = "[...document.querySelectorAll('#top a')].map(each => [each.textContent, each.getAttribute('href')])"
    assert await page.js(told) == [["Foyer", "/"], ["Feed", "/feed"], ["Files", "/files"], ["Referrals", "/referrals"],
                                   ["People", "/people"]]
    assert await page.text("#top [aria-current=page]") == "Feed"
    await page.press("#out")
    await page.sees("h1", "Sign in")


async def test_it_fits_on_a_small_telephone(page: Page, server: Served) -> None:
    token = await at_feed(page, server)
    await server.api.write_post(token, "Long" * 50, "text " * 40 + "x" * 300, link=LINK + "z" * 200)
    await page.open("/docs")
    await page.open("/feed")
    await page.sees("#posts", "Long")
    await page.narrow()
    await page.press("#write")
    await page.narrow()


# -- what others write

async def test_what_others_write_is_only_ever_words(page: Page, server: Served) -> None:
    bob = await named(server.api, "bob", ATTACKS[0])
    for attack in ATTACKS:
        await server.api.write_post(bob, attack, attack)
    await at_feed(page, server)
    assert await page.js(TITLES) == list(reversed(ATTACKS))
    assert ATTACKS[0] in await page.text("#posts .by")
    await unhurt(page)
    for attack in ATTACKS:
        await page.js(f"location.hash = 'by=' + encodeURIComponent({json.dumps(attack[:30])})")
        await page.sees("#heading", attack[:30])
        await page.sees("#none", "There are no posts here yet.")
        await unhurt(page)


async def test_an_answer_is_only_ever_words(page: Page, server: Served) -> None:
    token = await at_feed(page, server)
    await server.api.write_post(token)
    me = (await server.api.get("/api/me", token=token)).data
    for attack in ATTACKS:
        told: dict[str, Any] = {"code": "x", "title": attack, "detail": attack, "errors": []}
        await answered(page, 422, "application/problem+json", json.dumps(told))
        await page.js("document.querySelector('#unliked').click()")
        assert await page.sees("#wrong", attack) == attack
        await unhurt(page)
    author = {"id": me["id"], "username": HURT, "name": ATTACKS[0], "avatar_url": ATTACKS[1]}
    post = {"id": 1, "author": author, "title": ATTACKS[1], "text": ATTACKS[2], "link": f"javascript:{HURT}",
            "created_at": HURT, "edited_at": ATTACKS[3], "like_count": 1, "liked": HURT}
    await gives(page, {"/api/posts": [post]})
    await page.js("document.querySelector('#unliked').click()")
    await page.sees("#posts", f"javascript:{HURT}")
    assert await page.js("!document.querySelector('#posts a[rel]')"), "what is no address of a site is no link"
    await page.press("#posts .deeds button:nth-of-type(2)")
    await page.sees("#asked", ATTACKS[1])
    await unhurt(page)
