"""What the tests of enrichment and of the address check share."""
from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from server.core.clock import now_ms
from server.ops import check
from server.storage import Tx
from tests.support import Served, until

KINDS = ("enrich", "verify_email")


class Ahead:
    """A clock that can be put forward."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def steady(self) -> float:
        return time.monotonic() + self.seconds

    def wall(self) -> float:
        return time.time() + self.seconds

    def now_ms(self) -> int:
        return now_ms() + int(self.seconds * 1000)


async def _open_jobs(tx: Tx) -> list[tuple[str, str, int]]:
    rows = await tx.all("SELECT kind, state, run_at FROM jobs WHERE state IN ('ready', 'running')")
    return [(row["kind"], row["state"], row["run_at"]) for row in rows if row["kind"] in KINDS]


async def _last_errors(tx: Tx) -> list[str]:
    return [row["last_error"] for row in await tx.all("SELECT last_error FROM jobs WHERE last_error IS NOT NULL")]


async def last_errors(served: Served) -> list[str]:
    """What stands in the jobs about how they failed."""
    return await served.foyer.database.read(_last_errors)


async def settled(served: Served, ahead: Ahead | None = None) -> list[float]:
    """Waits until no job about a member is open, putting the clock forward to the next; the waits in seconds."""
    waits: list[float] = []

    async def nothing_open() -> bool:
        jobs = await served.foyer.database.read(_open_jobs)
        if ahead and jobs and all(state == "ready" for _, state, _ in jobs):
            left = (min(run_at for _, _, run_at in jobs) - ahead.now_ms()) / 1000
            if left > 0:
                waits.append(left)
                ahead.seconds += left + 0.002
            served.foyer.queue.wake()
        return not jobs
    await until(nothing_open, 20)
    assert await served.foyer.database.read(check.broken) == []
    return waits


async def told(served: Served, session: Any, type_: str = "enriched") -> list[Any]:
    """The data of all events of this type that the member was sent so far."""
    page = await served.api.get("/api/events", params={"after": "0"}, token=session["access_token"])
    assert page.body["gap"] is None and page.body["next"] is None
    assert [event["seq"] for event in page.data] == list(range(1, len(page.data) + 1))
    return [event["data"] for event in page.data if event["type"] == type_]


async def the_answer(served: Served, session: Any, ahead: Ahead | None = None) -> Any:
    """The data of the one `enriched` of a new member, which is also what GET gives."""
    await settled(served, ahead)
    answers = await told(served, session)
    assert len(answers) == 1, answers
    shown = await served.api.get("/api/me/enrichment", token=session["access_token"])
    assert shown.data == answers[0]
    return answers[0]


async def asked(served: Served, provider: str, endpoint: str, email: str | None = None) -> int:
    """How often a stand-in was asked."""
    calls = await served.api.calls(served.sandbox, provider, email)
    return int(calls["endpoints"].get(endpoint, {"total": 0})["total"])


async def me(served: Served, session: Any) -> Any:
    """GET /api/me."""
    return (await served.api.get("/api/me", token=session["access_token"])).data


async def _set_requested_at(tx: Tx, user_id: int, at: int) -> None:
    await tx.run("UPDATE enrichments SET requested_at = $2 WHERE user_id = $1", user_id, at)


async def an_hour_later(served: Served, session: Any) -> None:
    """Moves the member's last request out of the hour."""
    await served.foyer.database.write(_set_requested_at, session["user"]["id"], now_ms() - 3_700_000)


async def ask_again(served: Served, session: Any, **options: Any) -> Any:
    """POST /api/me/enrichment."""
    return await served.api.post("/api/me/enrichment", token=session["access_token"], **options)


class Held:
    """Holds back the answers of one call of a client (about one address) until the test lets them go."""

    def __init__(self, client: Any, call: str, monkeypatch: pytest.MonkeyPatch, about: str | None = None) -> None:
        self._call, self._go, self.waiting, self._about = getattr(client, call), asyncio.Event(), 0, about
        monkeypatch.setattr(client, call, self._held)

    async def _held(self, email: str, *args: Any, **options: Any) -> Any:
        outcome = await self._call(email, *args, **options)
        if self._about in (None, email):
            self.waiting += 1
            await self._go.wait()
        return outcome

    async def begun(self) -> None:
        """Waits until somebody is being held."""
        await until(lambda: self.waiting)

    def release(self) -> None:
        """Lets everybody go, now and later."""
        self._go.set()
