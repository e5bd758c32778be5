"""Lists that are searched for a part of a text. No index finds that, so a page looks through a window of rows behind
its cursor and no further; what follows is found from its `next`, also when the page is short or empty."""
from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from server.storage import Row
from server.web import cursor
from server.web.fields import Line254
from server.web.paging import Page
from server.web.route import Listing

SIZE = 10_000  # rows


class Search(Page, forbid_unknown_fields=True):
    """Which page of a list, of those that hold `q`."""

    q: Line254 | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """The rows that a page looks through: their ids are below `before`, and not below `first`."""

    before: int
    first: int
    is_last: bool  # there is nothing behind it


def window(row: Row | None, before: int) -> Window:
    """The window behind an id. `row`: the lowest id in it, and how many rows it has, of `SIZE` at the most."""
    first, count = (None, 0) if row is None else row
    return Window(before, before if first is None else first, count < SIZE)


def everything(before: int) -> Window:
    """All that stands behind an id, where nothing is looked for and so no row is passed over."""
    return Window(before, 0, True)


def pattern(part: str) -> str:
    """What stands behind LIKE (with ESCAPE '!') to find a part of a text in lower case."""
    # As lower() of both databases has it: the letters of ASCII only.
    return "%" + re.sub("[!%_]", r"!\g<0>", part.encode().lower().decode()) + "%"


def listing(kind: str, limit: int, found: Sequence[Any], looked: Window, ahead: Sequence[Any] = ()) -> Listing:
    """The page. `found`: what the window holds, newest first, one more than fits, if there is one; each with its `id`.
    `ahead`: what stands before it on this page, wherever it is in the table."""
    room = limit - len(ahead)
    if len(found) > room:
        behind = found[room - 1].id if room else looked.before
    elif looked.is_last:
        return Listing([*ahead, *found], None)
    else:
        behind = looked.first
    return Listing([*ahead, *found[:room]], cursor.encode(kind, behind))
