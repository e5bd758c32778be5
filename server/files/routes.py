"""The routes of files."""
from __future__ import annotations


from server.files import checks, queries
from server.files.model import Check, File, Recheck, Version
from server.files.service import Files, no_such_file
from server.storage import Tx
from server.web import paging
from server.web.paging import Page
from server.web.route import Answer, Call, Route
from server.web.uploads import Upload

PLAIN = "text/plain; charset=utf-8"


class Reading:
    """What a member sees of their files."""

    def __init__(self, files: Files) -> None:
        self._files = files

    async def list(self, tx: Tx, call: Call) -> Answer:
        page: Page = call.query
        found = await queries.files(tx, call.me.id, paging.before("files", page), page.limit + 1)
        return Answer(paging.newest_first("files", page, found))

    async def one(self, tx: Tx, call: Call) -> Answer:
        return Answer(await self._files.existing(tx, call.me.id, call.id))

    async def content(self, tx: Tx, call: Call) -> Answer:
        query: Version = call.query
        found = await queries.content(tx, call.me.id, call.id, query.version)
        if found is None:
            raise no_such_file()
        return Answer(raw=found, content_type=PLAIN)

    async def history(self, tx: Tx, call: Call) -> Answer:
        page: Page = call.query
        await self._files.existing(tx, call.me.id, call.id)
        found = await checks.history(tx, call.id, paging.before("checks", page), page.limit + 1)
        return Answer(paging.newest_first("checks", page, found))


class Writing:
    """What a member does with them."""

    def __init__(self, files: Files) -> None:
        self._files = files

    async def add(self, tx: Tx, call: Call, prepared: None) -> Answer:
        upload: Upload = call.body
        file = await self._files.add(tx, call.me.id, upload)
        return Answer(file, status=201, location=f"/api/files/{file.id}")

    async def replace(self, tx: Tx, call: Call, prepared: None) -> Answer:
        return Answer(await self._files.replace(tx, call.me.id, call.id, call.body))

    async def delete(self, tx: Tx, call: Call, prepared: None) -> Answer:
        await self._files.delete(tx, call.me.id, call.id)
        return Answer(status=204)

    async def check_again(self, tx: Tx, call: Call, prepared: None) -> Answer:
        body: Recheck = call.body or Recheck()
        return Answer(await self._files.check_again(tx, call.me.id, call.id, body.options()), status=202)


def routes(files: Files, largest: int) -> list[Route]:
    """The declarations; `largest`: bytes of a file."""
    reading, writing = Reading(files), Writing(files)
    return [
        Route("POST", "/api/files", "Upload a Python file; it is checked by flake8 in the background", "member", File,
              201, uploads=largest, problems=("file_limit", "email_unconfirmed"), store=writing.add),
        Route("GET", "/api/files", "One's files, newest first", "member", File, query=Page, listing=True,
              problems=("bad_cursor",), load=reading.list),
        Route("GET", "/api/files/{id}", "One of one's files", "member", File, load=reading.one),
        Route("PATCH", "/api/files/{id}", "A new version of a file, which is checked again", "member", File,
              uploads=largest, problems=("email_unconfirmed",), store=writing.replace),
        Route("DELETE", "/api/files/{id}", "Delete a file with its versions and checks", "member", status=204,
              store=writing.delete),
        Route("GET", "/api/files/{id}/content", "The source of a version, or of the newest", "member", query=Version,
              media=PLAIN, load=reading.content),
        Route("GET", "/api/files/{id}/checks", "The checks of a file, newest first", "member", Check, query=Page,
              listing=True, problems=("bad_cursor",), load=reading.history),
        Route("POST", "/api/files/{id}/checks", "Check the newest version again", "member", Check, 202, takes=Recheck,
              body_optional=True, problems=("email_unconfirmed",), store=writing.check_again),
    ]
