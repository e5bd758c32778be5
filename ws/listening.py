"""What a socket and an event stream have in common: a member's events leave by it, until it ends for a reason."""
from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from server.core.errors import Problem
from server.core.signal import Signal
from server.events import log as events
from server.web.route import Member
from ws import protocol
from ws.hub import Hub
from ws.protocol import Ready, Stream, User, text_of

log = logging.getLogger("foyer.ws")
PAGE = 100


class Ended(Exception):
    """The connection is to be closed with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Listening:
    """A connection that takes its member's events. The table is the queue, so a slow client costs no memory."""

    __slots__ = ("_hub", "_member", "_stream", "_wake", "_code", "_expiry", "_scope", "_send_seconds", "_newest",
                 "__weakref__")

    def __init__(self, hub: Hub, send_seconds: float) -> None:
        self._hub, self._send_seconds = hub, send_seconds
        self._member: Member | None = None
        self._stream = Stream(0)
        self._newest = 0  # the newest number that was given out, as far as is known here
        self._wake = Signal()
        self._code: int | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._scope: asyncio.Timeout | None = None  # all that is done until the connection is closed

    # -- what others call

    def nudge(self, seq: int, frame: str | None) -> None:
        """Event `seq` of this member was committed."""
        self._newest = max(self._newest, seq)
        self._stream.nudge(seq, frame)
        self._wake.set()

    @property
    def acknowledged(self) -> int:
        """The newest number that its client is done with, stored or on its way there."""
        return 0

    def end(self, code: int) -> None:
        """Closes the connection soon, whatever it is doing."""
        if self._code is None:
            self._code = code
            if self._scope is not None:
                self._scope.reschedule(asyncio.get_running_loop().time())

    # -- from beginning to end

    async def _until_ended(self, work: Callable[[], Awaitable[None]]) -> None:
        """Works until that is done, or the connection is ended."""
        try:
            async with asyncio.timeout(None) as self._scope:
                if self._code is None:
                    await work()
        except TimeoutError:
            pass  # `end` was called
        except Ended as ended:
            self._code = self._code or ended.code
        except Problem as problem:
            log.warning("a connection ended: %s", problem)
            self._code = self._code or protocol.GOING_AWAY
        finally:
            self._scope = None

    async def _begin(self, member: Member, after: int | None) -> str:
        """Sets the stream behind `after`, else behind what was acknowledged; gives the `ready` frame."""
        around = self._hub.surroundings
        acknowledged = self._hub.acknowledged(member.id)  # asked first: what is stored meanwhile, the table knows
        position = await around.database.read(events.position, member.id)
        self._newest = max(self._newest, position.seq)
        self._stream.restart(max(position.acked, acknowledged) if after is None else after)
        self._set_expiry(member)
        return text_of(Ready(User(member.id, member.username), position.seq, around.epoch))

    def _set_expiry(self, member: Member) -> None:
        self._cancel_expiry()
        seconds = (member.expires_at - self._hub.surroundings.clock()) / 1000
        self._expiry = asyncio.get_running_loop().call_later(max(seconds, 0), self.end, protocol.UNAUTHORIZED)

    def _cancel_expiry(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()

    def _forget(self) -> None:
        """Nobody knows of the connection any more."""
        if self._member is not None:
            self._hub.leave(self, self._member)
        self._hub.depart(self)

    # -- what is sent next

    @property
    def _due(self) -> bool:
        """Whether there may be something to send."""
        return self._stream.behind or self._stream.waiting > 0

    async def _next_frames(self) -> list[str]:
        """The frames that are sent next: a page of the table, or what was committed since."""
        if not self._stream.behind:
            return self._stream.take()
        assert self._member is not None
        last = self._stream.last
        page = await self._hub.surroundings.database.read(events.page, self._member.id, last, PAGE)
        self._newest = max(self._newest, page.seq)
        if self._stream.last != last:
            return []  # a resume came while we were reading
        return self._stream.caught_up([(event.seq, event.frame) for event in page.events], page.gap, page.seq)

    def _log_too_slow(self) -> None:
        assert self._member is not None
        log.warning("member %s is too slow: %s events wait behind number %s", self._member.id, self._stream.waiting,
                    self._stream.last)
