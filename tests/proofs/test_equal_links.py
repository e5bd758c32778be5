"""Fifty equal confirmations, resets and requests for a letter at once, at one server or at two on one PostgreSQL:
exactly one effect, the right answer for each, and never a 500."""
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest

from server.accounts.correspondence import PER_MAILBOX
from server.ops import check
from server.storage import Tx
from tests import mailbox, postgres
from tests.conftest import Serve
from tests.proofs.test_equal_requests import MANY, at_once, rows, statuses
from tests.support import PASSWORD, Answer, Served, until

pytestmark = pytest.mark.long  # two servers for each

ADDRESS, NEW_ADDRESS, NEW = "ada@example.org", "ada@example.net", "an0ther-good-one"
LETTERS = "SELECT letter FROM mails ORDER BY id"
TO_WRITE = "SELECT count(*) FROM jobs WHERE kind = 'forgot_password' AND state IN ('ready', 'running')"
KEYS = [None, "the-same"]


@dataclass
class Town:
    """The servers on one database."""

    servers: list[Served]

    @property
    def first(self) -> Served:
        return self.servers[0]

    async def at_once(self, path: str, body: Any, key: str | None = None, token: str | None = None) -> list[Answer]:
        """Fifty requests in the same moment, to each of the servers in turn; `body` may differ by the number."""
        headers = {} if key is None else {"Idempotency-Key": key}
        return await at_once(lambda number: self.servers[number % len(self.servers)].api.post(
            path, body(number) if callable(body) else body, headers=headers, token=token))

    async def link(self, page: str = "confirm", to: str = ADDRESS) -> str:
        """The token of the newest link that the address has got; whichever of the servers has sent it."""
        async def found() -> list[str]:
            return [token for each in self.servers for token in await mailbox.tokens(each.api, each.sandbox, to, page)]
        return str((await until(found))[0])

    async def letters(self) -> Counter[str]:
        """How many letters of each kind were written."""
        async def read(tx: Tx) -> Counter[str]:
            return Counter(row["letter"] for row in await tx.all(LETTERS))
        return await self.first.foyer.database.read(read)

    async def has_written(self) -> bool:
        """Whether no letter is still to be written."""
        async def read(tx: Tx) -> bool:
            return await tx.value(TO_WRITE) == 0
        return await self.first.foyer.database.read(read)

    async def events(self, token: str) -> Counter[str]:
        """How often the member was told of each kind of thing."""
        return Counter(event["type"] for event in (await self.first.api.get("/api/events?after=0", token=token)).data)

    async def sound(self) -> None:
        """All invariants hold."""
        assert await self.first.foyer.database.read(check.broken) == []


@pytest.fixture(params=[1, 2])
async def town(request: pytest.FixtureRequest, serve: Serve) -> Town:
    if request.param == 1:
        return Town([await serve()])
    shared = {"database.url": postgres.database_of(request.getfixturevalue("tmp_path")),
              "auth.secret": "the secret that both of them have"}
    return Town([await serve(shared) for _ in range(request.param)])


def judge(answers: list[Answer], key: str | None, status: int = 204) -> None:
    """With a key all have the one answer; without, one has done it, and to the others the token is used up."""
    if key is not None:
        assert statuses(answers) == {status: MANY} and len({answer.raw for answer in answers}) == 1
        return
    assert statuses(answers) == {status: 1, 422: MANY - 1}
    assert {answer.code for answer in answers if answer.status == 422} == {"token_invalid"}


@pytest.mark.parametrize("key", KEYS)
async def test_one_confirmation(town: Town, key: str | None) -> None:
    ada = await town.first.api.sign_up("ada", referral_code=(await town.first.api.sign_up())["user"]["referral_code"])
    judge(await town.at_once("/api/email/confirm", {"token": await town.link()}, key), key)
    assert (await town.first.api.get("/api/me", token=ada["access_token"])).data["email_confirmed_at"]
    assert (await town.events(ada["access_token"]))["email_confirmed"] == 1
    assert await rows(town.first, "ledger") == 1
    await town.sound()


@pytest.mark.parametrize("key", KEYS)
async def test_one_change_of_the_address(town: Town, key: str | None) -> None:
    ada = (await town.first.api.sign_up("ada"))["access_token"]
    await town.first.api.call("PATCH", "/api/me", json={"email": NEW_ADDRESS}, token=ada)
    judge(await town.at_once("/api/email/confirm", {"token": await town.link(to=NEW_ADDRESS)}, key), key)
    me = (await town.first.api.get("/api/me", token=ada)).data
    assert (me["email"], me["email_pending"]) == (NEW_ADDRESS, None)
    assert (await town.events(ada))["email_confirmed"] == 1
    await town.sound()


async def test_one_address_for_whichever_confirms_it_first(town: Town) -> None:
    tokens = [(await town.first.api.sign_up(name))["access_token"] for name in ("ada", "bob")]
    links: list[str] = []
    for token in tokens:
        await town.first.api.call("PATCH", "/api/me", json={"email": NEW_ADDRESS}, token=token)
        links.append(await until(lambda: _another(town, links)))
    answers = await town.at_once("/api/email/confirm", lambda number: {"token": links[number // 2 % 2]})
    assert statuses(answers)[204] == 1 and set(statuses(answers)) <= {204, 409, 422}
    has = [(await town.first.api.get("/api/me", token=token)).data["email"] for token in tokens]
    assert has.count(NEW_ADDRESS) == 1
    await town.sound()


async def _another(town: Town, known: list[str]) -> str | None:
    for each in town.servers:
        for token in await mailbox.tokens(each.api, each.sandbox, NEW_ADDRESS):
            if token not in known:
                return token
    return None


@pytest.mark.parametrize("key", KEYS)
async def test_one_reset(town: Town, key: str | None) -> None:
    before = await town.first.api.sign_up("ada")
    await town.first.api.post("/api/password/forgot", {"email": ADDRESS})
    body = {"token": await town.link("reset"), "password": NEW}
    judge(await town.at_once("/api/password/reset", body, key), key)
    assert (await town.first.api.get("/api/me", token=before["access_token"])).status == 401
    assert await town.letters() == {"confirm": 1, "reset": 1, "password_changed": 1}
    await _only(town, NEW, [PASSWORD])


async def test_one_reset_of_fifty_passwords(town: Town) -> None:
    await town.first.api.sign_up("ada")
    await town.first.api.post("/api/password/forgot", {"email": ADDRESS})
    link = await town.link("reset")
    passwords = [f"g00d-password-{number}" for number in range(MANY)]
    answers = await town.at_once("/api/password/reset", lambda number: {"token": link, "password": passwords[number]})
    judge(answers, None)
    right = next(password for password, answer in zip(passwords, answers) if answer.status == 204)
    await _only(town, right, [PASSWORD, *(password for password in passwords if password != right)][:5])


async def _only(town: Town, right: str, wrong: list[str]) -> None:
    for served in town.servers:
        assert (await served.api.post("/api/login", {"username": "ada", "password": right})).status == 200
        for password in wrong:
            assert (await served.api.post("/api/login", {"username": "ada", "password": password})).status == 401
    await town.sound()


@pytest.mark.parametrize("key", KEYS)
async def test_a_mailbox_is_not_flooded_by_whoever_has_forgotten(town: Town, key: str | None) -> None:
    await town.first.api.sign_up("ada")
    answers = await town.at_once("/api/password/forgot", {"email": ADDRESS}, key)
    assert statuses(answers) == {202: MANY} and len({answer.raw for answer in answers}) == 1
    await until(town.has_written)
    letters = (await town.letters())["reset"]
    assert letters == 1 if key is not None else 1 <= letters <= PER_MAILBOX.count


async def test_one_letter_with_one_key(town: Town) -> None:
    token = (await town.first.api.sign_up("ada"))["access_token"]
    answers = await town.at_once("/api/email/resend", None, "the-same", token)
    assert statuses(answers) == {202: MANY} and len({answer.raw for answer in answers}) == 1
    assert await town.letters() == {"confirm": 2}
