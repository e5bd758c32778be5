"""Signing in, and what a wrong password costs."""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from server.accounts import addresses, queries
from server.accounts.model import Login
from server.accounts.needs import Needs, visitor
from server.accounts.queries import Account
from server.accounts.service import bad_credentials
from server.audit.log import Actor, count, record
from server.core.errors import Problem
from server.core.units import Rate
from server.storage import Tx
from server.web.allowances import Allowance
from server.web.limits import subject_of
from server.web.route import Answer, Call

FROM_ANYWHERE = Rate(100, 3600)  # wrong passwords per account, whatever address they come from


class LoggingIn:
    """POST /api/login."""

    def __init__(self, needs: Needs) -> None:
        self._needs = needs
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def prepare(self, call: Call) -> tuple[Account, str | None]:
        body: Login = call.body
        account = await self._needs.database.read(_find, body.username)
        subject = str(account.id) if account else f"unknown {body.username.casefold()}"
        here = f"{subject} {subject_of(call.address)}"
        if self._needs.limiter.is_exempt(call.address):
            return await self._prove(call, account)
        # One after the other, else honest ones at once would use up what is there for failures.
        try:
            async with (self._turns.setdefault(here, asyncio.Lock()),
                        self._counted_as_failure(call, account, subject, here)):
                return await self._prove(call, account)
        except Problem as problem:
            if problem.code == "rate_limited":
                await self._needs.database.write(self._blocked, call, account, subject)
            raise

    async def _prove(self, call: Call, account: Account | None) -> tuple[Account, str | None]:
        body: Login = call.body
        right = await self._needs.hasher.verify(body.password, account.password_hash if account else None)
        if account is None or not right:
            # The same for a name that is nobody's: neither the time nor the audit tells which names there are.
            await self._needs.database.write(count, "login_failed", Actor(None, call.address), _id(account))
            raise bad_credentials()
        outdated = self._needs.hasher.outdated(account.password_hash)
        return account, await self._needs.hasher.hash(body.password) if outdated else None

    @asynccontextmanager
    async def _counted_as_failure(self, call: Call, account: Account | None, subject: str,
                                  here: str) -> AsyncIterator[None]:
        """Counts a failure beforehand, so that no more than the allowed ones are tried at once in all processes; takes
        that back unless it was one."""
        allowances = self._needs.allowances
        counted = [Allowance("login_failures", self._needs.login_failures, here)]
        await allowances.take(counted[0])
        try:
            anywhere = Allowance("login_failures_anywhere", FROM_ANYWHERE, subject)
            if await self._may_fail(anywhere, call, account):
                counted.append(anywhere)
            yield
        except Problem as problem:
            if problem.code == "bad_credentials":
                raise
            await self._give_back(counted)
            raise
        await self._give_back(counted)

    async def _give_back(self, counted: list[Allowance]) -> None:
        for each in counted:
            await self._needs.allowances.give_back(each)

    async def _may_fail(self, anywhere: Allowance, call: Call, account: Account | None) -> bool:
        """Whether it was counted; raises Problem 429 where no more may fail."""
        try:
            await self._needs.allowances.take(anywhere)
        except Problem:
            # Whoever attacks an account from many addresses must not lock its owner out.
            if account is None or not await self._is_known(account, call.address):
                raise
            return False
        return True

    async def _blocked(self, tx: Tx, call: Call, account: Account | None, subject: str) -> None:
        """Writes it down, once for as long as failures count, however often and from wherever somebody tries it."""
        once = Allowance("login_blocked", Rate(1, self._needs.login_failures.seconds), subject)
        if await self._needs.allowances.take_in(tx, once) is None:
            await record(tx, "login_blocked", Actor(None, call.address), _id(account))

    async def _is_known(self, account: Account, address: str) -> bool:
        known = await self._needs.database.read(queries.signed_in_from, account.id)
        return subject_of(address) in map(subject_of, known)

    async def store(self, tx: Tx, call: Call, prepared: tuple[Account, str | None]) -> Answer | Problem:
        signed_in = await self._needs.accounts.log_in(tx, *prepared, visitor(call))
        if isinstance(signed_in, Problem):
            return signed_in
        return Answer(signed_in, about=signed_in.grant.user_id)


def _id(account: Account | None) -> int | None:
    return account.id if account else None


async def _find(tx: Tx, name: str) -> Account | None:
    # No user name has an @, every address has one.
    if "@" not in name:
        return await queries.account_by_name(tx, name) if name.isascii() else None
    address = addresses.parse(name)
    return await queries.account_by_email(tx, address.key) if address else None
