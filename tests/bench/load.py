"""Load on 64 connections from one process that costs as little as it can: raw HTTP/1.1 on uvloop."""
from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

CONNECTIONS = 64


@dataclass
class Result:
    """What a round measured."""

    seconds: float
    cpu: float = 0.0  # seconds of the server's processor
    latencies: list[float] = field(default_factory=list)
    failures: int = 0

    @property
    def per_second(self) -> float:
        """Answers per second."""
        return len(self.latencies) / self.seconds

    @property
    def cost(self) -> float:
        """Seconds of the server's processor for an answer: less noisy than the rate on a machine that others use."""
        return self.cpu / len(self.latencies)

    def percentile(self, share: float) -> float:
        """Seconds that so many of the answers took at the most."""
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


class _Client(asyncio.Protocol):
    """One connection: the next request leaves when the answer is whole."""

    def __init__(self, requests: Iterator[bytes], result: Result, end: float) -> None:
        self._requests, self._result, self._end = requests, result, end
        self._buffer = b""
        self._sent = 0.0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        request = next(self._requests, None)
        if request is None or time.perf_counter() >= self._end:
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self._buffer.find(b"Content-Length: ", 0, head)
        length = int(self._buffer[at + 16:self._buffer.index(b"\r", at)]) if at >= 0 else 0
        if len(self._buffer) < head + 4 + length:
            return
        self._result.latencies.append(time.perf_counter() - self._sent)
        self._result.failures += self._buffer[9:10] != b"2"
        self._buffer = b""
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def run(port: int, requests_of: Callable[[int], Iterator[bytes]], seconds: float) -> Result:
    """Sends the requests of each connection for so many seconds."""
    loop = asyncio.get_running_loop()
    result = Result(0.0)
    begin = time.perf_counter()
    clients = [(await loop.create_connection(
        lambda number=number: _Client(requests_of(number), result, begin + seconds),  # type: ignore[misc]
        "127.0.0.1", port))[1] for number in range(CONNECTIONS)]
    await asyncio.gather(*(client.done for client in clients))
    result.seconds = time.perf_counter() - begin
    return result


def request(method: str, path: str, token: str | None = None, body: bytes = b"") -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
