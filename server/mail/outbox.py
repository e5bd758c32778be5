"""Where a letter is put: a row and a job, in the transaction of what the letter tells of."""
from __future__ import annotations

import secrets
from typing import Any

from server.jobs import Queue
from server.mail import letters, queries
from server.mail.model import Status
from server.mail.queries import KIND
from server.storage import Tx


class Outbox:
    """Takes letters. `configured`: whether there is a server to send them by; else they are kept to be read."""

    def __init__(self, configured: bool, queue: Queue, domain: str) -> None:
        self.configured = configured
        self._queue, self._domain = queue, domain

    async def send(self, tx: Tx, user_id: int, letter: str, recipient: str, words: dict[str, Any],
                   link_id: int | None = None) -> int:
        """Sends a letter to a member, soon; the mail's id.

        `words`: what its template needs. The Message-ID is given now, so that it is the same however often it is sent.
        """
        assert letters.has_link(letter) == (link_id is not None), letter
        message_id = f"<{secrets.token_hex(16)}@{self._domain}>"
        status: Status = "queued" if self.configured else "not_configured"
        mail_id = await queries.insert(tx, user_id, letter, recipient, words, link_id, message_id, status)
        if self.configured:
            await self._queue.enqueue(tx, KIND, str(mail_id))
        return mail_id
