"""Hands one message to the mail server, and says what became of it.

The outside is not trusted: what the server says is cut, cleaned and stripped of addresses before anybody reads it, one
deadline covers everything from DNS to the answer after DATA, and a password travels inside of TLS or on this machine.
"""
from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import re
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from email.headerregistry import Address
from email.utils import parseaddr
from enum import StrEnum
from typing import cast
from urllib.parse import urlsplit

import aiosmtplib

from server.core import units
from server.core.redaction import redact
from server.core.units import MailServer
from server.providers import text
from server.settings import Settings

SECONDS = 20.0  # for one message, in all
_LONGEST_REASON = 200
_LONGEST_ANSWER = 40_000  # the client reads no longer ones
_GOODBYE_SECONDS = 1.0
# A 5xx that speaks of us, not of the message: sign-in needed, or refused, or only inside of TLS.
_SIGN_IN = (530, 534, 535, 538)
_READY, _FAILING = "ready", "failing"

_log = logging.getLogger("foyer.providers")


class Kind(StrEnum):
    """What became of a message."""

    SENT = "sent"        # the server took it
    REFUSED = "refused"  # for good: trying again would end the same way
    LATER = "later"      # not taken now, or nobody knows: try again


@dataclass(frozen=True, slots=True)
class Delivery:
    """The end of one try. `reason` is a line for people; it never holds an address or a secret, and is empty when the
    message was sent."""

    kind: Kind
    reason: str = ""


class _Trouble(Exception):
    """Why the server cannot be used, in our words."""


class Mail:
    """The way to the mail server; `sender` is the address that failures are reported to."""

    name = "mail"

    def __init__(self, server: MailServer, sender: str, *, timeout: float = SECONDS,
                 tls: ssl.SSLContext | None = None) -> None:
        self._server, self._sender, self._timeout = server, sender, timeout
        self._near = units.is_loopback(server.host)
        # Made once, because reading all certificates takes its time.
        self._tls = tls or (ssl.create_default_context() if server.tls or not self._near else None)
        self._trouble = ""

    async def deliver(self, recipient: str, message: bytes) -> Delivery:
        """One try to hand the message over, within `timeout` seconds; raises nothing but CancelledError."""
        client = self._client()
        try:
            async with asyncio.timeout(self._timeout):
                delivery = await self._try(client, recipient, message)
            await _say_goodbye(client)
            return delivery
        except TimeoutError:
            return self._failed(f"the mail server did not answer within {self._timeout:g} s")
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            return self._failed(_in_words(error))
        finally:
            _close(client)

    def describe(self) -> dict[str, object]:
        """`state` (ready or failing), `reason` and `until` for /readyz."""
        return {"state": _FAILING if self._trouble else _READY, "reason": self._trouble, "until": None}

    def _client(self) -> aiosmtplib.SMTP:
        # The name that greets is given: looking it up could take longer than sending.
        return aiosmtplib.SMTP(hostname=self._server.host, port=self._server.port, timeout=None, start_tls=False,
                               use_tls=self._server.tls, tls_context=self._tls,
                               local_hostname=self._sender.rpartition("@")[2])

    async def _try(self, client: aiosmtplib.SMTP, recipient: str, message: bytes) -> Delivery:
        try:
            await self._open(client)
        except _Trouble as trouble:
            return self._failed(str(trouble))
        except aiosmtplib.SMTPResponseException as error:
            return self._failed("the mail server takes nobody now", self._said(error, recipient))
        try:
            await self._hand_over(client, recipient, message)
        except aiosmtplib.SMTPResponseException as error:
            return self._judged(error, recipient)
        except ValueError:  # nothing that fits on a command line
            return Delivery(Kind.REFUSED, "the address cannot be written to")
        except aiosmtplib.SMTPNotSupported:
            self._works()
            return Delivery(Kind.REFUSED, "the mail server takes no address with letters beyond ASCII")
        self._works()
        return Delivery(Kind.SENT)

    async def _open(self, client: aiosmtplib.SMTP) -> None:
        """From the connection to the sign-in."""
        await client.connect()
        await _greet(client)
        if not self._server.tls and not self._near and client.supports_extension("starttls"):
            await client.starttls()
            await _greet(client)
        if not self._server.user:
            return
        if not self._near and client.get_transport_info("sslcontext") is None:
            raise _Trouble("the mail server offers no TLS, and the password is not sent without it")
        if not client.supported_auth_methods:
            raise _Trouble("the mail server offers no way to sign in that is known here")
        try:
            await client.login(self._server.user, self._server.password)
        except aiosmtplib.SMTPAuthenticationError as error:
            raise _Trouble(f"the mail server refused the sign-in ({error.code})") from None

    async def _hand_over(self, client: aiosmtplib.SMTP, recipient: str, message: bytes) -> None:
        if "@" not in recipient or parseaddr(recipient)[1] != recipient:
            raise ValueError  # the client would make an address of it, and write to another one
        beyond_ascii = not recipient.isascii()
        if beyond_ascii and not client.supports_extension("smtputf8"):
            raise aiosmtplib.SMTPNotSupported("SMTPUTF8")
        options = ["SMTPUTF8"] if beyond_ascii else []
        if not message.isascii() and client.supports_extension("8bitmime"):
            options.append("BODY=8BITMIME")
        encoding = "utf-8" if beyond_ascii else "ascii"
        await client.mail(self._sender, options=options, encoding=encoding)
        await client.rcpt(recipient, encoding=encoding)
        await client.data(message)

    def _judged(self, error: aiosmtplib.SMTPResponseException, recipient: str) -> Delivery:
        """What an answer to the sender, the recipient or the message means."""
        said = self._said(error, recipient)
        if error.code in _SIGN_IN:
            return self._failed("the mail server asks for another sign-in", said)
        if 500 <= error.code < 600:
            self._works()
            return Delivery(Kind.REFUSED, _line("the mail server refused it", said))
        if isinstance(error, aiosmtplib.SMTPRecipientRefused) and error.code != 421:
            self._works()  # one mailbox is not ready: that says nothing about the server
            return Delivery(Kind.LATER, _line("the mail server takes it later", said))
        return self._failed("the mail server takes it later", said)

    def _said(self, error: aiosmtplib.SMTPResponseException, recipient: str) -> str:
        code = f"{error.code} " if error.code > 0 else ""  # below zero: not an answer that SMTP knows
        return without_addresses(code + error.message, recipient, (self._server.user, self._server.password))

    def _failed(self, why: str, said: str = "") -> Delivery:
        if self._trouble != why:
            _log.warning("%s: %s", self.name, why)
        self._trouble = why  # without the words of the server: /readyz is open to everybody
        return Delivery(Kind.LATER, _line(why, said))

    def _works(self) -> None:
        if self._trouble:
            _log.warning("%s is back", self.name)
        self._trouble = ""


async def _greet(client: aiosmtplib.SMTP) -> None:
    try:
        await client.ehlo()
    except aiosmtplib.SMTPHeloError:
        if not client.is_connected:
            raise
        await client.helo()


async def _say_goodbye(client: aiosmtplib.SMTP) -> None:
    """Nothing that goes wrong here changes what became of the message."""
    with contextlib.suppress(aiosmtplib.SMTPException, OSError):
        async with asyncio.timeout(_GOODBYE_SECONDS):
            await client.execute_command(b"QUIT")


def _close(client: aiosmtplib.SMTP) -> None:
    if client.transport is not None:
        # An orderly close would wait for a peer that reads nothing.
        cast(asyncio.WriteTransport, client.transport).abort()
    client.close()


def _in_words(error: Exception) -> str:
    """What stopped us, in our words: the text of these errors holds names and what the server sent."""
    causes = (error, error.__cause__)
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return "the mail server's certificate cannot be trusted"
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return "TLS with the mail server failed"
    if isinstance(error, aiosmtplib.SMTPServerDisconnected):
        return "the mail server closed the connection"
    if isinstance(error, (aiosmtplib.SMTPConnectError, OSError)):
        return "the mail server cannot be reached"
    return "the mail server speaks in a way that is not understood"


def _line(why: str, said: str) -> str:
    return f"{why}: {said}"[:_LONGEST_REASON].rstrip() if said else why


def without_addresses(said: str, recipient: str, secrets: Iterable[str] = ()) -> str:
    """What a server said as one line of clean text, without addresses and the secrets.

    Servers repeat whom they were asked about: the address, or only what stands before the @.
    """
    line = text.plain(said, _LONGEST_ANSWER) or ""
    for secret in filter(None, secrets):
        line = line.replace(secret, "<secret>")
    line = redact(" ".join("<e-mail>" if "@" in word else word for word in line.split()))
    local = recipient.rpartition("@")[0]
    for name in filter(None, (local, local.partition("+")[0])):
        line = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "<e-mail>", line, flags=re.IGNORECASE)
    return line


def sender_of(settings: Settings) -> str:
    """The mailbox that mails come from, as it stands in a From header: `Foyer <foyer@example.org>`."""
    sender = units.mailbox_parts(settings.mail.sender or _own_mailbox(settings))
    return str(Address(sender.name, addr_spec=sender.address))


def sender_address(settings: Settings) -> str:
    """The address alone of `sender_of`."""
    return units.mailbox_parts(sender_of(settings)).address


def _own_mailbox(settings: Settings) -> str:
    host = urlsplit(settings.server.public_url).hostname or settings.server.host
    try:
        return units.mailbox(f"Foyer <foyer@{'localhost' if _is_number(host) else host.encode('idna').decode()}>")
    except ValueError:  # a name that resolves, and yet cannot stand in an address: with an underscore
        return "Foyer <foyer@localhost>"


def _is_number(host: str) -> bool:
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False
