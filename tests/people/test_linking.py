"""What a run stores and links, by which rule, and what stays of it when a person goes."""
from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from server.people import storing
from server.people.fingerprint import SIZE
from server.people.model import Counts, What
from server.storage import Tx
from tests.events.support import Moment
from tests.people.house import CARDS, House, address, card, number, user
from tests.support import opened


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    moment = Moment()
    database = await opened(tmp_path, clock=moment)
    yield House(database, moment)
    await database.close()


# -- storing

async def test_what_comes_is_new_then_unchanged_then_changed(house: House) -> None:
    for what, first, second in (
            ("users", user(1, 1.5, number(1)), user(1, 1.5, number(1), username="other")),
            ("addresses", address(2, 1.5), address(2, 2.5)), ("cards", card(3), card(3, credit_card_type="dankort"))):
        assert await house.run(what, first) == Counts(added=1, linked=what != "users")  # type: ignore[arg-type]
        assert await house.run(what, first) == Counts(unchanged=1)  # type: ignore[arg-type]
        assert await house.run(what, second) == Counts(changed=1)  # type: ignore[arg-type]
        assert await house.run(what, second) == Counts(unchanged=1)  # type: ignore[arg-type]


async def test_only_a_change_counts_as_one(house: House) -> None:
    first = user(1, 1.5, number(1))
    await house.run("users", first, user(2))
    began = house.moment.ms
    await house.run("users", first, user(2, phone_number="1"))
    rows = await house.rows("SELECT created_at, updated_at FROM people ORDER BY id")
    assert [tuple(row.values()) for row in rows] == [(began, began), (began, began + 1000)]
    await house.run("users", user(1, 2.5, number(1)))
    assert await house.rows("SELECT updated_at - created_at AS later FROM people ORDER BY id") == [
        {"later": 2000}, {"later": 1000}]
    assert await house.rows("SELECT updated_at - created_at AS later FROM addresses") == [{"later": 2000}]
    assert await house.rows("SELECT updated_at - created_at AS later FROM cards") == [{"later": 0}]


async def test_a_record_that_comes_twice_in_one_answer(house: House) -> None:
    assert await house.run("users", user(1), user(1)) == Counts(added=1, unchanged=1)
    assert await house.run("users", user(2), user(2, 1.5), user(2, 1.5)) == Counts(added=1, changed=1, unchanged=1)
    assert await house.run("addresses", address(3), address(4), address(3, 1.5), address(3)) == Counts(
        added=2, changed=2, linked=2)
    assert await house.run("cards", card(5), card(5)) == Counts(added=1, unchanged=1, linked=1)
    assert await house.rows("SELECT count(*) AS n FROM people") == [{"n": 2}]


async def test_everything_of_a_person_is_kept_and_follows_their_record(house: House) -> None:
    full = user(1, -1.25, number(7), first_name="Zoë", email="zoe@email.com", phone_number="1", gender="Agender",
                avatar="https://robohash.org/x.png", date_of_birth="2024-02-29",
                employment={"title": "Clerk", "key_skill": "Work"},
                subscription={"plan": "Gold", "status": "Active", "payment_method": "Cheque", "term": "Annual"})
    await house.run("users", full)
    row, = await house.rows("SELECT * FROM people")
    assert {name: value for name, value in row.items() if not name.endswith(("id", "_at", "_address", "_card"))} == {
        "first_name": "Zoë", "last_name": "Lovelace 1", "username": "ada1", "email": "zoe@email.com", "phone": "1",
        "avatar_url": "https://robohash.org/x.png", "gender": "Agender", "birth_date": "2024-02-29",
        "job_title": "Clerk", "key_skill": "Work", "plan": "Gold", "plan_status": "Active", "payment_method": "Cheque",
        "plan_term": "Annual", "country": "Norway", "gender_key": "agender", "country_key": "norway"}
    place, = await house.rows("SELECT city, country, latitude, longitude, uid, link_rule FROM addresses")
    assert place == {"city": "North Vale", "country": "Norway", "latitude": -1_250_000, "longitude": 2_500_000,
                     "uid": None, "link_rule": "embedded"}
    kept, = await house.rows("SELECT type, last4, expires, fingerprint, link_rule FROM cards")
    assert len(bytes(kept.pop("fingerprint"))) == SIZE
    assert kept == {"type": None, "last4": "0007", "expires": None, "link_rule": "embedded"}
    await house.run("users", user(1, username=None, first_name="Zoe"))
    row, = await house.rows("SELECT * FROM people")
    assert {row[name] for name in ("username", "email", "gender_key", "birth_date", "plan", "country")} == {None}
    assert await house.rows("SELECT 1 FROM addresses UNION ALL SELECT 2 FROM cards") == []


async def test_people_are_found_by_their_names_of_now(house: House) -> None:
    words = "SELECT kind, word FROM person_words ORDER BY kind"
    await house.run("users", user(1, first_name="Zoë"))
    assert [row["word"] for row in await house.rows(words)] == ["zoe lovelace 1", "lovelace 1 zoe", "ada1"]
    await house.run("users", user(1, first_name="Zoë", gender="x"))
    await house.run("users", user(1, username=None, first_name="Ada"))
    assert [row["word"] for row in await house.rows(words)] == ["ada lovelace 1", "lovelace 1 ada"]


async def test_all_that_a_standalone_record_has_is_kept(house: House) -> None:
    await house.run("addresses", address(1, 0.0, street_address="12 Kiln Row", secondary_address="Apt. 4", state="Ohio",
                                         zip_code="5", country="Norway", country_code="NO", time_zone="Europe/Oslo"))
    row, = await house.rows("SELECT * FROM addresses")
    assert (row["street_address"], row["secondary_address"], row["city"], row["zip_code"], row["state"], row["country"],
            row["country_code"], row["time_zone"], row["latitude"], row["longitude"]) == (
        "12 Kiln Row", "Apt. 4", "South Vale", "5", "Ohio", "Norway", "NO", "Europe/Oslo", 0, 2_500_000)
    await house.run("cards", *(card(each, number(each), credit_card_expiry_date=f"2027-01-{each:02}")
                               for each in range(2, 5)))
    rows = await house.rows("SELECT * FROM cards ORDER BY id")
    assert [(row["type"], row["last4"], row["expires"]) for row in rows] == [
        ("visa", f"000{each}", f"2027-01-0{each}") for each in range(2, 5)]
    assert [bytes(row["fingerprint"]) for row in rows] == [
        house.importing.take("cards", [card(1, number(each))]).records[0][1].fingerprint  # type: ignore[union-attr]
        for each in range(2, 5)]


# -- linking, by each rule

async def test_uid_goes_before_everything_else(house: House) -> None:
    await house.run("users", user(1, 1.5, number(1)), user(2))
    assert await house.run("addresses", address(2, 1.5)) == Counts(added=1, linked=1)
    assert await house.run("cards", card(2, number(1))) == Counts(added=1, linked=1)
    assert await house.links() == {2: (2, "uid")} == await house.links(CARDS)


async def test_equal_coordinates_and_equal_digits(house: House) -> None:
    await house.run("users", user(1), user(2, 1.5000004, "4000-0000-0000-0002"), user(3, 1.5, number(2)))
    await house.run("addresses", address(11, 1.5), address(12, 1.500001))
    await house.run("cards", card(11, "4000 0000 0000 0002"), card(12, number(3)))
    assert await house.links() == {11: (2, "coordinates"), 12: (1, "adopted")}
    assert await house.links(CARDS) == {11: (2, "card"), 12: (1, "adopted")}


async def test_whoever_has_waited_longest_adopts(house: House) -> None:
    await house.run("users", user(1, 1.5, number(1)), user(2), user(3))
    await house.run("addresses", address(11), address(12))
    await house.run("addresses", address(13), address(14))
    assert await house.links() == {11: (1, "adopted"), 12: (2, "adopted"), 13: (3, "adopted"), 14: None}
    assert await house.links(CARDS) == {}


async def test_the_exact_rules_go_first_for_all_of_a_run(house: House) -> None:
    await house.run("users", user(1, 1.5), user(2), user(3))
    assert await house.run("addresses", address(11), address(12, 1.5), address(2)) == Counts(added=3, linked=3)
    assert await house.links() == {11: (3, "adopted"), 12: (1, "coordinates"), 2: (2, "uid")}


async def test_who_comes_later_finds_what_waits(house: House) -> None:
    await house.run("addresses", *(address(each, each) for each in range(11, 16)))
    await house.run("cards", card(11, number(1)), card(12))
    assert set((await house.links()).values()) == {None}
    assert (await house.run("users", user(1), user(14, 13), user(2, 12, number(1)))).linked == 6
    assert await house.links() == {11: (1, "adopted"), 12: (2, "coordinates"), 13: (14, "coordinates"),
                                   14: (14, "uid"), 15: None}
    assert await house.links(CARDS) == {11: (2, "card"), 12: (1, "adopted")}
    assert (await house.run("users", user(3))).linked == 1


async def test_who_moves_finds_what_waits_there(house: House) -> None:
    await house.run("users", user(1))
    await house.run("addresses", address(11), address(12, 1.5))
    assert (await house.links())[12] is None
    assert await house.run("users", user(1, 1.5)) == Counts(changed=1, linked=1)
    assert await house.links() == {11: (1, "adopted"), 12: (1, "coordinates")}


async def test_a_record_that_moves_while_it_waits_is_looked_at_again(house: House) -> None:
    await house.run("users", user(1, 1.5))
    await house.run("addresses", address(11), address(12))
    assert await house.run("addresses", address(12, 1.5)) == Counts(changed=1, linked=1)
    assert (await house.links())[12] == (1, "coordinates")


async def test_a_link_does_not_move(house: House) -> None:
    await house.run("users", user(1, 1.5, number(1)))
    await house.run("addresses", address(11, 1.5), address(3))
    await house.run("cards", card(12, number(1)), card(3))
    before = await house.links(), await house.links(CARDS)
    assert before == ({11: (1, "coordinates"), 3: None}, {12: (1, "card"), 3: None})
    await house.run("users", user(1), user(11, 1.5), user(12, None, number(1)))
    await house.run("addresses", address(11, 9.5))
    await house.run("cards", card(12, number(9)))
    after = await house.links(), await house.links(CARDS)
    assert (after[0][11], after[1][12]) == (before[0][11], before[1][12])


# -- unlinking

async def test_who_goes_leaves_their_addresses_to_the_next(house: House) -> None:
    await house.run("users", user(1, 1.5, number(1)))
    await house.run("addresses", address(1), address(11, 1.5))
    await house.run("cards", card(11, number(1)))
    await house.delete(1)
    assert await house.links() == {1: None, 11: None} and await house.links(CARDS) == {11: None}
    assert await house.rows("SELECT 1 FROM person_words") == []
    assert await house.rows("SELECT 1 FROM addresses WHERE link_rule = 'embedded'") == []
    assert (await house.run("users", user(2, 1.5), user(3))).linked == 3
    assert await house.links() == {1: (3, "adopted"), 11: (2, "coordinates")}
    assert await house.links(CARDS) == {11: (2, "adopted")}


async def test_what_is_left_goes_to_who_waits_with_the_next_run(house: House) -> None:
    await house.run("users", user(1))
    await house.run("addresses", address(11))
    await house.run("users", user(2))
    await house.delete(1)
    assert await house.links() == {11: None}
    assert await house.run("addresses", address(12)) == Counts(added=1, linked=1)
    assert await house.links() == {11: (2, "adopted"), 12: None}


async def test_who_is_deleted_and_comes_again_is_somebody_new(house: House) -> None:
    await house.run("users", user(1))
    await house.run("addresses", address(1))
    await house.delete(1)
    assert await house.run("users", user(1)) == Counts(added=1, linked=1)
    assert await house.links() == {1: (1, "uid")}


# -- counting

async def test_the_tallies(house: House) -> None:
    await house.run("users", user(1, 1.5, number(1)), user(2, 2.5), user(3), user(3))
    await house.run("addresses", address(1), address(12, 2.5), address(13), address(14), address(14))
    await house.run("cards", card(11, number(1)), card(12), card(13), card(14))
    kept = {row["name"]: row["n"] for row in await house.rows("SELECT name, n FROM tallies")}
    assert kept == {
        "people": 3, "addresses": 4, "cards": 4, "addresses unlinked": 1, "cards unlinked": 1,
        "addresses uid": 1, "addresses coordinates": 1, "addresses adopted": 1, "addresses embedded": 2,
        "cards card": 1, "cards adopted": 2, "cards embedded": 1}
    await house.delete(1)
    kept = {row["name"]: row["n"] for row in await house.rows("SELECT name, n FROM tallies")}
    assert (kept["people"], kept["addresses unlinked"], kept["addresses freed"], kept["cards embedded"]) == (2, 2, 1, 0)


async def test_nothing_that_came_is_a_run_too(house: House) -> None:
    for what in ("users", "addresses", "cards"):
        assert await house.run(what) == Counts()  # type: ignore[arg-type]
        assert await house.run(what, None, 5) == Counts(  # type: ignore[arg-type]
            rejected=2, reasons={"not an object": 2})


async def test_the_sizes_of_fingerprints_agree() -> None:
    assert f", {SIZE})" in storing.PUT_CARDS and f", {SIZE})" in storing.EMBED_CARDS


async def test_a_run_takes_a_handful_of_statements_however_much_comes(house: House) -> None:
    class Counting:
        def __init__(self, tx: Tx) -> None:
            self.tx, self.statements, self.now = tx, 0, tx.now

        async def lock(self, what: str) -> None:
            await self.tx.lock(what)

        def __getattr__(self, name: str) -> Any:
            self.statements += 1
            return getattr(self.tx, name)

    async def run(tx: Tx, what: What, records: list[Any]) -> int:
        counting = Counting(tx)
        await house.importing.store(counting, what, house.importing.take(what, records))  # type: ignore[arg-type]
        return counting.statements
    few = await house.database.write(run, "users", [user(each, each / 9, number(each)) for each in range(2)])
    many = await house.database.write(run, "users", [user(each, each / 9, number(each)) for each in range(100, 200)])
    assert few == many <= 20
    for what, make in (("addresses", address), ("cards", card)):
        few = await house.database.write(run, what, [make(each) for each in range(300, 302)])  # type: ignore[arg-type]
        many = await house.database.write(run, what, [make(each) for each in range(400, 500)])  # type: ignore[arg-type]
        assert few == many <= 12
        again = await house.database.write(run, what, [make(each) for each in range(50)])  # type: ignore[arg-type]
        assert again <= 12
