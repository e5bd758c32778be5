"""A client of a Foyer server: one object per member, REST and the socket.

    async with FoyerClient("http://127.0.0.1:8080") as foyer:
        await foyer.login("ada", "the password")
        await foyer.create_post("Hello", "It is me.")
        async with foyer.events() as events:
            async for event in events:
                print(event.type, event.data)
"""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from bot.errors import ApiError, BadAnswer
from bot.events import EventStream
from bot.models import Enrichment, Envelope, Event, Liker, Me, Post, SignIn, User
from bot.tokens import Tokens
from bot.transport import Call, Reply, Sleep, Transport, open_session, raise_for

T = TypeVar("T")
_PAGE = 100


class FoyerClient:
    """Speaks to a server as one member, or as nobody before sign_up or login.

    Arguments: the server's address; a session to share between clients (see `open_session`; it is not closed
    here); the longest wait a limit may ask for; how often a connection is tried; and for tests how to sleep
    and where chance comes from.

    Limits (429, 503) are waited for, broken connections tried again where that is safe, tokens renewed.
    Every method may raise ApiError (the server said no), LimitReached, ServerUnreachable, BadAnswer and
    NotSignedIn, all of them FoyerError.
    """

    def __init__(self, base_url: str, *, session: aiohttp.ClientSession | None = None, max_wait: float = 60.0,
                 tries: int = 6, sleep: Sleep = asyncio.sleep, rng: random.Random | None = None) -> None:
        self._own_session = session is None
        self._transport = Transport(base_url, session or open_session(), max_wait=max_wait, tries=tries,
                                    sleep=sleep, rng=rng)
        self._tokens = Tokens(self._transport)
        self._streams: set[EventStream] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the streams still open and, unless it is shared, the session. The member stays signed in."""
        for stream in tuple(self._streams):
            await stream.aclose()
        if self._own_session:
            await self._transport.session.close()

    # Accounts

    async def sign_up(self, username: str, email: str, password: str, *, referral_code: str | None = None,
                      idempotency_key: str | None = None, **profile: str) -> SignIn:
        """Makes an account and signs in.

        Arguments: name, address and password, a code of the member who invited, profile fields. Safe to
        repeat with the same key. Gives the new member and what became of the code.
        """
        body = {"username": username, "email": email, "password": password, **profile}
        if referral_code is not None:
            body["referral_code"] = referral_code
        return await self._sign_in("/api/signup", body, idempotency_key)

    async def login(self, username: str, password: str) -> SignIn:
        """Signs in with a name or an address; ApiError `bad_credentials` when they do not fit."""
        return await self._sign_in("/api/login", {"username": username, "password": password}, None)

    async def _sign_in(self, path: str, body: Mapping[str, str], key: str | None) -> SignIn:
        call, reply = await self._send("POST", path, body=body, key=key, signed=False)
        answer = _decode(call, reply, SignIn)
        self._tokens.keep(answer, reply)
        return answer

    async def refresh(self) -> None:
        """Renews the tokens now; it happens by itself before they expire."""
        await self._tokens.renew()

    async def logout(self) -> None:
        """Ends the session on the server; to do so twice is no error."""
        try:
            await self._send("POST", "/api/logout")
        except ApiError as refused:
            # A repeated call finds the session ended by the first one: that is what was asked for.
            if refused.status != 401:
                raise
        self._tokens.forget()

    async def me(self) -> Me:
        """Gives the member's own profile."""
        return await self.request("GET", "/api/me", Me)

    async def update_me(self, **fields: str | None) -> Me:
        """Changes profile fields and gives the profile as it is now."""
        return await self.request("PATCH", "/api/me", Me, body=fields)

    async def delete_me(self, password: str) -> None:
        """Leaves: the server erases all that is the member's. ApiError `wrong_password` without the right one."""
        await self._send("DELETE", "/api/me", body={"password": password})
        self._tokens.forget()

    async def export(self) -> dict[str, Any]:
        """Gives everything that the server has stored about the member."""
        return await self.request("GET", "/api/me/export", dict[str, Any])

    async def user(self, username: str) -> User:
        """Gives a public profile; ApiError 404 for nobody."""
        return await self.request("GET", f"/api/users/{_part(username)}", User)

    def users(self, prefix: str | None = None) -> AsyncIterator[User]:
        """Goes through the public profiles, newest first; with a prefix those whose name begins so, by name."""
        return self.pages("/api/users", User, q=prefix)

    async def enrichment(self) -> Enrichment:
        """Says how the search for the member's public data stands."""
        return await self.request("GET", "/api/me/enrichment", Enrichment)

    async def ask_enrichment(self) -> None:
        """Asks for another search; an `enriched` event will tell of its end."""
        await self._send("POST", "/api/me/enrichment")

    # Posts

    async def create_post(self, title: str, text: str, link: str | None = None, *,
                          idempotency_key: str | None = None) -> Post:
        """Writes a post; safe to repeat with the same key."""
        body = {"title": title, "text": text, **({} if link is None else {"link": link})}
        return await self.request("POST", "/api/posts", Post, body=body, key=idempotency_key)

    async def post(self, post_id: int) -> Post:
        """Gives one post."""
        return await self.request("GET", f"/api/posts/{post_id}", Post)

    async def edit_post(self, post_id: int, **fields: str | None) -> Post:
        """Changes `title`, `text` or `link` of an own post."""
        return await self.request("PATCH", f"/api/posts/{post_id}", Post, body=fields)

    async def delete_post(self, post_id: int) -> None:
        """Deletes an own post with its likes."""
        await self._send("DELETE", f"/api/posts/{post_id}")

    async def like(self, post_id: int) -> Post:
        """Likes somebody else's post; twice is the same as once."""
        return await self.request("PUT", f"/api/posts/{post_id}/like", Post)

    async def unlike(self, post_id: int) -> Post:
        """Takes a like back; twice is the same as once."""
        return await self.request("DELETE", f"/api/posts/{post_id}/like", Post)

    def posts(self, *, author: str | None = None, unliked: bool = False,
              sort: str | None = None) -> AsyncIterator[Post]:
        """Goes through all posts, page by page, newest first unless `sort` is "likes"."""
        wanted = {"author": author, "unliked": "true" if unliked else None, "sort": sort}
        return self.pages("/api/posts", Post, **wanted)

    def likes(self, post_id: int) -> AsyncIterator[Liker]:
        """Goes through all who liked a post, newest first."""
        return self.pages(f"/api/posts/{post_id}/likes", Liker)

    # Events

    def events(self, after: int | None = None, epoch: str | None = None) -> EventStream:
        """Opens the member's events as they happen; see EventStream.

        Arguments: the last number done with, and the epoch it was of; without them it starts behind the last
        acknowledged event.
        """
        return EventStream(self._transport, self._tokens, self._streams, after, epoch)

    async def stored_events(self, after: int) -> AsyncIterator[Event]:
        """Goes through the events behind a number that are kept already, without waiting for more."""
        while True:
            page = await self.request("GET", "/api/events", list[Event], params={"after": str(after)})
            for event in page:
                yield event
            if not page:
                return
            after = page[-1].seq

    async def acknowledge(self, seq: int) -> None:
        """Tells the server that all events up to this number are done with."""
        await self._send("POST", "/api/events/ack", body={"seq": seq})

    # Anything else

    async def request(self, method: str, path: str, answer: type[T], *, body: Mapping[str, Any] | None = None,
                      params: Mapping[str, str] | None = None, key: str | None = None) -> T:
        """Sends any request, with the member's token when signed in.

        Arguments: method, path, the type of the answer's `data`, a JSON body, a query, an Idempotency-Key
        (a POST has one of its own otherwise). Gives the data.
        """
        call, reply = await self._send(method, path, body=body, params=params, key=key)
        return _decode(call, reply, answer)

    async def pages(self, path: str, item: type[T], **params: str | None) -> AsyncIterator[T]:
        """Goes through a list of any route, page by page."""
        query = {"limit": str(_PAGE), **{name: value for name, value in params.items() if value is not None}}
        while True:
            call, reply = await self._send("GET", path, params=query)
            envelope = _envelope(call, reply)
            for one in _typed(call, envelope.data, list[item]):  # type: ignore[valid-type]
                yield one
            if envelope.next is None:
                return
            query["cursor"] = envelope.next

    async def _send(self, method: str, path: str, *, body: Mapping[str, Any] | None = None,
                    params: Mapping[str, str] | None = None, key: str | None = None,
                    signed: bool = True) -> tuple[Call, Reply]:
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if method == "POST":
            headers["Idempotency-Key"] = key or uuid.uuid4().hex
        content = None if body is None else msgspec.json.encode(body)
        call = Call(method, path, content, headers, params, repeatable=method != "PATCH")
        reply = await (self._send_signed(call, headers) if signed and self._tokens.signed_in
                       else self._transport.send(call))
        if not 200 <= reply.status < 300:
            raise_for(call, reply)
        return call, reply

    async def _send_signed(self, call: Call, headers: dict[str, str]) -> Reply:
        token = await self._tokens.access()
        headers["Authorization"] = f"Bearer {token}"
        reply = await self._transport.send(call)
        if reply.status != 401:
            return reply
        # Once: the token may have ended early (the server's secret changed); a second 401 is an answer.
        headers["Authorization"] = f"Bearer {await self._tokens.access(other_than=token)}"
        return await self._transport.send(call)


def _part(text: str) -> str:
    return quote(text, safe="")


def _envelope(call: Call, reply: Reply) -> Envelope:
    try:
        return msgspec.json.decode(reply.body, type=Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError) as failure:
        raise BadAnswer(f"{call}: this is not a Foyer server: {failure}") from failure


def _typed(call: Call, data: msgspec.Raw, answer: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as failure:
        raise BadAnswer(f"{call}: {failure}") from failure


def _decode(call: Call, reply: Reply, answer: type[T]) -> T:
    return _typed(call, _envelope(call, reply).data, answer)
