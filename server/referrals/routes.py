"""The routes of referrals."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from server.referrals import queries
from server.referrals.codes import folded
from server.referrals.model import CodeStatus, InvitedMember, LedgerEntry, ReferralPage, ReferralSummary
from server.referrals.service import Referrals
from server.storage import Tx
from server.web import cursor
from server.web.fields import MAX_ID
from server.web.route import Answer, Call, Listing, Route


async def _list_invited(tx: Tx, call: Call) -> Answer:
    page: ReferralPage = call.query
    return _page("invited", page, await queries.invited(tx, call.me.id, _before("invited", page), page.limit + 1))


async def _list_ledger(tx: Tx, call: Call) -> Answer:
    page: ReferralPage = call.query
    return _page("ledger", page, await queries.ledger(tx, call.me.id, _before("ledger", page), page.limit + 1))


async def _show_code(tx: Tx, call: Call) -> Answer:
    return Answer(await queries.code_status(tx, folded(call.name)))


def _before(kind: str, page: ReferralPage) -> int:
    return cursor.decode(kind, page.cursor, 1)[0] if page.cursor else MAX_ID


def _page(kind: str, page: ReferralPage, found: list[Any]) -> Answer:
    more = cursor.encode(kind, found[page.limit - 1].id) if len(found) > page.limit else None
    return Answer(Listing(found[:page.limit], more))


def routes(referrals: Referrals, link: Callable[[str], str]) -> list[Route]:
    """The declarations."""
    async def summarise(tx: Tx, call: Call) -> Answer:
        return Answer(await referrals.summary(tx, call.me.id, link))

    return [
        Route("GET", "/api/referrals", "One's code, whom it brought, and one's balance", "member", ReferralSummary,
              load=summarise, express=True),
        Route("GET", "/api/referrals/invited", "Who came through one's code, newest first", "member", InvitedMember,
              query=ReferralPage, listing=True, problems=("bad_cursor",), load=_list_invited, express=True),
        Route("GET", "/api/referrals/ledger", "Every entry of one's ledger, newest first; the balance is their sum",
              "member", LedgerEntry, query=ReferralPage, listing=True, problems=("bad_cursor",), load=_list_ledger,
              express=True),
        Route("GET", "/api/referrals/{code}", "Whether a code is good, and whose it is", "open", CodeStatus,
              load=_show_code),
    ]
