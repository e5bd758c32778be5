"""The routes of accounts."""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from msgspec import UNSET

from server.accounts import addresses, passwords, queries
from server.accounts.addresses import Address
from server.accounts.erasure import Erasure
from server.accounts.model import (
    ChangeMe, ChangePassword, DeleteMe, Login, Me, OpenSession, Page, Pair, Refresh, Session, SignedIn, SignedUp,
    SignUp,
)
from server.accounts.passwords import Hasher
from server.accounts.queries import Account
from server.accounts.service import Accounts, Visitor, bad_credentials, device, taken, wrong_password
from server.accounts.tokens import Grant, Tokens
from server.accounts.verification import Judgement, Verification
from server.core.errors import FieldError, Problem
from server.core.units import Rate
from server.storage import Database, Tx
from server.web import cursor
from server.web.allowances import Allowance, Allowances
from server.web.bodies import invalid
from server.web.fields import MAX_ID
from server.web.limits import Limiter, subject_of
from server.web.route import Answer, Call, Cookie, Listing, Route, unauthorized

COOKIE, COOKIE_PATH = "foyer_refresh", "/api/token"
FROM_ANYWHERE = Rate(100, 3600)  # wrong passwords per account, whatever address they come from


@dataclass(frozen=True, slots=True)
class Needs:
    """What the routes of accounts work with."""

    database: Database
    accounts: Accounts
    erasure: Erasure
    verification: Verification
    hasher: Hasher
    tokens: Tokens
    limiter: Limiter
    allowances: Allowances
    signup: Rate
    login_failures: Rate
    refresh_seconds: int


class SigningUp:
    """POST /api/signup."""

    def __init__(self, needs: Needs) -> None:
        self._needs = needs

    async def prepare(self, call: Call) -> tuple[Address, str, Judgement]:
        body: SignUp = call.body
        address = addresses.parse(body.email)
        assert address is not None, "the field's rule has parsed it"
        _check_not_name("password", body.password, body.username, address.email)
        # Before the slow part; the transaction looks again.
        code = await self._needs.database.read(queries.taken, body.username, address.key)
        if code:
            raise taken(code)
        async with asyncio.TaskGroup() as group:
            hashed = group.create_task(_caught(self._needs.hasher.hash(body.password)))
            judged = group.create_task(_caught(self._needs.verification.judge(address.email, address.key)))
        return address, _value(hashed.result()), _value(judged.result())

    async def store(self, tx: Tx, call: Call, prepared: tuple[Address, str, Judgement]) -> Answer:
        address, password_hash, judgement = prepared
        signed_in = await self._needs.accounts.sign_up(tx, call.body, address.key, address.email, password_hash,
                                                       judgement, _visitor(call))
        return Answer(signed_in, status=201, location="/api/me", about=signed_in.grant.user_id)


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
            return await self._prove(body, account)
        # One after the other, else honest ones at once would use up what is there for failures.
        async with self._turns.setdefault(here, asyncio.Lock()), self._counted_as_failure(call, account, subject, here):
            return await self._prove(body, account)

    async def _prove(self, body: Login, account: Account | None) -> tuple[Account, str | None]:
        right = await self._needs.hasher.verify(body.password, account.password_hash if account else None)
        if account is None or not right:
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

    async def _is_known(self, account: Account, address: str) -> bool:
        known = await self._needs.database.read(queries.signed_in_from, account.id)
        return subject_of(address) in map(subject_of, known)

    async def store(self, tx: Tx, call: Call, prepared: tuple[Account, str | None]) -> Answer:
        signed_in = await self._needs.accounts.log_in(tx, *prepared, _visitor(call))
        return Answer(signed_in, about=signed_in.grant.user_id)


class Refreshing:
    """POST /api/token/refresh."""

    def __init__(self, needs: Needs) -> None:
        self._needs = needs

    async def store(self, tx: Tx, call: Call, prepared: None) -> Answer | Problem:
        token = (call.body and call.body.refresh_token) or call.request.cookies.get(COOKIE)
        if not token:
            raise invalid([FieldError("refresh_token", "required", "is missing, and there is no cookie either")])
        outcome = await self._needs.accounts.refresh(tx, token, _visitor(call))
        return outcome if isinstance(outcome, Problem) else Answer(outcome, about=outcome.user_id)

    def finish(self, call: Call, answer: Answer) -> Answer:
        grant: Grant = answer.data
        tokens = self._needs.tokens
        pair = Pair(tokens.access(grant), tokens.refresh(grant), tokens.expires_at(grant))
        answer.data, answer.cookies = pair, [_cookie(pair.refresh_token, self._needs.refresh_seconds)]
        return answer


class ChangingPassword:
    """POST /api/me/password."""

    def __init__(self, needs: Needs) -> None:
        self._needs = needs

    async def prepare(self, call: Call) -> tuple[Account, str]:
        body: ChangePassword = call.body
        account = await _proven(self._needs, call, "current", body.current)
        _check_not_name("new", body.new, account.username, account.email)
        return account, await self._needs.hasher.hash(body.new)

    async def store(self, tx: Tx, call: Call, prepared: tuple[Account, str]) -> Answer:
        await self._needs.accounts.change_password(tx, *prepared, call.me.session_id)
        return Answer(status=204)


class Erasing:
    """DELETE /api/me."""

    def __init__(self, needs: Needs) -> None:
        self._needs = needs

    async def prepare(self, call: Call) -> Account:
        body: DeleteMe = call.body
        return await _proven(self._needs, call, "password", body.password)

    async def store(self, tx: Tx, call: Call, prepared: Account) -> Answer:
        await self._needs.erasure.erase(tx, prepared)
        return Answer(status=204)


class ChangingMe:
    """PATCH /api/me."""

    def __init__(self, needs: Needs) -> None:
        self._needs = needs

    async def prepare(self, call: Call) -> tuple[str, str, Judgement | None]:
        body: ChangeMe = call.body
        address = addresses.parse(body.email) if body.email is not UNSET else None
        account = await self._needs.database.read(queries.account, call.me.id)
        if address is None or (account is not None and account.email == address.email):
            return "", "", None
        if await self._needs.database.read(queries.taken, "", address.key) and (
                account is None or account.email_key != address.key):
            raise taken("email_taken")
        await self._count_address(call)
        return address.email, address.key, await self._needs.verification.judge(address.email, address.key)

    async def _count_address(self, call: Call) -> None:
        # A verdict costs the operator as much as that of a sign-up.
        if not self._needs.limiter.is_exempt(call.address):
            await self._needs.allowances.take(Allowance("signup", self._needs.signup, f"member {call.me.id}"))

    async def store(self, tx: Tx, call: Call, prepared: tuple[str, str, Judgement | None]) -> Answer:
        return Answer(await self._needs.accounts.change_me(tx, call.me.id, call.body, *prepared))


def routes(needs: Needs) -> list[Route]:
    """The declarations."""
    signing_up, logging_in, refreshing = SigningUp(needs), LoggingIn(needs), Refreshing(needs)
    changing_password, changing_me, erasing = ChangingPassword(needs), ChangingMe(needs), Erasing(needs)

    def finish(call: Call, answer: Answer) -> Answer:
        return _with_tokens(needs, answer)

    async def show_me(tx: Tx, call: Call) -> Answer:
        return Answer(await needs.accounts.me(tx, call.me.id))

    async def log_out(tx: Tx, call: Call, prepared: None) -> Answer:
        await needs.accounts.end_session(tx, call.me.id, call.me.session_id)
        return Answer(status=204)

    def without_cookie(call: Call, answer: Answer) -> Answer:
        answer.cookies = [_cookie("", 0)]
        return answer

    async def list_sessions(tx: Tx, call: Call) -> Answer:
        page: Page = call.query
        before = cursor.decode("session", page.cursor, 1)[0] if page.cursor else MAX_ID
        found = await queries.sessions(tx, call.me.id, before, page.limit + 1, call.me.session_id)
        more = cursor.encode("session", found[page.limit - 1].id) if len(found) > page.limit else None
        return Answer(Listing(found[:page.limit], more))

    async def end_session(tx: Tx, call: Call, prepared: None) -> Answer:
        if not await needs.accounts.end_session(tx, call.me.id, call.id):
            raise Problem("not_found", "There is no such session of yours.")
        return Answer(status=204)

    return [
        Route("POST", "/api/signup", "Sign up", "open", SignedUp, 201, takes=SignUp, limit="signup", stores=SignedIn,
              problems=("username_taken", "email_taken", "email_undeliverable", "verifier_unavailable", "busy"),
              prepare=signing_up.prepare, store=signing_up.store, finish=finish),
        Route("POST", "/api/login", "Sign in with name or e-mail address", "open", Session, takes=Login, limit="login",
              stores=SignedIn, problems=("bad_credentials", "suspended", "busy"),
              prepare=logging_in.prepare, store=logging_in.store, finish=finish),
        Route("POST", "/api/token/refresh", "A new pair of tokens for a refresh token", "open", Pair, takes=Refresh,
              limit="read", body_optional=True, cookie=COOKIE, beside_body=_refresh_cookie, stores=Grant,
              problems=("token_invalid", "token_reused"), store=refreshing.store, finish=refreshing.finish),
        Route("POST", "/api/logout", "Sign out: the session's tokens are refused at once", "member", status=204,
              store=log_out, finish=without_cookie),
        Route("GET", "/api/sessions", "One's open sessions, newest first", "member", OpenSession, query=Page,
              listing=True, problems=("bad_cursor",), load=list_sessions),
        Route("DELETE", "/api/sessions/{id}", "End one of one's sessions", "member", status=204,
              problems=("not_found",), store=end_session),
        Route("GET", "/api/me", "Oneself", "member", Me, load=show_me),
        Route("PATCH", "/api/me", "Change one's profile or address", "member", Me, takes=ChangeMe,
              problems=("email_taken", "email_undeliverable", "verifier_unavailable"),
              prepare=changing_me.prepare, store=changing_me.store),
        Route("DELETE", "/api/me", "Leave: all that is one's own is erased, name and address are free again", "member",
              status=204, takes=DeleteMe, limit="login", problems=("wrong_password", "busy"),
              prepare=erasing.prepare, store=erasing.store, finish=without_cookie),
        Route("POST", "/api/me/password", "Change one's password; all other sessions end", "member", status=204,
              takes=ChangePassword, limit="login", problems=("wrong_password", "busy"),
              prepare=changing_password.prepare, store=changing_password.store),
    ]


def _with_tokens(needs: Needs, answer: Answer) -> Answer:
    signed_in: SignedIn = answer.data
    tokens, grant = needs.tokens, signed_in.grant
    access, refresh, expires = tokens.access(grant), tokens.refresh(grant), tokens.expires_at(grant)
    if signed_in.referral is not None:
        answer.data = SignedUp(signed_in.user, access, refresh, expires, signed_in.referral)
    else:
        answer.data = Session(signed_in.user, access, refresh, expires)
    answer.cookies = [_cookie(refresh, needs.refresh_seconds)]
    return answer


async def _proven(needs: Needs, call: Call, field: str, password: str) -> Account:
    """The caller's account; raises Problem 403 when the password is not theirs."""
    account = await needs.database.read(queries.account, call.me.id)
    if account is None:
        raise unauthorized()
    if not await needs.hasher.verify(password, account.password_hash):
        raise wrong_password(field)
    return account


def _cookie(value: str, seconds: int) -> Cookie:
    return Cookie(COOKIE, value, COOKIE_PATH, seconds)


def _refresh_cookie(call: Call) -> bytes:
    return (call.request.cookies.get(COOKIE) or "").encode(errors="replace")


def _visitor(call: Call) -> Visitor:
    return Visitor(device(call.request.headers.get("User-Agent")), call.address)


async def _find(tx: Tx, name: str) -> Account | None:
    # No user name has an @, every address has one.
    if "@" not in name:
        return await queries.account_by_name(tx, name) if name.isascii() else None
    address = addresses.parse(name)
    return await queries.account_by_email(tx, address.key) if address else None


def _check_not_name(field: str, password: str, username: str, email: str) -> None:
    if passwords.is_name(password, username, email, email.partition("@")[0]):
        raise invalid([FieldError(field, "is_the_name", "must not be one's own name or address")])


async def _caught(work: Any) -> Any:
    """The result or the Problem: a TaskGroup would wrap it and cancel the other task in the middle."""
    try:
        return await work
    except Problem as problem:
        return problem


def _value(result: Any) -> Any:
    if isinstance(result, Problem):
        raise result
    return result
