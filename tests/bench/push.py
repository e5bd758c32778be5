"""From the provider's answer to the member's socket, with 1 000 sockets open.

`python -m tests.bench.push [--sockets N] [--samples N]`. The provider is a small server in this process that notes when
its answer leaves; the server keeps to the vendor's 10 calls a second, so 200 samples take 20 s.
"""
from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from pathlib import Path

import aiohttp
import uvloop
from aiohttp import web

from tests.bench import data
from tests.bench.processes import LOAD_CORE, foyer

HELD = 0.3  # seconds in which the newcomer's socket is opened


class Provider:
    """Knows everybody, after a moment."""

    def __init__(self) -> None:
        self.answered: dict[str, float] = {}

    async def find(self, request: web.Request) -> web.Response:
        """The combined call of Clearbit."""
        await asyncio.sleep(HELD)
        email = request.query["email"]
        self.answered[email] = time.perf_counter()
        return web.json_response({"person": {"name": {"fullName": "Ada Lovelace"}}, "company": None})

    async def start(self) -> tuple[web.AppRunner, int]:
        """Starts it; its port."""
        app = web.Application()
        app.router.add_get("/v2/combined/find", self.find)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, runner.addresses[0][1]


async def _idle(session: aiohttp.ClientSession, url: str, token: str) -> aiohttp.ClientWebSocketResponse:
    socket = await session.ws_connect(url + "/ws", headers={"Authorization": f"Bearer {token}"})
    await socket.receive_json(timeout=10)
    return socket


async def _newcomer(session: aiohttp.ClientSession, url: str, number: int, provider: Provider) -> float:
    email = f"newcomer{number}@example.org"
    body = {"username": f"newcomer{number}", "email": email, "password": "corr3ct-horse"}
    async with session.post(url + "/api/signup", json=body) as response:
        assert response.status == 201, await response.text()
        token = (await response.json())["data"]["access_token"]
    socket = await _idle(session, url, token)
    frame = await socket.receive(timeout=60)
    came = time.perf_counter()
    assert '"found"' in frame.data
    await socket.close()
    return came - provider.answered[email]


async def _measure(path: Path, tokens: list[str], sockets: int, samples: int) -> None:
    provider = Provider()
    runner, port = await provider.start()
    environ = {"FOYER_CLEARBIT_URL": f"http://127.0.0.1:{port}", "FOYER_CLEARBIT_API_SECRET": "a key",
               "FOYER_ENRICHMENT_PROVIDERS": "clearbit"}
    loop = asyncio.get_running_loop()
    with foyer(path, False, **environ) as server:
        url = f"http://127.0.0.1:{server.port}"
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            idle = [await _idle(session, url, token) for token in tokens[:sockets]]
            tasks = []
            for number in range(samples):
                tasks.append(loop.create_task(_newcomer(session, url, number, provider)))
                await asyncio.sleep(0.11)
            waits = sorted(await asyncio.gather(*tasks))
            await asyncio.gather(*(socket.close() for socket in idle))
    await runner.cleanup()
    print(f"{sockets} sockets open, {samples} enrichments: provider's answer to the socket "
          f"p50 {1000 * waits[len(waits) // 2]:.2f} ms, p99 {1000 * waits[int(len(waits) * 0.99)]:.2f} ms, "
          f"max {1000 * waits[-1]:.2f} ms")


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "foyer.db"
        tokens = asyncio.run(data.fill(path, given.sockets, 0))
        os.sched_setaffinity(0, LOAD_CORE)
        uvloop.run(_measure(path, tokens, given.sockets, given.samples))


if __name__ == "__main__":
    main()
