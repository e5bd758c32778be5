"""The SMTP client where TLS and passwords are concerned, and the servers that fall silent in the middle."""
from __future__ import annotations

import asyncio
import logging
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from server.core import units
from server.core.units import MailServer
from server.providers.mail import Delivery, Kind, Mail
from tests.providers.mail_servers import Desk, listening, real, scripted

ADA, SENDER = "ada.lovelace+x@lovelace.example", "foyer@localhost"
MESSAGE = b"Subject: Hello\r\n\r\nText\r\n"
SENT = Delivery(Kind.SENT)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 and `mail.test` that nobody else vouches for, with its key."""
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=mail.test",
                    "-addext", "subjectAltName=IP:127.0.0.1,DNS:mail.test", "-keyout", folder / "key.pem",
                    "-out", folder / "certificate.pem"], check=True, capture_output=True)
    return folder


def trusting(folder: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=folder / "certificate.pem")


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes this machine look like another one."""
    monkeypatch.setattr(units, "is_loopback", lambda host: False)


@pytest.mark.parametrize("implicit", [False, True])
async def test_a_certificate_is_verified(implicit: bool, certificate: Path, far: None) -> None:
    desk = Desk()
    async with real(desk, certificate, implicit) as port:
        server = MailServer("127.0.0.1", port, implicit, "us3r", "p@ss")
        assert await Mail(server, SENDER).deliver(ADA, MESSAGE) == Delivery(
            Kind.LATER, "the mail server's certificate cannot be trusted")
        assert (desk.taken, desk.signed_in) == ([], [])
        assert await Mail(server, SENDER, tls=trusting(certificate)).deliver(ADA, MESSAGE) == SENT
        assert len(desk.taken) == 1 and desk.signed_in[0][1:] == (b"us3r", b"p@ss")
        assert implicit or desk.signed_in[0][0] is True


async def test_the_name_in_a_certificate_counts(certificate: Path, far: None) -> None:
    desk = Desk()
    async with real(desk, certificate) as port:
        client = Mail(MailServer("localhost", port), SENDER, tls=trusting(certificate))
        assert (await client.deliver(ADA, MESSAGE)).reason == "the mail server's certificate cannot be trusted"


async def test_a_server_without_tls_where_tls_was_set() -> None:
    async with scripted() as server:
        client = Mail(MailServer(server.host, server.port, tls=True), SENDER)
        assert await client.deliver(ADA, MESSAGE) == Delivery(Kind.LATER, "TLS with the mail server failed")


async def test_a_server_that_offers_tls_and_has_none(far: None) -> None:
    for answer, reason in ((b"454 not now", "the mail server takes nobody now: 454 not now"),
                           (b"220 go", "TLS with the mail server failed")):
        async with scripted(b"250-h", b"250 STARTTLS", starttls=answer) as server:
            assert await Mail(server, SENDER, timeout=5).deliver(ADA, MESSAGE) == Delivery(Kind.LATER, reason)


async def test_a_password_is_not_sent_in_the_open(far: None) -> None:
    desk = Desk()
    async with real(desk) as port:
        client = Mail(MailServer("127.0.0.1", port, user="us3r", password="p@ss"), SENDER)
        assert await client.deliver(ADA, MESSAGE) == Delivery(
            Kind.LATER, "the mail server offers no TLS, and the password is not sent without it")
        assert (desk.taken, desk.signed_in) == ([], [])
        assert await Mail(MailServer("127.0.0.1", port), SENDER).deliver(ADA, MESSAGE) == SENT


async def test_on_this_machine_a_password_needs_no_tls(certificate: Path) -> None:
    desk = Desk()
    async with real(desk, certificate) as port:
        assert await Mail(MailServer("127.0.0.1", port, user="us3r", password="p@ss"), SENDER).deliver(
            ADA, MESSAGE) == SENT
        assert desk.signed_in == [(False, b"us3r", b"p@ss")]


async def test_a_wrong_password_is_for_the_operator_to_mend(caplog: Any) -> None:
    caplog.set_level(logging.DEBUG, "foyer")
    desk = Desk()
    async with real(desk) as port:
        client = Mail(MailServer("127.0.0.1", port, user="us3r", password="wr0ng"), SENDER)
        delivery = await client.deliver(ADA, MESSAGE)
        assert delivery == Delivery(Kind.LATER, "the mail server refused the sign-in (535)")
        assert client.describe()["state"] == "failing"
    ours = " ".join(record.getMessage() for record in caplog.records if record.name.startswith("foyer"))
    assert "refused the sign-in" in ours and not any(word in ours for word in ("us3r", "wr0ng", "ada"))


# The last one has time enough to be handed all of a large message, and reads none of it.
@pytest.mark.parametrize(("tls", "said", "seconds"), [
    (False, [], 0.2), (True, [], 0.2), (False, [b"220 h", b"250-h\r\n250 STARTTLS", b"220 go"], 0.2),
    (False, [b"220 h", b"250 h", b"250 ok", b"250 ok", b"354 go"], 1.5)])
async def test_a_server_that_falls_silent_is_left(tls: bool, said: list[bytes], seconds: float, far: None) -> None:
    left, heard, message = asyncio.Event(), [0], b"x" * 2**24

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for line in said[:-1]:
            writer.write(line + b"\r\n")
            await reader.readline()
        writer.write(said[-1] + b"\r\n" if said else b"")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.wait_for(left.wait(), 5)
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        while part := await reader.read(2**20):
            heard.append(len(part))
    async with listening(talk) as server:
        client = Mail(MailServer(server.host, server.port, tls), SENDER, timeout=seconds)
        assert await client.deliver(ADA, message) == Delivery(
            Kind.LATER, f"the mail server did not answer within {seconds} s")
        left.set()
    assert sum(heard) < 2**24  # what was still to be sent has gone with the connection
