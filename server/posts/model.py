"""What posts take and give."""
from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from server.web.fields import Limit, Line255, Text20000, WebLink


class Author(msgspec.Struct):
    """Who wrote a post."""

    id: int
    username: str
    name: str | None
    avatar_url: str | None


class Post(msgspec.Struct):
    """A post. `liked`: by the caller; it stands last, because the rest is kept as bytes (see `memory`)."""

    id: int
    author: Author
    title: str
    text: str
    link: str | None
    created_at: str
    edited_at: str | None
    like_count: int
    liked: bool


class Liker(msgspec.Struct):
    """Somebody who liked a post."""

    id: int
    username: str
    name: str | None
    avatar_url: str | None
    liked_at: str


class ExportedPost(msgspec.Struct):
    """A post as its author's export has it."""

    id: int
    title: str
    text: str
    link: str | None
    created_at: str
    edited_at: str | None
    like_count: int


class ExportedLike(msgspec.Struct):
    """A like as its giver's export has it. `taken_back_at`: the trace of one stays, so that nobody is told twice."""

    post_id: int
    liked_at: str
    taken_back_at: str | None


class NewPost(msgspec.Struct, forbid_unknown_fields=True):
    """POST /api/posts."""

    title: Line255
    text: Text20000
    link: WebLink | None = None


class ChangePost(msgspec.Struct, forbid_unknown_fields=True):
    """PATCH /api/posts/{id}."""

    title: Line255 | UnsetType = UNSET
    text: Text20000 | UnsetType = UNSET
    link: WebLink | None | UnsetType = UNSET


class Feed(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which posts, in which order."""

    author: Annotated[str, Meta(min_length=1, max_length=30)] | None = None
    unliked: bool = False
    sort: Literal["new", "likes"] = "new"
    limit: Limit = 20
    cursor: Annotated[str, Meta(max_length=200)] | None = None
