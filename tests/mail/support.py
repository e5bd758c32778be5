"""Mails on a database without a server, and short ways to those of one."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from server.jobs import Worker
from server.mail import Links, Outbox, queries
from server.mail.jobs import SendJob
from server.mail.queries import Stored
from server.providers.mail import Delivery, Kind
from server.storage import Tx
from tests.events.support import INSERT
from tests.jobs.support import Yard
from tests.support import Served, until
from tests.web.administrators import administrator

ADA = "ada@lovelace.example"
HOUSE, SENDER, SECRET = "https://foyer.example", "Foyer <foyer@foyer.example>", "a secret of 32 characters or more"
SENT = Delivery(Kind.SENT)
LATER = Delivery(Kind.LATER, "the mail server takes it later: 450 busy")
REFUSED = Delivery(Kind.REFUSED, "the mail server refused it: 550 nobody")
ROWS = "SELECT id, status, reason, sent_at, message_id, link_id FROM mails ORDER BY id"


@dataclass
class MailServer:
    """A mail server that answers as it is told, the last answer again and again."""

    plays: list[Delivery] = field(default_factory=lambda: [SENT])
    taken: list[tuple[str, bytes]] = field(default_factory=list)

    async def deliver(self, recipient: str, message: bytes) -> Delivery:
        self.taken.append((recipient, message))
        return self.plays.pop(0) if len(self.plays) > 1 else self.plays[0]


def links(secret: str = SECRET) -> Links:
    """What makes links."""
    return Links(secret, lambda: HOUSE)


@dataclass
class Office:
    """An outbox, what empties it, and members to write to."""

    yard: Yard
    links: Links = field(default_factory=links)
    server: MailServer = field(default_factory=MailServer)

    def outbox(self, configured: bool = True) -> Outbox:
        return Outbox(configured, self.yard.queue, "foyer.example")

    def job(self, configured: bool = True) -> SendJob:
        client: Any = self.server if configured else None
        return SendJob(client, self.links, SENDER, lambda: HOUSE, 10.0, 80.0)

    async def start(self, configured: bool = True) -> Worker:
        return await self.yard.start(self.job(configured))  # type: ignore[arg-type]

    async def write(self, letter: str = "confirm", configured: bool = True) -> int:
        """Writes a letter to a member; the mail's id."""
        return await self.yard.database.write(self.in_tx, letter, configured)

    async def in_tx(self, tx: Tx, letter: str = "confirm", configured: bool = True) -> int:
        if await tx.one("SELECT id FROM users WHERE id = 1") is None:
            await tx.run(INSERT, 1, "ada", ADA)
        link = await self.links.make(tx, 1, "confirm", ADA) if letter == "confirm" else None
        return await self.outbox(configured).send(tx, 1, letter, ADA, {"username": "ada"}, link)

    async def run(self, sql: str, *args: Any) -> int:
        async def run(tx: Tx) -> int:
            return await tx.run(sql, *args)
        return await self.yard.database.write(run)

    async def rows(self, sql: str = ROWS) -> list[dict[str, Any]]:
        async def read(tx: Tx) -> list[dict[str, Any]]:
            return [{name: row[name] for name in row.keys()} for row in await tx.all(sql)]
        return await self.yard.database.read(read)

    async def mail(self, id_: int = 1) -> Stored:
        found = await self.yard.database.read(queries.read, id_)
        assert found is not None
        return found

    async def ended(self, status: str, reason: str | None = None) -> None:
        """Waits until the newest mail is that."""
        async def is_it() -> bool:
            row = (await self.rows())[-1]
            return (row["status"], row["reason"]) == (status, reason)
        await until(is_it)


@dataclass
class Reader:
    """Somebody who looks at the mails: those that a server keeps, as an administrator, and those that arrived."""

    served: Served
    token: str

    @classmethod
    async def of(cls, served: Served) -> Reader:
        return cls(served, (await administrator(served))["access_token"])

    async def kept(self, **query: str) -> list[dict[str, Any]]:
        answer = await self.served.api.get("/api/admin/mails", params=query, token=self.token)
        return list(answer.data)

    async def whole(self, to: str) -> dict[str, Any]:
        """The newest mail to an address, with its text."""
        id_ = (await self.kept(q=to))[0]["id"]
        return dict((await self.served.api.get(f"/api/admin/mails/{id_}", token=self.token)).data)

    async def ended(self, to: str, status: str) -> dict[str, Any]:
        """The newest mail to an address, once it is that."""
        async def is_it() -> dict[str, Any] | None:
            mail = await self.whole(to)
            return mail if mail["status"] == status else None
        return dict(await until(is_it))

    async def arrived(self, to: str) -> list[dict[str, Any]]:
        """What the sink has taken for an address, newest first."""
        async with self.served.api.session.get(f"{self.served.sandbox}/mail/messages", params={"to": to}) as answer:
            return list((await answer.json())["data"])


def token_of(text: str) -> str:
    """The token of the link in a text."""
    return text.partition("#token=")[2].split()[0]
