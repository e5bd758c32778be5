"""Starts a server, keeps it running, and stops it in order."""
from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from aiohttp import http_parser, web

from server import secret
from server.app import Foyer, Outside
from server.core import log as logs
from server.core.errors import ConfigError
from server.jobs import queue
from server.ops import housekeeping, pages
from server.providers.clearbit import Clearbit
from server.providers.gravatar import Gravatar
from server.providers.http import ProviderHttp
from server.providers.hunter import Hunter
from server.sandbox.app import Sandbox
from server.sandbox.app import start as start_sandbox
from server.settings import Settings
from server.storage import schema
from server.storage.lock import only_one
from server.storage.sqlite import open_database
from server.storage.watch import Watcher
from server.web.patience import Patience, as_files_allow
from server.web.protocol import Runner

log = logging.getLogger("foyer")


@dataclass(frozen=True, slots=True)
class Running:
    """A server that accepts connections."""

    foyer: Foyer
    url: str
    sandbox: Sandbox | None


@asynccontextmanager
async def running(settings: Settings, patience: Patience = Patience()) -> AsyncIterator[Running]:
    """A server from ready to stopped. What was opened last is closed first: the sockets, the background work,
    the outside clients, the database."""
    _check_parser()
    async with AsyncExitStack() as stack:
        assert settings.sqlite_file is not None
        stack.enter_context(only_one(settings.sqlite_file))
        key = secret.of(settings)
        database = await open_database(settings.sqlite_file, durability=settings.database.durability)
        stack.push_async_callback(database.close)
        outside, stand_ins = await _outside(settings, stack)
        foyer = Foyer(settings, database, outside, key, await database.read(schema.epoch))
        stack.callback(foyer.hasher.close)
        if settings.server.jobs:
            await database.write(queue.schedule, housekeeping.KIND, housekeeping.EVERY_MS)
            stack.push_async_callback(foyer.worker.stop)
            await foyer.worker.start(alone=True)
        watcher = Watcher(database, foyer.changed_elsewhere)
        stack.push_async_callback(watcher.stop)
        await watcher.start()
        foyer.port = await _listen(foyer, stack, patience)
        foyer.health.phase = "ready"
        _settle_memory()
        yield Running(foyer, f"http://{_host(settings)}:{foyer.port}", stand_ins)
        foyer.health.phase = "stopping"


async def _listen(foyer: Foyer, stack: AsyncExitStack, patience: Patience) -> int:
    app = foyer.web_app(patience)
    runner = Runner(app, foyer.express, patience)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    server = foyer.settings.server
    try:
        await web.TCPSite(runner, server.host, server.port).start()
    except OSError as error:
        raise ConfigError(f"[server] port: cannot listen on {server.host}:{server.port}: {error.strerror}") from None
    return int(runner.addresses[0][1])


async def _outside(settings: Settings, stack: AsyncExitStack) -> tuple[Outside, Sandbox | None]:
    http = ProviderHttp()
    await stack.enter_async_context(http)
    names = tuple(name for name in ("hunter", "clearbit", "gravatar") if settings.stand_in(name))
    stand_ins = None
    if names:
        stand_ins = await start_sandbox()
        stack.push_async_callback(stand_ins.close)
    return Outside(_hunter(settings, http, stand_ins), _clearbit(settings, http, stand_ins),
                   _gravatar(settings, http, stand_ins), names), stand_ins


def _hunter(settings: Settings, http: ProviderHttp, stand_ins: Sandbox | None) -> Hunter | None:
    if stand_ins is not None and settings.stand_in("hunter"):
        return Hunter(http, f"{stand_ins.url}/hunter", "stand-in", paced=False)
    given = settings.hunter
    return Hunter(http, given.url, given.api_key, paced=True) if given.api_key else None


def _clearbit(settings: Settings, http: ProviderHttp, stand_ins: Sandbox | None) -> Clearbit | None:
    if stand_ins is not None and settings.stand_in("clearbit"):
        return Clearbit(http, f"{stand_ins.url}/clearbit", "stand-in", paced=False)
    given = settings.clearbit
    return Clearbit(http, given.url, given.api_secret, paced=True) if given.api_secret else None


def _gravatar(settings: Settings, http: ProviderHttp, stand_ins: Sandbox | None) -> Gravatar | None:
    if stand_ins is not None and settings.stand_in("gravatar"):
        return Gravatar(http, f"{stand_ins.url}/gravatar", "stand-in", paced=False)
    given = settings.gravatar
    return Gravatar(http, given.url, given.api_key, paced=True) if "gravatar" in settings.enrichment.providers else None


def _settle_memory() -> None:
    # What was made at start stays to the end: the collector need not go through it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _check_parser() -> None:
    # Several of aiohttp's mended faults are only in its parser written in C.
    if not hasattr(http_parser, "HttpRequestParserC"):
        raise ConfigError("aiohttp runs without its C parser here; expected a wheel of aiohttp for this platform")


def _host(settings: Settings) -> str:
    return f"[{settings.server.host}]" if ":" in settings.server.host else settings.server.host


async def serve(settings: Settings, patience: Patience = Patience()) -> None:
    """Serves until SIGTERM or SIGINT."""
    logs.set_up(settings.server.log_format)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running(settings, as_files_allow(patience)) as server:
        print(f"Foyer is ready at {server.url}", flush=True)
        if server.sandbox is not None:
            names = pages.in_words(server.foyer.outside.stand_ins)
            print(f"Stand-ins are in use for {names} at {server.sandbox.url}: no outside service is asked.", flush=True)
            log.warning("stand-ins are in use for %s", names)
        await stop.wait()
        log.info("stopping")
    log.info("stopped")
