"""What an administrator sees of the mails."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from server.audit import log
from server.audit.log import Actor
from server.core.clock import iso, iso_or_none
from server.core.errors import Problem
from server.mail import letters, queries
from server.mail.links import Links
from server.mail.model import Mail, Mails, WholeMail
from server.mail.queries import Stored
from server.storage import Database, Tx
from server.web import paging, windows
from server.web.route import Answer, Call, Route

HIDDEN = "(the link is not shown)"


class Reading:
    """GET /api/admin/mails and one of them."""

    def __init__(self, database: Database, links: Links, house: Callable[[], str], configured: bool) -> None:
        self._database, self._links, self._house, self._configured = database, links, house, configured

    async def all(self, tx: Tx, call: Call) -> Answer:
        query: Mails = call.query
        before = paging.before("mail", query)
        if query.q is None:
            found = await queries.newest(tx, query.status, before, query.limit + 1)
            return Answer(paging.newest_first("mail", query, self._mails(found)))
        if await queries.is_written_to(tx, query.q):  # an index finds all of these, however old they are
            found = await queries.newest_to(tx, query.status, query.q, before, query.limit + 1)
            return Answer(paging.newest_first("mail", query, self._mails(found)))
        found, looked = await queries.with_part(tx, query.status, query.q, before, query.limit + 1)
        return Answer(windows.listing("mail", query.limit, self._mails(found), looked))

    async def one(self, call: Call) -> Answer:
        mail = await self._database.read(queries.read, call.id)
        if mail is None:
            raise Problem("not_found", "There is no such mail.")
        if self._shows_link(mail):
            # Whoever has the link can take the account: it is not shown before that is written down.
            await self._database.write(self._remember, Actor.of(call), mail)
        return Answer(WholeMail(**self._shown(mail), message_id=mail.message_id, text=self._text(mail)))

    def _mails(self, found: Sequence[Stored]) -> list[Mail]:
        return [Mail(**self._shown(mail)) for mail in found]

    def _shown(self, mail: Stored) -> dict[str, Any]:
        return {"id": mail.id, "user_id": mail.user_id, "letter": mail.letter, "recipient": mail.recipient,
                "subject": letters.subject(mail.letter, mail.words, self._house()), "status": mail.status,
                "reason": mail.reason, "created_at": iso(mail.created_at), "sent_at": iso_or_none(mail.sent_at)}

    async def _remember(self, tx: Tx, actor: Actor, mail: Stored) -> None:
        await log.record(tx, "mail_link_shown", actor, mail.user_id, f"mail {mail.id}")

    def _shows_link(self, mail: Stored) -> bool:
        # Without a mail server the administrator is the only way for the link to reach the member.
        return mail.link is not None and not self._configured

    def _text(self, mail: Stored) -> str:
        hidden = HIDDEN if letters.has_link(mail.letter) else None
        link = self._links.url(*mail.link) if mail.link and self._shows_link(mail) else hidden
        return letters.render(mail.letter, mail.words, self._house(), link).text


def routes(database: Database, links: Links, house: Callable[[], str], configured: bool) -> list[Route]:
    """The declarations. `configured`: whether there is a mail server."""
    reading = Reading(database, links, house, configured)
    return [
        Route("GET", "/api/admin/mails", "The mails, newest first; of one status, when it is given", "admin", Mail,
              query=Mails, listing=True, problems=("bad_cursor",), load=reading.all),
        Route("GET", "/api/admin/mails/{id}", "A mail with its text; its link is shown only while no mail server is "
              "configured", "admin", WholeMail, problems=("not_found",), tell=reading.one),
    ]
