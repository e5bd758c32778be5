"""From the upload of a file of 60 lines to `file_checked` on the member's socket, beside cold runs of flake8.

`python -m tests.bench.files [--rounds N] [--samples N] [--members N]`. Targets: p50 at most a quarter of one cold
`python -m flake8` run, all members together at least 8 times as many a second as cold runs one after another, and the
server's loop late by less than 20 ms (p99) meanwhile.
"""
from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import aiohttp
import uvloop

from tests.bench.checks import SOURCE, cold
from tests.bench.processes import Server, foyer

DELAYED = ("-m", "tests.bench.delayed")


class Member:
    """Somebody who uploads files, and hears of their checks."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str,
                 socket: aiohttp.ClientWebSocketResponse) -> None:
        self._session, self._url, self._socket = session, url, socket
        self._headers = {"Authorization": f"Bearer {token}"}
        self._number = 0

    async def upload(self) -> int:
        """Uploads a file that nobody has uploaded before; its id."""
        self._number += 1
        form = aiohttp.FormData()
        form.add_field("file", f"{SOURCE}# {id(self)} {self._number}\n".encode(), filename="bench.py")
        async with self._session.post(self._url + "/api/files", data=form, headers=self._headers) as response:
            assert response.status == 201, await response.text()
            return int((await response.json())["data"]["id"])

    async def checked(self) -> int:
        """Waits for the next `file_checked`; of which file."""
        while True:
            frame = await self._socket.receive_json(timeout=60)
            if frame["type"] == "file_checked":
                assert frame["data"]["status"] == "violations", frame
                return int(frame["data"]["file_id"])

    async def one(self) -> float:
        """Seconds from the upload to the word of its check."""
        begin = time.perf_counter()
        file_id, heard = await asyncio.gather(self.upload(), self.checked())
        assert file_id == heard
        return time.perf_counter() - begin

    async def many(self, number: int) -> None:
        """Uploads so many at once, and waits for all checks."""
        async def hear() -> None:
            for _ in range(number):
                await self.checked()
        await asyncio.gather(hear(), *(self.upload() for _ in range(number)))


async def _member(session: aiohttp.ClientSession, url: str, number: int) -> Member:
    body = {"username": f"member{number}", "email": f"member{number}@example.org", "password": "corr3ct-horse"}
    async with session.post(url + "/api/signup", json=body) as response:
        assert response.status == 201, await response.text()
        token = (await response.json())["data"]["access_token"]
    socket = await session.ws_connect(url + "/ws", headers={"Authorization": f"Bearer {token}"})
    return Member(session, url, token, socket)


async def _measure(server: Server, file: Path, rounds: int, samples: int, members: int) -> None:
    url = f"http://127.0.0.1:{server.port}"
    single, several = [], []
    async with aiohttp.ClientSession() as session:
        crowd = [await _member(session, url, number) for number in range(members)]
        await crowd[0].one()
        for _ in range(rounds):
            runs = [await asyncio.to_thread(cold, file) for _ in range(samples)]
            took = [await crowd[0].one() for _ in range(samples)]
            begin, cpu = time.perf_counter(), server.cpu()
            await asyncio.gather(*(member.many(samples) for member in crowd))
            rate = members * samples / (time.perf_counter() - begin)
            single.append(statistics.median(took) / statistics.median(runs))
            several.append(rate * statistics.mean(runs))
            cpu = 1000 * (server.cpu() - cpu) / members / samples
            print(f"cold p50 {1000 * statistics.median(runs):.1f} ms; from upload to socket p50 "
                  f"{1000 * statistics.median(took):.1f} ms: {single[-1]:.3f}; {members} members {rate:.0f}/s: "
                  f"{several[-1]:.1f} times, {cpu:.1f} ms of the server's CPU each")
    print(f"median: {statistics.median(single):.3f} of a cold run; {statistics.median(several):.1f} times as many")


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--members", type=int, default=4)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file, delays = Path(folder) / "file.py", Path(folder) / "delays"
        file.write_text(SOURCE)
        with foyer(Path(folder) / "foyer.db", one_core=False, program=DELAYED, BENCH_DELAYS=str(delays),
                   FOYER_CHECKS_FILES_PER_MEMBER="1000000", FOYER_SANDBOX_MODE="off") as server:
            uvloop.run(_measure(server, file, given.rounds, given.samples, given.members))
        late = sorted(map(float, delays.read_text().split()))
        print(f"the server's loop is late by p50 {1000 * late[len(late) // 2]:.2f} ms, "
              f"p99 {1000 * late[int(len(late) * .99)]:.2f} ms, max {1000 * late[-1]:.2f} ms")


if __name__ == "__main__":
    main()
