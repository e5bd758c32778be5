"""Fixtures for all tests. A test that leaves a task or a thread behind fails."""
from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests import answers, frames, postgres
from tests.support import ON_POSTGRES, Api, Served, settings, start

frames.hear_sockets()
answers.hear_answers()
Serve = Callable[..., Awaitable[Served]]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On PostgreSQL what is about the SQLite file is left out."""
    left_out = [item for item in items if ON_POSTGRES and item.get_closest_marker("sqlite")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def pytest_sessionfinish() -> None:
    """Removes the databases of what lived longer than one test."""
    postgres.drop_databases()


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Starts servers: `await serve({"limits.signup": "3/hour"})`. All are stopped at the end."""
    started: list[Served] = []

    async def start_one(overrides: dict[str, str] | None = None, folder: Path | None = None) -> Served:
        started.append(await start(settings(folder or tmp_path, overrides)))
        return started[-1]
    yield start_one
    for served in started:
        await served.stop()


@pytest.fixture(autouse=True)
def databases_go() -> Iterator[None]:
    """Removes the PostgreSQL databases of a test, once everything that used them is closed."""
    before = postgres.databases()
    yield
    postgres.drop_databases(but=before)


@pytest.fixture
async def server(serve: Serve) -> Served:
    """A server with stand-ins and cheap hashes."""
    return await serve()


@pytest.fixture
async def api(server: Served) -> Api:
    """A client of `server`."""
    return server.api


@pytest.fixture(autouse=True)
def frames_are_declared() -> Iterator[None]:
    """Fails a test to which a server sent a frame that the AsyncAPI document does not allow."""
    frames.wrong.clear()
    yield
    assert not frames.wrong


@pytest.fixture(autouse=True)
def answers_are_declared() -> Iterator[None]:
    """Fails a test to which a server answered what the OpenAPI document does not allow."""
    answers.wrong.clear()
    yield
    assert not answers.wrong


@pytest.fixture(autouse=True)
async def nothing_left() -> AsyncIterator[None]:
    """Fails a test that leaves a task or a non-daemon thread running."""
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    yield
    left = [task for task in asyncio.all_tasks() - tasks - {asyncio.current_task()} if not task.done()]
    assert not left, f"tasks left behind: {left}"
    alive = [thread for thread in set(threading.enumerate()) - threads
             if thread.is_alive() and not thread.name.startswith(("asyncio", "tqdm"))]
    for thread in alive:
        thread.join(5)
    assert not [thread for thread in alive if thread.is_alive()], f"threads left behind: {alive}"
