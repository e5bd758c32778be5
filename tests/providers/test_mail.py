"""The SMTP client: what each end of a try means, and what is told of it."""
from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from server import settings
from server.core import units
from server.core.units import MailServer
from server.providers import mail
from server.providers.mail import Delivery, Kind, Mail, sender_address, sender_of, without_addresses
from server.sandbox.app import Sandbox
from tests.providers.mail_servers import listening, scripted
from tests.support import until

ADA, SENDER = "ada.lovelace+x@lovelace.example", "foyer@localhost"
MESSAGE = b"Subject: Hello\r\nMessage-ID: <1@localhost>\r\n\r\n.dot\r\nText\r\n"
SENT = Delivery(Kind.SENT)


@pytest.fixture
def client(sandbox: Sandbox) -> Mail:
    """A client of the sandbox's sink."""
    return Mail(units.mail_server(sandbox.smtp_url), SENDER)


async def kept(control: aiohttp.ClientSession) -> list[Any]:
    async with control.get("/mail/messages") as response:
        return list((await response.json())["data"])


async def test_a_message_arrives_as_it_is(client: Mail, control: aiohttp.ClientSession) -> None:
    assert await client.deliver(ADA, MESSAGE) == SENT
    found, = await kept(control)
    assert (found["from"], found["to"], found["text"]) == (SENDER, [ADA], ".dot\nText\n")
    assert found["message_id"] == "<1@localhost>"
    assert client.describe() == {"state": "ready", "reason": "", "until": None}


POSITIONS = {
    "250": (Kind.SENT, "", "ready"),
    "550": (Kind.REFUSED, "the mail server refused it: 550 5.1.1 <e-mail> No such mailbox", "ready"),
    "554_data": (Kind.REFUSED, "the mail server refused it: 554 5.7.1 <e-mail> The message looks like spam", "ready"),
    "450": (Kind.LATER, "the mail server takes it later: 450 4.2.1 <e-mail> The mailbox is busy", "ready"),
    "421": (Kind.LATER, "the mail server takes it later: 421 4.3.2 The service is not available <e-mail>", "failing"),
    "drop": (Kind.LATER, "the mail server closed the connection", "failing"),
    "drop_after_data": (Kind.LATER, "the mail server closed the connection", "failing"),
    "stall": (Kind.LATER, "the mail server did not answer within 0.2 s", "failing"),
}


@pytest.mark.parametrize("position", POSITIONS)
async def test_what_each_end_means(position: str, sandbox: Sandbox, switch: Any,
                                   control: aiohttp.ClientSession) -> None:
    kind, reason, state = POSITIONS[position]
    await switch("mail", {"deliver": [position, "250"]})
    client = Mail(units.mail_server(sandbox.smtp_url), SENDER, timeout=0.2 if position == "stall" else 10)
    assert await client.deliver(ADA, MESSAGE) == Delivery(kind, reason)
    assert len(await kept(control)) == (position in ("250", "drop_after_data"))
    described = client.describe()
    assert described["state"] == state and described["reason"] == ("" if state == "ready" else reason.split(":")[0])
    assert await client.deliver(ADA, MESSAGE) == SENT
    assert client.describe()["state"] == "ready"


async def test_every_position_is_tried(switch: Any, control: aiohttp.ClientSession) -> None:
    async with control.get("/_switch/mail") as response:
        assert set((await response.json())["positions"]["deliver"]) == set(POSITIONS)


async def test_whoever_is_slow_has_so_long_in_all(sandbox: Sandbox, switch: Any) -> None:
    await switch("mail", {"delay": 5})
    began = asyncio.get_running_loop().time()
    delivery = await Mail(units.mail_server(sandbox.smtp_url), SENDER, timeout=0.1).deliver(ADA, MESSAGE)
    assert delivery.kind is Kind.LATER and asyncio.get_running_loop().time() - began < 2


async def test_who_is_cancelled_leaves_nothing(client: Mail, switch: Any, control: aiohttp.ClientSession) -> None:
    await switch("mail", {"deliver": ["stall"]})
    trying = asyncio.create_task(client.deliver(ADA, MESSAGE))

    async def asked() -> bool:
        async with control.get("/_calls/mail") as response:
            return bool((await response.json())["total"])
    await until(asked)
    trying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trying
    assert client.describe()["state"] == "ready"


async def test_a_server_that_is_down(unused_tcp_port: int, caplog: Any) -> None:
    client = Mail(MailServer("127.0.0.1", unused_tcp_port), SENDER)
    for _ in range(2):
        assert await client.deliver(ADA, MESSAGE) == Delivery(Kind.LATER, "the mail server cannot be reached")
    assert client.describe() == {"state": "failing", "reason": "the mail server cannot be reached", "until": None}
    assert [record.getMessage() for record in caplog.records] == ["mail: the mail server cannot be reached"]
    nowhere = Mail(MailServer("no-such-host.invalid", 25), SENDER)
    assert (await nowhere.deliver(ADA, MESSAGE)).kind is Kind.LATER


@pytest.mark.parametrize("address", ["a b@b.example", "a@b.example>\r\nRCPT TO:<c@b.example", "a@b.example> SIZE=1",
                                     "\ud800@b.c", "a@b.c,d@e.f", "a@b.c (x)", "", "a@b.c\x00"])
async def test_an_address_that_cannot_be_written_to(client: Mail, address: str, control: aiohttp.ClientSession) -> None:
    assert (await client.deliver(address, MESSAGE)).kind is Kind.REFUSED
    assert await kept(control) == []


async def test_letters_beyond_ascii_need_a_server_that_takes_them(client: Mail, control: aiohttp.ClientSession) -> None:
    address = "ädä@lovelace.example"
    assert await client.deliver(address, "Subject: ü\r\n\r\nü\r\n".encode()) == SENT
    assert (await kept(control))[0]["to"] == [address]
    async with scripted(b"250-h", b"250 8BITMIME") as server:
        assert await Mail(server, SENDER).deliver(address, MESSAGE) == Delivery(
            Kind.REFUSED, "the mail server takes no address with letters beyond ASCII")


ANSWERS: list[tuple[dict[str, bytes], Kind, str]] = [
    ({"greeting": b"554 go away"}, Kind.LATER, "the mail server takes nobody now: 554 go away"),
    ({"greeting": b"421 busy"}, Kind.LATER, "the mail server takes nobody now: 421 busy"),
    ({"greeting": b"HTTP/1.1 400 Bad Request"}, Kind.LATER,
     "the mail server takes nobody now: Malformed SMTP response line: HTTP/1.1 400 Bad Request"),
    ({"ehlo": b"502 what"}, Kind.SENT, ""),
    ({"ehlo": b"502 what", "helo": b"502 what"}, Kind.LATER, "the mail server takes nobody now: 502 what"),
    ({"mail": b"553 not you"}, Kind.REFUSED, "the mail server refused it: 553 not you"),
    ({"mail": b"530 who are you"}, Kind.LATER, "the mail server asks for another sign-in: 530 who are you"),
    ({"mail": b"452 full"}, Kind.LATER, "the mail server takes it later: 452 full"),
    ({"rcpt": b"251 elsewhere"}, Kind.SENT, ""),
    ({"rcpt": b"550-No\r\n550-such \x1b[31muser\x00\r\n550 here"}, Kind.REFUSED,
     "the mail server refused it: 550 No such [31muser here"),
    ({"rcpt": b"550 ada.lovelace is unknown"}, Kind.REFUSED, "the mail server refused it: 550 <e-mail> is unknown"),
    ({"data": b"451 not now"}, Kind.LATER, "the mail server takes it later: 451 not now"),
    ({"data": b"554 never"}, Kind.REFUSED, "the mail server refused it: 554 never"),
    ({"dot": b"552 too large"}, Kind.REFUSED, "the mail server refused it: 552 too large"),
    ({"dot": b"452 full"}, Kind.LATER, "the mail server takes it later: 452 full"),
    ({"dot": b"999 what"}, Kind.LATER, "the mail server takes it later: 999 what"),
    ({"quit": b"500 what"}, Kind.SENT, ""),
    ({"rcpt": b"550 " + b"x" * 8000}, Kind.REFUSED, ("the mail server refused it: 550 " + "x" * 200)[:200]),
]


@pytest.mark.parametrize(("answers", "kind", "reason"), ANSWERS, ids=range(len(ANSWERS)))
async def test_what_an_answer_means(answers: dict[str, bytes], kind: Kind, reason: str) -> None:
    async with scripted(**answers) as server:
        assert await Mail(server, SENDER).deliver(ADA, MESSAGE) == Delivery(kind, reason)


async def test_silence_after_the_message_was_taken_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "_GOODBYE_SECONDS", 0.05)
    async with scripted(quit=b"250-and") as server:
        assert await Mail(server, SENDER).deliver(ADA, MESSAGE) == SENT


async def test_a_server_that_never_stops_talking() -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(100):
            writer.write(b"220-x" * 1000)
            await writer.drain()
    async with listening(talk) as server:
        delivery = await Mail(server, SENDER).deliver(ADA, MESSAGE)
        assert delivery.kind is Kind.LATER and len(delivery.reason) <= 200


@pytest.mark.parametrize("said", [
    f"550 <{ADA}>: no", f"550 {ADA.upper()} no", "550 user ada.lovelace no", "550 ADA.LOVELACE+X... no",
    "550 to=<ada@localhost> no", "550 <eve@b.example> and ädä@b.example no", "550 ada.lovelace@x no",
    "550 a\u200bda.lovelace no", "550 s3cret: no", "550 us3r no", "550 password=hunter2 no",
    "550 x\r\nBcc: ada@b.example\r\n no"])
def test_reasons_hold_no_address_and_no_secret(said: str) -> None:
    told = without_addresses(said, ADA, ("us3r", "s3cret"))
    assert told.startswith("550 ") and told.endswith("no") and told.isprintable()
    assert not any(part in told.lower() for part in ("@", "ada", "lovelace", "eve", "s3cret", "us3r", "hunter2", "ädä"))


def test_a_long_answer_is_cleaned_quickly() -> None:
    began = time.perf_counter()
    for said in ("a" * 40_000, "a@" * 20_000, "ada.lovelace" * 3000, "<" * 40_000):
        without_addresses("550 " + said, ADA)
    assert time.perf_counter() - began < 1


async def test_a_server_that_knows_no_sign_in(sandbox: Sandbox) -> None:
    server = units.mail_server(sandbox.smtp_url)
    delivery = await Mail(MailServer(server.host, server.port, user="u", password="p"), SENDER).deliver(ADA, MESSAGE)
    assert delivery == Delivery(Kind.LATER, "the mail server offers no way to sign in that is known here")


async def test_which_server_is_used(serve: Any, tmp_path: Path) -> None:
    for number, (given, known, stood_in) in enumerate((
            ({}, True, True), ({"mail.url": "smtp://127.0.0.1:1"}, True, False),
            ({"sandbox.mode": "off"}, False, False),
            ({"mail.url": "smtp://127.0.0.1:1", "sandbox.mode": "on"}, True, True))):
        (tmp_path / str(number)).mkdir()
        outside = (await serve(given, tmp_path / str(number))).foyer.outside
        assert ("mail" in outside.stand_ins, outside.mail is not None) == (stood_in, known)
        if outside.mail is not None:
            assert (await outside.mail.deliver(ADA, MESSAGE) == SENT) is stood_in


@pytest.mark.parametrize(("given", "wanted"), [
    ({}, "Foyer <foyer@localhost>"), ({"server.host": "0.0.0.0"}, "Foyer <foyer@localhost>"),
    ({"server.public_url": "https://foyer.example.org:8443/x"}, "Foyer <foyer@foyer.example.org>"),
    ({"server.public_url": "https://Bücher.example"}, "Foyer <foyer@xn--bcher-kva.example>"),
    ({"server.public_url": "http://[::1]:80"}, "Foyer <foyer@localhost>"),
    ({"server.public_url": "http://192.0.2.7"}, "Foyer <foyer@localhost>"),
    ({"server.public_url": "http://foyer_1:80"}, "Foyer <foyer@localhost>"),
    ({"server.host": "box.lan"}, "Foyer <foyer@box.lan>"),
    ({"mail.sender": "post@b.example"}, "post@b.example"),
    ({"mail.sender": "Foyer, Inc. <post@b.example>"}, '"Foyer, Inc." <post@b.example>'),
    ({"mail.sender": "Lützen <post@b.example>"}, "Lützen <post@b.example>")])
def test_who_mails_come_from(given: dict[str, str], wanted: str) -> None:
    made = settings.load(None, {}, {(name.split(".")[0], name.split(".")[1]): value for name, value in given.items()})
    assert sender_of(made) == wanted
    assert sender_address(made) == wanted.rpartition("<")[2].rstrip(">")
