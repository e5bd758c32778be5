"""The stand-in of random-data-api: its shapes, the same records from every fresh sandbox, and what can be played."""
from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import aiohttp
import pytest

from server.sandbox.app import Sandbox, start
from server.sandbox.randomdata_odd import CARD_MARKER, MARKER
from server.sandbox.randomdata_records import card_number

USERS, ADDRESSES, CARDS = (f"/randomdata/api/v2/{name}" for name in ("users", "addresses", "credit_cards"))
PATHS = {"users": USERS, "addresses": ADDRESSES, "cards": CARDS}
LEGACY = {USERS: "/randomdata/api/users/random_user", ADDRESSES: "/randomdata/api/address/random_address",
          CARDS: "/randomdata/api/business_credit_card/random_card"}


@pytest.fixture
def play(ask: Any) -> Callable[..., Any]:
    async def played(what: str, position: str, size: int = 6) -> Any:
        """What the position gives, after an ordinary request of each kind."""
        for path in PATHS.values():
            await ask(path, size=str(size))
        await ask.switch("randomdata", **{what: position})
        status, body, _ = await ask(PATHS[what], size=str(size))
        assert status == 200, body
        return body
    return played


def valid(number: str) -> bool:
    digits = [int(digit) for digit in reversed(number.replace("-", ""))]
    return (sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])) % 10 == 0


async def test_an_object_for_one_and_an_array_for_more(ask: Any) -> None:
    for path in PATHS.values():
        assert isinstance((await ask(path, key=None))[1], dict)
        assert isinstance((await ask(path, size="1", response_type="json"))[1], dict)
        for size in (2, 7, 100):
            status, body, headers = await ask(path, size=str(size), is_json="true")
            assert (status, len(body), headers["Content-Type"]) == (200, size, "application/json")


@pytest.mark.parametrize(("asked", "count"), [
    ("0", 1), ("-3", 1), ("many", 1), ("", 1), ("2.5", 1), ("101", 100), ("10000", 100), ("9" * 5000, 1)])
async def test_sizes_are_kept_in_bounds(asked: str, count: int, ask: Any) -> None:
    _, body, _ = await ask(CARDS, size=asked)
    assert (len(body) if isinstance(body, list) else 1) == count and isinstance(body, list) == (count > 1)


async def test_the_shapes(ask: Any) -> None:
    _, user, _ = await ask(USERS)
    assert list(user) == [
        "id", "uid", "password", "first_name", "last_name", "username", "email", "gender", "avatar", "phone_number",
        "social_insurance_number", "date_of_birth", "employment", "address", "credit_card", "subscription"]
    assert [set(user[name]) for name in ("employment", "credit_card", "subscription")] == [
        {"title", "key_skill"}, {"cc_number"}, {"plan", "status", "payment_method", "term"}]
    assert set(user["address"]) == {
        "city", "street_name", "street_address", "zip_code", "state", "country", "coordinates"}
    assert all(isinstance(user["address"]["coordinates"][name], float) for name in ("lat", "lng"))
    _, address, _ = await ask(ADDRESSES)
    assert set(address) == {
        "id", "uid", "city", "street_name", "street_address", "secondary_address", "building_number", "mail_box",
        "community", "zip_code", "zip", "postcode", "time_zone", "street_suffix", "city_suffix", "city_prefix",
        "state", "state_abbr", "country", "country_code", "latitude", "longitude", "full_address"}
    _, card, _ = await ask(CARDS)
    assert set(card) == {"id", "uid", "credit_card_number", "credit_card_expiry_date", "credit_card_type"}
    for record in (user, address, card):
        assert 0 <= record["id"] < 10_000 and record["uid"][14] == "4" and len(record["uid"]) == 36


async def test_numbers_of_cards_are_numbers_of_cards(ask: Any) -> None:
    _, users, _ = await ask(USERS, size="100")
    _, cards, _ = await ask(CARDS, size="100")
    numbers = [user["credit_card"]["cc_number"] for user in users] + [card["credit_card_number"] for card in cards]
    assert all(valid(number) and len(number.replace("-", "")) == 16 for number in numbers)
    assert {"-" in number for number in numbers} == {True, False} and len(set(numbers)) == 200
    assert card_number("7992739871") == "79927398713" and not valid("79927398710")


async def _three_requests(sandbox: Sandbox) -> list[Any]:
    async with aiohttp.ClientSession(sandbox.url) as session:
        got = []
        for path in (USERS, ADDRESSES, USERS, CARDS, CARDS):
            async with session.get(path, params={"size": "5"}) as response:
                got.append(await response.json())
    return got


async def test_every_fresh_sandbox_gives_the_same_records_in_the_same_order(sandbox: Sandbox) -> None:
    first, other = await _three_requests(sandbox), await start()
    try:
        assert await _three_requests(other) == first
    finally:
        await other.close()
    assert len({record["uid"] for records in first for record in records}) == 25


async def test_the_old_paths_give_the_same_kinds(ask: Any) -> None:
    for path, old in LEGACY.items():
        assert set((await ask(old))[1]) == set((await ask(path))[1])
    assert (await ask("/_calls/randomdata"))[1]["endpoints"]["users"]["total"] == 2
    assert (await ask("/randomdata/api/v2/beers"))[0] == 404


@pytest.mark.parametrize("query", [{"is_xml": "true"}, {"response_type": "xml"}])
async def test_xml_for_those_who_ask_for_it(query: dict[str, str], ask: Any) -> None:
    for size, path in ((1, "."), (3, "object")):
        status, text, headers = await ask(USERS, size=str(size), **query)
        assert status == 200 and headers["Content-Type"].startswith("application/xml")
        found = ElementTree.fromstring(text).findall(path)
        assert len(found) == size and all(each.findtext("address/coordinates/lat") for each in found)


@pytest.mark.parametrize("what", PATHS)
async def test_what_was_given_can_be_given_again(what: str, ask: Any) -> None:
    _, first, _ = await ask(PATHS[what], size="4")
    await ask.switch("randomdata", **{what: ["again", "again-changed", "records"]})
    assert (await ask(PATHS[what], size="4"))[1] == first
    _, changed, _ = await ask(PATHS[what], size="4")
    assert [record["uid"] for record in changed] == [record["uid"] for record in first]
    assert all(one != other for one, other in zip(changed, first))
    assert (await ask(PATHS[what], size="4"))[1][0]["uid"] not in [record["uid"] for record in first]


@pytest.mark.parametrize(("position", "names"), [
    ("same-id", ["id"]), ("same-uid", ["uid"]), ("same-email", ["email"]), ("same-username", ["username"])])
async def test_duplicates(position: str, names: list[str], play: Any) -> None:
    users = await play("users", position)
    for name in ("id", "uid", "email", "username"):
        assert (len({user[name] for user in users}) == 1) == (name in names)


async def test_too_few_too_many_and_twice_the_same(play: Any) -> None:
    assert [len(await play("cards", position)) for position in ("fewer", "more", "empty")] == [3, 12, 0]
    twice = await play("cards", "twice")
    assert len(twice) == 7 and twice[0] == twice[6]
    assert [await play("cards", position, 1) for position in ("fewer", "empty")] == [[], []]
    assert len(await play("cards", "twice", 1)) == 2


async def test_good_ones_among_bad_ones(play: Any) -> None:
    for what in PATHS:
        mixed = await play(what, "mixed")
        assert [isinstance(record, dict) and "uid" in record for record in mixed] == [True, False, False] * 2


async def test_what_is_missing(play: Any) -> None:
    for user in await play("users", "null-nested"):
        assert [user[name] for name in ("employment", "address", "credit_card", "subscription")] == [None] * 4
    assert not any({"employment", "address"} & set(user) for user in await play("users", "no-nested"))
    for user in await play("users", "null-leaves"):
        assert user["uid"] and user["address"]["coordinates"] == {"lat": None, "lng": None} and user["email"] is None
    assert not any("uid" in card for card in await play("cards", "no-uid"))


async def test_names_and_days_that_are_rare(play: Any) -> None:
    assert all(not user["first_name"].isascii() and not user["address"]["city"].isascii()
               for user in await play("users", "non-ascii"))
    assert {user["date_of_birth"] for user in await play("users", "leap-day")} == {"2004-02-29"}
    assert {user["date_of_birth"] for user in await play("users", "no-such-day")} == {"2023-02-29"}


async def test_addresses_and_cards_of_users_that_were_given(ask: Any) -> None:
    _, users, _ = await ask(USERS, size="4")
    await ask.switch("randomdata", addresses=["linked-uid", "linked-coordinates"],
                     cards=["linked-uid", "linked-number"])
    _, by_uid, _ = await ask(ADDRESSES, size="4")
    _, by_place, _ = await ask(ADDRESSES, size="6")
    assert [address["uid"] for address in by_uid] == [user["uid"] for user in users]
    places = [user["address"]["coordinates"] for user in users]
    assert [(address["latitude"], address["longitude"]) for address in by_place[:4]] == [
        (place["lat"], place["lng"]) for place in places]
    assert by_place[4]["latitude"] not in [place["lat"] for place in places], "nobody is left for it"
    assert not {address["uid"] for address in by_place} & {user["uid"] for user in users}
    _, by_uid, _ = await ask(CARDS, size="4")
    _, by_number, _ = await ask(CARDS, size="4")
    assert [card["uid"] for card in by_uid] == [user["uid"] for user in users]
    assert [card["credit_card_number"] for card in by_number] == [
        user["credit_card"]["cc_number"].replace("-", "") for user in users]


async def test_the_newest_users_are_linked_first(ask: Any) -> None:
    _, before, _ = await ask(USERS, size="2")
    _, users, _ = await ask(USERS, size="2")
    await ask.switch("randomdata", addresses="linked-uid")
    _, addresses, _ = await ask(ADDRESSES, size="4")
    assert [address["uid"] for address in addresses] == [user["uid"] for user in users + before]


async def test_markers_stand_where_nothing_may_be_kept(play: Any) -> None:
    for user in await play("users", "markers"):
        assert MARKER in user["password"] and MARKER in user["social_insurance_number"] and MARKER in user["cvv"]
        assert user["credit_card"]["cc_number"].startswith(CARD_MARKER) and valid(user["credit_card"]["cc_number"])
        kept = {name: user[name] for name in ("uid", "first_name", "last_name", "username", "email", "address")}
        assert MARKER not in json.dumps(kept) and CARD_MARKER not in json.dumps(kept)
    cards = await play("cards", "markers")
    assert all(card["credit_card_number"].startswith(CARD_MARKER) for card in cards)
    assert len({card["credit_card_number"] for card in cards}) == len(cards)


async def test_a_drip_is_as_slow_as_the_sandbox_lives(ask: Any, sandbox: Sandbox) -> None:
    await ask.switch("randomdata", cards="drip")
    async with aiohttp.ClientSession(sandbox.url) as session, session.get(CARDS) as response:
        assert await response.content.readexactly(3) == b'{"i'
        await sandbox.close()
        assert json.loads(b'{"i' + await response.read())["uid"]
