"""What goes over the wire, as types. Fields of a newer server are ignored, missing ones have defaults."""

from datetime import datetime
from typing import Any

from msgspec import Raw, Struct, field

ENRICHMENT_ENDS = frozenset({"found", "not_found", "failed", "not_configured"})


class Envelope(Struct):
    """Every good answer; `data` is decoded by whoever asked, because only they know its type."""

    data: Raw
    next: str | None = None


class Author(Struct, frozen=True):
    id: int
    username: str
    name: str | None = None
    avatar_url: str | None = None


class Post(Struct, frozen=True):
    id: int
    author: Author
    title: str
    text: str
    link: str | None = None
    created_at: datetime | None = None
    edited_at: datetime | None = None
    like_count: int = 0
    liked: bool = False


class Liker(Struct, frozen=True):
    """One line of "who liked"."""

    username: str
    id: int | None = None
    name: str | None = None
    avatar_url: str | None = None
    liked_at: datetime | None = None


class Enrichment(Struct, frozen=True):
    status: str
    provider: str | None = None
    attempts: int = 0
    updated_at: datetime | None = None
    next_attempt_at: datetime | None = None
    fields: dict[str, Any] = {}


class User(Struct, frozen=True, kw_only=True):
    """A public profile."""

    id: int
    username: str
    name: str | None = None
    title: str | None = None
    company: str | None = None
    location: str | None = None
    bio: str | None = None
    site: str | None = None
    avatar_url: str | None = None
    created_at: datetime | None = None
    post_count: int = 0


class Me(User, frozen=True, kw_only=True):
    """The member's own profile."""

    email: str
    email_status: str | None = None
    email_confirmed_at: datetime | None = None
    enrichment: Enrichment | None = None
    referral_code: str | None = None
    role: str | None = None


class Referral(Struct, frozen=True):
    status: str = "none"


class TokenPair(Struct, frozen=True, kw_only=True):
    access_token: str
    refresh_token: str
    expires_at: datetime


class SignIn(TokenPair, frozen=True, kw_only=True):
    """The answer to a sign-up or a login; `referral` only says something after a sign-up."""

    user: Me
    referral: Referral = Referral()


class Event(Struct, frozen=True):
    """Something the server told the member; `epoch` is the numbering that `seq` belongs to.

    Type "gap" is the stream's own: the events before `data["from"]` are gone, `seq` is the last of these.
    """

    type: str
    seq: int
    at: datetime | None = None
    data: dict[str, Any] = {}
    epoch: str | None = None


class Frame(Struct, frozen=True):
    """Any frame of the server on the socket."""

    type: str
    seq: int | None = None
    at: datetime | None = None
    data: dict[str, Any] = {}
    epoch: str | None = None
    gap_from: int | None = field(name="from", default=None)
