"""The mail sink: what it takes, keeps and shows, and what it can be told to do instead."""
from __future__ import annotations

import asyncio
import logging
import smtplib
from email.message import EmailMessage
from typing import Any

import aiohttp
import pytest

from server.core import units
from server.sandbox import letters, mail
from server.sandbox.app import Sandbox, start
from tests.support import until

ADA, EVE = "ada@lovelace.example", "eve@lovelace.example"
LINK = "http://localhost:8080/confirm?a=1&b=2#token=abc_-"


def letter(subject: str = "Hello", text: str = f"Confirm at {LINK}.\n", html: str = "") -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "Foyer <foyer@localhost>", ADA, subject
    made["Message-ID"] = "<1@localhost>"
    made.set_content(text)
    if html:
        made.add_alternative(html, subtype="html")
    return made


def _hand_over(url: str, recipients: list[str], content: bytes, options: tuple[str, ...]) -> dict[str, Any]:
    server = units.mail_server(url)
    with smtplib.SMTP(server.host, server.port, timeout=10) as client:
        return client.sendmail("foyer@localhost", recipients, content, options)


async def send(sandbox: Sandbox, to: list[str] | None = None, content: bytes | None = None, *options: str) -> Any:
    """Sends with the client of the standard library; who was refused."""
    return await asyncio.to_thread(_hand_over, sandbox.smtp_url, to or [ADA], content or letter().as_bytes(), options)


async def kept(ask: Any, **query: str) -> list[dict[str, Any]]:
    status, body, _ = await ask("/mail/messages", **query)
    assert status == 200
    return list(body["data"])


async def test_what_arrives_is_kept_newest_first(sandbox: Sandbox, ask: Any) -> None:
    made = letter("Grüße", html='<p><a href="https://b.example/?a=1&amp;b=2">there</a> <a href=\'x\'>x</a></p>')
    assert await send(sandbox, [ADA, EVE], made.as_bytes()) == {}
    assert await send(sandbox, [EVE], letter("Second").as_bytes()) == {}
    second, first = await kept(ask)
    assert (first["id"], first["from"], first["to"]) == (1, "foyer@localhost", [ADA, EVE])
    assert (first["subject"], first["message_id"]) == ("Grüße", "<1@localhost>")
    assert first["text"] == f"Confirm at {LINK}.\n" and "<p>" in first["html"]
    assert first["links"] == [LINK, "https://b.example/?a=1&b=2", "x"]
    assert first["headers"]["From"] == "Foyer <foyer@localhost>" and first["received_at"].endswith("Z")
    assert set(first) == {"id", "from", "to", "subject", "text", "html", "message_id", "headers", "links", "size",
                          "received_at"}
    assert second["subject"] == "Second" and second["html"] == ""
    assert [each["id"] for each in await kept(ask, to=" Ada@lovelace.example")] == [1]
    assert (await ask("/mail", headers={"Accept": "application/json"}))[1] == {"data": [second, first]}
    assert (await ask("/mail/messages", method="DELETE"))[0] == 204
    assert await kept(ask) == []


async def test_a_header_that_stands_there_twice_is_shown_twice(sandbox: Sandbox, ask: Any) -> None:
    await send(sandbox, None, b"Subject: one\r\nsubject: two\r\nBcc: x@b.example\r\n\r\nText\r\n")
    assert (await kept(ask))[0]["headers"] == {"Subject": "one\ntwo", "Bcc": "x@b.example"}


@pytest.mark.parametrize("content", [
    b"", b"\r\n", b"\xff\xfe: \xff\r\n\xff\x00\r\n", b"Content-Type: text/plain; charset=nonsense\r\n\r\nx\r\n",
    b"From: @\r\nTo: <<>>,,;:\r\nMessage-ID: <\r\nDate: x\r\n\r\nx\r\n",
    b"Subject: =?utf-8?b?7aCA?=\r\n\r\n\xed\xa0\x80", b"Content-Transfer-Encoding: base64\r\n\r\n!!!\r\n",
    b"Content-Type: text/plain; charset=utf-7\r\n\r\n+2AA-\r\n",
    b"Content-Type: multipart/alternative; boundary=\r\n\r\n--\r\n"])
async def test_a_letter_that_is_none_is_kept_all_the_same(sandbox: Sandbox, ask: Any, content: bytes) -> None:
    assert await send(sandbox, None, content or b"\r\n") == {}
    assert len(await kept(ask)) == 1
    assert (await ask("/mail"))[0] == 200


async def test_an_address_beyond_ascii(sandbox: Sandbox, ask: Any) -> None:
    assert await send(sandbox, ["ädä@lovelace.example"], None, "SMTPUTF8") == {}
    assert len(await kept(ask, to="ädä@lovelace.example")) == 1


async def test_the_page_shows_everything_as_text(sandbox: Sandbox, ask: Any) -> None:
    evil = "<script>alert(1)</script>"
    made = letter(evil, f'{evil} "\'& {LINK}, https://b.example/"onclick="x javascript:alert(1)', f"<b>{evil}</b>")
    made.replace_header("From", '"<b>Foyer</b>" <foyer@localhost>')
    await send(sandbox, None, made.as_bytes())
    for path in ("/mail", "/mail/"):
        status, page, headers = await ask(path)
        assert status == 200 and headers["Content-Type"] == "text/html; charset=utf-8"
        assert "<script" not in page and "<b>" not in page and page.count("&lt;script&gt;") == 2
        link = LINK.replace("&", "&amp;")
        assert f'<a href="{link}" rel="noreferrer">{link}</a>,' in page
        assert 'href="https://b.example/"' in page and 'href="javascript' not in page and 'onclick="' not in page
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-") and "script-src" not in policy
        assert "src=" not in page and "<link" not in page
    assert "No mail has arrived" not in page
    await ask("/mail/messages", method="DELETE")
    assert "No mail has arrived" in (await ask("/mail"))[1]


async def test_only_the_last_are_kept(sandbox: Sandbox, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "KEPT", 2)
    for number in range(3):
        await send(sandbox, None, letter(str(number)).as_bytes())
    assert [each["subject"] for each in await kept(ask)] == ["2", "1"]
    monkeypatch.setattr(mail, "KEPT_BYTES", 1)
    await send(sandbox)
    assert await kept(ask) == []


async def test_a_letter_may_be_so_large(sandbox: Sandbox, ask: Any) -> None:
    line = b"x" * 900 + b"\r\n"
    await send(sandbox, None, b"\r\n" + line * 2300)
    with pytest.raises(smtplib.SMTPSenderRefused) as caught:
        await send(sandbox, None, b"\r\n" + line * 2400)
    assert caught.value.smtp_code == 552 and len(await kept(ask)) == 1


@pytest.mark.parametrize(("position", "code"), [("450", 450), ("550", 550)])
async def test_a_recipient_is_refused(sandbox: Sandbox, ask: Any, position: str, code: int) -> None:
    await ask.switch("mail", deliver=[position, "250"])
    with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
        await send(sandbox)
    assert caught.value.recipients[ADA][0] == code and await kept(ask) == []
    assert await send(sandbox) == {}
    assert (await ask("/_calls/mail", email=ADA))[1] == {
        "total": 2, "endpoints": {"deliver": {"total": 2, "positions": {position: 1, "250": 1}}}}
    assert (await ask("/_calls/mail", email=EVE))[1]["total"] == 0


@pytest.mark.parametrize(("position", "number"), [
    ("554_data", 0), ("drop", 0), ("drop_after_data", 1), ("421", 0)])
async def test_what_else_can_go_wrong(sandbox: Sandbox, ask: Any, position: str, number: int) -> None:
    await ask.switch("mail", deliver=[position, "250"])
    with pytest.raises((smtplib.SMTPServerDisconnected, smtplib.SMTPDataError, smtplib.SMTPRecipientsRefused)):
        await send(sandbox)
    assert len(await kept(ask)) == number
    assert await send(sandbox) == {}
    assert len(await kept(ask)) == number + 1


@pytest.mark.parametrize(("tag", "ends"), [
    ("bounce", ["550", "550"]), ("greylist", ["450", "450", "250", "250"]), ("spam", ["554_data", "554_data"]),
    ("cut", ["drop", "250"]), ("twice", ["drop_after_data", "250"]), ("other", ["250", "250"])])
async def test_a_tag_asks_for_an_end(sandbox: Sandbox, ask: Any, tag: str, ends: list[str]) -> None:
    to = f"ada+{tag}@lovelace.example"
    for end in ends:
        try:
            await send(sandbox, [to])
            assert end == "250"
        except smtplib.SMTPException:
            assert end != "250"
    counted = (await ask("/_calls/mail", email=to))[1]["endpoints"]["deliver"]["positions"]
    assert counted == {end: ends.count(end) for end in ends}


async def test_one_bad_recipient_does_not_harm_the_others_and_nothing_is_left_of_it(sandbox: Sandbox,
                                                                                    ask: Any) -> None:
    assert set(await send(sandbox, ["ada+bounce@b.example", EVE])) == {"ada+bounce@b.example"}
    assert (await kept(ask))[0]["to"] == [EVE]
    server = units.mail_server(sandbox.smtp_url)

    def twice() -> None:
        with smtplib.SMTP(server.host, server.port, timeout=10) as client:
            with pytest.raises(smtplib.SMTPDataError):
                client.sendmail("foyer@localhost", ["ada+spam@b.example"], b"\r\nx\r\n")
            client.sendmail("foyer@localhost", [EVE], b"\r\nx\r\n")
    await asyncio.to_thread(twice)
    assert len(await kept(ask)) == 2


async def test_a_delay_holds_the_answer_back(sandbox: Sandbox, ask: Any) -> None:
    await ask.switch("mail", delay=0.1)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await send(sandbox)
    assert loop.time() - began >= 0.09


@pytest.mark.parametrize("position", ["stall", "250"])
async def test_closing_ends_the_conversations(position: str) -> None:
    sandbox = await start()
    server = units.mail_server(sandbox.smtp_url)
    reader, writer = await asyncio.open_connection(server.host, server.port)
    async with aiohttp.ClientSession(sandbox.url) as session:
        await session.put("/_switch/mail", json={"deliver": [position]})
        writer.write(b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<ada@b.example>\r\n")

        async def asked() -> bool:
            async with session.get("/_calls/mail") as response:
                return bool((await response.json())["total"])
        await until(asked)
    await sandbox.close()
    async with asyncio.timeout(5):
        assert b"354" not in await reader.read()
    writer.close()
    with pytest.raises(OSError):
        await asyncio.open_connection(server.host, server.port)


async def test_a_client_that_goes_away_leaves_nothing_and_no_address_is_logged(sandbox: Sandbox, ask: Any,
                                                                               caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    server = units.mail_server(sandbox.smtp_url)
    await ask.switch("mail", deliver=["stall"])
    for said in (b"", b"EHLO x\r\nMAIL FROM:<a@b.example>\r\n", b"\xff\xfe\r\n" + b"x" * 5000 + b"\r\n",
                 b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<ada@b.example>\r\n"):
        _, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(said)
        writer.transport.abort()
    assert await kept(ask) == []
    await ask.switch("mail")
    await send(sandbox)
    assert "example" not in caplog.text and not [each for each in caplog.records if each.levelno >= logging.ERROR]


async def test_a_fault_of_the_sink_is_no_verdict(sandbox: Sandbox, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("ada@lovelace.example")
    monkeypatch.setattr(letters, "document_of", broken)
    with pytest.raises(smtplib.SMTPDataError) as caught:
        await send(sandbox)
    assert caught.value.smtp_code == 451


async def test_the_switch_knows_its_positions(ask: Any) -> None:
    status, shown, _ = await ask("/_switch/mail")
    assert status == 200 and shown["positions"] == {"deliver": [
        "250", "421", "450", "550", "554_data", "drop_after_data", "drop", "stall"]}
    assert (await ask("/_switch/mail", method="PUT", json={"deliver": ["551"]}))[0] == 400


async def test_on_ipv6_too() -> None:
    sandbox = await start("::1")
    assert sandbox.smtp_url.startswith("smtp://[::1]:")
    await send(sandbox)
    await sandbox.close()
