"""/referrals in a real browser, as a person uses it."""
from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import Serve
from tests.pages.attacks import ATTACKS, HURT, answered, gives, unhurt
from tests.pages.browser import Page
from tests.pages.conftest import Browse
from tests.pages.members import sign_in
from tests.support import PASSWORD, Api, Served, until

pytestmark = pytest.mark.browser

INVITED = "[...document.querySelectorAll('#invited li')].map(each => each.textContent.split(',')[0])"


async def at_referrals(page: Page, server: Served) -> str:
    """Somebody who is signed in there; their code."""
    code: str = (await server.api.sign_up("ada"))["user"]["referral_code"]
    await sign_in(page, "/referrals")
    await page.sees("#balance", "0.00")
    await until(lambda: page.asked("GET", "/api/referrals") == 2)  # once more when the socket is ready
    return code


async def come(api: Api, code: str, first: int, last: int) -> None:
    """Somebody for each number signs up through the code."""
    for number in range(first, last + 1):
        body = {"username": f"guest{number}", "email": f"guest{number}@example.org", "password": PASSWORD,
                "referral_code": code}
        assert (await api.post("/api/signup", body)).status == 201


async def test_rewards_arrive_by_themselves(page: Page, server: Served) -> None:
    code = await at_referrals(page, server)
    assert await page.text("#link") == f"{server.url}/signup?ref={code}" and await page.text("#code") == code
    assert await page.js("document.querySelector('#link a').href") == f"{server.url}/signup?ref={code}"
    assert await page.text("#invited .none") == "Nobody yet." and await page.text("#ledger .none") == "Nothing yet."
    await come(server.api, code, 1, 5)
    await page.sees("#balance", "$10.00")
    await page.sees("#ledger", "$10.00 for those whom you invited, ")
    await until(lambda: page.js(f"{INVITED}.length === 5"))
    assert await page.js(INVITED) == [f"guest{number}" for number in (5, 4, 3, 2, 1)]
    assert " ".join((await page.text("#numbers")).split()) == (
        "Signed up 5 Count for rewards 5 Rewarded 1 Until the next reward 5")


async def test_all_who_came_are_reached_and_who_has_left_has_no_name(page: Page, server: Served) -> None:
    ada = await server.api.sign_up("ada")
    await come(server.api, ada["user"]["referral_code"], 1, 53)
    left = (await server.api.post("/api/login", {"username": "guest53", "password": PASSWORD})).data["access_token"]
    assert (await server.api.call("DELETE", "/api/me", token=left, json={"password": PASSWORD})).status == 204
    await sign_in(page, "/referrals")
    await until(lambda: page.js(f"{INVITED}.length === 50"))
    await page.press("#invited .more")
    await until(lambda: page.js(f"{INVITED}.length === 53"))
    assert await page.js(INVITED) == ["Somebody who has left", *(f"guest{number}" for number in range(52, 0, -1))]
    assert not await page.text("#invited .more")


@pytest.mark.parametrize(("currency", "told"), [("EUR", "\u20ac10.00"), ("JPY", "\u00a51,000")])
async def test_money_is_written_as_its_currency_is(serve: Serve, browse: Browse, currency: str, told: str) -> None:
    server = await serve({"referrals.currency": currency})
    page = await browse(server)
    ada = await server.api.sign_up("ada")
    await come(server.api, ada["user"]["referral_code"], 1, 5)
    await sign_in(page, "/referrals")
    assert await page.sees("#balance", told) == told


async def test_the_link_is_copied(page: Page, server: Served) -> None:
    code = await at_referrals(page, server)
    await page.send("Browser.grantPermissions", origin=page.site,
                    permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    await page.press("#copy")
    await page.sees("#copied", "The link is copied.")
    assert await page.js("navigator.clipboard.readText()") == f"{server.url}/signup?ref={code}"


async def test_a_link_that_cannot_be_copied_is_marked(page: Page, server: Served) -> None:
    code = await at_referrals(page, server)
    await page.js("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    await page.js("document.querySelector('#copy').focus()")
    await page.key("Enter")
    await page.sees("#copied", "The link is marked")
    assert await page.js("getSelection().toString()") == f"{server.url}/signup?ref={code}"


async def test_it_fits_on_a_small_telephone(page: Page, server: Served) -> None:
    code = await at_referrals(page, server)
    await come(server.api, code, 1, 5)
    await page.sees("#ledger", "for those whom you invited")
    await page.narrow()


async def test_an_answer_is_only_ever_words(page: Page, server: Served) -> None:
    code = await at_referrals(page, server)
    for number, attack in enumerate(ATTACKS):
        told: dict[str, Any] = {"code": "x", "title": attack, "detail": attack, "errors": []}
        await answered(page, 422, "application/problem+json", json.dumps(told))
        await come(server.api, code, 5 * number + 1, 5 * number + 5)  # a reward makes the page look
        assert await page.sees("#wrong", attack) == attack
        await unhurt(page)
    invited = {"id": 1, "username": ATTACKS[0], "joined_at": HURT, "counted": False}
    entry = {"id": 1, "amount": 5, "currency": "USD", "reason": ATTACKS[1], "balance": 5, "at": ATTACKS[2]}
    summary = {"link": f"javascript:{HURT}", "code": ATTACKS[3], "balance": 5, "currency": "USD", "invited": HURT,
               "counted": ATTACKS[4], "rewarded": ATTACKS[5], "until_next_reward": ATTACKS[6]}
    await gives(page, {"/api/referrals": summary, "/api/referrals/invited": [invited],
                       "/api/referrals/ledger": [entry]})
    await come(server.api, code, 101, 105)
    for place, words in (("#invited", ATTACKS[0]), ("#ledger", ATTACKS[1]), ("#summary", ATTACKS[3])):
        await page.sees(place, words)
    await page.press("#link")
    await unhurt(page)
