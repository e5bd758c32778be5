"""What the stand-ins answer when nobody told them anything: tags, keys, shapes, the same person every time."""
from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from server import settings
from server.sandbox import bodies
from server.sandbox.command import settings_lines
from server.sandbox.people import hashed, normalised, person_of

ROOT = Path(__file__).parents[2]
ADA = "ada@lovelace.example"


async def test_everybody_is_valid(ask: Any) -> None:
    status, body = await ask.verify("Ada@Lovelace.example ")
    assert status == 200
    assert (body["data"]["status"], body["data"]["result"], body["data"]["email"]) == ("valid", "deliverable", ADA)
    assert body["meta"] == {"params": {"email": ADA}}


@pytest.mark.parametrize("tag", ["valid", "invalid", "accept_all", "webmail", "disposable", "unknown"])
async def test_a_tag_asks_for_a_verdict(ask: Any, tag: str) -> None:
    _, body = await ask.verify(f"ada+{tag}@lovelace.example")
    data = body["data"]
    assert data["status"] == tag
    assert data["disposable"] == (tag == "disposable") and data["accept_all"] == (tag == "accept_all")
    assert data["webmail"] == (tag == "webmail") and 0 <= data["score"] <= 100
    assert data["result"] in ("deliverable", "undeliverable", "risky")


async def test_tags_that_take_their_time(ask: Any) -> None:
    later = "ada+later@lovelace.example"
    assert [(await ask.verify(later))[0] for _ in range(4)] == [202, 202, 200, 200]
    assert [(await ask.find(later))[0] for _ in range(4)] == [202, 202, 200, 200]
    assert (await ask.verify("eve+later@lovelace.example"))[0] == 202


async def test_tags_that_refuse(ask: Any) -> None:
    assert (await ask.verify("ada+claimed@lovelace.example"))[0] == 451
    status, body = await ask.find("ada+nobody@lovelace.example")
    assert (status, body["error"]["type"]) == (404, "unknown_record")
    assert (await ask.find("ada+nobody@lovelace.example", "hunter"))[0] == 404
    assert (await ask.find("ada+down@lovelace.example"))[0] == 503
    assert (await ask.find("ada+down@lovelace.example", "hunter"))[0] == 200
    assert (await ask.find("ada+anything@lovelace.example"))[0] == 200


@pytest.mark.parametrize("headers, query, status", [
    ({"Authorization": "Bearer k"}, {}, 200), ({"X-API-KEY": "k"}, {}, 200), ({}, {"api_key": "k"}, 200),
    ({}, {}, 401), ({"X-API-KEY": "bad"}, {}, 401), ({"Authorization": "Bearer bad"}, {}, 401),
    ({"X-API-KEY": "bad"}, {"api_key": "good"}, 401), ({"Authorization": "Basic k"}, {}, 401)])
async def test_hunter_keys(ask: Any, headers: dict[str, str], query: dict[str, str], status: int) -> None:
    got, body, _ = await ask("/hunter/v2/email-verifier", key=None, headers=headers, email=ADA, **query)
    assert got == status
    assert status == 200 or body["errors"][0]["id"] == "authentication_failed"


def basic(key: str) -> str:
    return "Basic " + base64.b64encode(f"{key}:".encode()).decode()


@pytest.mark.parametrize("header, kind", [
    ("Bearer sk_1", None), (basic("sk_1"), None), ("", "auth_required"), ("Bearer ", "auth_required"),
    ("Basic !!", "auth_required"), ("Bearer bad1", "invalid_api_key"), (basic("bad"), "invalid_api_key")])
async def test_clearbit_keys(ask: Any, header: str, kind: str | None) -> None:
    headers = {"Authorization": header} if header else {}
    status, body, _ = await ask("/clearbit/v2/combined/find", key=None, headers=headers, email=ADA)
    assert status == (200 if kind is None else 401)
    assert kind is None or body["error"]["type"] == kind


async def test_the_test_key_always_says_the_same(ask: Any) -> None:
    first = await ask.verify(ADA, key="test-api-key")
    assert first[0] == 200 and first == await ask.verify("b+invalid@b.example", key="test-api-key")
    assert (await ask.verify("none", key="test-api-key"))[0] == 400
    assert (await ask.find(ADA, "hunter", key="test-api-key"))[0] == 401
    assert (await ask("/hunter/v2/account", key="test-api-key"))[0] == 401


@pytest.mark.parametrize("email", ["", "ada", "ada@", "@b.example", "a@b@c.example", "a b@c.example"])
async def test_an_address_that_is_none(ask: Any, email: str) -> None:
    status, body = await ask.verify(email)
    assert (status, body["errors"][0]["id"]) == (400, "wrong_params")
    assert (await ask.find(email, "hunter"))[0] == 400
    status, body = await ask.find(email)
    assert (status, body["error"]["type"]) == (422, "email_invalid")


@pytest.mark.parametrize("email", ["info@lovelace.example", "ada@localhost"])
async def test_clearbit_refuses_roles_and_local_domains(ask: Any, email: str) -> None:
    assert (await ask.find(email))[0] == 422


async def test_a_plus_that_was_not_encoded_is_found_out(ask: Any, sandbox: Any) -> None:
    import yarl
    raw = yarl.URL(f"{sandbox.url}/hunter/v2/email-verifier?email=ada+x@lovelace.example", encoded=True)
    assert (await ask(str(raw)))[0] == 400


async def test_paths_that_do_not_exist(ask: Any) -> None:
    status, body, _ = await ask("/clearbit/v2/nothing", key=None)
    assert (status, body["error"]["type"]) == (404, "unknown_route")
    status, body, _ = await ask("/hunter/v2/nothing", key=None)
    assert (status, body["errors"][0]["id"]) == (404, "not_found")


async def test_clearbit_tells_its_budget_and_version(ask: Any) -> None:
    _, _, headers = await ask("/clearbit/v2/combined/find", email=ADA)
    assert headers["X-API-Version"] == "2019-12-19" and "X-API-Warn" not in headers
    assert headers["X-RateLimit-Limit"] == "600"
    assert 0 < int(headers["X-RateLimit-Reset"]) - time.time() <= 60
    _, _, after = await ask("/clearbit/v2/combined/find", key=None, email=ADA)
    assert int(after["X-RateLimit-Remaining"]) < int(headers["X-RateLimit-Remaining"]) or (
        after["X-RateLimit-Reset"] != headers["X-RateLimit-Reset"])
    _, _, old = await ask("/clearbit/v2/combined/find", headers={"API-Version": "2016-01-04"}, email=ADA)
    assert "X-API-Warn" in old


async def test_the_stream_host_gives_the_final_answer_without_a_budget(ask: Any) -> None:
    status, body, headers = await ask("/clearbit/stream/v2/combined/find", email="ada+later@lovelace.example")
    assert status == 200 and body["person"] and "X-RateLimit-Limit" not in headers
    assert (await ask.find("eve+later@lovelace.example", cached="true"))[0] == 200


async def test_the_shapes(ask: Any) -> None:
    _, body = await ask.find(ADA)
    assert set(body) == {"person", "company"}
    assert body["person"]["email"] == ADA and body["person"]["emailProvider"] is False
    assert isinstance(body["company"]["metrics"]["employees"], int)
    _, ours = await ask.find(ADA, "hunter")
    person, company = ours["data"]["person"], ours["data"]["company"]
    assert isinstance(person["emailProvider"], str) and len(person["indexedAt"]) == 10
    assert isinstance(company["metrics"]["employees"], str) and "fundingRounds" in company
    assert person["name"] == body["person"]["name"] and set(body["person"]) == set(person)


async def test_single_records(ask: Any) -> None:
    _, person, _ = await ask("/clearbit/v2/people/find", email=ADA)
    _, company, _ = await ask("/clearbit/v2/companies/find", domain="lovelace.example")
    assert person["email"] == ADA and company["domain"] == "lovelace.example"
    _, person, _ = await ask("/hunter/v2/people/find", linkedin_handle="in/ada")
    _, company, _ = await ask("/hunter/v2/companies/find", domain="lovelace.example")
    assert person["data"]["name"] and company["data"]["domain"] == "lovelace.example"
    assert (await ask("/hunter/v2/companies/find"))[0] == 400


async def test_gravatar_tells_more_to_those_with_a_key(ask: Any) -> None:
    status, public, headers = await ask.profile(ADA, key=None)
    assert status == 200 and set(public) == {
        "hash", "display_name", "profile_url", "avatar_url", "avatar_alt_text", "location", "description", "job_title",
        "company", "verified_accounts", "pronunciation", "pronouns", "section_visibility"}
    assert len(public["verified_accounts"]) <= 4
    _, whole, headers_with_key = await ask.profile(ADA)
    assert public | {"verified_accounts": whole["verified_accounts"]} == {name: whole[name] for name in public}
    assert set(whole) - set(public) >= {"timezone", "first_name", "last_name", "links", "number_verified_accounts"}
    assert headers["X-RateLimit-Limit"] == "100" and headers_with_key["X-RateLimit-Limit"] == "1000"
    assert 0 < int(headers["X-RateLimit-Reset"]) - time.time() <= 3600
    assert (await ask.profile(ADA, key="bad"))[0] == 401


async def test_gravatar_knows_hashes_only(ask: Any) -> None:
    for identifier in ("ada@lovelace.example", "ada", hashed(ADA)[:32], hashed(ADA).upper()):
        status, body, _ = await ask(f"/gravatar/v3/profiles/{identifier}")
        assert (status, body) == (404, {"error": "Profile not found"})
    assert (await ask("/gravatar/v3/nothing"))[1]["code"] == "rest_no_route"


async def test_behind_an_address_is_the_same_person_everywhere(ask: Any) -> None:
    _, body = await ask.find(ADA)
    _, profile, _ = await ask.profile(ADA)
    person = body["person"]
    assert (profile["display_name"], profile["job_title"], profile["timezone"]) == (
        person["name"]["fullName"], person["employment"]["title"], person["timeZone"])
    assert profile["hash"] == hashed(ADA) and "lovelace" not in str(profile)


async def test_free_mail_tells_nothing_about_an_employer(ask: Any) -> None:
    _, body = await ask.find("ada@gmail.com")
    assert body["company"] is None and body["person"]["employment"]["name"] is None
    _, body = await ask.verify("ada@gmail.com")
    assert body["data"]["webmail"] is True and body["data"]["status"] == "valid"


async def test_the_account_counts_what_was_answered(ask: Any) -> None:
    for _ in range(3):
        await ask.verify("ada+later@lovelace.example")
    _, body, _ = await ask("/hunter/v2/account")
    assert body["data"]["requests"]["verifications"]["used"] == 1


def test_the_settings_that_are_printed_lead_to_the_stand_ins(tmp_path: Path) -> None:
    (tmp_path / "printed.cfg").write_text(settings_lines("http://127.0.0.1:4711", "smtp://[::1]:4712"))
    made = settings.load(tmp_path / "printed.cfg", {}, {("enrichment", "providers"): "gravatar,clearbit,hunter"})
    assert [made.hunter.url, made.clearbit.url, made.gravatar.url, made.randomdata.url] == [
        f"http://127.0.0.1:4711/{name}" for name in ("hunter", "clearbit", "gravatar", "randomdata")]
    assert made.mail.url == "smtp://[::1]:4712"
    assert not any(made.stand_in(name) for name in ("hunter", "clearbit", "gravatar", "randomdata", "mail"))


_PROBE = """
import asyncio, json, sys
from server.sandbox import app, bodies, people
assert "faker" not in sys.modules
print(json.dumps(bodies.clearbit_combined(asyncio.run(people.person_of("ADA@lovelace.example")))))
"""


def _in_another_process(seed: str) -> str:
    return subprocess.run([sys.executable, "-c", _PROBE], cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": seed},
                          capture_output=True, text=True, check=True, timeout=60).stdout


async def test_the_same_person_in_every_process() -> None:
    import json
    here = json.dumps(bodies.clearbit_combined(await person_of(ADA))) + "\n"
    there = await asyncio.gather(*(asyncio.to_thread(_in_another_process, seed) for seed in ("1", "2")))
    assert there == [here, here]


async def test_people_differ_and_are_made_quickly() -> None:
    await person_of(ADA)
    began = time.perf_counter()
    people = [await person_of(f"p{n}@lovelace.example") for n in range(200)]
    assert (time.perf_counter() - began) / 200 < 0.01
    assert len({person.full_name for person in people}) > 150
    assert normalised(" ADA@Lovelace.Example") == ADA
