"""The pages in a real browser, as a person uses them."""
from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.conftest import Serve
from tests.pages.attacks import ATTACKS, answered, unhurt
from tests.pages.browser import Page
from tests.pages.conftest import Browse
from tests.support import PASSWORD, Served, until
from ws import protocol

pytestmark = pytest.mark.browser

GRACE = {"username": "grace", "email": "grace@example.org", "password": PASSWORD}
UNCHANGED = "!'()*"  # by encodeURIComponent, beside what quote leaves as it is


async def inviter(server: Served, name: str) -> tuple[str, str]:
    """Somebody of this name; the access token and the code."""
    body = {"username": "ada", "email": "ada@example.org", "password": PASSWORD, "name": name}
    ada = (await server.api.post("/api/signup", body)).data
    return ada["access_token"], ada["user"]["referral_code"]


async def link_in_mail(server: Served, email: str, page: str) -> str:
    """The path and fragment of the newest link to this page that was sent to the address."""
    async def newest() -> str | None:
        async with server.api.session.get(f"{server.sandbox}/mail/messages", params={"to": email}) as answer:
            letters = (await answer.json())["data"]
        links = [link for letter in letters for link in letter["links"] if urlsplit(link).path == page]
        return links[0].removeprefix(server.url) if links else None
    return str(await until(newest))


async def sign_up_and_close(page: Page, server: Served, code: int) -> None:
    """Signs somebody up, and closes their socket before anything is found."""
    await server.api.switch(server.sandbox, "clearbit", delay=1.5)
    await page.open("/signup")
    await page.fill(**GRACE)
    await page.press(".send")
    await page.sees("#enriched", "We are finding out")
    connections: Any = server.foyer.hub._by_member
    await until(lambda: connections)
    for connection in [each for of_one in connections.values() for each in of_one]:
        connection.end(code)


# -- /signup

async def test_a_newcomer_is_told_who_invites_signs_up_and_is_found(page: Page, server: Served) -> None:
    token, code = await inviter(server, "Ada Lovelace")
    await page.open(f"/signup?ref={code}")
    assert await page.sees("#invitation", "invites") == "Ada Lovelace invites you."
    await page.fill(**GRACE, name="Grace Hopper")
    await page.press(".send")
    assert await page.sees("#welcome", "Welcome") == "Welcome, Grace Hopper!"
    assert await page.text("#mail") == ("A mail with a link is on its way to grace@example.org. Open it to confirm "
                                        "your address.")
    assert await page.text("#referral") == "Your invitation was accepted."
    assert await page.focused() == "welcome" and not await page.text("form")
    found = await page.sees("#enriched", "We found you: ")
    me = (await server.api.post("/api/login", {"username": "grace", "password": PASSWORD})).data
    fields = me["user"]["enrichment"]["fields"]
    assert found == f"We found you: {', '.join(fields[name]['value'] for name in ('name', 'title', 'company'))}."
    assert (await server.api.get("/api/referrals", token=token)).data["invited"] == 1
    assert await page.js("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
    assert page.asked("SOCKET", "/ws") == 1


async def test_the_code_of_a_link_is_remembered_until_the_sign_up(page: Page, server: Served) -> None:
    token, code = await inviter(server, "Ada Lovelace")
    for path in (f"/signup?ref={code}", "/docs", "/", "/signup"):
        await page.open(path)
    assert await page.js("location.search") == f"?ref={code}"
    await page.sees("#invitation", "Ada Lovelace invites you.")
    await page.fill(**GRACE)
    await page.press(".send")
    await page.sees("#welcome", "Welcome, grace!")
    await page.open("/signup")
    assert await page.js("location.search") == "" and not await page.text("#invitation")
    assert (await server.api.get("/api/referrals", token=token)).data["invited"] == 1


@pytest.mark.parametrize("code", ["n0b0dy", "é", "a" * 65, "..", "a b"])
async def test_an_unknown_code_stops_nobody(page: Page, code: str) -> None:
    if code == "..":
        page.refusals.append(("/api/", 404))
    await page.open(f"/signup?ref={quote(code)}")
    await page.sees("#invitation", "This invitation is not known.")
    await page.fill(**GRACE)
    await page.press(".send")
    await page.sees("#welcome", "Welcome, grace!")
    told = "is not known, so" if code in ("n0b0dy", "..") else ""
    assert told in await page.text("#referral") and bool(told) == bool(await page.text("#referral"))


async def test_what_is_wrong_is_said_at_the_fields(page: Page, server: Served) -> None:
    await server.api.sign_up("ada")
    page.refusals += [("/api/signup", 422), ("/api/signup", 409), ("/api/signup", 409)]
    await page.open("/signup")
    await page.fill(username="a b c", email="nowhere", password="short")
    await page.press(".send")
    assert await page.sees("#username-wrong", "has") == "User name has a character that it cannot have."
    assert (await page.text("#email-wrong")).startswith("E-mail address ")
    assert (await page.text("#password-wrong")).startswith("Password must ")
    assert not await page.text("#name-wrong") and await page.text(".problem") == "Correct what is marked."
    assert await page.focused() == "username"
    assert await page.js("document.querySelector('#username').getAttribute('aria-invalid')") == "true"
    await page.fill(username="ADA")
    assert not await page.text("#username-wrong") and await page.text("#password-wrong"), "what is changed is not wrong"
    await page.fill(email="grace@example.org", password=PASSWORD)
    await page.press(".send")
    assert await page.sees("#username-wrong", "taken") == "User name is taken."
    await page.fill(username="grace", email="Ada@example.org")
    await page.press(".send")
    assert await page.sees("#email-wrong", "taken") == "E-mail address is taken."
    assert await page.focused() == "email" and not await page.text("#username-wrong")
    await page.fill(email="grace@example.org")
    await page.press(".send")
    await page.sees("#welcome", "Welcome, grace!")


async def test_it_works_without_a_mouse(page: Page) -> None:
    await page.open("/signup")
    for stop, text in (("Foyer", ""), ("username", "grace"), ("email", "grace@example.org"), ("password", PASSWORD),
                       ("Show", ""), ("name", "Grace")):
        await page.key("Tab")
        assert await page.focused() == stop
        if text:
            await page.send("Input.insertText", text=text)
        elif stop == "Show":
            await page.key(" ")
            assert await page.js("document.querySelector('#password').type") == "text"
            assert await page.focused() == "Hide"
    await page.key("Enter")
    await page.sees("#welcome", "Welcome, Grace!")
    assert await page.js("document.querySelector('#password').type") == "password"


async def test_a_password_can_be_shown_and_hidden(page: Page) -> None:
    await page.open("/signup")
    for kind, label in (("text", "Hide the password"), ("password", "Show the password")):
        await page.press(".toggle")
        assert await page.js("document.querySelector('#password').type") == kind
        assert await page.js("document.querySelector('.toggle').ariaLabel") == label


async def test_who_comes_too_often_is_told_when_to_come_again(serve: Serve, browse: Browse) -> None:
    server = await serve({"limits.signup": "1/hour", "sandbox.mode": "off"})
    page = await browse(server)
    page.refusals.append(("/api/signup", 429))
    for name, seen, words in (("grace", "#enriched", "Nobody was asked who you are."),
                              ("ada", ".problem", "Too many requests. Try again in 60 minutes.")):
        await page.open("/signup")
        await page.fill(username=name, email=f"{name}@example.org", password=PASSWORD)
        await page.press(".send")
        await page.sees(seen, words)
    assert await page.focused() == "Sign up"


@pytest.mark.parametrize(("played", "told"), [("404-unknown-record", "We found nothing about you."),
                                              ("503-json", "We could not find out who you are.")])
async def test_whoever_is_not_found_is_told_so(serve: Serve, browse: Browse, played: str, told: str) -> None:
    server = await serve({"enrichment.providers": "clearbit", "enrichment.attempts": "1"})
    await server.api.switch(server.sandbox, "clearbit", find=[played])
    page = await browse(server)
    await page.open("/signup")
    await page.fill(**GRACE)
    await page.press(".send")
    await page.sees("#enriched", told)


async def test_what_is_found_arrives_through_a_lost_connection(page: Page, server: Served) -> None:
    await sign_up_and_close(page, server, protocol.GOING_AWAY)
    await page.sees("#enriched", "We found you: ")
    assert page.asked("SOCKET", "/ws") == 2


async def test_who_is_not_let_in_any_more_is_told_where_to_look(page: Page, server: Served) -> None:
    await sign_up_and_close(page, server, protocol.UNAUTHORIZED)
    await page.sees("#enriched", "What is found out about you will stand in your profile.")
    assert page.asked("SOCKET", "/ws") == 1


async def test_a_sign_up_that_is_sent_twice_is_one(page: Page, server: Served) -> None:
    """The answer is lost, the person presses again."""
    await page.open("/signup")
    await page.fill(**GRACE)
    await page.js("(() => { const real = fetch; fetch = async (...told) => { await real(...told); fetch = real; "
                  "throw new TypeError('lost'); }; })()")
    await page.press(".send")
    await page.sees(".problem", "The server did not answer. Try again.")
    assert (await server.api.get("/api/users/grace")).status == 200
    await page.press(".send")
    await page.sees("#welcome", "Welcome, grace!")
    assert page.asked("POST", "/api/signup") == 2


# -- /confirm

async def confirmed(server: Served, token: str) -> bool:
    """Whether the address is, says the API."""
    return (await server.api.get("/api/me", token=token)).data["email_confirmed_at"] is not None


async def test_an_address_is_confirmed_by_a_press_and_by_nothing_else(page: Page, server: Served) -> None:
    token = (await server.api.sign_up("ada"))["access_token"]
    path = await link_in_mail(server, "ada@example.org", "/confirm")
    for _ in range(2):
        await page.open("/docs")
        await page.open(path)
        await page.sees(".send", "Confirm my address")
        assert await page.js("[location.pathname, location.hash, location.search]") == ["/confirm", "", ""]
    assert [method for method, _ in page.requests if method != "GET"] == []
    assert not await confirmed(server, token)
    await page.press(".send")
    await page.sees("#told", "Your address is confirmed.")
    assert await confirmed(server, token) and await page.focused() == "told" and not await page.text(".send")
    page.refusals.append(("/api/email/confirm", 422))
    await page.open(path)  # in the same tab, where only the fragment is another one
    await page.press(".send")
    await page.sees("#told", "This link was used before, has expired or is not whole.")
    assert page.asked("POST", "/api/email/confirm") == 2


async def test_without_a_token_there_is_nothing_to_press(page: Page) -> None:
    for path in ("/confirm", "/confirm#", "/confirm#token=", "/confirm#other=1"):
        await page.open("/docs")
        await page.open(path)
        await page.sees("#told", "Open the link in the mail once more")
        assert not await page.text(".send")


# -- /reset

async def test_a_password_that_was_forgotten_is_replaced(page: Page, server: Served) -> None:
    token = (await server.api.sign_up("ada"))["access_token"]
    page.refusals += [("/api/password/forgot", 422), ("/api/password/reset", 422), ("/api/password/reset", 422)]
    await page.open("/reset")
    await page.fill(email="nowhere")
    await page.press("#ask .send")
    await page.sees("#email-wrong", "E-mail address ")
    sentences = set()
    for email in ("nobody@example.org", "ada@example.org"):
        await page.open("/reset")
        await page.fill(email=email)
        await page.press("#ask .send")
        sentences.add(await page.sees("#told", "a mail with a link"))
    assert len(sentences) == 1 and not await page.text("form")
    path = await link_in_mail(server, "ada@example.org", "/reset")
    await page.open(path)
    assert await page.js("location.hash") == "" and not await page.text("#ask")
    for password, place, words in (("short", "#password-wrong", "New password must "),
                                   ("another-horse-7", "#told", "Your password is changed")):
        await page.fill(password=password)
        await page.press("#choose .send")
        await page.sees(place, words)
    statuses = [(await server.api.post("/api/login", {"username": "ada", "password": password})).status
                for password in (PASSWORD, "another-horse-7")]
    assert statuses == [401, 200] and (await server.api.get("/api/me", token=token)).status == 401
    await page.open("/docs")
    await page.open(path)
    await page.fill(password="another-horse-8")
    await page.press("#choose .send")
    await page.sees("#told", "This link was used before, has expired or is not whole.")
    assert await page.text("#ask") and not await page.text("#choose")


# -- what others write

@pytest.mark.parametrize("attack", ATTACKS, ids=range(len(ATTACKS)))
async def test_what_others_write_is_only_ever_words(page: Page, server: Served, attack: str) -> None:
    await server.api.switch(server.sandbox, "clearbit", find=["hostile"])
    _, code = await inviter(server, attack)
    page.refusals += [("/api/signup", 422), ("/api/email/confirm", 422), ("/api/password/reset", 422),
                      ("/api/password/reset", 422), ("/api/password/forgot", 422)]
    await page.open(f"/signup?ref={code}")
    assert await page.sees("#invitation", "invites you") == f"{attack} invites you."
    await page.fill(username=attack, email=attack, password=attack, name=attack)
    await page.press(".send")
    await page.sees("#username-wrong", "User name ")
    await unhurt(page)
    await page.fill(**GRACE)
    await page.press(".send")
    assert await page.sees("#welcome", "Welcome") == f"Welcome, {attack}!"
    await page.sees("#enriched", "<script>x</script>")
    await unhurt(page)
    await page.open(f"/confirm#token={quote(attack)}")
    await page.press(".send")
    await page.sees("#told", "This link was used before")
    await unhurt(page)
    await page.open(f"/reset#token={quote(attack)}")
    for password, place, words in (("a", "#password-wrong", "must"), (attack, "#told", "This link")):
        await page.fill(password=password)
        await page.press("#choose .send")
        await page.sees(place, words)
    await page.fill(email=attack)
    await page.press("#ask .send")
    await page.sees("#email-wrong", "E-mail address ")
    await unhurt(page)


async def test_an_answer_is_only_ever_words(page: Page) -> None:
    for path, form in (("/signup", "form"), ("/reset", "#ask"), ("/reset#token=x", "#choose"),
                       ("/confirm#token=x", "form")):
        await page.open("/docs")
        await page.open(path)
        for attack in ATTACKS:
            fields = () if "#" in path else ("email", "password", attack)
            wrong = [{"field": field, "code": "x", "message": attack} for field in fields]
            told = {"code": "x", "title": attack, "detail": attack, "errors": wrong}
            await answered(page, 422, "application/problem+json", json.dumps(told))
            await page.press(f"{form} .send")
            assert await page.sees(f"{form} .problem", attack[:8]) == attack
            await unhurt(page)
        await answered(page, 502, "text/html", f"<html>{ATTACKS[0]}")
        await page.press(f"{form} .send")
        await page.sees(f"{form} .problem", "Something went wrong. Try again.")


async def test_an_attack_in_the_link_of_an_invitation_does_nothing(page: Page) -> None:
    for attack in ATTACKS:
        if "{" in attack:  # braces stand in no path
            page.refusals.append((f"/api/referrals/{quote(attack, safe=UNCHANGED)}", 404))
        await page.open(f"/signup?ref={quote(attack)}")
        await page.sees("#invitation", "This invitation is not known.")
        await unhurt(page)


async def test_the_judge_hears_what_a_page_must_not_do(page: Page) -> None:
    await page.open("/signup")
    page.judge()
    for wrong, source in ((f"document.body.insertAdjacentHTML('beforeend', {ATTACKS[0]!r})", "security"),
                          ("fetch('http://example.org/').catch(() => 1)", "security"),
                          ("console.error('x')", "console"), ("setTimeout(() => { throw 1 })", "exception")):
        await page.js(wrong)
        await until(lambda: any(each.source == source for each in page.complaints))
        with pytest.raises(AssertionError):
            page.judge()
        page.complaints.clear()
    assert await page.js("document.title") != "hurt"
    await until(lambda: ("GET", f"{page.site}/x") in page.requests)
    page.complaints.clear()
