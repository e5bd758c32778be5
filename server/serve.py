"""Starts a server, keeps it running, and stops it in order."""
from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import http_parser, web

from server import outside as outside_room
from server import ports, secret
from server.app import Foyer
from server.core import log as logs
from server.core.errors import ConfigError
from server.ops import backups, chores, pages
from server.people import schedules as import_schedules
from server.referrals import queries as referrals
from server.settings import Settings
from server.sharing import share
from server.storage import Database, schema
from server.storage.lock import only_one
from server.storage.sqlite import open_database
from server.storage.watch import Watcher
from server.web.patience import Patience, as_files_allow
from server.web.protocol import Runner

if TYPE_CHECKING:
    from server.sandbox.app import Sandbox

log = logging.getLogger("foyer")


@dataclass(frozen=True, slots=True)
class Running:
    """A server that accepts connections."""

    foyer: Foyer
    url: str
    sandbox: Sandbox | None


@asynccontextmanager
async def running(settings: Settings, patience: Patience = Patience(),
                  shared_port: bool = False) -> AsyncIterator[Running]:
    """A server from ready to stopped. What was opened last is closed first: the sockets, the background work,
    the outside clients, the database."""
    _check_parser()
    async with AsyncExitStack() as stack:
        if settings.sqlite_file is not None:
            stack.enter_context(only_one(settings.sqlite_file))
        # Before anything is made: a start that fails on its address leaves no database behind.
        sockets = [stack.enter_context(each) for each in ports.bound(settings.server, shared_port)]
        foyer, stand_ins = await _furnished(settings, stack, settings.server.jobs)
        foyer.port = await _listen(foyer, sockets, stack, patience)
        foyer.health.phase = "ready"
        _settle_memory()
        yield Running(foyer, f"http://{ports.shown(settings.server.host)}:{foyer.port}", stand_ins)
        foyer.health.phase = "stopping"


@asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[Foyer]:
    """Background work only, from ready to stopped."""
    async with AsyncExitStack() as stack:
        if settings.sqlite_file is not None:
            stack.enter_context(only_one(settings.sqlite_file))
        foyer, _ = await _furnished(settings, stack, jobs=True)
        _settle_memory()
        yield foyer


async def _furnished(settings: Settings, stack: AsyncExitStack, jobs: bool) -> tuple[Foyer, Sandbox | None]:
    """The rooms, open, and at work in the background where that is wanted."""
    if jobs:
        backups.expect_folder(settings.backup)  # before anything is made, likewise
    key, card_key = secret.of(settings), secret.card_key(settings)
    database = await _database(settings)
    stack.push_async_callback(database.close)
    outside, stand_ins = await outside_room.opened(settings, stack, jobs)
    await _check_currency(settings, database)
    foyer = Foyer(settings, database, outside, key, card_key, await database.read(schema.epoch))
    stack.callback(foyer.hasher.close)
    if database.channel is not None:
        share(foyer, database.channel)
        stack.push_async_callback(database.channel.stop)
        await database.channel.start()
    if outside.cell is not None:  # it starts with the first file that is to be checked
        stack.push_async_callback(outside.cell.stop)
    await database.write(import_schedules.fill, settings.randomdata)
    if jobs:
        await database.write(chores.plan, settings)
        stack.push_async_callback(foyer.worker.stop)
        await foyer.worker.start(alone=settings.sqlite_file is not None)
    if settings.sqlite_file is not None:
        watcher = Watcher(database, foyer.changed_elsewhere)
        stack.push_async_callback(watcher.stop)
        await watcher.start()
    return foyer, stand_ins


async def _check_currency(settings: Settings, database: Database) -> None:
    wanted, kept = settings.referrals.currency, await database.read(referrals.ledger_currency)
    if kept not in (None, wanted):
        raise ConfigError(f"[referrals] currency: the ledger is kept in {kept}; expected {kept}, not {wanted}")


async def _database(settings: Settings) -> Database:
    if settings.sqlite_file is not None:
        return await open_database(settings.sqlite_file, durability=settings.database.durability)
    from server.storage.postgres import open_postgres  # only here: most have one file and no driver for anything else
    return await open_postgres(settings.database.url, durability=settings.database.durability)


async def _listen(foyer: Foyer, sockets: Sequence[socket.socket], stack: AsyncExitStack, patience: Patience) -> int:
    app = foyer.web_app(patience)
    runner = Runner(app, foyer.express, patience)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    try:
        for each in sockets:
            await web.SockSite(runner, each).start()
    except OSError as error:  # somebody else has bound it in the same moment, and was first to listen
        raise ports.unusable(foyer.settings.server, error) from None
    return int(runner.addresses[0][1])


def _settle_memory() -> None:
    # What was made at start stays to the end: the collector need not go through it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _check_parser() -> None:
    # Several of aiohttp's mended faults are only in its parser written in C.
    if not hasattr(http_parser, "HttpRequestParserC"):
        raise ConfigError("aiohttp runs without its C parser here; expected a wheel of aiohttp for this platform")


async def serve(settings: Settings, patience: Patience = Patience()) -> None:
    """Serves until SIGTERM or SIGINT."""
    logs.set_up(settings.server.log_format)
    stop = _stop_signal()
    async with running(settings, as_files_allow(patience)) as server:
        print(f"Foyer is ready at {server.url}", flush=True)
        _tell_of_stand_ins(server)
        await stop.wait()
        log.info("stopping")
    log.info("stopped")


async def work(settings: Settings) -> None:
    """Does background work until SIGTERM or SIGINT."""
    logs.set_up(settings.server.log_format)
    stop = _stop_signal()
    async with working(settings):
        print("Foyer's worker is ready", flush=True)
        await stop.wait()
        log.info("stopping")
    log.info("stopped")


async def serve_among_others(settings: Settings, told: int, alive: int) -> None:
    """One of several processes on a port: writes its number to `told` when it is ready, and ends also when `alive` is
    closed."""
    logs.set_up(settings.server.log_format)
    stop, loop = _stop_signal(), asyncio.get_running_loop()

    def end() -> None:
        loop.remove_reader(alive)
        stop.set()
    loop.add_reader(alive, end)
    async with running(settings, as_files_allow(Patience()), shared_port=True) as server:
        os.write(told, os.getpid().to_bytes(4, "big"))
        _tell_of_stand_ins(server)
        await stop.wait()


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _tell_of_stand_ins(server: Running) -> None:
    if server.sandbox is not None:
        names = pages.in_words(server.foyer.outside.stand_ins)
        # In one piece with its end: several processes may say so at once, on the same output.
        print(f"Stand-ins are in use for {names} at {server.sandbox.url}: no outside service is asked.\n", end="",
              flush=True)
        log.warning("stand-ins are in use for %s", names)
