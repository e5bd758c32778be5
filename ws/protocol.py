"""The frames of the socket and of the event stream, and what they mean; no I/O."""
from __future__ import annotations

from typing import Annotated, get_args

import msgspec
from msgspec import Meta

MAX_SEQ = 2**53 - 1
MAX_FRAME = 64 * 1024
AUTH_SECONDS = 10.0
HEARTBEAT = 20.0
SEND_SECONDS = 10.0  # how long one frame may take to leave

NORMAL, GOING_AWAY = 1000, 1001
PROTOCOL_ERROR, NOT_UTF8, TOO_LARGE = 1002, 1007, 1009  # these are sent by aiohttp
BAD_FRAME = 4400
UNAUTHORIZED = 4401
BAD_ORIGIN = 4403
AUTH_TIMEOUT = 4408
TOO_SLOW = 4409
TOO_MANY = 4429

REASONS = {
    GOING_AWAY: "the server is going away",
    PROTOCOL_ERROR: "not the WebSocket protocol",
    NOT_UTF8: "text that is not UTF-8",
    TOO_LARGE: "a frame above 64 KiB",
    BAD_FRAME: "bad frame or unknown type",
    UNAUTHORIZED: "token missing, expired or revoked",
    BAD_ORIGIN: "origin not allowed",
    AUTH_TIMEOUT: "no auth frame in time",
    TOO_SLOW: "too slow to keep up",
    TOO_MANY: "too many sockets",
}

Seq = Annotated[int, Meta(ge=0, le=MAX_SEQ)]


class Auth(msgspec.Struct, tag="auth"):
    """Who is there; also extends a live socket."""

    token: str
    after: Seq | None = None


class Resume(msgspec.Struct, tag="resume"):
    """Start again behind this number."""

    after: Seq


class Ack(msgspec.Struct, tag="ack"):
    """All up to this number are done with."""

    seq: Seq


class Ping(msgspec.Struct, tag="ping"):
    """Are you there?"""


ClientFrame = Auth | Resume | Ack | Ping


class BadFrame(Exception):
    """The client sent something that is not a frame of this protocol."""


_decoder: msgspec.json.Decoder[ClientFrame] = msgspec.json.Decoder(ClientFrame)


def parse(text: str) -> ClientFrame:
    """The frame in the text; raises `BadFrame`. Fields that are not known are passed over."""
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise BadFrame from None


class User(msgspec.Struct):
    """Whose events they are."""

    id: Seq
    username: str


class Ready(msgspec.Struct, tag="ready"):
    """The events that follow are this member's; `seq` is the newest number. A new `epoch` counts anew."""

    user: User
    seq: Seq
    epoch: str


class Gap(msgspec.Struct, tag="gap"):
    """Something older was asked for; `from` is the first number still there."""

    first: Seq = msgspec.field(name="from")


class Pong(msgspec.Struct, tag="pong"):
    """Here I am."""


class End(msgspec.Struct, tag="end"):
    """The event stream ends; `code` is the close code that a socket would have got."""

    code: int
    reason: str


class Event(msgspec.Struct):
    """What every event has besides its type and its data."""

    seq: Seq
    at: Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
                            description="ISO 8601 in UTC, with milliseconds.")]


CLIENT_FRAMES: tuple[type[msgspec.Struct], ...] = get_args(ClientFrame)
SOCKET_FRAMES = (Ready, Gap, Pong)  # and the events
STREAM_FRAMES = (Ready, Gap, End)  # likewise


def text_of(frame: Ready | Gap | Pong | End) -> str:
    """The frame as it is sent."""
    return msgspec.json.encode(frame).decode()


PONG = text_of(Pong())


class Stream:
    """Which event goes next: the numbers that were sent, and whether the table has to be asked.

    Fresh events come from the commit that wrote them, ready to be sent. Whatever does not follow on the last one (a
    lost nudge, a resume, too many at once) is read from the table instead.
    """

    __slots__ = ("last", "behind", "_fresh")
    MOST_FRESH = 64

    def __init__(self, last: int) -> None:
        self.last = last
        self.behind = True
        self._fresh: list[tuple[int, str]] = []

    def restart(self, after: int) -> None:
        """Begin again behind this number."""
        self.last = after
        self.behind = True

    def nudge(self, seq: int, frame: str | None) -> None:
        """Event `seq` was committed; without a `frame` it stands in the table only."""
        if frame is None:
            self.behind |= seq > self.last
        elif len(self._fresh) < self.MOST_FRESH:
            self._fresh.append((seq, frame))
        else:
            self.behind = True

    @property
    def waiting(self) -> int:
        """How many fresh events wait."""
        return len(self._fresh)

    def take(self) -> list[str]:
        """The fresh frames that follow on the last one; sets `behind` when one is missing."""
        fresh, self._fresh = self._fresh, []
        frames: list[str] = []
        for seq, frame in fresh:
            if self.behind:
                break
            if seq == self.last + 1:
                frames.append(frame)
                self.last = seq
            elif seq > self.last:
                self.behind = True
        return frames

    def caught_up(self, frames: list[tuple[int, str]], gap: int | None, newest: int) -> list[str]:
        """What the table gave behind `last`; returns what to send."""
        texts = []
        if gap is not None:
            texts.append(text_of(Gap(gap)))
            self.last = gap - 1
        for seq, frame in frames:
            texts.append(frame)
            self.last = seq
        self.behind = self.last < newest
        return texts
