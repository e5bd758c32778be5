"""GET /api/me/export: all that is stored, nothing that is secret, in small parts."""
from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import pytest

from server.accounts import export
from server.accounts.model import Export
from server.storage import Tx
from tests.accounts.letters import quiet, want
from tests.accounts.test_erasure import leave, like
from tests.conftest import Serve
from tests.enrichment.support import settled
from tests.files.support import Cell, add, check_again, checked, found, history, send
from tests.support import PASSWORD, Served
from tests.web.hostile import guarded, problem

SOURCE = b"import os\r\n\0\xff"
# What is not exported, and why. Everything else of a row about the member must stand in the document.
LEFT_OUT = {
    "users": {"password_hash",  # proves who they are
              "username_key", "email_key",  # the same, folded
              "suspended_at",  # nobody who is suspended gets here
              "email_wanted_status",  # a verdict on an address that is not theirs yet
              "event_seq", "event_floor", "events_dropped"},  # counters of the events, which are there
    "sessions": {"user_id", "nonce", "generation"},  # what tokens are made of
    "events": {"id", "user_id"},
    "jobs": {"id", "key", "body", "lease_until", "worker"},  # whose key is the member; the queue's own
    "enrichments": {"user_id", "answers"},
    "posts": {"author_id"},
    "likes": {"user_id", "told"},  # an event of somebody else
    "mails": {"user_id", "words", "link_id", "message_id"},  # what is put into the letter stands elsewhere
    "links": {"id", "user_id", "purpose", "email", "nonce", "hash", "created_at", "expires_at"},  # as good as passwords
    "referrals": {"inviter_id", "invitee_id", "mailbox"},  # of somebody else
    "inviters": {"user_id", "invited", "counted", "rewarded", "day", "counted_on_day"},  # counts of what is there
    "ledger": {"user_id"},
    "file_versions": {"user_id"},
    "contents": {"uses"},  # also by others
    "checks": {"user_id", "tries"},  # how often the checker broke down
    "audit": {"actor_id", "member_id"},  # `by` and `about_you` say whether it is they
    "files": {"user_id", "checked_at", "status"},  # stand with the newest version and its newest check
}
RENAMED = {"mail_id": "mail", "bytes": "content",
           "email_wanted": "email_pending", "event_acked": "events_acknowledged", "issued_at": "last_used_at",
           "at": "liked_at", "post_id": "post_id"}


async def _lived(served: Served) -> tuple[Any, Any]:
    """A member with something of everything, and what their export says."""
    api = served.api
    inviter = await api.sign_up("eve")
    session = await api.sign_up("ada", bio="My bio", birth_date="1987-02-28",
                                referral_code=inviter["user"]["referral_code"])
    await settled(served)
    token = session["access_token"]
    bob = (await api.sign_up("bob", referral_code=session["user"]["referral_code"]))["access_token"]
    await settled(served)
    await want(served, token, "ada@example.net")
    await quiet(served)
    for number in range(7):
        body = {"title": f"Post {number}", "text": "T\u00e4xt \u2028"}
        post = await api.post("/api/posts", body, token=token, headers={"Idempotency-Key": str(number)})
        await like(served, bob, post.data)
        await like(served, token, await api.write_post(bob))
    await like(served, token, post := await api.write_post(bob))
    await like(served, token, post, "DELETE")
    await _files(served, token)
    ended = (await api.post("/api/login", {"username": "ada", "password": PASSWORD})).data["access_token"]
    await api.post("/api/logout", token=ended)
    await api.post("/api/login", {"username": "ada", "password": "wr0ng-horse"})
    await api.post("/api/events/ack", {"seq": 1}, token=token)
    return session, await api.get("/api/me/export", token=token)


async def _files(served: Served, token: str) -> None:
    """A file with two versions and three checks."""
    Cell.of(served).answer = lambda source: found(2, suppressed=1)
    id_ = await add(served, token, SOURCE)
    await send(served, token, SOURCE * 2, "other.py", file=id_)
    await check_again(served, token, id_, json={"select": ["E5"]})
    await add(served, token, b"")
    await checked(served)
    await quiet(served)


@pytest.fixture
async def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts so small that every list has some."""
    monkeypatch.setattr(export, "POSTS_AT_ONCE", 2)
    monkeypatch.setattr(export, "OTHERS_AT_ONCE", 3)
    monkeypatch.setattr(export, "FILES_AT_ONCE", 2)


async def test_it_is_a_document_to_keep(server: Served) -> None:
    session, answer = await _lived(server)
    guarded(answer)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="foyer-ada.json"'
    msgspec.json.decode(msgspec.json.encode(answer.data), type=Export)
    assert set(answer.body) == {"data"} and set(answer.data) == set(Export.__struct_fields__)
    head = await server.api.call("HEAD", "/api/me/export", token=session["access_token"])
    assert (head.status, head.raw) == (200, b"")
    problem(await server.api.get("/api/me/export"), 401)


async def _columns(tx: Tx) -> dict[str, set[str]]:
    found = {table: await tx.one(f"SELECT * FROM {table}") for table in LEFT_OUT}
    assert all(found.values())
    return {table: set(dict(row or ())) for table, row in found.items()}


async def test_every_column_about_a_member_is_in_it_or_left_out_for_a_reason(server: Served) -> None:
    _, answer = await _lived(server)
    parts = {"users": {**answer.data, **answer.data["profile"]}, "enrichments": answer.data["enrichment"],
             "referrals": answer.data["invited"][0], "links": {}, "inviters": {},
             "file_versions": answer.data["files"][0], "contents": answer.data["files"][0],
             **{table: answer.data[table][0] for table in ("sessions", "events", "jobs", "posts", "likes", "mails",
                                                           "ledger", "files", "checks", "audit")}}
    for table, columns in (await server.foyer.database.read(_columns)).items():
        shown = set(parts[table])
        missing = {column for column in columns if column not in shown and RENAMED.get(column) not in shown}
        assert missing == LEFT_OUT[table], table


async def test_all_of_it_is_there_in_whatever_parts(small: None, server: Served) -> None:
    session, answer = await _lived(server)
    token, data = session["access_token"], answer.data
    me = (await server.api.get("/api/me", token=token)).data
    assert data["profile"] == me and me["birth_date"] == "1987-02-28"
    assert {name: data["enrichment"][name] for name in me["enrichment"]} == me["enrichment"]
    assert data["enrichment"]["filled"] and data["enrichment"]["requests"] == 1
    assert [post["title"] for post in data["posts"]] == [f"Post {number}" for number in range(7)]
    assert {post["text"] for post in data["posts"]} == {"T\u00e4xt \u2028"}
    assert len(data["likes"]) == 8 and [like["taken_back_at"] is None for like in data["likes"]] == [True] * 7 + [False]
    assert data["events"] == (await server.api.get("/api/events?after=0", token=token)).data and data["events"]
    assert [one["ended_at"] is None for one in data["sessions"]] == [True, False]
    assert [(job["kind"], job["state"]) for job in data["jobs"]] == [("enrich", "done"), ("check_files", "done")]
    assert (data["kept_answers"], data["events_acknowledged"]) == (7, 1)


async def test_letters_and_referrals_are_in_it(small: None, server: Served) -> None:
    session, answer = await _lived(server)
    data, summary = answer.data, (await server.api.get("/api/referrals", token=session["access_token"])).data
    assert [(mail["letter"], mail["recipient"], mail["status"]) for mail in data["mails"]] == [
        ("confirm", "ada@example.org", "sent"), ("confirm_new", "ada@example.net", "sent"),
        ("address_changing", "ada@example.org", "sent"), *[("file_checked", "ada@example.org", "sent")] * 4]
    assert all(mail["sent_at"] >= mail["created_at"] for mail in data["mails"])
    assert data["profile"]["email_pending"] == "ada@example.net" and data["invited_by"] == "eve"
    assert [(one["username"], one["counted_at"] is None) for one in data["invited"]] == [("bob", False)]
    (entry,) = data["ledger"]
    assert (entry["reason"], entry["amount"]) == ("invitee_reward", summary["balance"])
    assert entry["key"] == f"invitee:{session['user']['id']}" and entry["balance"] == summary["balance"] > 0


async def test_files_and_checks_are_in_it(small: None, server: Served) -> None:
    session, answer = await _lived(server)
    data = answer.data
    assert [(one["name"], one["version"], base64.b64decode(one["content"])) for one in data["files"]] == [
        ("engine.py", 1, SOURCE), ("other.py", 2, SOURCE * 2), ("engine.py", 1, b"")]
    ids = sorted({one["file_id"] for one in data["files"]})
    assert [(one["file_id"], one["version"], one["options"]) for one in data["checks"]] == [
        (ids[0], 1, {}), (ids[0], 2, {}), (ids[0], 2, {"select": ["E5"]}), (ids[1], 1, {})]
    shown = await history(server, session["access_token"], ids[0])
    assert [{name: check[name] for name in shown[0]} for check in data["checks"][:3]] == shown[::-1]


async def _secrets(tx: Tx, member_id: int) -> set[str]:
    hashed = await tx.value("SELECT password_hash FROM users WHERE id = $1", member_id)
    links = await tx.all("SELECT nonce, hash FROM links")
    assert len(links) >= 3
    return {hashed, *(row["nonce"] for row in await tx.all("SELECT nonce FROM sessions")),
            *(row["mailbox"] for row in await tx.all("SELECT mailbox FROM referrals")),
            *(value for row in links for value in (row["nonce"], row["hash"]))}


async def test_no_secret_is_in_it_and_nothing_of_others(server: Served) -> None:
    session, answer = await _lived(server)
    secrets = await server.foyer.database.read(_secrets, session["user"]["id"])
    secrets |= {session["access_token"], session["refresh_token"], "bob@example.org", "eve@example.org", "$2b$"}
    secrets |= {link.partition("#token=")[2] for mail in await server.mails("ada@example.org") for link in mail["links"]
                if "#token=" in link}
    assert [secret for secret in secrets if secret.encode() in answer.raw] == []


async def test_a_new_member_has_an_empty_one(serve: Serve) -> None:
    server = await serve({"sandbox.mode": "off"})
    token = (await server.api.sign_up("ada"))["access_token"]
    data = (await server.api.get("/api/me/export", token=token)).data
    assert (data["posts"], data["likes"], data["jobs"], data["provider_answers"]) == ([], [], [], [])
    assert len(data["sessions"]) == len(data["events"]) == 1


async def test_what_providers_said_of_the_address_is_in_it(server: Served) -> None:
    await server.api.switch(server.sandbox, "hunter", find="404")
    session = await server.api.sign_up("ada", email="ada+nobody@example.org")
    await settled(server)
    data = (await server.api.get("/api/me/export", token=session["access_token"])).data
    assert {(one["provider"], one["answer"]) for one in data["provider_answers"]} == {
        ("clearbit", "not_found"), ("hunter", "not_found")}


async def test_a_gap_in_the_events_does_not_end_it(small: None, server: Served) -> None:
    session, _ = await _lived(server)

    async def drop(tx: Tx) -> None:
        await tx.run("DELETE FROM events WHERE user_id = $1 AND seq IN (3, 4)", session["user"]["id"])
        await tx.run("UPDATE users SET events_dropped = 2 WHERE id = $1", session["user"]["id"])
    await server.foyer.database.write(drop)
    data = (await server.api.get("/api/me/export", token=session["access_token"])).data
    assert [event["seq"] for event in data["events"]] == [1, 2, *range(5, 14)]


class Counting:
    """Counts how many exports read at the same moment."""

    def __init__(self, exporting: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.most = 0
        self._list = exporting._list
        monkeypatch.setattr(exporting, "_list", self._counted)

    async def _counted(self, *args: Any) -> AsyncGenerator[bytes, None]:
        self.now += 1
        self.most = max(self.most, self.now)
        async for part in self._list(*args):
            yield part
        self.now -= 1


async def test_a_member_s_exports_go_one_after_the_other(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    session, whole = await _lived(server)
    counting = Counting(server.foyer.exporting, monkeypatch)
    answers = await asyncio.gather(*[server.api.get("/api/me/export", token=session["access_token"])
                                     for _ in range(12)])
    assert counting.most == 1 and counting.now == 0
    assert all(answer.data["posts"] == whole.data["posts"] for answer in answers)


async def test_somebody_who_leaves_meanwhile(server: Served) -> None:
    session, _ = await _lived(server)
    token = session["access_token"]
    answers = await asyncio.gather(*[server.api.get("/api/me/export", token=token) for _ in range(5)],
                                   leave(server, token), *[server.api.get("/api/me/export", token=token)
                                                           for _ in range(5)])
    assert answers[5].status == 204 and {answer.status for answer in answers} <= {200, 204, 401}
    problem(await server.api.get("/api/me/export", token=token), 401)
