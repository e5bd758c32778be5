"""The mail sink: a mail server that keeps what it takes, and shows it; nothing is ever sent on.

It speaks SMTP on a port of its own. What it plays is decided when a recipient is named, by the recipient's address.
"""
from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any, NoReturn

from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session

from server.sandbox import letters
from server.sandbox.letters import Document
from server.sandbox.people import normalised
from server.sandbox.replies import json_response, pause
from server.sandbox.stage import Stage

LARGEST, KEPT, KEPT_BYTES = 2 * 1024**2, 1000, 64 * 1024**2
_SHOWN = 100
_LONGEST_STALL = 3600.0
_ENDPOINT = "deliver"
# Answers at once, to the recipient. After these words of RFC 3463 the address stands as it came, as with many servers.
_REFUSALS = {"421": "421 4.3.2 The service is not available <{}>", "450": "450 4.2.1 <{}>: The mailbox is busy",
             "550": "550 5.1.1 <{}>: No such mailbox"}
_AFTER_DATA = ("554_data", "drop_after_data")
_POSITIONS = ("250", *_REFUSALS, *_AFTER_DATA, "drop", "stall")
_TAGS = {"bounce": ["550"], "greylist": ["450", "450", "250"], "spam": ["554_data"], "cut": ["drop", "250"],
         "twice": ["drop_after_data", "250"], "stall": ["stall"]}

_log = logging.getLogger("foyer.sandbox")
# It tells of every line it reads, addresses and all.
logging.getLogger("mail.log").setLevel(logging.ERROR)


class Mail:
    """The stand-in under `/mail`, and the mail server beside it."""

    name = "mail"

    def __init__(self) -> None:
        self.stage = Stage({_ENDPOINT: _POSITIONS}, {_ENDPOINT: "250"}, {_ENDPOINT: _TAGS},
                           {"rate": "450", "quota": "450"})
        self.closing = asyncio.Event()
        self._letters: deque[Document] = deque()
        self._taken = 0
        self._server: asyncio.Server | None = None
        self._conversations: set[asyncio.Task[Any]] = set()

    def app(self, closing: asyncio.Event) -> web.Application:
        """The routes, below the service's own path."""
        self.closing = closing
        app = web.Application()
        for path in ("", "/"):
            app.router.add_get(path, self._show)
        app.router.add_get("/messages", self._list)
        app.router.add_delete("/messages", self._empty)
        app.on_cleanup.append(self._close)
        return app

    async def listen(self, host: str) -> str:
        """Begins to take mail on a free port of the host; its URL. It ends with the app."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Smtp(_Desk(self), self._conversations, loop), host, 0)
        shown = f"[{host}]" if ":" in host else host
        return f"smtp://{shown}:{self._server.sockets[0].getsockname()[1]}"

    def keep(self, sender: str, recipients: list[str], content: bytes) -> None:
        """Takes a letter in; the oldest goes when there are too many."""
        self._taken += 1
        self._letters.append(letters.document_of(self._taken, sender, recipients, content))
        while len(self._letters) > KEPT or sum(letter["size"] for letter in self._letters) > KEPT_BYTES:
            self._letters.popleft()

    async def _close(self, _: web.Application) -> None:
        if self._server is not None:
            self._server.close()
            for conversation in self._conversations:
                conversation.cancel()
            await asyncio.gather(*self._conversations, return_exceptions=True)
            await self._server.wait_closed()

    def _newest_first(self, request: web.Request) -> list[Document]:
        wanted = request.query.get("to")
        return [letter for letter in reversed(self._letters)
                if wanted is None or normalised(wanted) in map(normalised, letter["to"])]

    async def _show(self, request: web.Request) -> web.Response:
        if "application/json" in request.headers.get("Accept", ""):
            return await self._list(request)
        page = letters.page(self._newest_first(request)[:_SHOWN], len(self._letters))
        return web.Response(text=page, content_type="text/html", charset="utf-8", headers=letters.HEADERS)

    async def _list(self, request: web.Request) -> web.Response:
        return json_response({"data": self._newest_first(request)})

    async def _empty(self, _: web.Request) -> web.Response:
        self._letters.clear()
        return web.Response(status=204)


class _Desk:
    """Answers one connection; `aiosmtpd` calls its `handle_` methods with what was read."""

    def __init__(self, mail: Mail) -> None:
        self._mail = mail
        self._later = ""  # what is played after DATA

    async def handle_MAIL(self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]) -> str:
        """A new letter begins."""
        envelope.mail_from, self._later = address, ""
        return "250 2.1.0 OK"

    async def handle_RCPT(self, smtp: SMTP, _: Session, envelope: Envelope, address: str, __: list[str]) -> str:
        """Plays the next position for the recipient."""
        stage, closing = self._mail.stage, self._mail.closing
        position = stage.play(_ENDPOINT, normalised(address))
        if stage.delay:
            await pause(closing, stage.delay)
        if position == "stall":
            await pause(closing, _LONGEST_STALL)
        if position in ("stall", "drop", "421"):
            await _hang_up(smtp, _REFUSALS.get(position, "").format(address))
        if position in _REFUSALS:
            return _REFUSALS[position].format(address)
        if position in _AFTER_DATA:
            self._later = position
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, smtp: SMTP, _: Session, envelope: Envelope) -> str:
        """Takes the letter in, or what is played instead."""
        if self._later == "554_data":
            return f"554 5.7.1 <{envelope.rcpt_tos[0]}>: The message looks like spam"
        self._mail.keep(envelope.mail_from or "", list(envelope.rcpt_tos), envelope.original_content or b"")
        if self._later == "drop_after_data":
            await _hang_up(smtp)
        return "250 2.0.0 OK"

    async def handle_exception(self, error: Exception) -> str:
        """A fault of ours does not look like a verdict on the letter."""
        _log.error("the mail sink failed: %s", type(error).__name__)
        return "451 4.3.0 The mail sink failed"


async def _hang_up(smtp: SMTP, answer: str = "") -> NoReturn:
    """Closes the connection, after a last answer if there is one."""
    if answer:
        await smtp.push(answer)
    if smtp.transport is not None:
        smtp.transport.close()
    # Whoever serves a connection is cancelled when it is lost; to go on would be to answer on a closed one.
    await asyncio.get_running_loop().create_future()
    raise AssertionError("nothing comes after a closed connection")


class _Smtp(SMTP):
    """One connection; the task that serves it is held, so that it can be ended."""

    def __init__(self, desk: _Desk, conversations: set[asyncio.Task[Any]], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(desk, data_size_limit=LARGEST, enable_SMTPUTF8=True, hostname="localhost",
                         ident="Foyer's mail sink", loop=loop)
        self._conversations = conversations

    async def _handle_client(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._conversations.add(task)
        try:
            await super()._handle_client()
        finally:
            self._conversations.discard(task)
