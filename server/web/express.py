"""The express lane: plain requests to declared routes, answered without aiohttp's request object, tasks and router.

aiohttp's way costs about thirty microseconds a request, as much as everything that is done for one that is answered
from memory. A request goes by this lane when it came whole and alone in one piece, on a connection that is idle, with a
block of headers that aiohttp's parser has read and accepted before (see `heads`), for a route that is declared
`express`. Everything else, and whatever this lane does not understand, goes aiohttp's own way; the same machine runs
the route in both.
"""
from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Any, Protocol

from server.core.errors import CODES, Problem
from server.jobs.queue import request_id as current_request_id
from server.web import problems, ready, reply
from server.web.dispatch import Dispatcher, Entry, LongWay, Pending
from server.web.guard import Guard, new_request_id
from server.web.heads import Heads
from server.web.route import Answer, Call

log = logging.getLogger("foyer.web")
_LINE = re.compile(rb"(GET|PUT|POST|PATCH|DELETE) (/[A-Za-z0-9/_-]*)(?:\?([A-Za-z0-9&=_.~-]+))? HTTP/1\.1")
_NO_QUERY: dict[str, str] = {}


class Line(Protocol):
    """A connection that waits for an answer."""

    @property
    def peer(self) -> str | None:
        """The address of the other end."""

    def answered(self, whole: bytes) -> None:
        """Here is the answer."""


class Exchange:
    """One request on this lane, from its bytes to its answer; the database tells it the outcome as it does a future."""

    __slots__ = ("_express", "_line", "_entry", "_call", "_begin")

    def __init__(self, express: Express, line: Line, entry: Entry, call: Call) -> None:
        self._express, self._line, self._entry, self._call = express, line, entry, call
        self._begin = time.perf_counter()

    def set_result(self, given: Any) -> None:
        """The transaction is durable."""
        try:
            self.answer(self._entry.after(self._call, given))
        except Exception as error:
            self.set_exception(error)

    def set_exception(self, error: BaseException) -> None:
        """It failed: with a problem to be told, or by a fault of ours."""
        call = self._call
        if not isinstance(error, Problem):
            log.error("request %s failed: %s", call.request_id, self._entry.key, exc_info=error)
            error = Problem("internal", CODES["internal"][1] + ".")
        body = problems.body(error, call.request_id)
        self._send(error.status, ready.whole(error.status, problems.CONTENT_TYPE, problems.headers(error), body,
                                             call.request_id))

    def done(self) -> bool:
        """Never: the connection knows whether somebody still listens."""
        return False

    def cancelled(self) -> bool:
        """Never: a request that came is carried out."""
        return False

    def answer(self, answer: Answer) -> None:
        """Sends the answer."""
        body = b"" if answer.status == 204 else answer.raw if answer.raw is not None else reply.encode(answer.data)
        extra = {**answer.headers, "Location": answer.location} if answer.location else answer.headers
        self._send(answer.status, ready.whole(answer.status, answer.content_type, extra, body, self._call.request_id))

    def _send(self, status: int, whole: bytes) -> None:
        self._express.guard.account(self._entry.key, status, time.perf_counter() - self._begin, self._call.request_id)
        self._line.answered(whole)


class Express:
    """Takes requests for the routes of a dispatcher."""

    def __init__(self, dispatcher: Dispatcher, guard: Guard, address: Callable[[str | None, str | None], str]) -> None:
        self.dispatcher, self.guard, self._address = dispatcher, guard, address
        self.heads = Heads()

    def take(self, line: Line, data: bytes) -> bool:
        """Answers the request, or begins to; False when it must go aiohttp's way."""
        eol = data.find(b"\r\n")
        end = data.find(b"\r\n\r\n", eol)
        head = self.heads.get(data[eol + 2:end + 4]) if end >= 0 else None
        if head is None or len(data) != end + 4 + head.length:
            return False
        parts = _LINE.fullmatch(data, 0, eol)
        if parts is None:
            return False
        method, path, query = parts.groups()
        entry, given = self.dispatcher.find(method.decode(), path.decode())
        if entry is None or entry.express is None or (head.length and not head.is_json):
            return False
        parameters = _parameters(query) if query is not None else _NO_QUERY
        if parameters is None:
            return False
        call = Call(None, new_request_id(), self._address(line.peer, head.forwarded))
        call.content_type = "application/json"
        exchange = Exchange(self, line, entry, call)
        current_request_id.set(call.request_id)
        try:
            exchange.answer(entry.express(call, head, given, parameters, data[end + 4:], exchange))
        except Pending:
            pass
        except LongWay:
            return False
        except Exception as error:
            exchange.set_exception(error)
        return True


def one_request(data: bytes) -> bytes | None:
    """The block of headers of the bytes of what may be one whole request."""
    eol = data.find(b"\r\n")
    end = data.find(b"\r\n\r\n", eol)
    return data[eol + 2:end + 4] if end >= 0 else None


def _parameters(query: bytes) -> dict[str, str] | None:
    pairs = [pair.partition("=") for pair in query.decode("ascii").split("&")]
    parameters = {name: value for name, _, value in pairs}
    return parameters if len(parameters) == len(pairs) and "" not in parameters else None
