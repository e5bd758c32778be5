"""/login and /files in a real browser, as a person uses them."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.conftest import Serve
from tests.pages.attacks import ATTACKS, HURT, answered, unhurt
from tests.pages.browser import Page
from tests.pages.conftest import Browse
from tests.pages.members import REFRESH, sign_in
from tests.support import PASSWORD, Served, until
from tests.web.hostile import FILE, file_body, upload
from ws import protocol

pytestmark = pytest.mark.browser

SOURCE = 'import os\nimport sys  # noqa\n\n\ndef add(a, b):\n    return a+ b\n'
LINES = "[...document.querySelectorAll('#source li')].map(li => [li.value, li.innerText.trim().split(/\\n+/)])"
NOWHERE = ("https://example.org/", "//example.org/", "/\\example.org", "javascript:document.title='hurt'", "",
           "\\\\example.org", "/\t/example.org", "data:text/html,x", "files", "http:/files", "/.//example.org")


async def at_home(page: Page, server: Served) -> str:
    """Somebody who is signed in at their files; an access token of another session of theirs."""
    token: str = (await server.api.sign_up("ada"))["access_token"]
    await sign_in(page, "/files")
    await page.sees("#none", "You have no files yet.")
    await until(lambda: page.asked("GET", "/api/files") == 2)  # once more when the socket is ready
    return token


# -- /login

async def test_who_is_not_signed_in_is_led_there_and_back_to_the_same_file(page: Page, server: Served) -> None:
    token = (await server.api.sign_up("ada"))["access_token"]
    file = await upload(server.api, token)
    await sign_in(page, f"/files#{file['id']}")
    await page.sees("#name", "engine.py")
    assert await page.js("location.hash") == f"#{file['id']}"
    assert await page.js("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
    await page.open("/docs")
    await page.open("/files")
    await page.sees("#files", "engine.py")  # the session goes on


async def test_the_mails_link_leads_to_the_file(page: Page, server: Served) -> None:
    token = (await server.api.sign_up("ada"))["access_token"]
    file = await upload(server.api, token)

    async def link() -> str | None:
        found = [link for mail in await server.mails("ada@example.org") for link in mail["links"]
                 if "/files" in link]
        return found[0] if found else None
    told = str(await until(link))
    assert told == f"{server.url}/files#{file['id']}"
    await sign_in(page, told.removeprefix(server.url))
    await page.sees("#source", "F401")


async def test_what_is_wrong_with_a_sign_in_is_said(page: Page, server: Served) -> None:
    await server.api.sign_up("ada")
    page.refusals += [("/api/login", 422), ("/api/login", 401)]
    await page.open("/login")
    await page.press(".send")
    await page.sees("#username-wrong", "User name or e-mail address ")
    await page.sees("#password-wrong", "Password ")
    await page.fill(username="ada@example.org", password="wr0ng-horse")
    await page.press(".send")
    assert await page.sees(".problem", "wrong") == "Name or password is wrong."
    await page.fill(password=PASSWORD)
    await page.key("Enter")
    await page.sees("#title", "Files")


async def test_who_may_not_sign_in_is_told_why(serve: Serve, browse: Browse) -> None:
    server = await serve({"auth.require_confirmed_email": "login", "limits.login": "2/hour", "sandbox.mode": "off"})
    page = await browse(server)
    await server.api.post("/api/signup", {"username": "ada", "email": "ada@example.org", "password": PASSWORD})
    page.refusals += [("/api/login", 403), ("/api/login", 401), ("/api/login", 429)]
    await page.open("/login")
    for password, words in ((PASSWORD, "Confirm your e-mail address first"), ("wr0ng-horse", "is wrong"),
                            ("wr0ng-horse", "Try again in")):
        await page.fill(username="ada", password=password)
        await page.press(".send")
        await page.sees(".problem", words)


@pytest.mark.parametrize("goal", NOWHERE, ids=range(len(NOWHERE)))
async def test_a_sign_in_leads_to_nobody_elses_site(page: Page, server: Served, goal: str) -> None:
    await server.api.sign_up("ada")
    if goal == "/.//example.org":
        page.refusals.append(("//example.org", 404))  # a path of ours, though an odd one
    await page.open(f"/login?next={quote(goal)}")
    await page.fill(username="ada", password=PASSWORD)
    await page.press(".send")
    await page.arrives("//example.org" if goal == "/.//example.org" else "/files")
    assert await page.js("document.title") != "hurt"


async def test_whoever_signs_out_is_out(page: Page, server: Served) -> None:
    await at_home(page, server)
    await page.press("#out")
    await page.sees("h1", "Sign in")
    assert await page.js("location.pathname + location.search") == "/login"
    page.refusals.append((REFRESH, 422))
    await page.open("/files")
    await page.sees("h1", "Sign in")
    assert await page.js("location.search") == "?next=%2Ffiles"


async def test_a_session_that_ends_elsewhere_ends_here(page: Page, server: Served) -> None:
    token = await at_home(page, server)
    page.refusals.append((REFRESH, 401))
    sessions = (await server.api.get("/api/sessions", token=token)).data
    for session in sessions:
        if not session["current"]:
            await server.api.call("DELETE", f"/api/sessions/{session['id']}", token=token)
    await page.sees("h1", "Sign in")


# -- /files

async def test_a_file_is_uploaded_checked_replaced_and_deleted(page: Page, server: Served) -> None:
    token = await at_home(page, server)
    await page.give("#upload", {"sum.py": SOURCE})
    assert await page.sees("#name", "sum.py") == "sum.py"
    await page.sees("#about", "violations")  # by itself
    assert await page.sees("#summary", "finding") == "2 findings: F401 \u00d7 1, E225 \u00d7 1. Silenced by noqa: 1."
    assert await page.js(LINES) == [
        [1, ["import os", "F401 in column 1: 'os' imported but unused"]],
        [2, ["import sys  # noqa", "F401 in column 1: 'sys' imported but unused (silenced by noqa)"]],
        [3, [""]], [4, [""]], [5, ["def add(a, b):"]],
        [6, ["return a+ b", "E225 in column 13: missing whitespace around operator"]]]
    assert await page.js("document.querySelectorAll('#source .found').length") == 2
    assert await page.js("document.title") == "sum.py - Foyer"
    await page.give("#replace", {"total.py": "TOTAL = 1\n"})
    await page.sees("#about", "passed Version 2, 10 bytes")
    assert await page.text("#name") == "total.py" and await page.text("#summary") == "Nothing was found."
    assert await page.js(LINES) == [[1, ["TOTAL = 1"]]]
    checks = await page.text("#checks")
    assert checks.index("Version 2: passed") < checks.index("Version 1: violations")
    await page.press("#delete")
    await page.sees("#asked", "Delete total.py with all its versions and checks?")
    await page.press("#keep")
    await until(lambda: page.js("!document.querySelector('#question').open"))
    assert len((await server.api.get("/api/files", token=token)).data) == 1
    await page.press("#delete")
    await page.press("#sure")
    await page.sees("#none", "You have no files yet.")

    async def at_the_title() -> bool:
        return await page.focused() == "title" and await page.js("document.title") == "Files - Foyer"
    await until(at_the_title)
    assert (await server.api.get("/api/files", token=token)).data == []


async def test_several_files_come_at_once_and_what_is_none_is_named(page: Page, server: Served) -> None:
    await at_home(page, server)
    page.refusals += [("/api/files", 415), ("/api/files", 413)]
    await page.give("#upload", {"a.py": "A = 1\n", "notes.txt": "x", "b.py": "import os\n", "c.py": "#" * 300_000})
    wrong = await page.sees("#wrong", "c.py")
    assert wrong.splitlines() == ["notes.txt: Only Python files are taken: the name must end in .py.",
                                  "c.py: The file is larger than 262144 bytes."]
    assert await page.text("#progress") == "2 files uploaded."
    await page.sees("#files", "violations")
    await page.sees("#files", "passed")
    await page.drop("main", {"d.py": "", "e.py": "def"})
    await page.sees("#files", "e.py")
    assert [line for line in (await page.text("#files")).splitlines() if ".py" in line] == [
        "e.py", "d.py", "b.py", "a.py"] and not await page.text("#wrong")
    assert await page.js("location.pathname") == "/files"


async def test_a_file_is_checked_again_in_another_way(page: Page, server: Served) -> None:
    await at_home(page, server)
    page.refusals.append(("/api/files/1/checks", 422))
    await page.give("#upload", {"long.py": "X = '" + "x" * 90 + "'\nimport os\n"})
    await page.sees("#summary", "E501")
    await page.fill(max_line_length="20", ignore="nonsense")
    await page.press("#again .send")
    assert await page.sees("#max_line_length-wrong", "must") == "Longest line must be at least 40."
    await page.sees("#ignore-wrong", "Codes to ignore must be at most 100 codes such as")
    await page.fill(max_line_length="120", ignore="F4, E402")
    await page.press("#again .send")
    await page.sees("#about", "passed")
    await page.sees("#checks", "lines up to 120, without F4 E402")
    assert await page.text("#summary") == "Nothing was found."


async def test_a_file_that_somebody_uploads_elsewhere_appears(page: Page, server: Served) -> None:
    token = await at_home(page, server)
    file = await upload(server.api, token)
    await page.sees("#files", "violations")
    assert await page.focused() != "title"
    await page.js("document.querySelector('#files a').focus()")
    await server.api.call("PATCH", f"/api/files/{file['id']}", token=token, data=file_body(b"A = 1\n"), headers=FILE)
    await page.sees("#files", "passed version 2")
    assert await page.focused() == "engine.py", "whoever is at a link stays there"


async def test_what_happens_while_the_connection_is_lost_is_looked_up(page: Page, server: Served) -> None:
    token = await at_home(page, server)
    connections: Any = server.foyer.hub._by_member
    await until(lambda: connections)
    for connection in [each for of_one in connections.values() for each in of_one]:
        connection.end(protocol.GOING_AWAY)
    await upload(server.api, token)
    await page.sees("#files", "violations")
    await until(lambda: page.asked("SOCKET", "/ws") == 2)


async def test_a_token_that_is_good_no_longer_is_renewed(page: Page, server: Served) -> None:
    await at_home(page, server)
    before = page.asked("POST", REFRESH)
    await page.js("""void (() => {
        const real = fetch;
        fetch = async (path, options) => {
            if (!path.startsWith("/api/files")) return real(path, options);
            fetch = real;
            return new Response("", {status: 401});
        };
    })()""")
    await page.give("#upload", {"sum.py": SOURCE})
    await page.sees("#about", "violations")
    assert page.asked("POST", REFRESH) == before + 1


async def test_a_source_is_read_as_it_says_itself(page: Page, server: Served) -> None:
    token = (await server.api.sign_up("ada"))["access_token"]
    sources = ["# coding: latin-1\nA = 'caf\u00e9'\n".encode("latin-1"), "\ufeffA = 'caf\u00e9'\n".encode(),
               "# coding: nonsense\nA = 'caf\u00e9'\n".encode(), "A = 1\r\nB = 'caf\u00e9'\r".encode()]
    ids = [(await upload(server.api, token, source))["id"] for source in sources]
    await sign_in(page, "/files")
    for id_ in ids:
        await page.open("/docs")
        await page.open(f"/files#{id_}")
        await page.sees("#source", "caf\u00e9")
        await page.sees("#about", "Version 1")


async def test_an_empty_file_and_one_that_cannot_be_read(page: Page, server: Served) -> None:
    await at_home(page, server)
    await page.give("#upload", {"empty.py": ""})
    await page.sees("#about", "passed Version 1, 0 bytes")
    assert await page.js(LINES) == []
    await page.press("#back")
    await page.sees("#title", "Files")
    await page.give("#upload", {"bad.py": "# coding: nonsense\n"})
    await page.sees("#about", "could not be checked")
    assert (await page.text("#summary")).startswith("It could not be checked: ")


async def test_a_file_is_saved_as_it_is(page: Page, server: Served, tmp_path: Path) -> None:
    await at_home(page, server)
    await page.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path / "saved"))
    await page.give("#upload", {"sum.py": SOURCE})
    await page.sees("#name", "sum.py")
    await page.press("#download")
    saved = tmp_path / "saved" / "sum.py"
    await until(lambda: saved.exists() and saved.read_text() == SOURCE)


async def test_a_file_of_nobody_is_not_there(page: Page, server: Served) -> None:
    bob = (await server.api.sign_up("bob"))["access_token"]
    file = await upload(server.api, bob)
    await at_home(page, server)
    for id_ in (file["id"], 4711):
        page.refusals.append((f"/api/files/{id_}", 404))
        await page.js(f"location.hash = '{id_}'")
        await page.sees("#wrong", "There is no such file of yours.")
        assert not await page.text("#there") and not await page.text("#name")
        await page.press("#back")
        await page.sees("#title", "Files")


async def test_a_large_file_is_shown_in_part_with_all_that_was_found(page: Page, server: Served) -> None:
    token = (await server.api.sign_up("ada"))["access_token"]
    file = await upload(server.api, token, b"A = 1\n" * 8000 + b"B  = 1\n")
    await sign_in(page, f"/files#{file['id']}")
    await page.sees("#summary", "E221")
    assert await page.js("document.querySelectorAll('#source li').length") == 5001
    assert await page.js("document.querySelector('#source li:last-child').value") == 8001


async def test_it_works_without_a_mouse(page: Page, server: Served) -> None:
    await at_home(page, server)
    await page.give("#upload", {"sum.py": SOURCE})
    await page.sees("#about", "violations")
    await page.js("document.querySelector('#back').focus()")
    for stop in ("download", "delete"):
        await page.key("Tab")
        assert await page.focused() == stop
    await page.key("Enter")
    await page.sees("#asked", "Delete sum.py")
    assert await page.focused() == "keep"
    await page.key("Tab")
    await page.key("Enter")
    await page.sees("#none", "You have no files yet.")


# -- what others write

async def test_what_is_uploaded_is_only_ever_words(page: Page, server: Served) -> None:
    await at_home(page, server)
    for number, attack in enumerate(ATTACKS):
        name = f"{attack.replace('/', '').replace(chr(34), chr(39))}.py"
        await page.give("#upload", {name: f"{attack}\nimport {number}{attack}\n# {attack}\n"})
        assert name in await page.sees("#name", ".py")
        await until(lambda: page.js("!!document.querySelector('#about .violations, #about .error')"))
        await page.sees("#source", attack)
        await unhurt(page)
        await page.press("#delete")
        await page.sees("#asked", name)
        await page.press("#keep")
        await page.js("location.hash = ''")
        await page.sees("#files", name)
        await unhurt(page)


async def test_an_answer_is_only_ever_words(page: Page, server: Served) -> None:
    await at_home(page, server)
    for attack in ATTACKS:
        told: dict[str, Any] = {"code": "x", "title": attack, "detail": attack, "errors": []}
        await answered(page, 422, "application/problem+json", json.dumps(told))
        await page.give("#upload", {"a.py": ""})
        assert await page.sees("#wrong", attack) == f"a.py: {attack}"
        await unhurt(page)
    file = {"id": 1, "name": HURT, "size": HURT, "version": ATTACKS[0], "status": ATTACKS[1]}
    await answered(page, 200, "application/json", json.dumps({"data": [file], "next": None}))
    await page.js("location.hash = '#'; location.hash = ''")
    await page.give("#upload", {"a.py": "", "b.py": ""})
    await page.sees("#files", ATTACKS[1])
    await unhurt(page)
