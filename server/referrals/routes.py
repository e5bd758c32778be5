"""The routes of referrals."""
from __future__ import annotations

from collections.abc import Callable

from server.referrals import queries
from server.referrals.codes import folded
from server.referrals.model import CodeStatus, InvitedMember, LedgerEntry, ReferralSummary
from server.referrals.service import Referrals
from server.storage import Tx
from server.web import paging
from server.web.paging import Page
from server.web.route import Answer, Call, Route


async def _list_invited(tx: Tx, call: Call) -> Answer:
    page: Page = call.query
    found = await queries.invited(tx, call.me.id, paging.before("invited", page), page.limit + 1)
    return Answer(paging.newest_first("invited", page, found))


async def _list_ledger(tx: Tx, call: Call) -> Answer:
    page: Page = call.query
    found = await queries.ledger(tx, call.me.id, paging.before("ledger", page), page.limit + 1)
    return Answer(paging.newest_first("ledger", page, found))


async def _show_code(tx: Tx, call: Call) -> Answer:
    return Answer(await queries.code_status(tx, folded(call.name)))


def routes(referrals: Referrals, link: Callable[[str], str]) -> list[Route]:
    """The declarations."""
    async def summarise(tx: Tx, call: Call) -> Answer:
        return Answer(await referrals.summary(tx, call.me.id, link))

    return [
        Route("GET", "/api/referrals", "One's code, whom it brought, and one's balance", "member", ReferralSummary,
              load=summarise, express=True),
        Route("GET", "/api/referrals/invited", "Who came through one's code, newest first", "member", InvitedMember,
              query=Page, listing=True, problems=("bad_cursor",), load=_list_invited, express=True),
        Route("GET", "/api/referrals/ledger", "Every entry of one's ledger, newest first; the balance is their sum",
              "member", LedgerEntry, query=Page, listing=True, problems=("bad_cursor",), load=_list_ledger,
              express=True),
        Route("GET", "/api/referrals/{code}", "Whether a code is good, and whose it is", "open", CodeStatus,
              load=_show_code),
    ]
