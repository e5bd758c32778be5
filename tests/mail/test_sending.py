"""A server and its mail server: what arrives, what does not, and what an administrator sees of it."""
from __future__ import annotations

import asyncio
from typing import Any

import pytest

from server.mail.jobs import USELESS
from server.storage import Tx
from tests.conftest import Serve
from tests.mail.support import Reader, token_of
from tests.support import PASSWORD, Served, until

TO = "ada@example.org"
SOON = {"mail.first_retry": "20 ms", "mail.longest_retry": "50 ms"}
BUSY = "the mail server takes it later: 450 4.2.1 <e-mail> The mailbox is busy"


async def started(serve: Serve, *plays: str, **settings: str) -> tuple[Served, Reader]:
    """A server whose mail server plays this, to whom nobody but an administrator has signed up."""
    served = await serve({**SOON, **settings})
    reader = await Reader.of(served)
    if served.sandbox:
        await reader.ended("root@example.org", "sent")
        await served.api.switch(served.sandbox, "mail", deliver=list(plays or ("250",)))
    return served, reader


async def real_token(served: Served) -> str:
    """The token of the newest link, which nobody but its mailbox should have."""
    async def read(tx: Tx) -> Any:
        return await tx.one("SELECT purpose, nonce FROM links ORDER BY id DESC LIMIT 1")
    row = await served.foyer.database.read(read)
    return token_of(served.foyer.links.url(row["purpose"], row["nonce"]))


async def test_a_letter_arrives(serve: Serve) -> None:
    served, reader = await started(serve)
    await served.api.sign_up("ada")
    kept = await reader.ended(TO, "sent")
    mail, = await reader.arrived(TO)
    assert (kept["letter"], kept["recipient"], kept["reason"]) == ("confirm", TO, None) and kept["sent_at"]
    assert (mail["message_id"], mail["subject"]) == (kept["message_id"], kept["subject"])
    assert mail["headers"]["From"] == "Foyer <foyer@localhost>" and mail["headers"]["To"] == TO
    link, house = mail["links"]
    assert link.startswith(f"{served.url}/confirm#token=") and link in mail["html"] and house == served.url
    assert (await served.api.post("/api/email/confirm", {"token": token_of(mail["text"])})).status == 204


async def test_links_start_with_the_public_url_whatever_the_host_header(serve: Serve) -> None:
    served, reader = await started(serve, **{"server.public_url": "http://localhost:1234"})
    body = {"username": "ada", "email": TO, "password": PASSWORD}
    assert (await served.api.post("/api/signup", body, headers={"Host": "evil.example"})).status == 201
    await reader.ended(TO, "sent")
    mail, = await reader.arrived(TO)
    assert mail["links"][0].startswith("http://localhost:1234/confirm#token=") and "evil" not in str(mail)


@pytest.mark.parametrize("position", ["550", "554_data"])
async def test_what_is_refused_for_good_is_told_and_locks_nobody_out(serve: Serve, position: str) -> None:
    served, reader = await started(serve, position, "250")
    session = await served.api.sign_up("ada")
    kept = await reader.ended(TO, "failed")
    assert kept["reason"].startswith(f"the mail server refused it: {position[:3]} ") and "<e-mail>" in kept["reason"]
    assert kept["sent_at"] is None and await reader.arrived(TO) == []
    assert (await served.api.post("/api/email/resend", token=session["access_token"])).status == 202
    await reader.ended(TO, "sent")
    token = token_of((await reader.arrived(TO))[0]["text"])
    assert (await served.api.post("/api/email/confirm", {"token": token})).status == 204


@pytest.mark.parametrize("position", ["450", "421", "drop"])
async def test_what_goes_wrong_for_now_is_tried_again(serve: Serve, position: str) -> None:
    served, reader = await started(serve, position, position, "250")
    await served.api.sign_up("ada")
    await reader.ended(TO, "sent")
    assert len(await reader.arrived(TO)) == 1
    assert (await served.api.calls(served.sandbox, "mail", TO))["total"] == 3


async def test_a_connection_lost_after_the_data_brings_the_same_letter_twice(serve: Serve) -> None:
    served, reader = await started(serve, "drop_after_data", "250")
    await served.api.sign_up("ada")
    await reader.ended(TO, "sent")
    first, second = [{name: mail[name] for name in mail if name not in ("id", "received_at")}
                     for mail in await reader.arrived(TO)]
    assert first == second


async def test_a_mail_server_that_stalls_holds_no_request(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    served, reader = await started(serve, "stall", "250")
    client = served.foyer.outside.mail
    assert client is not None
    monkeypatch.setattr(client, "_timeout", 0.3)
    async with asyncio.timeout(5):
        await served.api.sign_up("ada")
    assert (await reader.whole(TO))["status"] == "queued"
    await reader.ended(TO, "sent")
    assert len(await reader.arrived(TO)) == 1


async def test_a_mail_server_that_is_down(serve: Serve, unused_tcp_port: int) -> None:
    served, reader = await started(serve, **{"mail.url": f"smtp://127.0.0.1:{unused_tcp_port}", "sandbox.mode": "off"})
    await served.api.sign_up("ada")

    async def was_tried() -> bool:
        return (await reader.whole(TO))["reason"] is not None
    await until(was_tried)
    kept = await reader.whole(TO)
    assert (kept["status"], kept["reason"]) == ("queued", "the mail server cannot be reached")
    assert (await served.api.get("/readyz")).data["providers"]["mail"]["state"] == "failing"


@pytest.mark.parametrize(("position", "status"), [("250", "sent"), ("450", "queued"), ("550", "failed")])
async def test_where_a_mail_server_is_an_administrator_does_not_see_the_link(serve: Serve, position: str,
                                                                             status: str) -> None:
    served, reader = await started(serve, position)
    await served.api.sign_up("ada")
    await reader.ended(TO, status)
    id_ = (await reader.kept(q=TO))[0]["id"]
    answer = await served.api.get(f"/api/admin/mails/{id_}", token=reader.token)
    token = await real_token(served)
    assert "(the link is not shown)" in answer.data["text"] and "#token" not in answer.data["text"]
    assert token.encode() not in answer.raw
    listed = await served.api.get("/api/admin/mails", token=reader.token)
    assert token.encode() not in listed.raw
    assert (await served.api.post("/api/email/confirm", {"token": token})).status == 204, "it would have been good"


async def test_without_a_mail_server_an_administrator_can_hand_the_link_on(serve: Serve) -> None:
    served, reader = await started(serve, **{"sandbox.mode": "off"})
    await served.api.sign_up("ada")
    kept = await reader.whole(TO)
    assert (kept["status"], kept["reason"], kept["sent_at"]) == ("not_configured", None, None)
    assert token_of(kept["text"]) == await real_token(served)
    assert (await served.api.post("/api/email/confirm", {"token": token_of(kept["text"])})).status == 204
    assert "(the link is not shown)" in (await reader.whole(TO))["text"], "it is no longer good"


async def test_a_link_used_meanwhile_is_not_sent(serve: Serve) -> None:
    served, reader = await started(serve, "450", "450", "450", "250")
    session = await served.api.sign_up("ada")
    assert (await served.api.post("/api/email/confirm", {"token": await real_token(served)})).status == 204
    assert (await reader.ended(TO, "failed"))["reason"] == USELESS and await reader.arrived(TO) == []
    assert (await served.api.get("/api/me", token=session["access_token"])).data["email_confirmed_at"]


async def test_a_mail_server_taken_away_between_writing_and_sending(serve: Serve) -> None:
    served, reader = await started(serve, "450")
    await served.api.sign_up("ada")
    assert (await reader.whole(TO))["status"] == "queued"
    await served.stop()
    served = await serve({"sandbox.mode": "off"})
    reader = Reader(served, reader.token)
    kept = await reader.ended(TO, "not_configured")
    assert token_of(kept["text"]) == await real_token(served)


async def test_what_is_queued_survives_a_restart(serve: Serve) -> None:
    served, reader = await started(serve, "450")
    await served.api.sign_up("ada")
    before = await reader.whole(TO)
    await served.stop()
    served = await serve(SOON)  # with a stand-in of its own, which takes everything
    reader = Reader(served, reader.token)
    await reader.ended(TO, "sent")
    assert [mail["message_id"] for mail in await reader.arrived(TO)] == [before["message_id"]]


async def test_every_letter_arrives(serve: Serve) -> None:
    served, reader = await started(serve)
    session = await served.api.sign_up("ada")
    api, token = served.api, session["access_token"]
    body = {"current": PASSWORD, "new": "an0ther-horse"}
    assert (await api.post("/api/me/password", body, token=token)).status < 300
    assert (await api.post("/api/password/forgot", {"email": TO})).status == 202

    async def came() -> bool:
        return {"confirm", "reset", "password_changed", "address_changing"} <= {
            mail["letter"] for mail in await reader.kept(q=TO) if mail["status"] == "sent"}
    assert (await api.call("PATCH", "/api/me", json={"email": "new@example.org"}, token=token)).status == 200
    await until(came)
    assert (await reader.ended("new@example.org", "sent"))["letter"] == "confirm_new"
    told = next(mail for mail in await reader.arrived(TO) if "about to change" in mail["subject"])
    assert "n...@example.org" in told["text"] and "new@example.org" not in str(told)
