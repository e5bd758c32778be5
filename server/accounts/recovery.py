"""A forgotten password: a link by mail, and a new password by the link."""
from __future__ import annotations

import random
import secrets

from server.accounts import addresses, passwords, queries
from server.accounts.confirmation import Confirmation, bad_link
from server.accounts.gate import Gate
from server.accounts.model import Accepted, Forgot, Reset
from server.accounts.passwords import Hasher
from server.accounts.queries import Account
from server.audit.log import Actor, record
from server.core.clock import SECOND
from server.jobs import Decision, Done, Job, Queue, RetryPolicy
from server.mail import Link, Links, links
from server.storage import Database, Tx, member_lock
from server.web.route import Answer, Call, Outdated, Route

KIND = "forgot_password"
# The letter is written a moment later, at no certain time: neither the answer nor what happens right behind it shows
# whether there is anybody of that address.
SOONEST, LATEST = SECOND // 5, SECOND


class Forgetting:
    """POST /api/password/forgot: the same work for an address that is nobody's."""

    def __init__(self, database: Database, work: Queue) -> None:
        self._database, self._queue = database, work

    async def prepare(self, call: Call) -> str:
        body: Forgot = call.body
        address = addresses.parse(body.email)
        assert address is not None, "the field's rule has parsed it"
        account = await self._database.read(queries.account_by_email, address.key)
        # A key of its own for each request, or one for somebody whose job is open would write nothing and be faster.
        return f"{account.id if account else 'nobody'} {secrets.token_hex(8)}"

    async def store(self, tx: Tx, call: Call, prepared: str) -> Answer:
        await self._queue.enqueue(tx, KIND, prepared, tx.now + random.randint(SOONEST, LATEST))
        return Answer(Accepted(), status=202)


class ForgotJob:
    """Writes the letter, if there is somebody to write to."""

    kind = KIND
    concurrency = 4
    policy = RetryPolicy(10, 1.0, 60.0)

    def __init__(self, confirmation: Confirmation) -> None:
        self._correspondence = confirmation.correspondence

    async def load(self, tx: Tx, job: Job) -> None:
        who = job.key.partition(" ")[0]
        account = await queries.account(tx, int(who)) if who.isdigit() else None
        if account is not None:
            await self._correspondence.reset(tx, account)

    async def call(self, job: Job, loaded: None) -> None:
        return None

    async def store(self, tx: Tx, job: Job, loaded: None, result: None) -> Decision:
        return Done()

    async def give_up(self, tx: Tx, job: Job, error: str) -> None:
        return None


class Resetting:
    """POST /api/password/reset. A password that is refused does not use the link up."""

    def __init__(self, database: Database, letters: Links, hasher: Hasher, gate: Gate,
                 confirmation: Confirmation) -> None:
        self._database, self._links, self._hasher = database, letters, hasher
        self._gate, self._confirmation = gate, confirmation

    async def prepare(self, call: Call) -> tuple[Link, Account, str]:
        body: Reset = call.body
        link, account = await self._database.read(self._find, body.token)
        passwords.check_not_name("password", body.password, account.username, account.email)
        return link, account, await self._hasher.hash(body.password)

    async def _find(self, tx: Tx, token: str) -> tuple[Link, Account]:
        link = await self._links.find(tx, "reset", token)
        account = await queries.account(tx, link.user_id) if link else None
        if link is None or account is None:
            raise bad_link()
        return link, account

    async def store(self, tx: Tx, call: Call, prepared: tuple[Link, Account, str]) -> Answer:
        link, account, new_hash = prepared
        await tx.lock(member_lock(account.id))
        if not await links.use(tx, link):
            raise bad_link()
        if not await queries.change_password(tx, account.id, account.password_hash, new_hash):
            raise Outdated
        await links.forget(tx, account.id, "reset")
        await self._gate.end_after_commit(tx, await queries.end_other_sessions(tx, account.id, 0))
        await self._confirmation.prove(tx, account, link)
        await record(tx, "password_reset", Actor(None, call.address), account.id)
        await self._confirmation.correspondence.password_changed(tx, account)
        return Answer(status=204)


def routes(forgetting: Forgetting, resetting: Resetting) -> list[Route]:
    """The declarations."""
    return [
        Route("POST", "/api/password/forgot", "Ask for a mail with a link to set a new password; the answer is the "
              "same for an address that is nobody's", "open", Accepted, 202, takes=Forgot, limit="login",
              prepare=forgetting.prepare, store=forgetting.store),
        Route("POST", "/api/password/reset", "Set a new password with the token of a mail's link; every session ends",
              "open", status=204, takes=Reset, limit="login", problems=("busy",), also=((422, "token_invalid"),),
              prepare=resetting.prepare, store=resetting.store),
    ]
