"""/admin in a real browser, as an administrator uses it, and as others do not."""
from __future__ import annotations

import json
from typing import Any

import pytest

from tests.admin.support import Desk
from tests.conftest import Serve
from tests.pages.attacks import ATTACKS, HURT, answered, gives, unhurt
from tests.pages.browser import Page
from tests.pages.conftest import Browse
from tests.pages.members import named, sign_in
from tests.support import Served, until

pytestmark = pytest.mark.browser

TITLES = "[...document.querySelectorAll('#rows h3')].map(each => each.textContent)"
TABS = ("members", "posts", "jobs", "mails", "audit", "schedules", "statistics")


async def at_admin(page: Page, server: Served, part: str = "members") -> Desk:
    """An administrator who is signed in there, and another session of theirs."""
    desk = await Desk.of(server)
    await sign_in(page, f"/admin#{part}", "root")
    await page.sees("#heading", part.capitalize())
    return desk


async def go(page: Page, part: str) -> None:
    """Presses the link to another part."""
    await page.press(f".tabs a[href='#{part}']")
    await page.sees("#heading", part.capitalize())
    assert await page.focused() == "heading" and await page.js("document.title") == f"{part.capitalize()} - Foyer"


async def shows(page: Page, *titles: str) -> None:
    """Waits until the list holds these and no others."""
    wanted = json.dumps(json.dumps(titles, separators=(",", ":")))
    await until(lambda: page.js(f"JSON.stringify({TITLES}) === {wanted}"))


async def find(page: Page, part: str = "", choice: str = "") -> None:
    """Searches."""
    await page.type("#q", part)
    await page.js(f"document.querySelector('#choice').value = {json.dumps(choice)}")
    await page.key("Enter")


async def test_who_is_no_administrator_is_told_so(page: Page, server: Served) -> None:
    await server.api.sign_up("ada")
    await sign_in(page, "/admin")
    assert await page.sees("#others", "administrators") == "This page is for administrators."
    assert not await page.text("#administration") and "Administration" not in await page.text("#top")
    assert not [url for _, url in page.requests if "/api/admin" in url]


async def test_who_is_none_any_more_is_told_so(page: Page, server: Served) -> None:
    desk = await at_admin(page, server)
    await shows(page, "root administrator")
    other = await Desk.of(server, "other")
    connections: Any = server.foyer.hub._by_member
    await until(lambda: connections)
    page.refusals.append(("/api/token/refresh", 401))
    await other.suspend(desk.id)
    await page.sees("h1", "Sign in")  # by itself, for the socket is closed
    assert await page.js("location.search") == "?next=%2Fadmin%23members"


async def test_members_are_found_suspended_and_restored(page: Page, server: Served) -> None:
    ada = (await server.api.sign_up("ada"))["access_token"]
    await server.api.sign_up("bob")
    await at_admin(page, server)
    assert await page.text("#top [aria-current]") == "Administration"
    await shows(page, "root administrator", "bob", "ada")
    await find(page, "ada@example.org")
    await shows(page, "ada")
    await page.press("#rows button")
    assert await page.sees("#asked", "Suspend") == "Suspend ada? They are signed out everywhere at once."
    await page.press("#keep")
    assert (await server.api.get("/api/me", token=ada)).status == 200
    await page.press("#rows button")
    await page.sees("#asked", "Suspend ada?")
    await page.press("#sure")
    await shows(page, "ada suspended")
    assert (await server.api.get("/api/me", token=ada)).status == 401
    await page.press("#rows button")
    await shows(page, "ada")
    assert await page.focused() == "Suspend", "whoever is at the button stays there"
    page.refusals.append(("/api/admin/users/3/suspend", 403))
    await find(page, "root")
    await shows(page, "root administrator")
    await page.press("#rows button")
    await page.sees("#asked", "Suspend root?")
    await page.press("#sure")
    await page.sees("#wrong", "Nobody can suspend themselves")


async def test_posts_are_found_and_deleted(page: Page, server: Served) -> None:
    token = (await server.api.sign_up("ada"))["access_token"]
    for title in ("Fine", "Spam"):
        await server.api.write_post(token, title)
    await at_admin(page, server, "posts")
    await shows(page, "Spam", "Fine")
    await find(page, "spa")
    await shows(page, "Spam")
    await page.press("#rows button")
    await page.sees("#asked", "Delete Spam by ada?")
    await page.press("#sure")
    await page.sees("#none", "There are none.")
    assert [post["title"] for post in (await server.api.get("/api/posts")).data] == ["Fine"]
    await go(page, "audit")
    await find(page, "post_del")
    await shows(page, "post deleted")
    assert "By\nroot (2)" in (told := await page.text("#rows")) and "Member\nada (1)" in told


async def test_failed_jobs_are_tried_again_or_forgotten(serve: Serve, browse: Browse) -> None:
    server = await serve({"enrichment.attempts": "1", "enrichment.providers": "clearbit"})
    await server.api.switch(server.sandbox, "clearbit", find=["503-json"])
    for name in ("ada", "bob"):
        await server.api.sign_up(name)
    page = await browse(server)
    desk = await at_admin(page, server, "jobs")

    async def failed() -> bool:
        return len(await desk.listed("jobs", state="failed", q="enrich")) == 3
    await until(failed)
    await find(page, "enrich", "failed")
    await shows(page, *["enrich failed"] * 3)
    await server.api.switch(server.sandbox, "clearbit", find="found")
    await page.press("#rows .deeds button")
    await until(lambda: page.js(f"{TITLES}[0] === 'enrich ready'"))
    await page.press("#rows li:last-child button:last-child")
    await page.sees("#asked", "Forget job ")
    await page.press("#sure")
    await shows(page, "enrich ready", "enrich failed")

    async def done() -> bool:
        return len(await desk.listed("jobs", state="done", q="enrich")) == 1
    await until(done)
    await find(page, "enrich", "done")
    await shows(page, "enrich done")
    assert await page.focused() == "q"


async def test_mails_are_found_and_read(page: Page, server: Served) -> None:
    await server.api.sign_up("ada")
    await server.api.sign_up("bob")
    desk = await at_admin(page, server, "mails")

    async def sent() -> bool:
        return len(await desk.listed("mails", status="sent", q="ada@example.org")) == 1
    await until(sent)
    await find(page, "ada@example.org", "sent")
    await until(lambda: page.js(f"{TITLES}.length === 1"))
    assert "To\nada@example.org" in await page.text("#rows")
    await page.press("#rows button")
    await page.sees("#rows .text", "ada")
    await find(page, "ada@example.org", "failed")
    await page.sees("#none", "There are none.")


async def test_the_audit_is_searched_and_asked_about_a_member(page: Page, server: Served) -> None:
    ada, bob = [(await server.api.sign_up(name))["user"]["id"] for name in ("ada", "bob")]
    desk = await at_admin(page, server, "audit")
    for member_id in (ada, bob):
        await desk.suspend(member_id)
        await desk.restore(member_id)
    await find(page, "restored")
    await shows(page, "member restored", "member restored")
    await page.fill(member_id=str(ada))
    await page.key("Enter")
    await shows(page, "member restored")
    assert f"Member\nada ({ada})" in await page.text("#rows")
    page.refusals.append(("/api/admin/audit?q=restored&member_id=0&limit=20", 422))
    await page.fill(member_id="0")
    await page.key("Enter")
    assert (await page.sees("#member_id-wrong", "must")).startswith("About the member with the id must ")


async def test_schedules_are_changed_and_run(page: Page, server: Served) -> None:
    desk = await at_admin(page, server, "schedules")
    await page.sees("#schedules", "only when it is told to")
    names = "[...document.querySelectorAll('#all h3')].map(each => each.textContent)"
    assert await page.js(names) == ["users", "addresses", "cards"]
    connections: Any = server.foyer.hub._by_member
    await until(lambda: connections)
    await page.press("#all li:first-child .deeds button:last-child")
    await page.sees("#runs", "What users did")
    await page.sees("#past .none", "There are none yet.")
    assert await page.focused() == "runs"
    await page.press("#all .deeds button")
    await page.sees("#all li:first-child", "new 10, changed 0, unchanged 0, rejected 0")  # by itself
    await page.sees("#past", "new 10, changed 0")
    page.refusals.append(("/api/admin/schedules/users", 422))
    await page.press("#all .deeds button:nth-of-type(2)")
    assert await page.text("#schedule-title") == "Schedule of users"
    await page.fill(every_seconds="0", batch="5")
    await page.press("#enabled")
    await page.press("#schedule .send")
    await page.sees("#every_seconds-wrong", "Seconds from one run to the next must ")
    await page.fill(every_seconds="86400")
    await page.press("#schedule .send")
    await page.sees("#all li:first-child", "every 86,400 seconds")
    [users, *_] = await desk.listed("schedules")
    assert (users["every_seconds"], users["batch"], users["enabled"]) == (86400, 5, True)
    await page.press("#all .deeds button:nth-of-type(2)")
    assert await page.js("document.querySelector('#enabled').checked")
    await page.press("#enabled")
    await page.press("#schedule .send")
    await page.sees("#all li:first-child", "only when it is told to")
    assert not (await desk.listed("schedules"))[0]["enabled"]


async def test_a_run_that_fails_says_why(page: Page, server: Served) -> None:
    await server.api.switch(server.sandbox, "randomdata", users=["503-json"])
    await at_admin(page, server, "schedules")
    connections: Any = server.foyer.hub._by_member
    await until(lambda: connections)
    await page.press("#all .deeds button")
    await page.sees("#all .error", "failed")
    await page.sees("#all li:first-child", "Last error")


async def test_the_statistics_are_shown(page: Page, server: Served) -> None:
    token = (await server.api.sign_up("ada"))["access_token"]
    await server.api.write_post(token)
    await at_admin(page, server, "statistics")
    told = " ".join((await page.sees("#statistics", "Outside services")).split())
    for words in ("Members 2", "Posts 1", "Likes 0", "People 0", "Size", "Last backup none yet", "Hunter ready"):
        assert words in told, words


async def test_every_part_fits_on_a_small_telephone(page: Page, server: Served) -> None:
    token = await named(server.api, "a" * 30, "Long" * 30)
    await server.api.write_post(token, "Long" * 60, "x" * 300)
    await at_admin(page, server, TABS[-1])
    for part in TABS:
        await go(page, part)
        await until(lambda: page.js("[...document.querySelectorAll('li, #statistics dl, .none')].some(each => "
                                    "each.checkVisibility())"))
        await page.narrow()


async def test_it_works_without_a_mouse(page: Page, server: Served) -> None:
    await server.api.sign_up("ada")
    await at_admin(page, server)
    await shows(page, "root administrator", "ada")
    await page.js("document.querySelector('.tabs a').focus()")
    for stop in ("Posts", "Jobs", "Mails", "Audit", "Schedules", "Statistics", "q", "Search", "Suspend", "Suspend"):
        await page.key("Tab")
        assert await page.focused() == stop
    await page.key("Enter")
    await page.sees("#asked", "Suspend ada?")
    assert await page.focused() == "keep"
    await page.key("Tab")
    await page.key("Enter")
    await shows(page, "root administrator", "ada suspended")


# -- what others write

async def test_what_others_write_is_only_ever_words(page: Page, server: Served) -> None:
    token = await named(server.api, "ada", ATTACKS[0])
    for attack in ATTACKS:
        await server.api.write_post(token, attack, attack)
    await at_admin(page, server)
    assert ATTACKS[0] in await page.sees("#rows", "Name")
    await unhurt(page)
    await go(page, "posts")
    await shows(page, *reversed(ATTACKS))
    await unhurt(page)
    await page.press("#rows button")
    await page.sees("#asked", ATTACKS[-1])
    await unhurt(page)


async def test_an_answer_is_only_ever_words(page: Page, server: Served) -> None:
    await at_admin(page, server)
    for number, attack in enumerate(ATTACKS):
        told: dict[str, Any] = {"code": "x", "title": attack, "detail": attack, "errors": []}
        await answered(page, 422, "application/problem+json", json.dumps(told))
        await page.js(f"location.hash = '{TABS[(number + 1) % len(TABS)]}'")
        assert await page.sees("#wrong", attack) == attack
        await unhurt(page)
    who = {"id": ATTACKS[0], "username": ATTACKS[1]}
    job = {"id": HURT, "kind": ATTACKS[0], "key": ATTACKS[1], "state": "failed", "last_error": ATTACKS[2]}
    mail = {"id": HURT, "subject": ATTACKS[0], "status": ATTACKS[1], "recipient": ATTACKS[2], "reason": ATTACKS[3]}
    act = {"id": HURT, "act": ATTACKS[0], "at": HURT, "actor": who, "member": who, "target": ATTACKS[2],
           "details": {ATTACKS[3]: ATTACKS[4]}}
    run = {"id": HURT, "name": HURT, "status": ATTACKS[0], "error": ATTACKS[1], "reasons": {ATTACKS[2]: ATTACKS[3]}}
    schedule = {"name": ATTACKS[4], "every_seconds": HURT, "enabled": True, "last_error": ATTACKS[2], "last_run": run}
    stats = {"version": ATTACKS[0], "started_at": HURT, "sockets": ATTACKS[1], "members": HURT, "posts": HURT,
             "likes": HURT, "counted": {"members_at": HURT, "posts_at": HURT},
             "jobs": {ATTACKS[2]: ATTACKS[3]}, "people": {}, "last_backup": None,
             "database": {"bytes": 1, "wal_bytes": None},
             "providers": {ATTACKS[4]: {"state": ATTACKS[5], "last_error": ATTACKS[6]}}}
    await gives(page, {"/api/admin/jobs": [job], "/api/admin/mails": [mail], "/api/admin/audit": [act],
                       "/api/admin/schedules": [schedule], "/api/admin/stats": stats})
    for part, place, words in (("jobs", "#rows", ATTACKS[2]), ("mails", "#rows", ATTACKS[3]),
                               ("audit", "#rows", ATTACKS[4]), ("schedules", "#all", ATTACKS[1]),
                               ("statistics", "#statistics", ATTACKS[6])):
        await page.js(f"location.hash = '{part}'")
        await page.sees(place, words)
        await unhurt(page)
