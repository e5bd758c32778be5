"""Lists page by page, newest first: which page is asked for, and what leads to the next one."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from server.web import cursor
from server.web.fields import MAX_ID, Limit
from server.web.route import Listing


class Page(msgspec.Struct, forbid_unknown_fields=True):
    """Which page of a list."""

    limit: Limit = 20
    cursor: Annotated[str, Meta(max_length=200)] | None = None


def before(kind: str, page: Page) -> int:
    """The id that the page stands behind; raises Problem 400 for a cursor of another list."""
    return cursor.decode(kind, page.cursor, 1)[0] if page.cursor else MAX_ID


def newest_first(kind: str, page: Page, found: Sequence[Any]) -> Listing:
    """The page, and the cursor behind it. `found`: one more than it holds, if there is one; each with its `id`."""
    more = cursor.encode(kind, found[page.limit - 1].id) if len(found) > page.limit else None
    return Listing(found[:page.limit], more)
