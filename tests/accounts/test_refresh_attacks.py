"""Refresh tokens: what is not exactly the newest one of a living session is refused, with one answer."""
from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from server.storage import Tx
from tests.accounts.conftest import HandClock
from tests.conftest import Serve
from tests.support import PASSWORD, Answer, Served
from tests.web.hostile import problem

FAR = "9" * 400


@dataclass(frozen=True)
class Thief:
    """What an attacker may know: a member's older tokens, one of their own, even the secret."""

    token: str
    access: str
    own: str
    secret: str

    @property
    def parts(self) -> list[str]:
        """Session, generation and keyed hash."""
        return self.token.split(".")

    def with_part(self, number: int, part: str) -> str:
        """The token with one part replaced."""
        parts = self.parts
        parts[number] = part
        return ".".join(parts)

    def keyed(self, key: bytes, text: str) -> str:
        """The token with a hash that a guess at how it is made gives."""
        digest = hmac.digest(key, text.encode(), hashlib.sha256)
        return self.with_part(2, base64.urlsafe_b64encode(digest).decode().rstrip("="))


ATTACKS: dict[str, Callable[[Thief], str]] = {
    "access token": lambda thief: thief.access,
    "a word": lambda thief: "null",
    "dots": lambda thief: "..",
    "another hash": lambda thief: thief.with_part(2, "A" * 43),
    "the hash of one's own session": lambda thief: thief.with_part(2, thief.own.split(".")[2]),
    "somebody else's session with one's own hash": lambda thief: ".".join([thief.parts[0], *thief.own.split(".")[1:]]),
    "one's own session with somebody else's hash": lambda thief: ".".join([thief.own.split(".")[0], *thief.parts[1:]]),
    "hash of the numbers by the secret itself": lambda thief: thief.keyed(
        thief.secret.encode(), ".".join(thief.parts[:2])),
    "hash of the numbers by nothing": lambda thief: thief.keyed(b"", ".".join(thief.parts[:2])),
    "the newer generation": lambda thief: thief.with_part(1, "2"),
    "a generation to come": lambda thief: thief.with_part(1, "3"),
    "generation 0": lambda thief: thief.with_part(1, "0"),
    "a generation below 0": lambda thief: thief.with_part(1, "-1"),
    "a huge generation": lambda thief: thief.with_part(1, "9" * 16),
    "an endless generation": lambda thief: thief.with_part(1, FAR),
    "a session that is not there": lambda thief: thief.with_part(0, "99999"),
    "session 0": lambda thief: thief.with_part(0, "0"),
    "an endless session": lambda thief: thief.with_part(0, FAR),
    "a session in other digits": lambda thief: thief.with_part(0, "\u0661"),
    "a session of SQL": lambda thief: thief.with_part(0, "1 OR 1=1"),
    "a leading zero": lambda thief: "0" + thief.token,
    "a sign": lambda thief: "+" + thief.token,
    "padding": lambda thief: thief.token + "=",
    "spare bits": lambda thief: thief.token[:-1] + chr(ord(thief.token[-1]) + 1),
    "half a hash": lambda thief: thief.token[:-20],
    "no hash": lambda thief: thief.with_part(2, ""),
    "other letters' case": lambda thief: thief.token.swapcase(),
    "a space behind": lambda thief: thief.token + " ",
    "a line end behind": lambda thief: thief.token + "\n",
    "a control character behind": lambda thief: thief.token + "\x01",
    "a header line behind": lambda thief: thief.token + "\r\nSet-Cookie: a=b",
    "a fourth part": lambda thief: thief.token + ".x",
    "two tokens": lambda thief: f"{thief.token} {thief.token}",
    "not ascii": lambda thief: thief.token + "\u00e9",
    "wide dots": lambda thief: thief.token.replace(".", "\uff0e"),
}


async def refresh(served: Served, token: Any) -> Answer:
    """Asks for a new pair."""
    return await served.api.post("/api/token/refresh", {"refresh_token": token})


def seen(answer: Answer) -> tuple[Any, ...]:
    """All of a refusal that must not differ."""
    assert problem(answer, 401) == "token_invalid"
    assert "Set-Cookie" not in answer.headers
    names = sorted(name for name in answer.headers if name not in ("Date", "X-Request-ID", "Content-Length"))
    return answer.raw.replace(answer.body["request_id"].encode(), b"-"), names


@pytest.fixture
async def thief(server: Served) -> Thief:
    ada, eve = await server.api.sign_up("ada"), await server.api.sign_up("eve")
    return Thief(ada["refresh_token"], ada["access_token"], eve["refresh_token"], server.secret)


async def test_every_attack_is_refused_with_one_answer(server: Served, thief: Thief, clock: HandClock,
                                                       caplog: pytest.LogCaptureFixture) -> None:
    pair = (await refresh(server, thief.token)).data
    clock.wait(60)
    expected = seen(await refresh(server, "nothing"))
    for name, make in ATTACKS.items():
        assert seen(await refresh(server, make(thief))) == expected, name
    assert (await refresh(server, pair["refresh_token"])).status == 200, "none of them ended the session"
    assert "Traceback" not in caplog.text and thief.parts[2] not in caplog.text


async def test_every_attack_is_refused_in_the_cookie(server: Served, thief: Thief) -> None:
    expected = seen(await refresh(server, "nothing"))
    for name, make in ATTACKS.items():
        token = make(thief)
        if token.isprintable() and token.isascii() and " " not in token:  # else it is no cookie
            answer = await server.api.post("/api/token/refresh", headers={"Cookie": f"foyer_refresh={token}"})
            assert seen(answer) == expected, name
    assert (await refresh(server, thief.token)).status == 200


@pytest.mark.parametrize("token", [1, 1.5, True, [], ["x"], {}, {"token": "x"}, "x" * 70_000, "a\0b"])
async def test_what_is_no_text_is_told_so(server: Served, token: Any) -> None:
    answer = await refresh(server, token)
    assert problem(answer) in ("invalid_fields", "token_invalid")
    assert answer.status in (401, 422)


async def test_it_opens_nothing_but_a_new_pair(server: Served, thief: Thief) -> None:
    problem(await server.api.get("/api/me", token=thief.token), 401)
    for path in (f"/api/token/refresh?refresh_token={thief.token}",):
        assert (await server.api.post(path)).status == 422
    assert (await refresh(server, thief.token)).status == 200


async def test_after_whatever_ended_the_session(server: Served) -> None:
    expected = seen(await refresh(server, "nothing"))
    for number, end in enumerate((_log_out, _end_session, _other_password, _leave, _suspend, _forget)):
        name = f"member{number}x"
        session = await server.api.sign_up(name)
        kept = (await server.api.post("/api/login", {"username": name, "password": PASSWORD})).data
        await end(server, session, kept)
        assert seen(await refresh(server, session["refresh_token"])) == expected, end.__name__


async def _log_out(served: Served, session: Any, kept: Any) -> None:
    assert (await served.api.post("/api/logout", token=session["access_token"])).status == 204


async def _end_session(served: Served, session: Any, kept: Any) -> None:
    number = session["refresh_token"].split(".")[0]
    assert (await served.api.call("DELETE", f"/api/sessions/{number}", token=kept["access_token"])).status == 204


async def _other_password(served: Served, session: Any, kept: Any) -> None:
    body = {"current": PASSWORD, "new": "an0ther-stable-word"}
    assert (await served.api.post("/api/me/password", body, token=kept["access_token"])).status == 204


async def _leave(served: Served, session: Any, kept: Any) -> None:
    body = {"password": PASSWORD}
    assert (await served.api.call("DELETE", "/api/me", json=body, token=kept["access_token"])).status == 204


async def _suspend(served: Served, session: Any, kept: Any) -> None:
    await _write(served, "UPDATE users SET suspended_at = 1 WHERE id = $1", session["user"]["id"])


async def _forget(served: Served, session: Any, kept: Any) -> None:
    await _write(served, "DELETE FROM sessions WHERE user_id = $1", session["user"]["id"])


async def _write(served: Served, sql: str, id_: int) -> None:
    async def change(tx: Tx) -> None:
        await tx.run(sql, id_)
    await served.foyer.database.write(change)


async def test_another_servers_token_is_refused(serve: Serve, tmp_path: Path) -> None:
    tokens, servers = [], []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        servers.append(await serve(None, tmp_path / name))
        tokens.append((await servers[-1].api.sign_up("ada"))["refresh_token"])
    assert tokens[0].rpartition(".")[0] == tokens[1].rpartition(".")[0]
    for each, token in zip(servers, reversed(tokens)):
        problem(await refresh(each, token), 401)


async def test_the_whole_session_ends_when_two_have_the_token(server: Served, thief: Thief, clock: HandClock) -> None:
    newer = (await refresh(server, thief.token)).data
    socket = await server.socket(newer["access_token"])
    clock.wait(31)
    assert problem(await refresh(server, thief.token), 401) == "token_reused"
    for token in (thief.token, newer["refresh_token"]):
        assert problem(await refresh(server, token), 401) == "token_invalid"
    for token in (thief.access, newer["access_token"]):
        problem(await server.api.get("/api/me", token=token), 401)
    message = await socket.receive(timeout=5)
    while message.type.name == "TEXT":
        message = await socket.receive(timeout=5)
    assert socket.close_code == 4401
