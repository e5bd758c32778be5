"""Clearbit's stand-in as the vendor's own client sees it, in an environment of its own.

Not asked for: records by their id and flags, because Foyer asks for none and the stand-in has none.
"""
from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from server.sandbox import bodies
from server.sandbox.app import Sandbox, start
from server.sandbox.people import person_of
from tests.judges.third_party import ThirdParty, started

ADA = "ada+tag@lovelace.example"
HAS_2TO3 = sys.version_info < (3, 12)
# The last setuptools that converts sources of Python 2; from Python 3.12 on it does not start any more.
TOOLS = ("setuptools==57.5.0", "wheel==0.48.0") if HAS_2TO3 else ("setuptools==80.9.0",)
PACKAGES = ("clearbit==0.1.7", "requests==2.34.2", "certifi==2026.10.18", "charset-normalizer==3.5.2", "idna==3.20",
            "urllib3==2.8.0")
REFUSALS = [("400", 400, "params_invalid"), ("401-auth-required", 401, "auth_required"),
            ("401-invalid-key", 401, "invalid_api_key"), ("402-reset", 402, "over_quota"),
            ("422-email", 422, "email_invalid"), ("429", 429, "rate_limit"), ("451", 451, "claimed"),
            ("503-json", 503, "api_error")]
CALLS = {"find": ("Enrichment.find", {"email": ADA}), "people": ("Person.find", {"email": ADA}),
         "companies": ("Company.find", {"domain": "lovelace.example"})}


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has clearbit."""
    folder = tmp_path_factory.mktemp("clearbit")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    install = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile",
               "--disable-pip-version-check")
    run(*install, *TOOLS)
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"))
    if not HAS_2TO3:
        _without_2to3(packages)
    run(*install, "--no-build-isolation", *PACKAGES)
    return python


def _without_2to3(packages: Path) -> None:
    """Lets a newer setuptools pass over the word `use_2to3`, and the sources run as they are: they only need to find
    each other in their own folder, as in Python 2."""
    for words in packages.glob("setuptools-*.dist-info/entry_points.txt"):
        kept = [line for line in words.read_text().splitlines() if not line.startswith("use_2to3")]
        words.write_text("\n".join(kept) + "\n")
    (packages / "clearbit.pth").write_text("clearbit\n")


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    running = await start()
    yield running
    await running.close()


@pytest.fixture
async def clearbit(environment: Path, sandbox: Sandbox) -> AsyncIterator[ThirdParty]:
    async with started(environment, "clearbit_asks.py", sandbox.url + "/clearbit") as client:
        yield client


async def plays(sandbox: Sandbox, **positions: Any) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.put(f"{sandbox.url}/_switch/clearbit", json=positions) as response:
            assert response.status == 200, await response.text()


async def test_people_and_companies_are_read(clearbit: ThirdParty) -> None:
    person = await person_of(ADA)
    assert await clearbit("Enrichment.find", email=ADA) == bodies.clearbit_combined(person)
    assert await clearbit("Person.find", email=ADA, given_name="Ada", webhook_id="1") == bodies.clearbit_person(person)
    company = bodies.clearbit_company(await person_of("lovelace.example"))
    for call in ("Company.find", "Enrichment.find"):
        assert await clearbit(call, domain="lovelace.example") == company
    assert (await clearbit("Enrichment.find", email="ada@gmail.com"))["company"] is None


async def test_nobody_is_none(clearbit: ThirdParty) -> None:
    for call in ("Enrichment.find", "Person.find"):
        assert await clearbit(call, email="ada+nobody@lovelace.example") is None


async def test_not_yet_is_pending_and_then_there(clearbit: ThirdParty, sandbox: Sandbox) -> None:
    later = "ada+later@lovelace.example"
    ends = [await clearbit("Enrichment.find", email=later) for _ in range(3)]
    assert ends[:2] == [{"pending": True}] * 2 and ends[2]["person"]["email"] == later
    for position in ("202-data", "202-queued", "202-full"):
        await plays(sandbox, find=position)
        assert await clearbit("Enrichment.find", email=ADA) == {"pending": True}


async def test_the_stream_host_waits_for_the_answer(environment: Path, sandbox: Sandbox) -> None:
    # Reached by its path: the client's own `stream` changes the host's name, and this machine's has no part to change.
    async with started(environment, "clearbit_asks.py", sandbox.url + "/clearbit/stream") as clearbit:
        assert (await clearbit("Enrichment.find", email="ada+later@lovelace.example"))["person"]


@pytest.mark.parametrize("endpoint", CALLS)
async def test_refusals_are_read(endpoint: str, clearbit: ThirdParty, sandbox: Sandbox) -> None:
    call, arguments = CALLS[endpoint]
    for position, status, kind in REFUSALS:
        await plays(sandbox, **{endpoint: position})
        end = await clearbit.end_of(call, **arguments)
        assert (end["raised"], end["status"], end["told"]["error"]["type"]) == ("HTTPError", status, kind)


async def test_keys_and_addresses_are_judged(clearbit: ThirdParty) -> None:
    for key, email, status, kind in (("bad", ADA, 401, "invalid_api_key"), ("", ADA, 401, "auth_required"),
                                     ("k", "info@lovelace.example", 422, "email_invalid"),
                                     ("k", "nonsense", 422, "email_invalid")):
        end = await clearbit.end_of("Enrichment.find", key=key, email=email)
        assert (end["raised"], end["status"], end["told"]["error"]["type"]) == ("HTTPError", status, kind)
