"""Exactly N pass, and who is asking cannot be made up."""
from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from multidict import CIMultiDict

from server.core import units
from server.core.errors import Problem
from server.core.units import Rate
from server.web.limits import Limiter, client_address, subject_of
from tests.conftest import Serve
from tests.support import PASSWORD, Answer, Served
from tests.web.hostile import problem

ALONE = {"sandbox.mode": "off"}  # then loopback is not exempt
BEHIND = {"sandbox.mode": "off", "server.trusted_proxies": "127.0.0.0/8"}


def limiter(now: list[float], exempt: str = "") -> Limiter:
    """A limiter with a clock of our own."""
    return Limiter(True, units.networks(exempt), lambda: now[0])


def passed(limits: Limiter, rate: Rate, subject: str, times: int) -> int:
    """How many of so many pass."""
    def one() -> bool:
        try:
            limits.take("x", rate, subject)
        except Problem:
            return False
        return True
    return sum(one() for _ in range(times))


@pytest.mark.parametrize("rate", [Rate(1, 1), Rate(10, 3600), Rate(5, 900), Rate(120, 60), Rate(1200, 60), Rate(7, 13)])
def test_exactly_so_many_pass(rate: Rate) -> None:
    now = [1000.0]
    limits = limiter(now)
    assert passed(limits, rate, "a", rate.count * 2 + 1) == rate.count
    assert passed(limits, rate, "b", rate.count * 2 + 1) == rate.count
    now[0] += rate.seconds / rate.count - 0.001
    assert passed(limits, rate, "a", 3) == 0
    now[0] += 0.002
    assert passed(limits, rate, "a", 3) == 1
    now[0] += rate.seconds
    assert passed(limits, rate, "a", rate.count + 3) == rate.count


def test_a_refusal_says_when_to_come_again_and_that_is_true() -> None:
    now = [0.0]
    limits, rate = limiter(now), Rate(3, 10)
    for _ in range(3):
        limits.take("x", rate, "a")
    with pytest.raises(Problem) as caught:
        limits.take("x", rate, "a")
    headers = caught.value.headers
    assert headers["RateLimit-Limit"] == "3" and headers["RateLimit-Remaining"] == "0"
    now[0] += int(headers["Retry-After"])
    limits.take("x", rate, "a")


def test_checking_counts_nothing_and_a_limiter_that_is_off_refuses_nothing() -> None:
    limits = limiter([0.0])
    for _ in range(5):
        limits.check("x", Rate(1, 10), "a")
    off = Limiter(False, (), lambda: 0.0)
    assert passed(off, Rate(1, 10), "a", 50) == 50


def test_many_subjects_are_forgotten_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.web.limits.MOST", 100)
    now = [0.0]
    limits = limiter(now)
    for number in range(1000):
        now[0] += 1
        limits.take("x", Rate(10, 10), str(number))
    assert len(limits._whole_at) <= 101


SUBJECTS = {
    "1.2.3.4": "1.2.3.4", "::ffff:1.2.3.4": "1.2.3.4", "2001:db8:1:2::1": "2001:db8:1:2::/64",
    "2001:db8:1:2:ffff:ffff:ffff:ffff": "2001:db8:1:2::/64", "2001:db8:1:3::1": "2001:db8:1:3::/64",
    "unknown": "unknown",
    "2001:0DB8:0001:0002::9": "2001:db8:1:2::/64",
}


@pytest.mark.parametrize("address", SUBJECTS)
def test_whom_an_address_stands_for(address: str) -> None:
    assert subject_of(address) == SUBJECTS[address]


def test_a_zone_in_an_address_does_no_harm() -> None:
    assert subject_of("fe80::1%eth0")


FORWARDED = [
    ("10.0.0.1", None, "10.0.0.1"), ("10.0.0.1", "", "10.0.0.1"), ("10.0.0.1", "1.1.1.1", "1.1.1.1"),
    ("10.0.0.1", "6.6.6.6, 1.1.1.1", "1.1.1.1"), ("10.0.0.1", "6.6.6.6, 1.1.1.1, 10.0.0.2", "1.1.1.1"),
    ("10.0.0.1", "10.0.0.3,10.0.0.2", "10.0.0.3"), ("10.0.0.1", "6.6.6.6, nonsense", "10.0.0.1"),
    ("10.0.0.1", "nonsense, 1.1.1.1", "1.1.1.1"), ("2.2.2.2", "1.1.1.1", "2.2.2.2"),
    ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
    ("::ffff:10.0.0.1", "1.1.1.1", "1.1.1.1"), (None, "1.1.1.1", "unknown"), ("10.0.0.1", ",,,", "10.0.0.1"),
    ("10.0.0.1", "1.1.1.1, 127.0.0.1", "127.0.0.1"),
]


@pytest.mark.parametrize(("peer", "header", "address"), FORWARDED)
def test_the_clients_address_behind_proxies(peer: str | None, header: str | None, address: str) -> None:
    assert client_address(peer, header, units.networks("10.0.0.0/8")) == address
    assert client_address(peer, header, ()) == (peer or "unknown")


async def _fail(server: Served, name: str = "ada", **options: Any) -> Answer:
    return await server.api.post("/api/login", {"username": name, "password": "wr0ng-horse"}, **options)


def refused(answer: Answer, name: str) -> None:
    """Checks a 429 of this limit."""
    assert problem(answer, 429) == "rate_limited" and f"'{name}'" in answer.body["detail"]
    assert {"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "RateLimit-Policy"} <= set(answer.headers)


async def test_each_limit_is_exact(serve: Serve) -> None:
    server = await serve({**ALONE, "limits.signup": "3/hour", "limits.login": "4/minute", "limits.write": "5/minute",
                          "limits.read": "6/minute", "limits.login_failures": "100/hour"})
    tokens = [(await server.api.sign_up(f"member-{number}"))["access_token"] for number in range(3)]
    fourth = {"username": "another", "email": "another@example.org", "password": PASSWORD}
    refused(await server.api.post("/api/signup", fourth), "signup")
    for _ in range(4):
        problem(await _fail(server), 401)
    refused(await _fail(server), "login")
    for number in range(5):
        await server.api.write_post(tokens[0], f"Post {number}")
    refused(await server.api.post("/api/posts", {"title": "a", "text": "b"}, token=tokens[0]), "write")
    await server.api.write_post(tokens[1])
    for _ in range(6):
        assert (await server.api.get("/api/me", token=tokens[0])).status == 200
    refused(await server.api.get("/api/me", token=tokens[0]), "read")
    assert (await server.api.get("/api/me", token=tokens[1])).status == 200
    for _ in range(6):
        assert (await server.api.get("/api/posts")).status == 200
    refused(await server.api.get("/api/posts"), "read")
    for path in ("/livez", "/readyz", "/metrics", "/"):
        assert (await server.api.get(path)).status == 200


async def test_a_limit_is_exact_when_all_come_at_once(serve: Serve) -> None:
    server = await serve({**ALONE, "limits.write": "7/minute"})
    token = (await server.api.sign_up())["access_token"]
    answers = await asyncio.gather(*[server.api.post("/api/posts", {"title": "a", "text": "b"}, token=token)
                                     for _ in range(40)])
    assert Counter(answer.status for answer in answers) == {201: 7, 429: 33}


async def test_wrong_passwords_are_counted_by_account_and_address(serve: Serve) -> None:
    server = await serve({**BEHIND, "limits.login": "1000/minute", "limits.login_failures": "5/15 minutes"})
    await server.api.sign_up("ada", email="ada@example.org")
    await server.api.sign_up("bob")
    here = {"headers": {"X-Forwarded-For": "1.1.1.1"}}
    for name in ("ada", "ADA", "ada@example.org", "Ada@EXAMPLE.org", "ada"):
        problem(await _fail(server, name, **here), 401)
    refused(await _fail(server, "ada", **here), "login_failures")
    right = {"username": "ada", "password": PASSWORD}
    refused(await server.api.post("/api/login", right, **here), "login_failures")
    problem(await _fail(server, "bob", **here), 401)
    elsewhere = {"headers": {"X-Forwarded-For": "2.2.2.2"}}
    assert (await server.api.post("/api/login", right, **elsewhere)).status == 200


async def test_right_passwords_are_not_counted_as_wrong_ones(serve: Serve) -> None:
    server = await serve({**ALONE, "limits.login": "1000/minute", "limits.login_failures": "2/15 minutes"})
    await server.api.sign_up("ada")
    for _ in range(6):
        assert (await server.api.post("/api/login", {"username": "ada", "password": PASSWORD})).status == 200


async def test_wrong_passwords_all_at_once_are_no_way_around(serve: Serve) -> None:
    server = await serve({**ALONE, "limits.login": "1000/minute", "limits.login_failures": "5/15 minutes"})
    await server.api.sign_up("ada")
    for name in ("ada", "nobody"):
        answers = await asyncio.gather(*[_fail(server, name) for _ in range(40)])
        assert Counter(answer.status for answer in answers) == {401: 5, 429: 35}


async def test_an_ipv6_customer_has_one_allowance(serve: Serve) -> None:
    server = await serve({**BEHIND, "limits.login": "3/minute"})
    for number in range(3):
        problem(await _fail(server, headers={"X-Forwarded-For": f"2001:db8:0:1::{number}"}), 401)
    refused(await _fail(server, headers={"X-Forwarded-For": "2001:db8:0:1:ffff::9"}), "login")
    problem(await _fail(server, headers={"X-Forwarded-For": "2001:db8:0:2::1"}), 401)


async def test_an_account_is_guarded_from_everywhere_but_not_from_its_owner(
        serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.accounts.signing_in.FROM_ANYWHERE", Rate(6, 3600))
    server = await serve({**BEHIND, "limits.login": "1000/minute", "limits.login_failures": "5/15 minutes"})
    home = {"headers": {"X-Forwarded-For": "9.9.9.9"}}
    signed_up = await server.api.post("/api/signup", {"username": "ada", "email": "ada@example.org",
                                                      "password": PASSWORD}, **home)
    assert signed_up.status == 201
    for number in range(6):
        problem(await _fail(server, headers={"X-Forwarded-For": f"1.1.1.{number}"}), 401)
    right = {"username": "ada", "password": PASSWORD}
    refused(await server.api.post("/api/login", right, headers={"X-Forwarded-For": "1.1.1.200"}),
            "login_failures_anywhere")
    assert (await server.api.post("/api/login", right, **home)).status == 200


async def test_the_owner_of_an_account_is_known_by_the_whole_of_their_network(
        serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.accounts.signing_in.FROM_ANYWHERE", Rate(2, 3600))
    server = await serve({**BEHIND, "limits.login": "1000/minute"})
    home = {"headers": {"X-Forwarded-For": "2001:db8:0:1::1"}}
    body = {"username": "ada", "email": "ada@example.org", "password": PASSWORD}
    assert (await server.api.post("/api/signup", body, **home)).status == 201
    for number in range(2):
        problem(await _fail(server, headers={"X-Forwarded-For": f"2001:db8:0:{number + 5}::1"}), 401)
    right = {"username": "ada", "password": PASSWORD}
    for address, status in (("2001:db8:0:1:ffff::9", 200), ("2001:db8:0:2::1", 429)):
        answer = await server.api.post("/api/login", right, headers={"X-Forwarded-For": address})
        assert answer.status == status, address


async def test_changes_of_the_address_are_counted_like_sign_ups(serve: Serve) -> None:
    server = await serve({**BEHIND, "limits.signup": "2/hour", "sandbox.mode": "on", "limits.exempt": ""})
    server.foyer.limiter.is_exempt = lambda _: False  # with stand-ins loopback is
    tokens = [(await server.api.sign_up(name))["access_token"] for name in ("ada", "bob")]

    async def change(token: str, email: str, address: str = "1.1.1.1") -> Answer:
        return await server.api.call("PATCH", "/api/me", json={"email": email, "name": "Ada"}, token=token,
                                     headers={"X-Forwarded-For": address})
    assert (await change(tokens[0], "first@example.org")).status == 200
    for _ in range(3):  # these ask nobody
        assert (await change(tokens[0], "ada@example.org")).status == 200
        problem(await change(tokens[0], "bob@example.org"), 409)
    problem(await change(tokens[0], "second+disposable@example.org"), 422)
    asked = await server.api.calls(server.sandbox, "hunter")
    for number in range(3):
        refused(await change(tokens[0], f"third{number}@example.org", f"2.2.2.{number}"), "signup")
    assert await server.api.calls(server.sandbox, "hunter") == asked
    assert (await server.api.call("PATCH", "/api/me", json={"name": "Augusta"}, token=tokens[0])).status == 200
    assert (await change(tokens[1], "bobs@example.org")).status == 200


async def test_a_made_up_address_is_not_believed(serve: Serve) -> None:
    server = await serve({**ALONE, "limits.login": "3/minute"})
    for number in range(3):
        problem(await _fail(server, headers={"X-Forwarded-For": f"1.1.1.{number}", "Forwarded": "for=6.6.6.6",
                                             "X-Real-IP": f"1.1.1.{number}"}), 401)
    refused(await _fail(server, headers={"X-Forwarded-For": "1.1.1.99"}), "login")


async def test_behind_a_proxy_the_last_address_that_it_saw_counts(serve: Serve) -> None:
    server = await serve({**BEHIND, "limits.login": "3/minute"})
    for number in range(3):
        problem(await _fail(server, headers={"X-Forwarded-For": f"6.6.6.{number}, 1.1.1.1"}), 401)
    refused(await _fail(server, headers={"X-Forwarded-For": "6.6.6.99, 1.1.1.1"}), "login")
    problem(await _fail(server, headers={"X-Forwarded-For": "1.1.1.2"}), 401)


async def test_a_proxy_that_adds_a_line_of_its_own_is_understood(serve: Serve) -> None:
    server = await serve({**BEHIND, "limits.login": "3/minute"})
    for number in range(4):
        lines = CIMultiDict([("X-Forwarded-For", f"6.6.6.{number}"), ("X-Forwarded-For", "1.1.1.1")])
        async with server.api.session.post(f"{server.url}/api/login", json={"username": "a", "password": "b"},
                                           headers=lines) as response:
            assert response.status == (401 if number < 3 else 429)


async def test_exempt_addresses_and_limits_that_are_off(serve: Serve, tmp_path: Any) -> None:
    small = {"sandbox.mode": "off", "limits.login": "1/minute", "limits.login_failures": "1/hour",
             "limits.signup": "1/hour"}
    for number, more in enumerate(({"limits.exempt": "127.0.0.1"}, {"limits.enabled": "no"}, {"sandbox.mode": "on"})):
        folder = tmp_path / str(number)
        folder.mkdir()
        server = await serve({**small, **more}, folder)
        for name in ("ada", "bob"):
            await server.api.sign_up(name)
        for _ in range(4):
            problem(await _fail(server), 401)


async def test_enrichment_is_asked_for_once_an_hour(server: Served) -> None:
    token = (await server.api.sign_up())["access_token"]
    answer = await server.api.post("/api/me/enrichment", token=token)
    assert problem(answer, 429) == "rate_limited" and 3500 <= int(answer.headers["Retry-After"]) <= 3600


async def test_stand_ins_for_what_has_no_key_do_not_exempt_loopback(serve: Serve) -> None:
    server = await serve({"hunter.api_key": "bad", "clearbit.api_secret": "bad", "hunter.url": "http://127.0.0.1:9",
                          "clearbit.url": "http://127.0.0.1:9", "limits.read": "2/hour"})
    assert server.foyer.outside.stand_ins == ("randomdata", "mail")
    answers = [(await server.api.get("/api/users")).status for _ in range(3)]
    assert answers == [200, 200, 429]
