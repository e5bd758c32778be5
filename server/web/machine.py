"""Runs a declared route in five steps: who, what came, allowed, do it, answer.

Here, and in the job worker, transactions are opened; nowhere else.
"""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import msgspec
from aiohttp import web

from server.core.errors import Problem
from server.core.units import Network, Rate
from server.storage import Database, Receiver, Tx, drive
from server.web import bodies, idempotency, problems, reply, uploads
from server.web.allowances import Allowance, Allowances
from server.web.dispatch import Entry, ExpressHandler, LongWay, Pending, RouteHandler
from server.web.fields import MAX_ID
from server.web.heads import Head
from server.web.idempotency import Kept, Key
from server.web.limits import Limiter, client_address, subject_of
from server.web.route import REQUEST_ID, Answer, Call, Member, Outdated, Route, bearer

PREPARED_AT_MOST = 3  # times, when others change meanwhile what was looked at
EXACT = ("signup", "login")  # the rates that are counted in the database

Authenticate = Callable[[str], Awaitable[Member]]
Remembered = Callable[[str], Member | None]


class Machine:
    """Makes aiohttp handlers out of routes."""

    def __init__(self, database: Database, authenticate: Authenticate, remembered: Remembered, limiter: Limiter,
                 allowances: Allowances, rates: Mapping[str, Rate], trusted: tuple[Network, ...], secret: bytes,
                 secure: bool, plain: bool, body_seconds: float, answers_kept_ms: int) -> None:
        self._database, self._authenticate, self._remembered = database, authenticate, remembered
        self._limiter, self._allowances, self._rates = limiter, allowances, rates
        self._trusted, self._secure, self._plain = trusted, secure, plain
        self._secret, self._body_seconds, self._answers_kept_ms = secret, body_seconds, answers_kept_ms
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def entry(self, route: Route) -> Entry:
        """The ways to run one route."""
        after = partial(self._finish, route) if route.store is not None else _as_it_is
        return Entry(route.key, self._handler(route), self._express(route) if route.express else None, after)

    def _handler(self, route: Route) -> RouteHandler:
        """aiohttp's way; it takes the request and the variable parts of its path."""
        write, query, is_open = route.store is not None, route.query, route.who == "open"
        limited, exact = route.rate != "none" and self._limiter.enabled, route.rate in EXACT

        async def handle(request: web.Request, path: Mapping[str, str]) -> web.StreamResponse:
            call = Call(request, request[REQUEST_ID], self._address(request))
            if not is_open:
                await self._who(route, call)
            if limited and exact:
                await self._limit_exactly(route, call)
            elif limited:
                self._limit(route, call)
            _read_path(call, path)
            if query is not None:
                call.query = bodies.from_query(query, request.query)
            if route.stream is not None:
                return await route.stream(call)
            answer = await (self._write(route, call) if write else self._read(route, call))
            return reply.of(answer, request, call.request_id, self._secure, self._plain)
        return handle

    def _express(self, route: Route) -> ExpressHandler:
        """The same five steps in one go, as far as they need not wait."""
        is_open, who, method = route.who == "open", route.who, route.method
        limited = route.rate != "none" and self._limiter.enabled

        def handle(call: Call, head: Head, path: Mapping[str, str], query: Mapping[str, str], raw: bytes,
                   receiver: Receiver) -> Answer:
            if not is_open and (head.token is not None or who != "anyone"):
                call.member = self._remembered(head.token) if head.token else None
                if call.member is None or who == "admin":
                    raise LongWay
            if limited:
                self._limit(route, call)
            _read_path(call, path)
            if route.query is not None:
                call.query = bodies.from_query(route.query, query)
            if method != "GET":
                self._decode(route, call, raw)
                prepared = drive(route.prepare(call)) if route.prepare else None
                self._database.write_to(receiver, self._store, route, call, prepared, None)
                raise Pending
            recalled = route.recall(call) if route.recall else None
            if recalled is None:
                assert route.load is not None
                self._database.read_to(receiver, route.load, call)
                raise Pending
            return recalled
        return handle

    def _address(self, request: web.Request) -> str:
        # A proxy may add a header line of its own behind the one that the client made up.
        return self.address(request.remote, ",".join(request.headers.getall("X-Forwarded-For", ())))

    def address(self, peer: str | None, forwarded: str | None) -> str:
        """The client's address."""
        return client_address(peer, forwarded, self._trusted)

    # -- who

    async def _who(self, route: Route, call: Call) -> None:
        header = call.request.headers.get("Authorization")
        if header is None and route.who == "anyone":
            return
        call.member = await self._authenticate(bearer(header))
        if route.who == "admin" and call.member.role != "admin":
            raise Problem("forbidden", "This is for administrators.")

    # -- allowed

    def _limit(self, route: Route, call: Call) -> None:
        if self._limiter.is_exempt(call.address):
            return
        self._limiter.take(route.rate, self._rates[route.rate], _subject(call))

    async def _limit_exactly(self, route: Route, call: Call) -> None:
        if not self._limiter.is_exempt(call.address):
            await self._allowances.take(Allowance(route.rate, self._rates[route.rate], _subject(call)))

    # -- what came

    def _decode(self, route: Route, call: Call, raw: bytes) -> None:
        if route.takes is None or (route.body_optional and not raw):
            return
        call.body = bodies.decode(route.takes, raw, call.content_type)

    # -- do it

    async def _read(self, route: Route, call: Call) -> Answer:
        if route.recall is not None:
            recalled = route.recall(call)
            if recalled is not None:
                return recalled
        if route.tell is not None:
            return await route.tell(call)
        assert route.load is not None
        return await self._database.read(route.load, call)

    async def _write(self, route: Route, call: Call) -> Answer:
        raw = await _body(call.request, self._body_seconds) if call.request.body_exists else b""
        if route.uploads is not None:
            call.body = await uploads.read(raw, call.request.headers, call.content_type, route.uploads)
            raw = call.body.told
        header = call.request.headers.get("Idempotency-Key") if route.method == "POST" else None
        if header is None:
            return self._finish(route, call, await self._do(route, call, raw, None))
        told = raw + route.beside_body(call) if route.beside_body else raw
        key = idempotency.key_of(header, _scope(route, call), call.me_id, told, self._secret,
                                 self._answers_kept_ms)
        async with self._alone(key):
            return self._finish(route, call, await self._once(route, call, raw, key))

    @asynccontextmanager
    async def _alone(self, key: Key) -> AsyncIterator[None]:
        """Equal requests of this process wait for the first one instead of doing its slow part again."""
        lock = self._locks.setdefault((key.scope, key.key), asyncio.Lock())
        async with lock:
            yield

    async def _once(self, route: Route, call: Call, raw: bytes, key: Key) -> Kept | Answer:
        kept = await self._database.read(idempotency.find, key)
        if kept is not None:
            return kept
        try:
            return await self._do(route, call, raw, key)
        except Problem as problem:
            if problem.status >= 500 or problem.status == 429 or problem.code == "idempotency_mismatch":
                raise
            return await self._database.write(idempotency.keep, key, _kept_problem(problem, call.request_id))

    async def _do(self, route: Route, call: Call, raw: bytes, key: Key | None) -> Kept | Answer:
        self._decode(route, call, raw)
        for _ in range(PREPARED_AT_MOST):
            prepared = await route.prepare(call) if route.prepare else None
            try:
                return await self._database.write(self._store, route, call, prepared, key)
            except Outdated:
                pass
        raise Problem("busy", "Somebody else changes the same thing again and again.", headers={"Retry-After": "1"})

    async def _store(self, tx: Tx, route: Route, call: Call, prepared: Any, key: Key | None) -> Kept | Answer:
        if key is not None:
            await idempotency.hold(tx, key)
            kept = await idempotency.find(tx, key)
            if kept is not None:
                return kept
        assert route.store is not None
        answer = await route.store(tx, call, prepared)
        if isinstance(answer, Problem):
            # Its effects are to stay, so it is not raised before the commit.
            kept = _kept_problem(answer, call.request_id)
            return kept if key is None else await idempotency.keep(tx, key, kept)
        if key is not None:
            await idempotency.keep(tx, key, Kept(answer.status, answer.location, _plain(route, answer)), answer.about)
        return answer

    # -- answer

    def _finish(self, route: Route, call: Call, given: Kept | Answer) -> Answer:
        if isinstance(given, Kept):
            if given.status >= 400:
                return _problem_again(given)
            given = _again(route, given)
        return route.finish(call, given) if route.finish else given


def _as_it_is(call: Call, given: Answer) -> Answer:
    return given


def _subject(call: Call) -> str:
    return f"member {call.member.id}" if call.member else subject_of(call.address)


def _read_path(call: Call, path: Mapping[str, str]) -> None:
    for name, value in path.items():
        if name == "id":
            call.id = _id(value)
        else:
            call.name = value


def _scope(route: Route, call: Call) -> str:
    """What an idempotency key belongs to, besides its member: the route, and what its path says."""
    return f"{route.key} {call.id} {call.name}" if "{" in route.path else route.key


async def _body(request: web.Request, seconds: float) -> bytes:
    try:
        async with asyncio.timeout(seconds):  # aiohttp has no deadline of its own for a body
            return await request.read()
    except TimeoutError:
        raise Problem("request_timeout", f"The body did not arrive within {seconds:g} s.",
                      headers={"Connection": "close"}) from None
    except web.RequestPayloadError:
        raise Problem("malformed", "The body's encoding cannot be undone.", headers={"Connection": "close"}) from None


def _id(value: str) -> int:
    if not (value.isascii() and value.isdigit()) or len(value) > 16 or int(value) > MAX_ID:
        raise Problem("not_found", "There is nothing with that id.")
    return int(value)


def _plain(route: Route, answer: Answer) -> bytes:
    """What is kept of an answer: the data that `finish` takes, or the whole body where there is no `finish`."""
    if answer.status == 204:
        return b""
    if route.finish is not None:
        return msgspec.json.encode(answer.data)
    return answer.raw if answer.raw is not None else reply.encode(answer.data)


def _again(route: Route, kept: Kept) -> Answer:
    if route.finish is None or kept.status == 204:
        return Answer(status=kept.status, location=kept.location, raw=kept.answer)
    return Answer(msgspec.json.decode(kept.answer, type=route.stores), kept.status, kept.location)


def _kept_problem(problem: Problem, request_id: str) -> Kept:
    return Kept(problem.status, None, problems.body(problem, request_id))


def _problem_again(kept: Kept) -> Answer:
    headers = {"WWW-Authenticate": "Bearer"} if kept.status == 401 else {}
    return Answer(raw=kept.answer, status=kept.status, content_type=problems.CONTENT_TYPE, headers=headers)
