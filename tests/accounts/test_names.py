"""Names, addresses and passwords at sign-up: what is taken, what is one and the same, what is refused."""
from __future__ import annotations

import asyncio
from typing import Any

import pytest

from server.accounts import addresses, common_passwords
from tests.support import PASSWORD, Answer, Api
from tests.web.hostile import problem


async def sign_up(api: Api, **fields: Any) -> Answer:
    """Signs somebody up, with these fields in place of the good ones."""
    return await api.post("/api/signup",
                          {"username": "grace", "email": "grace@example.org", "password": PASSWORD, **fields})


GOOD_NAMES = ("abc", "a" * 30, "A.b-c_9", "...", "---", "007", "Null", "admin")
BAD_NAMES = ("", "ab", "a" * 31, "a b", "a\tb", "abc\n", "\nabc", "a@b", "caf\u00e9", "\uff41\uff42\uff43", "a/b",
             "abc\u200b",
             "a%00b", "\u0430bc", "a<b", "a'b", "\u212aabc", "abc\u0301", "\u0661\u0662\u0663")


@pytest.mark.parametrize("name", GOOD_NAMES)
async def test_names_that_are_taken(api: Api, name: str) -> None:
    answer = await sign_up(api, username=name)
    assert (answer.status, answer.data["user"]["username"]) == (201, name)
    assert answer.headers["Location"] == "/api/me"


async def test_names_that_are_refused(api: Api) -> None:
    for name in BAD_NAMES:
        answer = await sign_up(api, username=name)
        assert problem(answer, 422) == "invalid_fields" and set(answer.fields) == {"username"}, name


async def test_a_name_in_another_case_is_taken(api: Api) -> None:
    assert (await sign_up(api, username="Ada")).status == 201
    for name in ("ada", "ADA", "Ada", "aDa"):
        answer = await sign_up(api, username=name, email="other@example.org")
        assert problem(answer, 409) == "username_taken" and answer.fields == {"username": "username_taken"}


SAME_ADDRESS = ("grace@example.org", "GRACE@example.org", "grace@EXAMPLE.ORG", "\uff47race@example.org",
                "grace@\uff45xample.org", "grace@example\u3002org")


@pytest.mark.parametrize("email", SAME_ADDRESS)
async def test_one_mailbox_is_one_member(api: Api, email: str) -> None:
    assert (await sign_up(api, username="first", email="Grace@Example.org")).status == 201
    answer = await sign_up(api, email=email)
    assert problem(answer, 409) == "email_taken" and answer.fields == {"email": "email_taken"}


async def test_a_domain_in_letters_and_in_ascii_is_one(api: Api) -> None:
    first = await sign_up(api, username="first", email="ada@B\u00fccher.example")
    assert first.data["user"]["email"] == "ada@xn--bcher-kva.example"
    assert problem(await sign_up(api, email="ADA@xn--bcher-kva.example"), 409) == "email_taken"
    assert problem(await sign_up(api, email="ada@b\u0075\u0308cher.example"), 409) == "email_taken"


GOOD_ADDRESSES = ("a@b.co", "ada+tag@example.org", "o'hara@example.org", "a.b.c@sub.example.org",
                  "\u00fcml@example.org",
                  "a" * 64 + "@example.org", "ada@" + ".".join(["a" * 60] * 3) + ".org", "!#$%&*/=?^_`{|}~@example.org")
BAD_ADDRESSES = ("", "ada", "ada@", "@example.org", "ada@example", "ada@@example.org", "a b@example.org",
                 ".a@example.org",
                 "a.@example.org", "a..b@example.org", "ada@-example.org", "ada@example-.org", "ada@.org",
                 "ada@exa_mple.org",
                 "ada@example.org.", "ada@example.org\n", "ada@127.0.0.1", "ada@[127.0.0.1]", "a" * 65 + "@example.org",
                 "ada@" + "a" * 64 + ".org", "ada@" + ".".join(["a" * 60] * 5) + ".org", "ada@example.o",
                 "ada,bob@example.org",
                 "Ada <ada@example.org>", "ada@example.org,bob@example.org", "a\0b@example.org", "ada@exam\0ple.org",
                 "ada\r\nBcc: x@example.org", "ada@exa\u200bmple..org", "ada@\ud83d.org", '"a b"@example.org',
                 "\uff20@example.org\u2024", "ada@xn--.org", "ada@\u00fc" + "a" * 200 + ".org")


@pytest.mark.parametrize("address", GOOD_ADDRESSES)
def test_addresses_that_can_be_one(address: str) -> None:
    assert addresses.check(address) is None


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_addresses_that_cannot_be_one(address: str) -> None:
    assert addresses.check(address)


async def test_addresses_that_are_refused(api: Api) -> None:
    for address in BAD_ADDRESSES:
        if "\ud83d" not in address:
            answer = await sign_up(api, email=address)
            assert problem(answer, 422) and set(answer.fields) == {"email"}, address


GOOD_PASSWORDS = ("x7#kQ2!p", "\U0001f600\U0001f680\U0001f40d\U0001f9e0\U0001f4a1\U0001f512\U0001f511\U0001f5dd",
                  "".join(chr(0x1f600 + number) for number in range(19)), "corr3ct horse battery",
                  " leading and trailing ",
                  "".join(chr(0x1f600 + number % 50) for number in range(128)), "tab\tand\nline",
                  "\u00e4\u00f6\u00fc\u00df-\u00e9\u00e8\u00ea")
BAD_PASSWORDS = {
    "": "too_short", "short77": "too_short", "\U0001f600" * 7: "too_short", "x7#kQ2!p" * 16 + "x": "too_long",
    "password": "too_common", "Password1": "too_common", "12345678": "too_common", "QWERTYUIOP": "too_common",
    "iloveyou": "too_common", "aaaaaaaa": "too_common", "abcabcabc": "too_common", "passw0rd!": "too_common",
    "\uff50assword": "too_common", "11111111": "too_common", "87654321": "too_common", "password123": "too_common",
    "gracehopper": "is_the_name", "GraceHopper": "is_the_name", "grace.h@example.org": "is_the_name", "Grace.H1": None,
}


@pytest.mark.parametrize("password", GOOD_PASSWORDS, ids=range(len(GOOD_PASSWORDS)))
async def test_passwords_that_are_taken_let_in(api: Api, password: str) -> None:
    assert (await sign_up(api, password=password)).status == 201
    assert (await api.post("/api/login", {"username": "grace", "password": password})).status == 200
    for other in (password[:-1], password + "x", password.swapcase() + "\u0301"):
        problem(await api.post("/api/login", {"username": "grace", "password": other}), 401)


async def test_passwords_that_are_refused(api: Api) -> None:
    for password, code in BAD_PASSWORDS.items():
        if code is None:
            continue
        answer = await sign_up(api, username="GraceHopper", email="grace.h@example.org", password=password)
        assert problem(answer, 422) == "invalid_fields" and answer.fields == {"password": code}, password


async def test_bytes_behind_the_72nd_count(api: Api) -> None:
    long = "".join(chr(0x1f600 + number) for number in range(19))
    assert (await sign_up(api, password=long)).status == 201
    assert (await api.post("/api/login", {"username": "grace", "password": long})).status == 200
    problem(await api.post("/api/login", {"username": "grace", "password": long[:-1] + "\U0001f680"}), 401)


@pytest.mark.parametrize(("first", "second"),
                         [("caf\u00e9-au-lait", "cafe\u0301-au-lait"), ("\ufb01ne-w0rds", "fine-w0rds"),
                          ("\uff58\uff17#kQ2!p9", "x7#kQ2!p9")])
async def test_a_password_typed_on_another_keyboard_is_the_same(api: Api, first: str, second: str) -> None:
    assert (await sign_up(api, password=first)).status == 201
    assert (await api.post("/api/login", {"username": "grace", "password": second})).status == 200


def test_a_good_password_is_not_called_common() -> None:
    for password in ("corr3ct-horse", "x7#kQ2!p", "blue-lamp-over-7", "mississippi river", "zyxwvut-7531"):
        assert common_passwords.check(password) is None


async def test_fifty_at_once_make_one_member(api: Api) -> None:
    forms = ["grace@example.org", "GRACE@example.org", "\uff47race@EXAMPLE.org"]
    answers = await asyncio.gather(*[sign_up(api, username=f"grace{number}", email=forms[number % 3])
                                     for number in range(50)])
    assert sorted(answer.status for answer in answers) == [201] + [409] * 49
    answers = await asyncio.gather(*[sign_up(api, username="aDa"[:number % 3] + "ADA"[number % 3:],
                                             email=f"m{number}@example.org") for number in range(50)])
    assert sorted(answer.status for answer in answers) == [201] + [409] * 49
    assert {answer.code for answer in answers if answer.status == 409} == {"username_taken"}


async def test_what_a_new_member_is_told(api: Api) -> None:
    profile = {"name": "Grace", "title": "Admiral", "company": "Navy", "bio": "Two\nlines", "location": "NYC",
               "site": "https://example.org/~g", "avatar_url": "http://example.org/a.png", "birth_date": "1906-12-09"}
    answer = await sign_up(api, **profile, referral_code="nobody")
    data = answer.data
    assert set(data) == {"user", "access_token", "refresh_token", "expires_at", "referral"}
    assert set(data["user"]) == {
        "id", "username", "name", "title", "company", "location", "bio", "site", "avatar_url", "created_at",
        "post_count",
        "email", "email_status", "email_confirmed_at", "email_pending", "birth_date",
        "enrichment", "referral_code", "role", "mail_checks"}
    assert {name: data["user"][name] for name in profile} == profile
    assert data["referral"] == {"status": "unknown_code"} and data["user"]["role"] == "member"
    assert data["user"]["email_confirmed_at"] is None and data["user"]["post_count"] == 0
    assert b"password" not in answer.raw and b"$2b$" not in answer.raw
    assert (await sign_up(api, username="other", email="o@example.org")).data["referral"] == {"status": "none"}
