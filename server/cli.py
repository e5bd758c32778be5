"""The command line. Every command imports only what it needs, so that `--help` is quick."""
from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, NoReturn

from server.core.errors import CommandFailed, ConfigError, Problem

OK, BROKEN, UNUSABLE = 0, 1, 2
INTERRUPTED = 130
URL = "sqlite:FILE or postgresql://..."
OURS = ("server", "ws", "bot")  # the packages of the program itself


def main(arguments: Sequence[str]) -> int:
    """Runs a command; returns the exit code."""
    given = _parser().parse_args(_with_default(arguments))
    return _exit_code(lambda: int(given.command(given)))


def _exit_code(command: Callable[[], int]) -> int:
    """Runs it; what is the operator's business is told in a line."""
    try:
        return command()
    except (CommandFailed, ConfigError, Problem) as error:
        print(f"foyer: {error}", file=sys.stderr, flush=True)
        return UNUSABLE if isinstance(error, ConfigError) else BROKEN
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in OURS:
            raise
        print(f"foyer: {sys.executable} has no package {error.name}; expected an environment with what Foyer needs: "
              "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt", file=sys.stderr, flush=True)
        return UNUSABLE
    except KeyboardInterrupt:
        return INTERRUPTED


def _with_default(arguments: Sequence[str]) -> list[str]:
    """`run.py` alone, or with options only, is `run.py serve`."""
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        return ["serve", *arguments]
    return list(arguments)


class _Parser(argparse.ArgumentParser):
    """Repeats what it does not understand, but for the password of a URL."""

    def error(self, message: str) -> NoReturn:
        super().error(re.sub(r"(://[^\s:/@]*):\S*@", r"\1:...@", message))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="run.py", description="Foyer, a self-hosted members' community.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_serve(commands)
    bot = commands.add_parser("bot", help="try a server as many members would, and prove that the rules were kept")
    bot.add_argument("file", metavar="FILE", help="the bot's settings, such as config/bot.cfg")
    bot.add_argument("--url", help="a running server; without one the bot starts its own on a temporary database")
    bot.add_argument("--seed", help="a whole number; the same seed makes the same plan")
    bot.add_argument("--report", metavar="FILE", help="where to write the report as JSON")
    bot.set_defaults(command=_bot)
    sandbox = commands.add_parser("sandbox", help="only the stand-ins for the outside services")
    sandbox.add_argument("--host", default="127.0.0.1", help="the address to listen on (default 127.0.0.1)")
    sandbox.add_argument("--port", type=_port, default=0, help="the port to listen on (default: a free one)")
    sandbox.set_defaults(command=_sandbox)
    add_admin(commands)
    add_backup(commands)
    add_copy(commands)
    check = commands.add_parser("check", help="prove the invariants of the data; exit 1 with a list if one is broken")
    _add_common(check)
    check.set_defaults(command=_check)
    openapi = commands.add_parser("openapi", help="print the OpenAPI 3.1 document")
    _add_common(openapi)
    openapi.set_defaults(command=_openapi)
    asyncapi = commands.add_parser("asyncapi", help="print the AsyncAPI 3.0 document of the socket")
    _add_common(asyncapi)
    asyncapi.set_defaults(command=_asyncapi)
    return parser


def add_serve(commands: Any) -> None:
    """Declares `serve`."""
    serve = commands.add_parser("serve", help="serve REST, the socket and the pages (the default)")
    _add_common(serve)
    serve.add_argument("--host", help="the address to listen on")
    serve.add_argument("--port", help="the port to listen on; 0 picks a free one")
    serve.add_argument("--no-jobs", dest="jobs", action="store_const", const="no",
                       help="only HTTP: the background work is done by others")
    serve.set_defaults(command=_serve)
    worker = commands.add_parser("worker", help="only the background work, no HTTP (useful with PostgreSQL)")
    _add_common(worker)
    worker.set_defaults(command=_worker)


def add_admin(commands: Any) -> None:
    """Declares `admin create|promote|demote`."""
    admin = commands.add_parser("admin", help="make, promote or demote an administrator, also beside a running server")
    deeds = admin.add_subparsers(required=True, metavar="create|promote|demote")
    create = deeds.add_parser("create", help="make an administrator; prints a random password")
    promote = deeds.add_parser("promote", help="make a member an administrator")
    demote = deeds.add_parser("demote", help="make an administrator a member like any other")
    for parser, command in ((create, _create_admin), (promote, _promote), (demote, _demote)):
        parser.add_argument("name", metavar="NAME", help="the user name")
        _add_common(parser)
        parser.set_defaults(command=command)
    create.add_argument("email", metavar="EMAIL", help="the e-mail address")


def add_backup(commands: Any) -> None:
    """Declares `backup` and `restore`."""
    backup = commands.add_parser("backup", help="copy the database, also beside a running server, and verify the copy")
    backup.add_argument("file", type=Path, metavar="FILE", help="the copy")
    backup.add_argument("--force", action="store_true", help="replace a FILE that is there")
    restore = commands.add_parser("restore", help="put a backup in the place of the database of a stopped server")
    restore.add_argument("file", type=Path, metavar="FILE", help="the backup")
    restore.add_argument("--force", action="store_true", help="also when the database is not empty; it is kept aside")
    for parser, command in ((backup, _backup), (restore, _restore)):
        _add_common(parser)
        parser.set_defaults(command=command)


def add_copy(commands: Any) -> None:
    """Declares `copy`."""
    copy = commands.add_parser("copy", help="copy everything into an empty database, SQLite or PostgreSQL; "
                                            "no server may be running")
    copy.add_argument("--from", dest="source", required=True, metavar="URL", help=URL)
    copy.add_argument("--to", dest="target", required=True, metavar="URL", help=URL)
    copy.set_defaults(command=_copy)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="the settings (default: config/server.cfg)")
    parser.add_argument("--database", metavar="URL", help=URL)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError("expected a whole number from 0 to 65535")
    return int(text)


def _settings(given: argparse.Namespace) -> Any:
    from server import settings
    names = {"host": ("server", "host"), "port": ("server", "port"), "jobs": ("server", "jobs"),
             "database": ("database", "url")}
    overrides = {place: str(getattr(given, name)) for name, place in names.items()
                 if getattr(given, name, None) is not None}
    return settings.load(given.config, overrides=overrides)


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


def _serve(given: argparse.Namespace) -> int:
    from server.serve import serve
    settings = _settings(given)
    if settings.server.workers > 1:
        from server.supervisor import Supervisor
        return Supervisor(settings, _serve_among_others).run()
    _run(serve(settings))
    return OK


def _serve_among_others(settings: Any, told: int, alive: int) -> int:
    from server.serve import serve_among_others
    return _exit_code(lambda: _run(serve_among_others(settings, told, alive)) or OK)


def _worker(given: argparse.Namespace) -> int:
    from server.serve import work
    _run(work(_settings(given)))
    return OK


def _sandbox(given: argparse.Namespace) -> int:
    from server.sandbox.command import run
    _run(run(given.host, given.port))
    return OK


def _check(given: argparse.Namespace) -> int:
    from server.ops import check
    from server.storage import inspection
    place = inspection.place_of(_settings(given))
    inspection.expect_schema(place, inspection.version_of(place))
    broken = inspection.damage(place) + inspection.inspect(place, check.broken)
    for line in broken:
        print(line)
    print(f"{len(check.INVARIANTS) - len(broken)} of {len(check.INVARIANTS)} invariants hold" if broken
          else f"all {len(check.INVARIANTS)} invariants hold")
    return BROKEN if broken else OK


def _create_admin(given: argparse.Namespace) -> int:
    from server.ops import administrators
    # The password alone on stdout, so that a script can take it.
    print(administrators.create(_settings(given), given.name, given.email))
    print(f"foyer: {given.name} is an administrator; the password stands nowhere else", file=sys.stderr)
    return OK


def _promote(given: argparse.Namespace) -> int:
    from server.ops import administrators
    changed = administrators.change_role(_settings(given), given.name, "admin")
    print(f"{changed.username} is an administrator")
    return OK


def _demote(given: argparse.Namespace) -> int:
    from server.ops import administrators
    changed = administrators.change_role(_settings(given), given.name, "member")
    print(f"{changed.username} is a member like any other")
    if not changed.administrators:
        print("foyer: there is no administrator any more; run.py admin promote NAME makes one", file=sys.stderr)
    return OK


def _backup(given: argparse.Namespace) -> int:
    from server import secret
    from server.ops import check
    from server.storage import backup, inspection
    settings = _settings(given)
    os.nice(10)  # the server beside us goes first
    made = backup.make(inspection.place_of(settings), given.file, check.broken, force=given.force)
    print(f"{given.file}: {made}")
    print(f"It does not hold {' and '.join(secret.places(settings))}: keep them safe too, and apart from it.")
    return OK


def _restore(given: argparse.Namespace) -> int:
    from server import secret
    from server.ops import check
    from server.storage import restore
    settings = _settings(given)
    target = settings.sqlite_file
    if target is None:
        raise ConfigError("[database] url: restore puts a backup in the place of a SQLite file; into an empty "
                          f"PostgreSQL database: run.py copy --from sqlite:{given.file} --to postgresql://...")
    print(f"{target}: {restore.restore(given.file, target, check.broken, force=given.force)}")
    for key, else_ in ((secret.NAME, "everybody has to sign in again"),
                       (secret.CARDS_NAME, "known card numbers are not recognised")):
        path = target.with_name(key)
        if str(path) in secret.places(settings) and not path.exists():
            print(f"There is no {path}: put back the one that belongs to it, else {else_}.")
    return OK


def _copy(given: argparse.Namespace) -> int:
    from server.storage import copying
    copying.copy(_place("--from", given.source), _place("--to", given.target), say=print)
    print("The copy is whole. Clients see another epoch, and new ids go on a million further.")
    print("Sessions stay good only with the same auth.secret; beside a SQLite file it stands in foyer.key.")
    return OK


def _place(option: str, url: str) -> Path | str:
    from server.core import units
    try:
        kind, _, rest = units.database_url(url).partition(":")
    except ValueError as error:
        raise ConfigError(f"{option}: expected {error}") from None
    return Path(rest) if kind == "sqlite" else url


def _openapi(given: argparse.Namespace) -> int:
    import json
    from server.app import document
    print(json.dumps(document(_settings(given)), indent=2))
    return OK


def _asyncapi(given: argparse.Namespace) -> int:
    import json
    from server.app import socket_document
    print(json.dumps(socket_document(_settings(given)), indent=2))
    return OK


def _bot(given: argparse.Namespace) -> int:
    from bot.config import ConfigError as BotConfigError
    from bot.config import load_config, with_overrides
    from bot.main import run
    from server.own_server import own_server
    try:
        config = with_overrides(load_config(given.file), url=given.url, seed=given.seed, report=given.report)
    except BotConfigError as error:
        raise ConfigError(str(error)) from None
    if config.base_url is not None:
        return int(_run(run(config, config.base_url)))
    with own_server() as url:
        return int(_run(run(config, url)))
