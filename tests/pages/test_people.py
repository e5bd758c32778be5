"""/people in a real browser, as a person uses it."""
from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from server.storage import Tx
from tests.pages.attacks import ATTACKS, HURT, answered, gives, unhurt
from tests.pages.browser import Page
from tests.pages.members import sign_in
from tests.people import stored
from tests.support import Served, until
from tests.web.administrators import administrator

pytestmark = pytest.mark.browser

NAMES = "[...document.querySelectorAll('#rows h3')].map(each => each.textContent)"


async def at_people(page: Page, server: Served, path: str = "/people") -> None:
    """Somebody who is signed in there."""
    await server.api.sign_up("ada")
    await sign_in(page, path)
    await until(lambda: page.js("[...document.querySelectorAll('#rows li, #none, #about *')].some(each => "
                                "each.checkVisibility())"))


async def shows(page: Page, *names: str) -> None:
    """Waits until the list holds these and no others."""
    await until(lambda: page.js(f"JSON.stringify({NAMES}) === {json.dumps(json.dumps(names, separators=(',', ':')))}"))


async def whole_person(server: Served) -> int:
    """Somebody of whom everything is known; their id."""
    async def add(tx: Tx) -> int:
        id_ = await stored.add_person(
            tx, "Orla", "Brandt", "orla.brandt", email="orla@email.com", phone="+47 555", gender="Agender",
            avatar_url="https://robohash.org/x.png", birth_date="1988-02-29", job_title="Clerk", plan="Gold",
            key_skill="Teamwork", plan_status="Active", payment_method="Cheque", plan_term="Annual", country="Norway")
        await stored.add_address(tx, id_, "coordinates", place=(-12_345_678, 0))
        await stored.add_card(tx, id_, "adopted", "4711")
        return id_
    return await server.foyer.database.write(add)


async def test_people_are_found_by_name_gender_and_country(page: Page, server: Served) -> None:
    await stored.people(server, ("Ada", "Lovelace"), gender="Female", country="Norway")
    await stored.people(server, ("Adam", "Smith"), gender="Male", country="Norway")
    await stored.people(server, ("Bo", "Adams"), gender="Male", country="Peru")
    await at_people(page, server)
    await shows(page, "Bo Adams", "Adam Smith", "Ada Lovelace")
    await page.fill(q="ADA")
    await page.key("Enter")
    await shows(page, "Ada Lovelace", "Adam Smith", "Bo Adams")
    await page.fill(gender="male")
    await page.press("#search .send")
    await shows(page, "Adam Smith", "Bo Adams")
    await page.fill(country="peru")
    await page.key("Enter")
    await shows(page, "Bo Adams")
    await page.fill(q="zz")
    await page.key("Enter")
    await page.sees("#none", "There are none.")
    await page.fill(q="", gender="", country="")
    await page.key("Enter")
    await shows(page, "Bo Adams", "Adam Smith", "Ada Lovelace")


async def test_what_is_wrong_with_a_search_is_said_at_the_field(page: Page, server: Served) -> None:
    await at_people(page, server)
    page.refusals.append((f"/api/people?q={'a' * 101}&limit=20", 422))
    await page.js("document.querySelector('#q').maxLength = 200")
    await page.fill(q="a" * 101)
    await page.key("Enter")
    assert (await page.sees("#q-wrong", "100")).startswith("Name begins with ")
    assert await page.focused() == "q"


async def test_all_are_reached_and_each_once(page: Page, server: Served) -> None:
    names = [(f"P{number}", "X") for number in range(45)]
    await stored.people(server, *names)
    await at_people(page, server)
    for shown in (20, 40, 45):
        await shows(page, *(f"{first} X" for first, _ in list(reversed(names))[:shown]))
        if shown < 45:
            await page.press("#list .more")
    assert not await page.text("#list .more")


async def test_a_person_has_an_address_of_its_own(page: Page, server: Served) -> None:
    id_ = await whole_person(server)
    await at_people(page, server, f"/people#{id_}")
    await page.sees("#name", "Orla Brandt")
    told = " ".join((await page.text("#one")).split())
    for words in ("User name orla.brandt", "Gender Agender", "Born 1988-02-29", "Plan Gold", "Pays by Cheque",
                  "Street 12 Kiln Row", "City North Vale", "Country Norway, NO", "Coordinates -12.345678, 0",
                  "Linked by its coordinates", "Type visa", "Ends in 4711", "Linked to who waited longest"):
        assert words in told, words
    assert await page.js("(a => [a.href, a.rel])(document.querySelector('#about a'))") == [
        "https://robohash.org/x.png", "noopener noreferrer"]
    assert await page.js("document.title") == "Orla Brandt - Foyer" and not await page.text("#deeds")
    await page.press("#one p a")
    await shows(page, "Orla Brandt")
    assert await page.focused() == "heading" and await page.js("document.title") == "People - Foyer"
    await page.press("#rows h3 a")
    await page.sees("#name", "Orla Brandt")
    await until(lambda: page.js("document.activeElement.id === 'name'"))
    page.refusals.append(("/api/people/4711", 404))
    await page.js("location.hash = '4711'")
    await page.sees("#wrong", "no such person")
    assert not await page.text("#name") and not await page.text("#about")


async def test_addresses_and_cards_are_shown_with_and_without_a_person(page: Page, server: Served) -> None:
    id_ = await whole_person(server)

    async def add(tx: Tx) -> None:
        await stored.add_address(tx, city="Nowhere")
        await stored.add_card(tx, last4="0815")
    await server.foyer.database.write(add)
    await at_people(page, server, "/people#addresses")
    both = await page.sees("#rows", "Without a person")
    assert "Nowhere" in both and f"Of person {id_}" in both and not await page.text("#search")
    assert await page.text(".tabs [aria-current]") == "Addresses"
    for value, there, gone in (("false", "Without a person", "Of person"), ("true", "Of person", "Without a person")):
        await page.js(f"(field => {{ field.value = '{value}'; field.dispatchEvent(new Event('change')); }})"
                      "(document.querySelector('#linked'))")
        await until(lambda: page.js("document.querySelectorAll('#rows li').length === 1"))
        assert gone not in await page.sees("#rows", there)
    await page.press(".tabs a:last-child")
    await page.sees("#rows", "4711")
    assert "0815" not in await page.text("#rows")
    await page.press("#rows .by a")
    await page.sees("#name", "Orla Brandt")


async def test_what_is_imported_meanwhile_appears_for_an_administrator(page: Page, server: Served) -> None:
    root = (await administrator(server))["access_token"]
    await sign_in(page, "/people", "root")
    await page.sees("#none", "There are none.")
    connections: Any = server.foyer.hub._by_member
    await until(lambda: connections)
    for what in ("users", "addresses", "cards"):
        assert (await server.api.post(f"/api/admin/schedules/{what}/run", token=root)).status == 202
    await until(lambda: page.js(f"{NAMES}.length === 10"))
    people = (await server.api.get("/api/people?limit=10", token=root)).data
    assert await page.js(NAMES) == [f"{each['first_name']} {each['last_name']}" for each in people]
    counts = await page.sees("#counts", "Cards\n10, ")
    assert "People\n10" in counts and "by its uid" in counts


async def test_an_administrator_deletes_a_person(page: Page, server: Served) -> None:
    root = (await administrator(server))["access_token"]
    assert (await server.api.post("/api/admin/schedules/users/run", token=root)).status == 202
    person = (await until(lambda: _people(server, root)))[0]
    await sign_in(page, f"/people#{person['id']}", "root")
    name = f"{person['first_name']} {person['last_name']}"
    await page.sees("#name", name)
    await page.press("#deeds button")
    await page.sees("#asked", f"Delete {name}?")
    await page.press("#sure")
    await until(lambda: page.js(f"{NAMES}.length === 9"))
    assert (await server.api.get(f"/api/people/{person['id']}", token=root)).status == 404


async def _people(server: Served, token: str) -> Any:
    return (await server.api.get("/api/people", token=token)).data


async def test_what_was_found_is_saved_as_csv(page: Page, server: Served, tmp_path: Path) -> None:
    await stored.people(server, ("Ada", "=1+1"), ("Adam", "Smith"), ("Bo", "Berg"))
    await at_people(page, server)
    await page.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path / "saved"))
    await page.fill(q="ad")
    await page.key("Enter")
    await shows(page, "Ada =1+1", "Adam Smith")
    await page.press("#export")
    saved = tmp_path / "saved" / "people.csv"
    await until(lambda: saved.exists() and saved.read_text().count("\n") == 3)
    with saved.open(newline="") as file:
        assert [(row["first_name"], row["last_name"]) for row in csv.DictReader(file)] == [
            ("Ada", "'=1+1"), ("Adam", "Smith")]


async def test_it_fits_on_a_small_telephone(page: Page, server: Served) -> None:
    id_ = await whole_person(server)
    await stored.people(server, ("Long" * 60, "Name" * 60))
    await at_people(page, server)
    await page.narrow()
    await page.js("location.hash = 'addresses'")
    await page.sees("#rows", "Kiln Row")
    await page.narrow()
    await page.js(f"location.hash = '{id_}'")
    await page.sees("#name", "Orla")
    await page.narrow()


# -- what others write

async def test_what_a_source_gives_is_only_ever_words(page: Page, server: Served) -> None:
    await stored.people(server, *((attack, attack, attack) for attack in ATTACKS), gender=ATTACKS[0],
                        job_title=ATTACKS[1], avatar_url=f"javascript:{HURT}")
    await at_people(page, server)
    assert await page.js(NAMES) == [f"{attack} {attack}" for attack in reversed(ATTACKS)]
    await unhurt(page)
    await page.js("document.querySelector('#rows h3 a').focus()")
    await page.key("Enter")
    await page.sees("#name", ATTACKS[-1])
    assert await page.js("!document.querySelector('#about a')"), "what is no address of a site is no link"
    await unhurt(page)


async def test_an_answer_is_only_ever_words(page: Page, server: Served) -> None:
    await at_people(page, server)
    for number, attack in enumerate(ATTACKS):
        told: dict[str, Any] = {"code": "x", "title": attack, "detail": attack, "errors": []}
        await answered(page, 422, "application/problem+json", json.dumps(told))
        await page.js(f"location.hash = '{('addresses', 'cards', '7')[number % 3]}'")
        assert await page.sees("#wrong", attack) == attack
        await unhurt(page)
    address = {name: ATTACKS[2] for name in ("street_address", "city", "state", "country", "latitude", "link_rule")}
    card = {"id": HURT, "person_id": HURT, "link_rule": ATTACKS[0], "type": ATTACKS[1], "last4": ATTACKS[2]}
    person = {"id": 7, "first_name": ATTACKS[3], "last_name": "", "subscription": {"plan": ATTACKS[4]},
              "created_at": HURT, "updated_at": HURT, "addresses": [address], "cards": [card]}
    counts = {"people": HURT, "addresses": ATTACKS[0], "cards": ATTACKS[1], "links": {ATTACKS[2]: ATTACKS[3]},
              "unlinked": {"addresses": ATTACKS[4], "cards": ATTACKS[5]}}
    await gives(page, {"/api/people/cards": [card], "/api/people/7": person, "/api/people/counts": counts})
    for path, place, words in (("cards", "#rows", ATTACKS[1]), ("7", "#about", ATTACKS[4])):
        await page.js(f"location.hash = 'people'; location.hash = '{path}'")
        await page.sees(place, words)
        await unhurt(page)
