"""Who is behind an access token, and who is no longer.

A verified token is remembered until it expires or its session ends: verifying costs 50 microseconds and a look into the
database, remembering a fraction of one.
"""
from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Protocol

from server.accounts import queries
from server.accounts.tokens import Tokens
from server.core.clock import Clock
from server.storage import Database, Tx
from server.web.route import Member, unauthorized

SESSION_ENDED = "session_ended"  # what the other processes are told
MOST = 50_000  # tokens remembered
CHECKED_AT_ONCE = 500  # sessions: the reader is everybody's


class SessionListener(Protocol):
    """Somebody who holds something open for a session, such as a socket."""

    def session_ended(self, session_id: int) -> None:
        """The session is over; let go. Must not raise or block."""

    def sessions(self) -> Collection[int]:
        """For which sessions something is held open."""


class Gate:
    """Lets members in by their token, and ends sessions for everybody who holds something for them."""

    def __init__(self, database: Database, tokens: Tokens, clock: Clock) -> None:
        self._database, self._tokens, self._clock = database, tokens, clock
        self._members: dict[str, Member] = {}
        self._tokens_of: dict[int, set[str]] = {}  # by session
        self._changes = 0
        self.listeners: list[SessionListener] = []

    async def authenticate(self, token: str) -> Member:
        """The member behind the token; raises Problem 401, the same for every fault."""
        return self.remembered(token) or await self._look_up(token)

    def remembered(self, token: str) -> Member | None:
        """The member behind a token that was verified before and is still good."""
        member = self._members.get(token)
        if member is not None and member.expires_at <= self._clock():
            self._forget(token, member)
            return None
        return member

    async def _look_up(self, token: str) -> Member:
        claims = self._tokens.verify(token)
        changes = self._changes
        member = await self._database.read(queries.member_of_session, claims.session_id, claims.expires_at)
        if member is None or member.id != claims.user_id:
            raise unauthorized()
        # A session that ended while we were reading must not be remembered as living.
        if changes == self._changes:
            self._remember(token, member)
        return member

    def _remember(self, token: str, member: Member) -> None:
        if len(self._members) >= MOST:
            self._forget_expired()
        self._members[token] = member
        self._tokens_of.setdefault(member.session_id, set()).add(token)

    def _forget_expired(self) -> None:
        now = self._clock()
        for token, member in list(self._members.items()):
            if member.expires_at <= now:
                self._forget(token, member)
        if len(self._members) >= MOST:
            self._members.clear()
            self._tokens_of.clear()

    def _forget(self, token: str, member: Member) -> None:
        self._members.pop(token, None)
        tokens = self._tokens_of.get(member.session_id)
        if tokens is not None:
            tokens.discard(token)
            if not tokens:
                del self._tokens_of[member.session_id]

    def session_ended(self, session_id: int) -> None:
        """Refuses the session's tokens from now on and tells everybody who holds something for it."""
        self._changes += 1
        for token in self._tokens_of.pop(session_id, ()):
            self._members.pop(token, None)
        for listener in self.listeners:
            listener.session_ended(session_id)

    async def look_again(self) -> None:
        """Another process has written: forgets everybody, and lets go of what is held for sessions that are over."""
        self._changes += 1
        self._members.clear()
        self._tokens_of.clear()
        held = sorted({session_id for listener in self.listeners for session_id in listener.sessions()})
        for begin in range(0, len(held), CHECKED_AT_ONCE):
            for session_id in await self._database.read(queries.not_living, held[begin:begin + CHECKED_AT_ONCE]):
                self.session_ended(session_id)

    async def end_after_commit(self, tx: Tx, session_ids: list[int]) -> None:
        """`session_ended` for each, in every process, once the transaction that ends them is durable."""
        for session_id in session_ids:
            tx.after_commit(partial(self.session_ended, session_id))
            await tx.tell(SESSION_ENDED, str(session_id))
