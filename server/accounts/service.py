"""The rules of accounts: signing up, signing in, sessions, changing oneself."""
from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from msgspec import UNSET, structs

from server.accounts import queries
from server.accounts.addresses import Address
from server.accounts.confirmation import Confirmation, unconfirmed
from server.accounts.gate import Gate
from server.accounts.model import ChangeMe, Joined, Me, ReferralOutcome, SignedIn, SignUp
from server.accounts.queries import Account, NewUser
from server.accounts.tokens import Grant, Tokens, parse_refresh
from server.accounts.verification import Judgement, Verification
from server.audit.log import Actor, record
from server.core.clock import SECOND
from server.core.errors import FieldError, Problem
from server.enrichment.model import Enrichment
from server.mail import links
from server.storage import Tx, member_lock
from server.web.route import Outdated, unauthorized

REPEAT_MS = 30 * SECOND  # how long the answer to a refresh is given again
PROFILE = ("name", "title", "company", "bio", "location", "site", "avatar_url", "birth_date")
CODE_LENGTH = 10
_CODE_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that look like another


@dataclass(frozen=True, slots=True)
class Visitor:
    """From where and with what somebody signs in."""

    device: str
    address: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """The address that a member wants to have, judged, unless it is the one they have."""

    address: Address
    judgement: Judgement | None


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What accounts need of other features, handed over by `app`."""

    begin_enrichment: Callable[[Tx, int, bool], Awaitable[None]]
    join_referral: Callable[[Tx, int, str, str | None], Awaitable[Joined]]
    read_enrichment: Callable[[Tx, int], Awaitable[Enrichment]]
    profile_changed: Callable[[int], None]


class Accounts:
    """What happens inside the transactions."""

    def __init__(self, tokens: Tokens, gate: Gate, verification: Verification, confirmation: Confirmation,
                 neighbours: Neighbours, session_ms: int) -> None:
        self._tokens, self._gate, self._verification = tokens, gate, verification
        self._confirmation, self._neighbours = confirmation, neighbours
        self._session_ms = session_ms

    async def me(self, tx: Tx, user_id: int) -> Me:
        """The member as they see themselves."""
        return await queries.me(tx, user_id, await self._neighbours.read_enrichment(tx, user_id))

    async def sign_up(self, tx: Tx, body: SignUp, address: Address, password_hash: str, judgement: Judgement,
                      code: str | None, visitor: Visitor) -> SignedIn:
        """Makes the account, the session and the work that follows, all or nothing; raises Problem 409."""
        profile = tuple(getattr(body, name) for name in PROFILE)
        user_id = await self._insert(tx, NewUser(body.username, address.email, address.key, judgement.status,
                                                 password_hash, referral_code(), profile))
        await self._verification.begin(tx, user_id, address.key, judgement)
        await self._confirmation.correspondence.welcome(tx, user_id, body.username, address.email)
        await self._neighbours.begin_enrichment(tx, user_id, judgement.claimed)
        signed_in = await self._signed_in(tx, user_id, visitor)
        # Last: from here to the commit nobody else can come by the same code.
        joined = await self._neighbours.join_referral(tx, user_id, address.key, code)
        return structs.replace(signed_in, referral=ReferralOutcome(joined))

    async def _insert(self, tx: Tx, user: NewUser) -> int:
        user_id = await queries.insert_user(tx, user)
        if user_id is None:
            code = await queries.taken(tx, user.username, user.email_key)
            raise taken(code) if code else Problem("busy", "Try again.", headers={"Retry-After": "1"})
        return user_id

    async def _signed_in(self, tx: Tx, user_id: int, visitor: Visitor) -> SignedIn:
        nonce = secrets.token_hex(16)
        grant = await queries.insert_session(tx, user_id, nonce, visitor.device, visitor.address, self._session_ms)
        return SignedIn(await self.me(tx, user_id), grant)

    async def log_in(self, tx: Tx, account: Account, new_hash: str | None, visitor: Visitor) -> SignedIn | Problem:
        """Opens a session for somebody whose password was right a moment ago. Who has to confirm the address before
        gets another letter: the first one may be lost, and there is no session to ask for one with."""
        await tx.lock(member_lock(account.id))  # or else a change of the password does not see it, and it is not ended
        current = await queries.account(tx, account.id)
        if current is None:
            raise bad_credentials()
        if current.password_hash != account.password_hash:
            raise Outdated
        if current.suspended:
            raise Problem("suspended", "This account is suspended; ask an administrator.")
        if new_hash is not None:
            await queries.change_password(tx, account.id, account.password_hash, new_hash)
        if self._confirmation.to_sign_in and not current.confirmed:
            await self._confirmation.correspondence.confirm(tx, current)
            return unconfirmed()
        signed_in = await self._signed_in(tx, account.id, visitor)
        if signed_in.user.role == "admin":  # of everybody else the sessions tell, and they are many
            await record(tx, "signed_in", Actor(account.id, visitor.address), account.id,
                         _session(signed_in.grant.session_id))
        return signed_in

    async def refresh(self, tx: Tx, token: str, visitor: Visitor) -> Grant | Problem:
        """The next pair; the same one again within 30 s; later the session ends, because two have the token."""
        session_id, generation = parse_refresh(token)
        await tx.lock(f"session {session_id}")
        row = await queries.session(tx, session_id)
        if row is None or row.ended or row.suspended or row.expires_at <= tx.now:
            raise Problem("token_invalid", "Sign in again.")
        grant = row.grant
        if not self._tokens.is_refresh_of(token, _in_generation(grant, generation)):
            raise Problem("token_invalid", "Sign in again.")
        if generation == grant.generation:
            return await queries.rotate_session(tx, grant, visitor.address, self._session_ms)
        if generation == grant.generation - 1 and tx.now - grant.issued_at <= REPEAT_MS:
            return grant
        await self.end_session(tx, grant.user_id, session_id)
        await record(tx, "token_reused", Actor(None, visitor.address), grant.user_id, _session(session_id))
        return Problem("token_reused", "The session has ended; sign in again.")

    async def end_session(self, tx: Tx, user_id: int, session_id: int) -> bool:
        """Ends one of the member's sessions: its tokens are refused and its sockets closed at once."""
        ended = await queries.end_session(tx, session_id, user_id)
        if ended:
            await self._gate.end_after_commit(tx, [session_id])
        return ended

    async def end_listed_session(self, tx: Tx, owner: Actor, session_id: int) -> bool:
        """Like `end_session`, for one that the member has picked out of the list of them."""
        assert owner.id is not None
        ended = await self.end_session(tx, owner.id, session_id)
        if ended:
            await record(tx, "session_ended", owner, owner.id, _session(session_id))
        return ended

    async def change_password(self, tx: Tx, account: Account, new_hash: str, kept_session: int, address: str) -> None:
        """Writes the new hash and ends all other sessions."""
        await tx.lock(member_lock(account.id))
        if not await queries.change_password(tx, account.id, account.password_hash, new_hash):
            raise await changed(tx, account)
        await self._gate.end_after_commit(tx, await queries.end_other_sessions(tx, account.id, kept_session))
        await links.forget(tx, account.id, "reset")
        await record(tx, "password_changed", Actor(account.id, address), account.id)
        await self._confirmation.correspondence.password_changed(tx, account)

    async def change_me(self, tx: Tx, user_id: int, body: ChangeMe, wanted: Wanted | None) -> Me:
        """Writes what was given; another address counts once it is confirmed."""
        await tx.lock(member_lock(user_id))
        changes = {name: getattr(body, name) for name in PROFILE if getattr(body, name) is not UNSET}
        await queries.change_profile(tx, user_id, changes)
        if isinstance(body.mail_checks, bool):
            await queries.set_mail_checks(tx, user_id, body.mail_checks)
        account = await queries.account(tx, user_id)
        if wanted is not None and account is not None:
            await self._want(tx, account, wanted)
        tx.after_commit(lambda: self._neighbours.profile_changed(user_id))
        return await self.me(tx, user_id)

    async def _want(self, tx: Tx, account: Account, wanted: Wanted) -> None:
        if wanted.address.email == account.email:
            await self._confirmation.keep(tx, account)
        elif wanted.judgement is None:
            raise Outdated
        else:
            await self._confirmation.want(tx, account, wanted.address, wanted.judgement)


def _session(session_id: int) -> str:
    return f"session {session_id}"


def _in_generation(grant: Grant, generation: int) -> Grant:
    return Grant(grant.user_id, grant.session_id, generation, grant.issued_at, grant.nonce)


def referral_code() -> str:
    """A new member's code, easy to read out."""
    number = secrets.randbelow(len(_CODE_LETTERS) ** CODE_LENGTH)  # one call of the system instead of ten
    return "".join(_CODE_LETTERS[number // len(_CODE_LETTERS) ** at % len(_CODE_LETTERS)]
                   for at in range(CODE_LENGTH))


def taken(code: str) -> Problem:
    """The 409 for a name or an address."""
    field = "username" if code == "username_taken" else "email"
    return Problem(code, "Choose another one.", errors=[FieldError(field, code, "is taken")])


def bad_credentials() -> Problem:
    """The one answer to every sign-in that fails."""
    return Problem("bad_credentials", "Name or password is wrong.")


def wrong_password(field: str) -> Problem:
    """The answer to a change that needs the password, without it."""
    return Problem("wrong_password", "The current password is wrong.",
                   errors=[FieldError(field, "wrong_password", "is not the current password")])


async def changed(tx: Tx, account: Account) -> Exception:
    """What to raise when the hash is another one than that of the password that was right a moment ago."""
    return unauthorized() if await queries.account(tx, account.id) is None else Outdated()


def device(user_agent: str | None) -> str:
    """What the member's program calls itself, made fit to be shown."""
    return re.sub(r"[^\x20-\x7e]", "", user_agent or "")[:200] or "unknown"
