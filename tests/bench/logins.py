"""Logins per second beside bare bcrypt on the same cores, and how late the server's loop is meanwhile.

`python -m tests.bench.logins [--rounds N] [--seconds S]`. Both cores are free for all; cost 10, so that a round has
enough of them. The loop of uvloop counts in milliseconds, so a timer is up to one late by itself.
"""
from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import bcrypt
import uvloop

from tests.bench.processes import foyer

COST = 10
CLIENTS = 8
PASSWORD = "corr3ct-horse"


def bare(seconds: float) -> float:
    """Hashes a second on as many threads as there are cores."""
    hashed = bcrypt.hashpw(b"x" * 64, bcrypt.gensalt(COST))
    end = time.perf_counter() + seconds

    def work() -> int:
        done = 0
        while time.perf_counter() < end:
            bcrypt.checkpw(b"x" * 64, hashed)
            done += 1
        return done
    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as threads:
        return sum(future.result() for future in [threads.submit(work) for _ in range(cores)]) / seconds


async def _logins(url: str, seconds: float) -> float:
    end = time.perf_counter() + seconds

    async def client(session: aiohttp.ClientSession, number: int) -> int:
        done = 0
        while time.perf_counter() < end:
            body = {"username": f"member{number}", "password": PASSWORD}
            async with session.post(url + "/api/login", json=body) as answer:
                assert answer.status == 200, await answer.text()
            done += 1
        return done
    async with aiohttp.ClientSession() as session:
        return sum(await asyncio.gather(*(client(session, number) for number in range(CLIENTS)))) / seconds


async def _sign_up(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        for number in range(CLIENTS):
            body = {"username": f"member{number}", "email": f"member{number}@example.org", "password": PASSWORD}
            async with session.post(url + "/api/signup", json=body) as answer:
                assert answer.status == 201, await answer.text()


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        delays = Path(folder) / "delays"
        environ = {"FOYER_AUTH_BCRYPT_COST": str(COST), "BENCH_DELAYS": str(delays)}
        ratios = []
        with foyer(Path(folder) / "foyer.db", False, ["-m", "tests.bench.delayed"], **environ) as server:
            url = f"http://127.0.0.1:{server.port}"
            uvloop.run(_sign_up(url))
            for _ in range(given.rounds):
                hashes = bare(given.seconds)
                logins = uvloop.run(_logins(url, given.seconds))
                ratios.append(logins / hashes)
                print(f"bare bcrypt {hashes:.1f}/s, logins {logins:.1f}/s: {logins / hashes:.3f}")
        late = sorted(map(float, delays.read_text().split()))
    p50, p99 = late[len(late) // 2], late[int(len(late) * 0.99)]
    print(f"median ratio {statistics.median(ratios):.3f}; the loop is late by p50 {1000 * p50:.2f} ms, "
          f"p99 {1000 * p99:.2f} ms, max {1000 * late[-1]:.2f} ms")


if __name__ == "__main__":
    main()
