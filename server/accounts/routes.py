"""The routes of accounts."""
from __future__ import annotations

import asyncio
from typing import Any

from msgspec import UNSET

from server.accounts import addresses, passwords, queries
from server.accounts.addresses import Address
from server.accounts.model import (
    ChangeMe, ChangePassword, DeleteMe, Login, Me, OpenSession, Pair, Refresh, Session, SignedIn, SignedUp,
    SignUp,
)
from server.accounts.needs import Needs, visitor
from server.accounts.queries import Account
from server.accounts.service import Wanted, taken, wrong_password
from server.accounts.signing_in import LoggingIn
from server.accounts.tokens import Grant
from server.accounts.verification import Judgement
from server.audit.log import Actor, count
from server.core.errors import FieldError, Problem
from server.storage import Tx
from server.web import paging
from server.web.allowances import Allowance
from server.web.bodies import invalid
from server.web.paging import Page
from server.web.route import Answer, Call, Cookie, Route, unauthorized

COOKIE, COOKIE_PATH = "foyer_refresh", "/api/token"


class SigningUp:
    """POST /api/signup."""

    def __init__(self, needs: Needs) -> None:
        self._needs = needs

    async def prepare(self, call: Call) -> tuple[Address, str, Judgement]:
        body: SignUp = call.body
        address = addresses.parse(body.email)
        assert address is not None, "the field's rule has parsed it"
        passwords.check_not_name("password", body.password, body.username, address.email)
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
        # What somebody types wins over what the browser remembers of a link.
        code = call.body.referral_code or self._needs.invitation.of(call)
        signed_in = await self._needs.accounts.sign_up(tx, call.body, address, password_hash, judgement, code,
                                                       visitor(call))
        return Answer(signed_in, status=201, location="/api/me", about=signed_in.grant.user_id)


class Refreshing:
    """POST /api/token/refresh."""

    def __init__(self, needs: Needs) -> None:
        self._needs = needs

    async def store(self, tx: Tx, call: Call, prepared: None) -> Answer | Problem:
        token = (call.body and call.body.refresh_token) or call.request.cookies.get(COOKIE)
        if not token:
            raise invalid([FieldError("refresh_token", "required", "is missing, and there is no cookie either")])
        outcome = await self._needs.accounts.refresh(tx, token, visitor(call))
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
        passwords.check_not_name("new", body.new, account.username, account.email)
        return account, await self._needs.hasher.hash(body.new)

    async def store(self, tx: Tx, call: Call, prepared: tuple[Account, str]) -> Answer:
        await self._needs.accounts.change_password(tx, *prepared, call.me.session_id, call.address)
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

    async def prepare(self, call: Call) -> Wanted | None:
        body: ChangeMe = call.body
        address = addresses.parse(body.email) if body.email is not UNSET else None
        account = await self._needs.database.read(queries.account, call.me.id)
        if address is None or account is None:
            return None
        if account.email == address.email:
            return Wanted(address, None)
        used = await self._needs.database.read(queries.taken, "", address.key)
        if used and account.email_key != address.key:
            raise taken("email_taken")
        await self._count_address(call)
        return Wanted(address, await self._needs.verification.judge(address.email, address.key))

    async def _count_address(self, call: Call) -> None:
        # A verdict costs the operator as much as that of a sign-up.
        if not self._needs.limiter.is_exempt(call.address):
            await self._needs.allowances.take(Allowance("signup", self._needs.signup, f"member {call.me.id}"))

    async def store(self, tx: Tx, call: Call, prepared: Wanted | None) -> Answer:
        return Answer(await self._needs.accounts.change_me(tx, call.me.id, call.body, prepared))


def routes(needs: Needs) -> list[Route]:
    """The declarations."""
    signing_up, logging_in, refreshing = SigningUp(needs), LoggingIn(needs), Refreshing(needs)
    changing_password, changing_me, erasing = ChangingPassword(needs), ChangingMe(needs), Erasing(needs)

    def finish(call: Call, answer: Answer) -> Answer:
        return _with_tokens(needs, answer)

    def finish_signing_up(call: Call, answer: Answer) -> Answer:
        answer = _with_tokens(needs, answer)
        if needs.invitation.of(call):
            answer.cookies.append(needs.invitation.used())
        return answer

    def invited_by(call: Call) -> bytes:
        return (needs.invitation.of(call) or "").encode()

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
        before = paging.before("session", page)
        found = await queries.sessions(tx, call.me.id, before, page.limit + 1, call.me.session_id)
        return Answer(paging.newest_first("session", page, found))

    async def end_session(tx: Tx, call: Call, prepared: None) -> Answer:
        if not await needs.accounts.end_listed_session(tx, Actor.of(call), call.id):
            raise Problem("not_found", "There is no such session of yours.")
        return Answer(status=204)

    return [
        Route("POST", "/api/signup", "Sign up", "open", SignedUp, 201, takes=SignUp, limit="signup", stores=SignedIn,
              problems=("username_taken", "email_taken", "email_undeliverable", "verifier_unavailable", "busy"),
              beside_body=invited_by, prepare=signing_up.prepare, store=signing_up.store, finish=finish_signing_up),
        Route("POST", "/api/login", "Sign in with name or e-mail address", "open", Session, takes=Login, limit="login",
              stores=SignedIn, problems=("bad_credentials", "suspended", "email_unconfirmed", "busy"),
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
        # Whoever has got hold of a token must not try passwords here unseen.
        await needs.database.write(count, "login_failed", Actor(account.id, call.address), account.id)
        raise wrong_password(field)
    return account


def _cookie(value: str, seconds: int) -> Cookie:
    return Cookie(COOKIE, value, COOKIE_PATH, seconds)


def _refresh_cookie(call: Call) -> bytes:
    return (call.request.cookies.get(COOKIE) or "").encode(errors="replace")


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
