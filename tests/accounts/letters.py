"""What the tests of letters share: waiting for one, and doing what its link is for."""
from __future__ import annotations

from typing import Any

from server.mail.letters import LANGUAGE
from server.storage import Tx
from tests.support import PASSWORD, Answer, Served, until

NEW = "an0ther-good-one"
WORKING = "SELECT count(*) FROM jobs WHERE state IN ('ready', 'running') AND kind IN ('forgot_password', 'send_mail')"


async def sent(served: Served, to: str, letter: str, number: int = 1) -> Any:
    """Waits until so many of these letters have arrived; the newest."""
    async def arrived() -> list[Any]:
        found = [mail for mail in await served.mails(to) if mail["subject"] == LANGUAGE[letter]["subject"]]
        return found if len(found) >= number else []
    found = await until(arrived)
    assert len(found) == number, f"{len(found)} letters"
    return found[0]


async def count(served: Served, to: str, letter: str) -> int:
    """How many of these letters have arrived, once nothing is left to be sent."""
    await quiet(served)
    return sum(mail["subject"] == LANGUAGE[letter]["subject"] for mail in await served.mails(to))


async def quiet(served: Served) -> None:
    """Waits until nothing is left to be written or sent."""
    async def done() -> bool:
        async def working(tx: Tx) -> int:
            return int(await tx.value(WORKING))
        return await served.foyer.database.read(working) == 0
    await until(done)


async def token(served: Served, to: str, letter: str, number: int = 1) -> str:
    """The token in the link of the newest of so many of these letters."""
    mail = await sent(served, to, letter, number)
    (link,) = {link for link in mail["links"] if "#" in link}
    return str(link.partition("#token=")[2])


async def confirm(served: Served, given: str, **options: Any) -> Answer:
    """POST /api/email/confirm."""
    return await served.api.post("/api/email/confirm", {"token": given}, **options)


async def confirmed(served: Served, to: str, letter: str = "confirm", number: int = 1) -> None:
    """The letter arrives, and its link is followed."""
    answer = await confirm(served, await token(served, to, letter, number))
    assert (answer.status, answer.raw) == (204, b"")


async def want(served: Served, access_token: str, email: str, **options: Any) -> Answer:
    """PATCH /api/me with another address."""
    return await served.api.call("PATCH", "/api/me", json={"email": email}, token=access_token, **options)


async def moved(served: Served, access_token: str, email: str) -> None:
    """Another address is asked for and confirmed."""
    assert (await want(served, access_token, email)).data["email_pending"] == email
    await confirmed(served, email, "confirm_new")


async def resend(served: Served, access_token: str) -> Answer:
    """POST /api/email/resend."""
    return await served.api.post("/api/email/resend", token=access_token)


async def forgot(served: Served, email: str, **options: Any) -> Answer:
    """POST /api/password/forgot."""
    return await served.api.post("/api/password/forgot", {"email": email}, **options)


async def reset(served: Served, given: str, password: str = NEW, **options: Any) -> Answer:
    """POST /api/password/reset."""
    return await served.api.post("/api/password/reset", {"token": given, "password": password}, **options)


async def reset_token(served: Served, email: str, number: int = 1) -> str:
    """Says that the password is forgotten; the token that comes by mail."""
    assert (await forgot(served, email)).status == 202
    return await token(served, email, "reset", number)


async def login(served: Served, username: str = "ada", password: str = PASSWORD) -> Answer:
    """Tries to sign in."""
    return await served.api.post("/api/login", {"username": username, "password": password})


async def me(served: Served, access_token: str) -> Any:
    """GET /api/me."""
    return (await served.api.get("/api/me", token=access_token)).data


async def events(served: Served, access_token: str, type_: str) -> list[Any]:
    """The data of the member's events of a type."""
    page = (await served.api.get("/api/events?after=0", token=access_token)).data
    return [event["data"] for event in page if event["type"] == type_]


def without_id(answer: Answer) -> bytes:
    """The body of a problem without what differs from request to request."""
    return answer.raw.replace(answer.body["request_id"].encode(), b"-")
