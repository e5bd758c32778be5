"""People, addresses and cards as members see them: searched, filtered, page by page."""
from __future__ import annotations

import base64
import random
from typing import Any

import pytest

from server.people import reading
from server.people.words import fold, words
from server.storage import Tx
from tests.people import stored
from tests.people.stored import people, walked
from tests.support import Served
from tests.web.hostile import problem


async def _ids(server: Served, token: str, limit: int = 3, **params: str) -> list[int]:
    return [person["id"] for person in await walked(server, token, "/api/people", limit, **params)]


# -- one person


async def test_a_person_is_shown_whole(server: Served, token: str) -> None:
    async def add(tx: Tx) -> int:
        id_ = await stored.add_person(
            tx, "Orla", "Brandt", "orla.brandt", email="orla@email.com", phone="+47 555", gender="Agender",
            avatar_url="https://robohash.org/x.png?a=1&b=2", birth_date="1988-02-29", job_title="Clerk",
            key_skill="Teamwork", plan="Gold", plan_status="Active", payment_method="Cheque", plan_term="Annual",
            country="Norway")
        await stored.add_address(tx, id_, "embedded", place=(-12_345_678, 0))
        await stored.add_address(tx, id_, "adopted")
        await stored.add_card(tx, id_, "uid")
        return id_
    id_ = await server.foyer.database.write(add)
    person = (await server.api.get(f"/api/people/{id_}", token=token)).data
    assert (await server.api.get("/api/people", token=token)).data == [person]
    embedded, adopted = person.pop("addresses")
    card, = person.pop("cards")
    assert {**person, "uid": "", "created_at": "", "updated_at": ""} == {
        "id": id_, "uid": "", "first_name": "Orla", "last_name": "Brandt", "username": "orla.brandt",
        "email": "orla@email.com", "phone": "+47 555", "avatar_url": "https://robohash.org/x.png?a=1&b=2",
        "gender": "Agender", "birth_date": "1988-02-29", "job_title": "Clerk", "key_skill": "Teamwork",
        "subscription": {"plan": "Gold", "status": "Active", "payment_method": "Cheque", "term": "Annual"},
        "created_at": "", "updated_at": ""}
    assert {**embedded, "created_at": ""} == {
        "id": embedded["id"], "uid": None, "person_id": id_, "link_rule": "embedded", "street_address": "12 Kiln Row",
        "secondary_address": None, "city": "North Vale", "zip_code": None, "state": None, "country": "Norway",
        "country_code": "NO", "time_zone": "Europe/Oslo", "latitude": -12.345678, "longitude": 0.0, "created_at": ""}
    assert (adopted["link_rule"], adopted["latitude"], adopted["longitude"]) == ("adopted", None, None)
    assert card == {"id": card["id"], "uid": card["uid"], "person_id": id_, "link_rule": "uid", "type": "visa",
                    "last4": "0004", "expires": "2027-02-28"}


async def test_there_are_at_most_a_hundred_of_each_with_a_person(server: Served, token: str) -> None:
    async def add(tx: Tx) -> list[int]:
        ids = [await stored.add_person(tx), await stored.add_person(tx)]
        for number in range(103):
            await stored.add_address(tx, ids[number % 103 == 102], "coordinates", city=f"City {number}")
            await stored.add_card(tx, ids[0], "card", f"{number:04}")
        return ids
    ids = await server.foyer.database.write(add)
    second, first = (await server.api.get("/api/people", token=token)).data
    assert (first["id"], second["id"]) == (ids[0], ids[1])
    assert [each["city"] for each in first["addresses"]] == [f"City {number}" for number in range(100)]
    assert [each["last4"] for each in first["cards"]] == [f"{number:04}" for number in range(100)]
    assert [each["city"] for each in second["addresses"]] == ["City 102"] and second["cards"] == []
    assert (await server.api.get(f"/api/people/{ids[0]}", token=token)).data == first
    assert len(await walked(server, token, "/api/people/addresses", 50, person_id=str(ids[0]))) == 102


async def test_who_is_not_there_is_not_found(server: Served, token: str) -> None:
    for id_ in ("1", "0", "9007199254740991", "addressses", "-1"):
        assert problem(await server.api.get(f"/api/people/{id_}", token=token), 404) == "not_found"


async def test_nobody_reads_without_a_token(server: Served) -> None:
    for path in ("", "/1", "/addresses", "/cards", "/counts", "/export"):
        assert problem(await server.api.get(f"/api/people{path}"), 401) == "not_signed_in"


# -- the list


@pytest.mark.parametrize("limit", [1, 3, 17, 100])
async def test_the_newest_come_first_and_each_once(server: Served, token: str, limit: int) -> None:
    ids = await people(server, *[("Ada", "Lovelace")] * 17)
    assert await _ids(server, token, limit) == ids[::-1]


async def test_filters_are_whole_words_without_case_and_accents(server: Served, token: str) -> None:
    female = await people(server, ("Ada",), ("Bea",), gender="Female", country="Åland Islands")
    male = await people(server, ("Bob",), gender="male", country="Norway")
    await people(server, ("Eve",))
    for gender, country, wanted in (
            ("FEMALE", None, female), ("Male", None, male), ("mal", None, []), ("female ", None, female),
            (None, "aland islands", female), (None, "ÅLAND  ISLANDS", female), (None, "land", []), ("%", None, []),
            ("female", "norway", []), ("male", "norway", male), (None, "%", []), (" ", None, []), ("_ale", None, [])):
        params = {name: value for name, value in (("gender", gender), ("country", country)) if value is not None}
        assert sorted(await _ids(server, token, 1, **params)) == wanted, params


async def test_whom_few_are_is_found_in_short_pages(
        server: Served, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MORE_PARTS", (2, 3))
    rare = (await people(server, ("Ada",), gender="Agender", country="Norway"))[0]
    await people(server, *[("Ada", f"Number {number}") for number in range(40)], gender="Female", country="Norway")
    last = (await people(server, ("Ada",), gender="Agender", country="Norway"))[0]
    for params in ({"gender": "agender", "country": "norway"}, {"q": "ada", "gender": "agender"}):
        first = await server.api.get("/api/people?limit=3", token=token, params=params)
        assert len(first.data) < 3 and first.body["next"], "it does not look at all of them for one page"
        assert sorted(await _ids(server, token, 3, **params)) == [rare, last]


# -- the search


def _model(everybody: dict[int, tuple[str, str, str | None]], q: str) -> list[int]:
    """Whom a search must find, and in which order: looked at one by one."""
    prefix, found = fold(q), []
    for id_, names in everybody.items():
        fitting = [word for _, word in sorted(words(*names).items()) if word.startswith(prefix)]
        if fitting:
            found.append((fitting[0].encode(), id_))
    return [id_ for _, id_ in sorted(found)]


async def _everybody(server: Served, *names: tuple[str, str, str | None]) -> dict[int, tuple[str, str, str | None]]:
    async def add(tx: Tx) -> list[int]:
        return [await stored.add_person(tx, *each) for each in names]
    return dict(zip(await server.foyer.database.write(add), names))


NAMES: tuple[tuple[str, str, str | None], ...] = (
    ("Ada", "Lovelace", "ada.lovelace"), ("Ada", "Ada", "ada"), ("Ada", "Byron", None), ("ADA", "byron", "lovelace"),
    ("Élodie", "Ångström", "elodie"), ("E\u0301lodie", "A\u030angstro\u0308m", "x"), ("Weiß", "Strauß", "weiss"),
    ("１００％", "Under_score", "100%"), ("100", "Percent", "under-score"), ("O'Neil", 'Quo"te', "back\\slash"),
    ("😀", "Emoji", "👩‍👩‍👧"), ("李", "小龍", "ли"), ("\U0010fffd", "Last", "\uffff"), ("ﬁ", "Ligature", "ﷺ"),
    ("İstanbul", "ıı", "Kelvin"), ("Anna  Maria", "van der Berg", "a:b:c"), ("a" * 255, "b" * 255, "c" * 255))
SEARCHES = (
    "a", "A", "ad", "ada", "ADA", "ada ", " ada", "ada l", "ada  lovelace", "lovelace a", "byron", "byron ada", "adax",
    "e\u0301", "é", "E", "elodie angstrom", "ångström É", "weiss", "WEISS", "strauß w", "100%", "100", "%", "_", "a%",
    "under_", "under-", "under?", "*", "o'", "O'NEIL quo\"", '"', "\\", "back\\", "'", "' OR 1=1 --", "😀", "👩", "李",
    "李 小", "л", "\U0010fffd", "\uffff", "fi", "ﬁ", "i", "kelvin", "anna maria v", "van der", "a:b:", "a" * 100, " ",
    "\u0301", "z", "\u200d", "a\tm", "\ufdfa")


async def test_it_finds_what_begins_so_and_nothing_else(server: Served, token: str) -> None:
    everybody = await _everybody(server, *NAMES)
    found = {q: await _ids(server, token, 100, q=q) for q in SEARCHES}
    assert found == {q: _model(everybody, q) for q in SEARCHES}
    assert sum(map(len, found.values())) > 2 * len(NAMES) and found["%"] == found["_"] == found["z"] == []
    assert found["a"] == found["A"] != found["ad"] and len(found["é"]) == 3 and len(found[" "]) == len(NAMES)


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
async def test_each_is_found_once_however_many_are_called_the_same(
        server: Served, token: str, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MORE_PARTS", (1, 2))
    dice = random.Random(limit)
    syllables = ("a", "aa", "ab", "b", "Ä")
    everybody = await _everybody(server, *[
        (dice.choice(syllables), dice.choice(syllables), dice.choice((None, *syllables))) for _ in range(40)])
    for q in ("a", "aa", "a a", "b", "ab b", " ", "c"):
        assert await _ids(server, token, limit, q=q) == _model(everybody, q), q


async def test_a_list_goes_on_behind_somebody_who_has_gone(server: Served, token: str) -> None:
    ids = await people(server, *[("Ada", "Lovelace", "ada")] * 6)
    for q, wanted in ({"q": "ada"}, ids), ({}, [ids[5], ids[4], ids[3], ids[2], ids[0]]):
        answer = await server.api.get("/api/people", token=token, params={"limit": "2", **q})
        assert [person["id"] for person in answer.data] == wanted[:2]

        async def remove(tx: Tx) -> None:
            await tx.run("DELETE FROM people WHERE id = $1", wanted[1])
        await server.foyer.database.write(remove)
        rest = await server.api.get("/api/people", token=token, params={"cursor": answer.body["next"], **q})
        assert [person["id"] for person in rest.data] == wanted[2:]


@pytest.mark.parametrize("query", ["q=", "q=" + "a" * 101, "q=%00", "q=a%00", "gender=", "country=", "country=%00",
                                   "gender=" + "a" * 256, "name=ada", "cursor=" + "a" * 1201, "limit=101"])
async def test_what_no_search_is(server: Served, token: str, query: str) -> None:
    problem(await server.api.get(f"/api/people?{query}", token=token), 422)
    problem(await server.api.get(f"/api/people/export?{query}", token=token), 422)


@pytest.mark.parametrize("path", ["/api/people/addresses", "/api/people/cards"])
@pytest.mark.parametrize("query", ["linked=", "linked=maybe", "person_id=0", "person_id=x", "q=a", "person_id=-1",
                                   "person_id=9007199254740992"])
async def test_what_no_list_is(server: Served, token: str, path: str, query: str) -> None:
    problem(await server.api.get(f"{path}?{query}", token=token), 422)


async def test_cursors_belong_to_their_list(server: Served, token: str) -> None:
    await people(server, *[("Ada",)] * 3)
    by_name, newest = [(await server.api.get("/api/people", token=token, params={"limit": "1", **q})).body["next"]
                       for q in ({"q": "ada"}, {})]
    for cursor, q in ((newest, {"q": "ada"}), (by_name, {})):
        answer = await server.api.get("/api/people", token=token, params={"cursor": cursor, **q})
        assert problem(answer, 400) == "bad_cursor"
    other = await server.api.get("/api/people", token=token, params={"cursor": by_name, "q": "b"})
    assert other.data == [], "it finds nobody who is not called so"


CURSORS = {b"people_named:0:a": 200, b"people_named:1:a:b": 200, b"people_named:1:": 200, b"people_named:1": 400,
           b"people_named:x:a": 400, b"people_named:-1:a": 400, b"people_named:9007199254740992:a": 400,
           "people_named:\u0661:a".encode(): 400, b"people_named:1:a\0": 400, b"people_named:1:\xff": 400,
           b"people_named:1:\xed\xa0\x80": 400, b"people:1": 400, b"people_named::a": 400, b"names:ada": 400}


@pytest.mark.parametrize("plain", CURSORS, ids=range(len(CURSORS)))
async def test_cursors_of_names_that_somebody_made_up(server: Served, token: str, plain: bytes) -> None:
    cursor = base64.urlsafe_b64encode(plain).decode().rstrip("=")
    answer = await server.api.get("/api/people", token=token, params={"q": "a", "cursor": cursor})
    assert answer.status == CURSORS[plain] and (answer.status == 200 or problem(answer) == "bad_cursor")


async def test_the_longest_names_lead_on(server: Served, token: str) -> None:
    ids = await people(server, *[("\U00020000" * 255, "\U00020000" * 255)] * 3)
    for q in ("\U00020000", "\U00020000" * 100):
        assert await _ids(server, token, 1, q=q) == ids


# -- addresses and cards


@pytest.fixture
async def scattered(server: Served) -> Any:
    """Two people, and addresses and cards of theirs and of nobody; the ids of the people and of the addresses."""
    async def add(tx: Tx) -> Any:
        ada, bob = [await stored.add_person(tx, name) for name in ("Ada", "Bob")]
        owners = [(ada, "embedded"), (None, None), (bob, "uid"), (None, None), (ada, "adopted"), (None, None)]
        for owner, rule in owners:
            await stored.add_card(tx, owner, rule)
        return ada, bob, [(await stored.add_address(tx, owner, rule), owner, rule) for owner, rule in owners]
    return await server.foyer.database.write(add)


@pytest.mark.parametrize("limit", [1, 2, 100])
@pytest.mark.parametrize("what", ["addresses", "cards"])
async def test_they_are_listed_with_whose_they_are(
        server: Served, token: str, scattered: Any, what: str, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MORE_PARTS", (1,))
    ada, bob, rows = scattered
    newest = rows[::-1]
    for params, wanted in (
            ({}, newest), ({"linked": "true"}, [row for row in newest if row[1]]),
            ({"linked": "false"}, [row for row in newest if not row[1]]),
            ({"person_id": str(ada)}, [row for row in newest if row[1] == ada]),
            ({"person_id": str(bob), "linked": "true"}, [row for row in newest if row[1] == bob]),
            ({"person_id": str(ada), "linked": "false"}, []), ({"person_id": "77"}, [])):
        found = await walked(server, token, f"/api/people/{what}", limit, **params)
        assert [(each["id"], each["person_id"], each["link_rule"]) for each in found] == wanted, params
        assert all((each["uid"] is None) == (each["link_rule"] == "embedded") for each in found)


async def test_of_a_card_nothing_else_is_shown(server: Served, token: str, scattered: Any) -> None:
    shown = (await server.api.get("/api/people/cards", token=token)).data
    assert {frozenset(card) for card in shown} == {
        frozenset({"id", "uid", "person_id", "link_rule", "type", "last4", "expires"})}


@pytest.mark.parametrize("millionths", [0, 1, -1, 90_000_000, -12_345_678, 179_999_999, -180_000_000, 100_000])
async def test_places_are_exact_to_six_decimals(server: Served, token: str, millionths: int) -> None:
    async def add(tx: Tx) -> None:
        await stored.add_address(tx, place=(millionths, -millionths))
    await server.foyer.database.write(add)
    shown = (await server.api.get("/api/people/addresses", token=token)).data[0]
    assert (round(shown["latitude"] * 1_000_000), round(shown["longitude"] * 1_000_000)) == (millionths, -millionths)
    assert len(f"{shown['latitude']:.10f}".rstrip("0").partition(".")[2]) <= 6


# -- how many there are


async def test_counts_are_read_and_not_counted(server: Served, token: str) -> None:
    async def tell(tx: Tx) -> None:
        await stored.set_tallies(tx, {
            "people": 1, "addresses": 2, "cards": 3, "addresses unlinked": 4, "cards unlinked": 5, "addresses uid": 6,
            "cards uid": 7, "addresses embedded": 8, "cards embedded": 9, "addresses coordinates": 10,
            "cards card": 11, "addresses adopted": 12, "cards adopted": 13, "members": 99})
    none = {"uid": 0, "embedded": 0, "coordinates": 0, "card": 0, "adopted": 0}
    assert (await server.api.get("/api/people/counts", token=token)).data == {
        "people": 0, "addresses": 0, "cards": 0, "unlinked": {"addresses": 0, "cards": 0}, "links": none}
    await server.foyer.database.write(tell)
    assert (await server.api.get("/api/people/counts", token=token)).data == {
        "people": 1, "addresses": 2, "cards": 3, "unlinked": {"addresses": 4, "cards": 5},
        "links": {"uid": 13, "embedded": 17, "coordinates": 10, "card": 11, "adopted": 25}}
