"""Hunter's stand-in as pyhunter sees it.

Not asked for: the searches, counts, leads, campaigns and logos of Hunter, because Foyer asks for none of them and the
stand-in has only what Foyer asks for, and the account.
"""
from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from server.sandbox import bodies
from server.sandbox.app import start
from server.sandbox.people import person_of
from tests.judges.third_party import ThirdParty, started

ADA = "ada.o'neill+tag%20&x=1@lovelace.example"
VERDICTS = ("valid", "invalid", "accept_all", "webmail", "disposable", "unknown")
REFUSALS = [("400", 400, "wrong_params"), ("401", 401, "authentication_failed"), ("402", 402, "quota_exceeded"),
            ("403-limit", 403, "too_many_requests"), ("404", 404, "not_found"), ("422", 422, "validation_failed"),
            ("429-quota", 429, "too_many_requests"), ("451", 451, "claimed_email"), ("500-json", 500, "internal_error")]
CALLS = {"verifier": ("email_verifier", {"email": ADA}), "find": ("combined_enrichment", {"email": ADA}),
         "people": ("email_enrichment", {"email": ADA}), "companies": ("company_enrichment", {"domain": "a.example"}),
         "account": ("account_information", {})}


class Hunter:
    """The stand-in and its switch."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url, self._session = url, session

    async def plays(self, **positions: Any) -> None:
        async with self._session.put("/_switch/hunter", json=positions) as response:
            assert response.status == 200, await response.text()


@pytest.fixture
async def hunter() -> AsyncIterator[Hunter]:
    sandbox = await start()
    async with aiohttp.ClientSession(sandbox.url) as session:
        yield Hunter(sandbox.url + "/hunter", session)
    await sandbox.close()


@pytest.fixture
async def pyhunter(hunter: Hunter) -> AsyncIterator[ThirdParty]:
    async with started(sys.executable, "pyhunter_asks.py", hunter.url) as client:
        yield client


async def test_every_verdict_is_read(pyhunter: ThirdParty) -> None:
    for status in VERDICTS:
        told = await pyhunter("email_verifier", email=f"ada+{status}@lovelace.example")
        assert told["status"] == status and told["email"] == f"ada+{status}@lovelace.example"
        assert told["result"] in ("deliverable", "undeliverable", "risky") and 0 <= told["score"] <= 100
        assert told == await pyhunter("async_email_verifier", email=f"ada+{status}@lovelace.example")
    assert (await pyhunter("email_verifier", email=ADA))["email"] == ADA


async def test_people_and_companies_are_read(pyhunter: ThirdParty) -> None:
    person = await person_of(ADA)
    assert await pyhunter("combined_enrichment", email=ADA) == bodies.hunter_combined(person)
    assert await pyhunter("email_enrichment", email=ADA) == bodies.hunter_person(person)
    assert (await pyhunter("email_enrichment", linkedin_handle="in/ada"))["name"]["fullName"]
    assert (await pyhunter("company_enrichment", domain="lovelace.example"))["domain"] == "lovelace.example"
    assert (await pyhunter("combined_enrichment", email="ada@gmail.com", clearbit_format=True))["company"] is None


async def test_the_account_is_read_and_what_is_left_of_it(pyhunter: ThirdParty) -> None:
    for number in range(3):
        await pyhunter("email_verifier", email=f"ada{number}@lovelace.example")
    for call in ("account_information", "async_account_information"):
        account = await pyhunter(call)
        assert account["calls"]["left"] == account["requests"]["verifications"]["available"] - 3


@pytest.mark.parametrize("endpoint", CALLS)
async def test_refusals_are_read(endpoint: str, pyhunter: ThirdParty, hunter: Hunter) -> None:
    call, arguments = CALLS[endpoint]
    for position, status, slug in REFUSALS:
        await hunter.plays(**{endpoint: position})
        end = await pyhunter.end_of(call, **arguments)
        # `status` is not looked at: pyhunter loses it, because an answer of 400 and above counts as false in requests.
        assert (end["raised"], end["errors"][0]["id"], end["errors"][0]["code"]) == ("HunterApiError", slug, status)


async def test_the_asynchronous_client_reads_the_status_too(pyhunter: ThirdParty, hunter: Hunter) -> None:
    for position, status, slug in REFUSALS:
        await hunter.plays(verifier=position)
        end = await pyhunter.end_of("async_email_verifier", email=ADA)
        assert (end["raised"], end["status"], end["errors"][0]["id"]) == ("HunterApiError", status, slug)


async def test_keys_and_addresses_are_judged(pyhunter: ThirdParty) -> None:
    for call, key, email, slug in (("email_verifier", "bad", ADA, "authentication_failed"),
                                   ("email_verifier", "", ADA, "authentication_failed"),
                                   ("combined_enrichment", "test-api-key", ADA, "authentication_failed"),
                                   ("email_verifier", "k", "nobody", "wrong_params")):
        end = await pyhunter.end_of(call, key=key, email=email)
        assert (end["raised"], end["errors"][0]["id"]) == ("HunterApiError", slug)
    assert (await pyhunter("email_verifier", key="test-api-key", email=ADA))["status"] == "valid"


async def test_not_yet_is_no_verdict(pyhunter: ThirdParty, hunter: Hunter) -> None:
    await hunter.plays(verifier=["202-empty", "222-empty", "valid"])
    for _ in range(2):
        end = await pyhunter.end_of("email_verifier", email=ADA)
        assert (end["raised"], end["message"]) == ("HunterApiError", "Hunter API response format is invalid")
    assert (await pyhunter("email_verifier", email=ADA))["status"] == "valid"


async def test_what_proxies_and_networks_do_is_no_verdict_either(pyhunter: ThirdParty, hunter: Hunter) -> None:
    for position, raised in (("502-html", "HunterApiError"), ("503-html", "HunterApiError"),
                             ("html-200", "HunterApiError"), ("cut-json", "HunterApiError"),
                             ("cut-body", "HunterTransportError"), ("reset", "HunterTransportError")):
        await hunter.plays(verifier=position)
        assert (await pyhunter.end_of("email_verifier", email=ADA))["raised"] == raised, position
