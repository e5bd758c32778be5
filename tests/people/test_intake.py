"""What is taken of the records of the source: the fields that are known, in the kinds that they should have."""
from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.people import intake
from server.people.fingerprint import SIZE, Fingerprint
from server.people.model import NewAddress, NewCard, NewPerson, Taken, What
from server.people.numbers import adds_up, without_card_numbers
from server.people.words import MOST, fold, words

UID = "0f8b2f0e-1111-4222-8333-5c6d7e8f9012"
WRONG = "not an identifier"
FINGERPRINT = Fingerprint("the key of the fingerprints in a test")
NUMBER = "6771-8949-0000-0000"
VISA = "4111 1111 1111 1111"  # a number that adds up, and belongs to nobody
USER = {
    "id": 4711, "uid": UID, "password": "Xy12AbCdEf", "first_name": "Orla", "last_name": "Brandt",
    "username": "orla.brandt", "email": "orla.brandt@email.com",
    "avatar": "https://robohash.org/loremipsumdolor.png?size=300x300&set=set1", "gender": "Agender",
    "phone_number": "+47 555-010-7788 x12", "social_insurance_number": "123456782", "date_of_birth": "1987-02-28",
    "employment": {"title": "Forward Clerk", "key_skill": "Teamwork"},
    "address": {"city": "North Vale", "street_name": "Kiln Row", "street_address": "12 Kiln Row",
                "zip_code": "55555-0001", "state": "Ohio", "country": "United  States",
                "coordinates": {"lat": -12.345678901234, "lng": 98.76543210987}},
    "credit_card": {"cc_number": NUMBER},
    "subscription": {"plan": "Gold", "status": "Active", "payment_method": "Cheque", "term": "Annual"}}
ADDRESS = {
    "id": 1, "uid": UID, "city": "North Vale", "street_name": "Kiln Row", "street_address": "12 Kiln Row",
    "secondary_address": "Apt. 4", "building_number": "12", "mail_box": "PO 1", "community": "Kiln", "zip_code": "5",
    "zip": "6", "postcode": "7", "time_zone": "Europe/Belgrade", "state": "Ohio", "state_abbr": "NV",
    "country": "Norway", "country_code": "NO", "latitude": 0.0, "longitude": -180, "full_address": "all of it"}
CARD = {"id": 1, "uid": UID, "credit_card_number": NUMBER, "credit_card_expiry_date": "2021-03-04",
        "credit_card_type": "dankort"}
ORLA = NewPerson(
    "Orla", "Brandt", "orla.brandt", "orla.brandt@email.com", "+47 555-010-7788 x12",
    "https://robohash.org/loremipsumdolor.png?size=300x300&set=set1", "Agender", "1987-02-28", "Forward Clerk",
    "Teamwork", "Gold", "Active", "Cheque", "Annual", "United States", "agender", "united states",
    NewAddress("12 Kiln Row", None, "North Vale", "55555-0001", "Ohio", "United States", None, None, -12345679,
               98765432),
    NewCard(None, "0000", None, FINGERPRINT.of("6771894900000000")))


def take(what: What, *records: object) -> Taken:
    return intake.take(what, records, FINGERPRINT)


def only(what: What, record: object) -> Any:
    taken = take(what, record)
    assert taken.rejected == {}
    (uid, kept), = taken.records
    assert uid == UID
    return kept


def why(what: What, record: object) -> str:
    taken = take(what, record)
    assert taken.records == [] and list(taken.rejected.values()) == [1]
    return next(iter(taken.rejected))


def changed(record: dict[str, Any], path: str, *value: Any) -> dict[str, Any]:
    """The record with another value at the place, or without it."""
    name, _, rest = path.partition(".")
    if rest:
        return {**record, name: changed(record[name], rest, *value)}
    return {**{key: each for key, each in record.items() if key != name}, **({name: value[0]} if value else {})}


def test_a_user_as_the_source_sends_it() -> None:
    assert only("users", USER) == ORLA


def test_an_address_as_the_source_sends_it() -> None:
    assert only("addresses", ADDRESS) == NewAddress(
        "12 Kiln Row", "Apt. 4", "North Vale", "5", "Ohio", "Norway", "NO", "Europe/Belgrade", 0, -180_000_000)


def test_a_card_as_the_source_sends_it() -> None:
    assert only("cards", CARD) == NewCard("dankort", "0000", "2021-03-04", FINGERPRINT.of("6771894900000000"))


def test_what_must_not_be_kept_is_in_none_of_it() -> None:
    kept = repr([asdict(only("users", USER)), asdict(only("cards", CARD))])
    for secret in ("Xy12AbCdEf", "123456782", "6771"):
        assert secret not in kept


def test_a_user_with_little_more_than_a_name() -> None:
    kept = only("users", {"uid": UID.upper(), "first_name": "Orla", "last_name": "Brandt"})
    assert kept == NewPerson("Orla", "Brandt", *[None] * 17)


@pytest.mark.parametrize("path", [
    "username", "email", "avatar", "gender", "phone_number", "date_of_birth", "employment", "employment.title",
    "address", "address.country", "address.coordinates", "address.coordinates.lat", "address.coordinates.lng",
    "credit_card", "credit_card.cc_number", "subscription", "subscription.term"])
def test_null_is_as_good_as_nothing(path: str) -> None:
    kept = only("users", changed(USER, path, None))
    assert kept == only("users", changed(USER, path)) != ORLA


def test_nothing_in_an_address_is_none() -> None:
    empty: dict[str, Any] = {"city": None, "coordinates": {"lat": 1.5, "lng": None}, "street_name": "not kept"}
    assert only("users", {**USER, "address": empty}) == replace(ORLA, address=None, country=None, country_key=None)
    assert only("users", {**USER, "address": {}}).address is None


def test_half_a_place_is_none() -> None:
    for name in ("latitude", "longitude"):
        kept = only("addresses", changed(ADDRESS, name))
        assert (kept.latitude, kept.longitude, kept.city) == (None, None, "North Vale")


@pytest.mark.parametrize("record", [None, 5, "x", [], True, 1.5, [USER]])
def test_what_is_no_object(record: object) -> None:
    for what in ("users", "addresses", "cards"):
        assert why(what, record) == "not an object"  # type: ignore[arg-type]


@pytest.mark.parametrize("uid, reason", [
    (None, "missing"), (5, "not a text"), ("", WRONG), ("a" * 65, WRONG), (UID + "\n", WRONG), ("a b", WRONG),
    ("٠" + UID[1:], WRONG), (f"{{{UID}}}", WRONG), ("4111111111111111", WRONG), ("card-4111-1111-1111-1111", WRONG),
    ("é", WRONG)])
def test_a_record_without_a_uid_is_nobodys(uid: object, reason: str) -> None:
    for what, record in (("users", USER), ("addresses", ADDRESS), ("cards", CARD)):
        assert why(what, {**record, "uid": uid}) == f"uid: {reason}"  # type: ignore[arg-type]


@pytest.mark.parametrize("what, record", [
    ("cards", {"uid": "5555-4444-3333-1112", "credit_card_number": "5555444433331112"}),
    ("cards", {"credit_card_type": "visa 6771 8949 0000 0000"}),
    ("users", {"first_name": "677189490000.0000"}), ("users", {"phone_number": "+6771 894900000000"})])
def test_the_number_of_its_own_card_stands_in_no_other_field(what: What, record: dict[str, str]) -> None:
    assert why(what, {**(CARD if what == "cards" else USER), **record}) == (
        "the number of its card stands in another field")


@pytest.mark.parametrize("uid, kept", [
    (UID.upper(), UID), ("user-1", "user-1"), ("A", "A"), ("a.b:c_d", "a.b:c_d"), ("7" * 12, "7" * 12)])
def test_a_uid_that_is_no_uuid_is_kept_as_it_is(uid: str, kept: str) -> None:
    assert intake.take("addresses", [{**ADDRESS, "uid": uid}], FINGERPRINT).records[0][0] == kept


@pytest.mark.parametrize("what, path, value, reason", [
    ("users", "first_name", None, "missing"), ("users", "first_name", " \u200d\ufeff", "missing"),
    ("users", "last_name", "", "missing"), ("users", "last_name", ["x"], "not a text"),
    ("users", "username", 5, "not a text"), ("users", "email", "x" * 256, "too long"),
    ("users", "gender", True, "not a text"), ("users", "avatar", 7, "not a text"),
    ("users", "date_of_birth", "2023-02-29", "not a date"), ("users", "date_of_birth", "19870228", "not a date"),
    ("users", "date_of_birth", "", "not a date"), ("users", "date_of_birth", "١٩٨٧-٠٢-٢٨", "not a date"),
    ("users", "date_of_birth", "0000-01-01", "not a date"), ("users", "date_of_birth", 1987, "not a text"),
    ("users", "employment", [], "not an object"), ("users", "employment.title", {}, "not a text"),
    ("users", "address", "12 Kiln Row", "not an object"), ("users", "address.city", 5, "not a text"),
    ("users", "address.coordinates", [1, 2], "not an object"),
    ("users", "address.coordinates.lat", 90.1, "not a coordinate"),
    ("users", "address.coordinates.lng", "98.7", "not a coordinate"),
    ("users", "credit_card", NUMBER, "not an object"), ("users", "credit_card.cc_number", "", "not a card number"),
    ("users", "credit_card.cc_number", 6771894900000000, "not a text"),
    ("users", "subscription.plan", 0, "not a text"),
    ("addresses", "city", 5, "not a text"), ("addresses", "time_zone", "x" * 256, "too long"),
    ("addresses", "latitude", True, "not a coordinate"), ("addresses", "latitude", math.nan, "not a coordinate"),
    ("addresses", "longitude", -math.inf, "not a coordinate"), ("addresses", "longitude", 10**400, "not a coordinate"),
    ("addresses", "longitude", 180.000001, "not a coordinate"), ("addresses", "latitude", {}, "not a coordinate"),
    ("cards", "credit_card_number", None, "missing"), ("cards", "credit_card_number", "1" * 12, "not a card number"),
    ("cards", "credit_card_number", "1" * 20, "not a card number"),
    ("cards", "credit_card_number", "٤" * 16, "not a card number"),
    ("cards", "credit_card_number", "4111_1111_1111_1111", "not a card number"),
    ("cards", "credit_card_expiry_date", "2027-13-01", "not a date"), ("cards", "credit_card_type", 5, "not a text")])
def test_a_field_that_is_no_use_rejects_its_record(what: What, path: str, value: object, reason: str) -> None:
    record = {"users": USER, "addresses": ADDRESS, "cards": CARD}[what]
    assert why(what, changed(record, path, value)) == f"{path}: {reason}"  # type: ignore[arg-type]


def test_each_record_is_judged_on_its_own() -> None:
    taken = take("users", USER, {**USER, "uid": 5}, None, {**USER, "email": 5}, {**USER, "email": 6}, USER, 7)
    assert taken.records == [(UID, ORLA), (UID, ORLA)]
    assert taken.rejected == {"uid: not a text": 1, "not an object": 2, "email: not a text": 2}


@pytest.mark.parametrize("url", ["javascript:alert(1)", "//robohash.org/x.png", "https://a@b.example/x", "", "x",
                                 "https://b.example/\u202e", "https://b.example/4111111111111111.png",
                                 "https://b.example/" + "x" * 255])
def test_a_picture_that_cannot_be_shown_costs_nobody_their_record(url: str) -> None:
    assert only("users", {**USER, "avatar": url}) == replace(ORLA, avatar_url=None)


@pytest.mark.parametrize("text, kept", [
    ("  two\n lines\t", "two lines"), ("ze\x00ro", "zero"), ("\ud800half", "half"), ("\u202egpj.exe", "gpj.exe"),
    ("Zoë Ångström 李 🎉", "Zoë Ångström 李 🎉"), ("\u200d\ufeff ", None), ("", None), ("x" * 255, "x" * 255)])
def test_texts_are_one_line_of_what_can_be_seen(text: str, kept: str | None) -> None:
    assert only("users", changed(USER, "employment.title", text)).job_title == kept


@pytest.mark.parametrize("text, kept", [
    (VISA, "<number>"), ("call 4111-1111-1111-1111 now", "call <number> now"), ("4111111111111111.", "<number>."),
    ("4.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1", "<number>"), ("4111\u200d1111 1111\u200d1111", "<number>"),
    ("٤١١١١١١١١١١١١١١١", "<number>"), ("４１１１１１１１１１１１１１１１", "<number>"), ("0000 000 000 000", "<number>"),
    ("4111 1111 1111 1112", "4111 1111 1111 1112"), ("x4111111111111111y", "x<number>y"),
    ("+47 555-010-7788 x12345", "+47 555-010-7788 x12345"), ("111 111 111 111", "111 111 111 111")])
def test_the_number_of_a_card_is_kept_in_no_text(text: str, kept: str) -> None:
    assert only("users", {**USER, "phone_number": text}).phone == kept
    assert only("addresses", {**ADDRESS, "street_address": text}).street_address == kept


def test_the_check_digit() -> None:
    assert [digit for digit in "0123456789" if adds_up(f"7992739871{digit}")] == ["3"]
    assert adds_up("4111111111111111") and not adds_up("4111111111111121")


@pytest.mark.parametrize("number", ["4111111111111111", "4111-1111-1111-1111", " 4111 1111\u00a01111 1111 ",
                                    "41-11 1111-1111-- 1111"])
def test_equal_digits_are_the_same_card_however_they_are_written(number: str) -> None:
    card = only("cards", {**CARD, "credit_card_number": number})
    user = only("users", changed(USER, "credit_card.cc_number", number))
    assert card.last4 == "1111" and card.fingerprint == user.card.fingerprint == FINGERPRINT.of("4111111111111111")


def test_a_fingerprint_needs_the_key() -> None:
    assert len(FINGERPRINT.of("4111111111111111")) == SIZE
    assert FINGERPRINT.of("4111111111111111") != Fingerprint("another key").of("4111111111111111")
    assert FINGERPRINT.of("4111111111111111") != FINGERPRINT.of("4111111111111112")


@pytest.mark.parametrize("degrees, millionths", [
    (0, 0), (-0.0, 0), (0.0000004, 0), (0.0000006, 1), (-12.345678901234, -12345679), (90, 90_000_000),
    (-90.0, -90_000_000), (5e-324, 0), (45.1234564, 45123456), (1, 1_000_000)])
def test_places_are_whole_numbers(degrees: float, millionths: int) -> None:
    kept = only("addresses", {**ADDRESS, "latitude": degrees})
    assert kept.latitude == millionths and type(kept.latitude) is int


@given(st.floats(-90, 90))
def test_equal_to_six_decimals_is_equal(degrees: float) -> None:
    kept = only("addresses", {**ADDRESS, "latitude": degrees}).latitude
    assert f"{kept / 1e6:.6f}".lstrip("-") == f"{round(degrees, 6):.6f}".lstrip("-")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300) | st.sampled_from([UID, NUMBER]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from([*USER, *ADDRESS, *CARD, "title", "plan", "coordinates", "lat", "lng", "cc_number"]), inner,
        max_size=6), max_leaves=12)


@given(st.sampled_from(["users", "addresses", "cards"]), st.lists(JSON, max_size=4), st.data())
def test_whatever_comes_is_kept_or_rejected_in_fixed_words(what: What, records: list[Any], data: st.DataObject) -> None:
    good = {"users": USER, "addresses": ADDRESS, "cards": CARD}[what]
    name = data.draw(st.sampled_from(sorted(good)))  # type: ignore[arg-type]
    records.append({**good, name: data.draw(JSON)})  # type: ignore[dict-item]
    taken = take(what, *records)
    assert len(taken.records) + sum(taken.rejected.values()) == len(records)
    json.dumps([asdict(each) for _, each in taken.records], default=bytes.hex).encode()  # and in whole characters
    for reason in taken.rejected:
        field, _, words_ = reason.rpartition(": ")
        assert words_ in ("missing", "not a text", WRONG, "too long", "not a date", "not an object",
                          "not a coordinate", "not a card number")
        assert set(field.split(".")) <= {*USER, *ADDRESS, *CARD, "title", "key_skill", "city", "coordinates", "lat",
                                         "lng", "cc_number", "plan", "status", "payment_method", "term", ""}


# -- the words that people are found by

@pytest.mark.parametrize("text, folded", [
    ("Zoë  Ångström", "zoe angstrom"), ("STRASSE", fold("Straße")), ("İstanbul", "istanbul"), ("Ｆｕｌｌ", "full"),
    ("ﬁsh", "fish"), ("e\u0301\u0323", "e"), ("a\u200db", "ab"), ("\u0301", ""), ("李 小龙", "李 小龙"),
    ("ΣΊΣΥΦΟΣ", "σισυφοσ")])
def test_folding(text: str, folded: str) -> None:
    assert fold(text) == folded


@given(st.text())
def test_folding_is_done_once_and_for_all(text: str) -> None:
    folded = fold(text)
    assert fold(folded) == folded and len(folded) <= MOST
    assert fold(text.upper()) == fold(text.upper().lower()) and fold(f"  {text}\n") == folded


def test_words_of_a_person() -> None:
    assert words("Zoë", "Ångström", "Zoë.Å") == {0: "zoe angstrom", 1: "angstrom zoe", 2: "zoe.a"}
    assert words("Zoë", "Ångström", None) == {0: "zoe angstrom", 1: "angstrom zoe"}


def test_a_word_fits_into_an_index_however_long_it_becomes() -> None:
    assert all(len(word.encode()) <= 2600 for word in words("ﷺ" * 255, "𝔘" * 255, "\U0010fffd" * 255).values())
    assert without_card_numbers("ﷺ" * 255) == "ﷺ" * 255
