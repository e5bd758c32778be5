"""A member's pair of tokens, renewed before anybody has to notice that it expires."""

import asyncio
import time
from collections.abc import Callable

import msgspec

from bot.errors import BadAnswer, NotSignedIn
from bot.models import Envelope, TokenPair
from bot.transport import Call, Reply, Transport, raise_for, server_time

_MARGIN = 30.0
_SHORTEST = 1.0


class Tokens:
    """Keeps the tokens of one member.

    Arguments: the transport for the renewal, and the clock (seconds, never set back).
    """

    def __init__(self, transport: Transport, clock: Callable[[], float] = time.monotonic) -> None:
        self._transport = transport
        self._clock = clock
        self._pair: TokenPair | None = None
        self._renew_at = 0.0
        self._renewing = asyncio.Lock()

    @property
    def signed_in(self) -> bool:
        return self._pair is not None

    def keep(self, pair: TokenPair, reply: Reply) -> None:
        """Takes a new pair over from the answer it came with.

        How long it lives is told by the server's clock alone: ours may be wrong by hours.
        """
        # At least a second: a server whose answers look expired must not be asked for tokens without a pause.
        lifetime = max(_SHORTEST, (pair.expires_at - server_time(reply)).total_seconds())
        self._renew_at = self._clock() + lifetime - min(_MARGIN, lifetime / 4)
        self._pair = pair

    def forget(self) -> None:
        """Signs out on this side."""
        self._pair = None

    def seconds_left(self) -> float:
        """Says for how long the access token can be used without a renewal."""
        return max(0.0, self._renew_at - self._clock())

    async def access(self, other_than: str | None = None) -> str:
        """Gives an access token that is good for a while, and not the one the server just refused.

        Raises NotSignedIn, and ApiError when the server does not renew (the session has ended).
        """
        pair = self._required()
        if pair.access_token != other_than and self._clock() < self._renew_at:
            return pair.access_token
        await self.renew(pair)
        return self._required().access_token

    async def renew(self, used: TokenPair | None = None) -> None:
        """Asks for a new pair, once, however many ask for it at the same moment."""
        used = used or self._required()
        async with self._renewing:
            if self._pair is used:
                await self._renew(used)

    async def _renew(self, used: TokenPair) -> None:
        body = msgspec.json.encode({"refresh_token": used.refresh_token})
        # May be repeated: the same old token gives the same new pair for 30 s.
        call = Call("POST", "/api/token/refresh", body, {"Content-Type": "application/json"})
        reply = await self._transport.send(call)
        if reply.status != 200:
            raise_for(call, reply)
        try:
            envelope = msgspec.json.decode(reply.body, type=Envelope)
            self.keep(msgspec.json.decode(envelope.data, type=TokenPair), reply)
        except msgspec.DecodeError as failure:
            raise BadAnswer(f"{call}: {failure}") from failure

    def _required(self) -> TokenPair:
        if self._pair is None:
            raise NotSignedIn("sign_up or login first")
        return self._pair
