"""Mail servers of the tests' own: one that says what it is told to, and a real one with TLS and sign-in."""
from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult

from server.core.units import MailServer

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(talk: Talk, **options: Any) -> AsyncIterator[MailServer]:
    """A server of the test's own."""
    busy: set[asyncio.Task[Any]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        busy.add(task)
        try:
            await talk(reader, writer)
        except OSError:
            pass
        finally:
            writer.close()
    server = await asyncio.start_server(connected, "127.0.0.1", 0, **options)
    try:
        yield MailServer("127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await asyncio.gather(*busy)


def scripted(*ehlo: bytes, greeting: bytes = b"220 h", **answers: bytes) -> Any:
    """A server that answers each command by its first word, else with 250."""
    known = {"EHLO": b"\r\n".join(ehlo or (b"250 h",)), "DATA": b"354 go", "QUIT": b"221 bye"}
    known.update({name.upper(): answer for name, answer in answers.items()})

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting + b"\r\n")
        while line := await reader.readline():
            word = line.split()[0].decode("latin-1").upper()
            writer.write(known.get(word, b"250 ok") + b"\r\n")
            if word == "DATA" and known["DATA"].startswith(b"354"):
                while (line := await reader.readline()) not in (b".\r\n", b""):
                    pass
                writer.write(known.get("DOT", b"250 ok") + b"\r\n")
    return listening(talk)


class Desk:
    """Takes every letter, and notes what it heard."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.signed_in: list[tuple[bool, bytes, bytes]] = []

    async def handle_DATA(self, smtp: SMTP, session: Any, envelope: Any) -> str:
        self.taken.append(envelope.content)
        return "250 OK"

    def sign_in(self, smtp: SMTP, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        self.signed_in.append((session.ssl is not None, data.login, data.password))
        return AuthResult(success=data.password == b"p@ss", handled=False)


@asynccontextmanager
async def real(desk: Desk, folder: Path | None = None, implicit: bool = False) -> AsyncIterator[int]:
    """A server of aiosmtpd with sign-in, with STARTTLS or TLS where there is a certificate; its port."""
    context = None
    if folder is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(desk, hostname="mail.test", tls_context=None if implicit else context, authenticator=desk.sign_in,
                     auth_require_tls=False, loop=loop),
        "127.0.0.1", 0, ssl=context if implicit else None)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await server.wait_closed()
