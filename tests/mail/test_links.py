"""The links in mails: what a token is, that none is stored, and that each is good once and for a while."""
from __future__ import annotations

import asyncio
import base64
import hashlib

import pytest

from server.core.clock import DAY, HOUR
from server.mail import Link, Links, links as links_room
from server.mail.links import Purpose
from server.storage import Tx
from tests.events.support import INSERT, Moment
from tests.mail.support import ADA, HOUSE, Office, Reader, links, token_of
from tests.support import Served

LINKS = "SELECT id, user_id, purpose, email, nonce, hash, created_at, expires_at FROM links ORDER BY id"


async def member(office: Office, *numbers: int) -> None:
    for number in numbers:
        await office.run(INSERT, number, f"m{number}", f"m{number}@lovelace.example")


async def make(office: Office, purpose: Purpose = "confirm", user_id: int = 1) -> str:
    """A new link's token."""
    id_ = await office.yard.database.write(office.links.make, user_id, purpose, ADA)
    nonce, = [row["nonce"] for row in await office.rows(LINKS) if row["id"] == id_]
    return token_of(office.links.url(purpose, nonce))


async def find(office: Office, token: str, purpose: Purpose = "confirm", by: Links | None = None) -> Link | None:
    return await office.yard.database.read((by or office.links).find, purpose, token)


@pytest.fixture
async def room(office: Office) -> Office:
    await member(office, 1, 2)
    return office


async def test_a_token_has_128_bits_of_its_own(room: Office) -> None:
    tokens = {await make(room) for _ in range(50)}
    assert len(tokens) == 50 and {len(base64.urlsafe_b64decode(token + "==")) for token in tokens} == {16}
    assert all(room.links.url("confirm", row["nonce"]).startswith(f"{HOUSE}/confirm#token=")
               for row in await room.rows(LINKS))


async def test_only_its_hash_is_stored(room: Office) -> None:
    token = await make(room)
    row, = await room.rows(LINKS)
    assert row["hash"] == hashlib.sha256(token.encode()).hexdigest()
    raw = base64.urlsafe_b64decode(token + "==")
    assert not any(form in str(row) for form in (token, raw.hex(), base64.b64encode(raw).decode()))


async def test_no_token_of_a_mail_is_in_the_database(server: Served) -> None:
    reader = await Reader.of(server)
    await server.api.sign_up("ada")
    await reader.ended("ada@example.org", "sent")
    mail, = await reader.arrived("ada@example.org")
    token = token_of(mail["text"])
    assert len(token) == 22
    for name, stored in server.stored().items():
        assert token.encode() not in stored and base64.urlsafe_b64decode(token + "==") not in stored, name
    assert hashlib.sha256(token.encode()).hexdigest().encode() in b"".join(server.stored().values())


async def test_it_is_made_again_from_the_row_with_the_same_secret_only(room: Office) -> None:
    token = await make(room)
    nonce = (await room.rows(LINKS))[0]["nonce"]
    assert token_of(links().url("confirm", nonce)) == token
    other = links("another secret of 32 characters..")
    assert token_of(other.url("confirm", nonce)) != token != token_of(room.links.url("reset", nonce))
    assert await find(room, token, by=other) == await find(room, token) == Link(1, 1, ADA)
    assert await find(room, token_of(other.url("confirm", nonce))) is None


@pytest.mark.parametrize(("purpose", "lives"), [("confirm", 3 * DAY), ("reset", HOUR)])
async def test_it_is_good_for_its_time_and_its_purpose(room: Office, moment: Moment, purpose: Purpose,
                                                       lives: int) -> None:
    token = await make(room, purpose)
    moment.ms += lives - 1
    assert await find(room, token, purpose) == Link(1, 1, ADA)
    assert await find(room, token, "reset" if purpose == "confirm" else "confirm") is None
    moment.ms += 1
    assert await find(room, token, purpose) is None


async def test_forged_tokens_are_none(room: Office) -> None:
    token = await make(room)
    row, = await room.rows(LINKS)
    forged = [token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1:] for at in range(22)]
    forged += [token[:-1], token + "A", token + "=", token + "==", token + "\n", " " + token, token.swapcase(), "",
               row["nonce"], row["hash"], row["nonce"][:22], row["hash"][:22], "A" * 22, "%" * 22, "'" * 22, "é" * 22,
               "٣" * 22, "\x00" * 22, token[::-1], token.upper()]
    assert len(set(forged)) >= 40
    assert [await find(room, each) for each in forged] == [None] * len(forged)
    assert await find(room, token) is not None


async def test_many_at_once_use_it_once(room: Office) -> None:
    token = await make(room)

    async def take(tx: Tx) -> bool:
        link = await room.links.find(tx, "confirm", token)
        return link is not None and await links_room.use(tx, link)
    taken = await asyncio.gather(*(room.yard.database.write(take) for _ in range(20)))
    assert sum(taken) == 1 and await find(room, token) is None


async def test_who_has_found_it_before_somebody_used_it_cannot_use_it(room: Office) -> None:
    link = await find(room, await make(room))
    assert link is not None
    assert [await room.yard.database.write(links_room.use, link) for _ in range(2)] == [True, False]


async def test_forgetting_is_of_one_member_and_purpose(room: Office) -> None:
    first, second, reset, others = (await make(room), await make(room), await make(room, "reset"),
                                    await make(room, user_id=2))
    await room.yard.database.write(links_room.forget, 1, "confirm")
    assert [await find(room, each) for each in (first, second)] == [None, None]
    assert await find(room, reset, "reset") is not None and await find(room, others) is not None


async def test_what_has_expired_is_pruned(room: Office, moment: Moment) -> None:
    await make(room, "reset")
    kept = await make(room)
    moment.ms += HOUR + 1
    await room.yard.database.write(links_room.prune, 100)
    assert [row["purpose"] for row in await room.rows(LINKS)] == ["confirm"] and await find(room, kept) is not None
