"""The documentation says what is there, all of it, and nothing that is gone. Its examples: `tests/docs/`."""
from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import fields
from typing import get_args, get_type_hints

import pytest

from server import cli
from server.accounts import passwords, queries, service, signing_in, tokens
from server.app import EVENTS, document
from server.core import flood
from server.core.clock import DAY, SECOND
from server.core.errors import CODES
from server.providers import http
from server.sandbox.randomdata import RandomData
from server.sandbox.randomdata_odd import CARD_MARKER, MARKER
from server.sandbox.replies import COMMON
from server.settings import SECTIONS, Settings
from server.web.metrics import BUCKETS
from server.web.patience import Patience
from tests.docs import make
from tests.docs.pages import PAGES, ROOT, anchors, links, prose
from tests.docs.reference import STANDING
from tests.support import Served
from ws import protocol

OPERATIONS, SOCKET, SECURITY = PAGES["docs/operations.md"], PAGES["docs/socket.md"], PAGES["docs/security.md"]
NOW = {page: text for page, text in PAGES.items() if page != "CHANGELOG.md"}  # that one tells of what was
PATHS = set(document(Settings())["paths"]) | {"/", "/docs", "/ws"}
NOT_METRICS = {"foyer_refresh": "the cookie", "foyer_data": "a volume", "foyer_default": "a network of compose"}
# files that are named and are not of the repository, and why
NOT_OURS = {"hello.py": "the reader's own, in the tutorial"}
NOT_SETTINGS = {"enrichment.status": "a field of an answer", "enrichment.fields": "likewise",
                "postgres.password": "a variable of compose.grow.yaml"}
_FILE = re.compile(r"`((?:[\w-]+/)*[\w.-]+\.(?:py|sql|md|toml|cfg|txt|css|mjs|yaml|service|timer)|(?:\w+/)+"
                   r"|Dockerfile)`")


def rows(page: str, head: str) -> list[list[str]]:
    """The cells of the table whose head begins so."""
    lines = page[page.index(f"| {head} |"):].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def table(page: str, head: str) -> list[str]:
    """The first cells of that table."""
    return [cells[0] for cells in rows(page, head)]


# -- pages that are made

@pytest.mark.parametrize("name", sorted(make.pages()))
def test_a_page_that_is_made_is_up_to_date(name: str) -> None:
    assert PAGES[f"docs/{name}"] == make.pages()[name], "write it again: python -m tests.docs.make"


def test_problems_that_are_told_once_for_all_routes_are_problems() -> None:
    assert set(STANDING) <= set(CODES)


def test_the_pages_that_are_made_leave_nothing_out() -> None:
    """Whoever makes them could overlook something, and they would still be up to date."""
    rest, settings = PAGES["docs/rest.md"], PAGES["docs/settings.md"]
    assert sorted(re.findall(r"^### `([A-Z]+ \S+)`$", rest, re.MULTILINE)) == sorted(
        f"{method.upper()} {path}" for path, told in document(Settings())["paths"].items() for method in told)
    assert table(rest, "code") == [f"`{code}`" for code in CODES]
    assert re.findall(r"^\| `(\w+\.\w+)` \|", settings, re.MULTILINE) == [
        f"{section}.{item.name}" for section, made in SECTIONS.items()
        for item in fields(made)]  # type: ignore[arg-type]


# -- commands

def commands(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The commands, those of commands too: `admin create`."""
    deeds = [each for action in parser._actions if isinstance(action, argparse._SubParsersAction)
             for each in action.choices.items()]
    if not deeds:
        yield name, parser
    for word, sub in deeds:
        yield from commands(sub, f"{name} {word}".strip())


COMMANDS = dict(commands(cli._parser()))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_is_described_with_its_options(name: str) -> None:
    told = OPERATIONS[OPERATIONS.index("## Commands"):OPERATIONS.index("## Settings")]
    for word in name.split():
        assert re.search(rf"run\.py [^`]*\b{word}\b|`{word}\b", told), word
    for action in COMMANDS[name]._actions:
        for option in action.option_strings:
            assert option in ("-h", "--help") or f"`{option}" in told or f" {option}" in told, option


def test_commands_that_are_named_exist() -> None:
    words = {name.split()[0] for name in COMMANDS}
    options = {option for parser in COMMANDS.values() for action in parser._actions
               for option in action.option_strings}
    for page, text in NOW.items():
        for word in re.findall(r"run\.py ([a-z]+)", text):
            assert word in words, f"{page}: run.py {word}"
        for deed in re.findall(r"\badmin ([a-z]+) NAME", text):
            assert f"admin {deed}" in COMMANDS, f"{page}: admin {deed}"
        for option in re.findall(r"(?:`|run\.py[^`\n]* )(--[a-z-]+)", text):
            assert option in options, f"{page}: {option}"


# -- settings

def test_settings_that_are_named_exist() -> None:
    known = {section: {item.name for item in fields(made)}  # type: ignore[arg-type]
             for section, made in SECTIONS.items()}
    for page, text in NOW.items():
        for section, key in re.findall(r"`(\w+)\.(\w+)(?: = [^`]*)?`", text):
            if section in known and key != "py" and f"{section}.{key}" not in NOT_SETTINGS:
                assert key in known[section], f"{page}: {section}.{key}"
        for name in re.findall(r"\bFOYER_([A-Z]+_[A-Z_]+)\b", text):
            section, _, key = name.lower().partition("_")
            assert key in known.get(section, ()) or f"{section}.{key}" in NOT_SETTINGS, f"{page}: FOYER_{name}"


# -- the interface

def test_routes_that_are_named_exist() -> None:
    patterns = [re.compile(re.sub(r"\{\w+\}", "[^/]+", path)) for path in PATHS]
    for page, text in NOW.items():
        # Behind a host, a method or an opening quote stands a path of ours; `/_switch` and the like are the stand-ins'.
        for path in re.findall(r"(?:(?:127\.0\.0\.1|localhost):8080|\b(?:GET|POST|PUT|PATCH|DELETE) |`)"
                               r"(/(?:api/|ws|docs|livez|readyz|metrics)[^\s`'\"?#|)<>]*)", text):
            assert any(pattern.fullmatch(path.rstrip(".,/")) for pattern in patterns), f"{page}: {path}"


def test_every_route_that_a_page_names_takes_that_method() -> None:
    told = {(method, path) for text in NOW.values()
            for method, path in re.findall(r"`(GET|POST|PUT|PATCH|DELETE) (/[^\s`?]*)", text)}
    known = {(method.upper(), path) for path, operations in document(Settings())["paths"].items()
             for method in operations} | {("GET", "/ws")}
    odd = {(method, path) for method, path in told if not path.startswith("/_")} - known
    assert not odd


def test_every_event_type_is_described_and_no_other() -> None:
    assert sorted(table(SOCKET, "event")) == sorted(f"`{event.name}`" for event in EVENTS)


def test_the_data_of_every_event_type_is_described() -> None:
    told = {name.strip("`"): data for name, data in rows(SOCKET, "event")}
    for event in EVENTS:
        words = set(re.findall(r"`([^`]+)`", told[event.name]))
        assert "GET /api/me/enrichment" in words or set(event.data.__struct_fields__) <= words, event.name
        for name, kind in get_type_hints(event.data).items():
            may_be_null = type(None) in get_args(kind) and name in words
            assert not may_be_null or re.search(rf"`{name}` \([^)]*\bnull\b", told[event.name]), (event.name, name)


def test_every_frame_is_shown_and_no_other() -> None:
    frames = {str(frame.__struct_config__.tag) for frame in
              (*protocol.CLIENT_FRAMES, *protocol.SOCKET_FRAMES, *protocol.STREAM_FRAMES)}
    shown = set(re.findall(r'"type": ?"(\w+)"', SOCKET))
    assert frames <= shown <= frames | {event.name for event in EVENTS}


def test_every_close_code_is_described_and_no_other() -> None:
    told = [int(code) for cell in table(SOCKET, "close code") for code in cell.split(", ")]
    assert sorted(told) == sorted(protocol.REASONS)
    for page, text in NOW.items():
        assert set(map(int, re.findall(r"\b44\d\d\b", text))) <= set(protocol.REASONS), page


def test_problems_that_are_named_exist() -> None:
    for page, text in NOW.items():
        for status, code in re.findall(r"\b([45]\d\d) `([a-z_]+)`", prose(page) if page in PAGES else text):
            assert code in CODES, f"{page}: {status} {code}"


async def test_the_page_of_a_server_describes_every_error_and_route(server: Served) -> None:
    page = (await server.api.get("/docs")).raw.decode()
    assert set(re.findall(r'id="error-(\w+)"', page)) == set(CODES)
    assert all(route.path in page for route in server.foyer.routes)


async def test_every_metric_is_described_and_no_other(server: Served) -> None:
    await server.foyer.database.write(server.foyer.queue.enqueue, "nobody_does_it", "1")
    await server.api.get("/livez")
    text = (await server.api.get("/metrics")).raw.decode()
    names = set(re.findall(r"# TYPE (\w+)", text))
    told = dict(re.fullmatch(r"`(\w+)(?:{(.*)})?`", cell).groups("") for cell in table(OPERATIONS, "metric"))
    assert names and names == set(told)
    for name, labels in told.items():
        found = re.search(rf"^{name}{{(.*)}} ", text, re.MULTILINE)
        assert labels == ",".join(re.findall(r'(\w+)="', found[1]) if found else ()), name
    for page, words in NOW.items():
        assert set(re.findall(r"\bfoyer_\w+", words)) - set(NOT_METRICS) <= names, page


# -- the stand-ins

def test_every_position_of_the_stand_in_of_random_data_is_described_and_no_other() -> None:
    told = [name for cell in table(OPERATIONS, "of random-data-api") for name in re.findall(r"`([^`]+)`", cell)]
    known = {name for names in RandomData().stage.positions.values() for name in names}
    assert sorted(told) == sorted(known - set(COMMON))
    assert MARKER in OPERATIONS and CARD_MARKER in OPERATIONS


# -- numbers

def test_numbers_are_those_of_the_program() -> None:
    at, password = Patience(), document(Settings())["components"]["schemas"]["SignUp"]["properties"]["password"]
    told = " ".join(SECURITY.split())
    for said in (
            f"{password['minLength']} to {password['maxLength']} characters",
            f"wait more than {passwords.MOST_SECONDS:g} s",
            f"at most {tokens.LONGEST} characters", f"for {service.REPEAT_MS // SECOND} s; later",
            f"unpacking, within {at.body:g} s", f"{at.head // 1024} KiB, a line", f"first within {at.first:g} s",
            f"later one within {at.idle:g} s", f"{at.reading:g} s for each {at.least // 1024} KiB",
            f"{at.unread // 1024**2} MiB for all", f"{protocol.MAX_FRAME // 1024} KiB, uncompressed",
            f"{protocol.AUTH_SECONDS:g} s until", f"{protocol.SEND_SECONDS:g} s to take",
            f"{signing_in.FROM_ANYWHERE.count} in an hour", f"from within {queries.KNOWN_MS // DAY} days",
            f"at most {http.MAX_BODY // 1024**2} MiB read"):
        assert said in told, said
    told = " ".join(OPERATIONS.split())
    for said in (f"at most {flood.MOST} are written in ten seconds", f"in {len(BUCKETS)} buckets"):
        assert said in told, said
    assert flood.SECONDS == 10


# -- what a page leads to

@pytest.mark.parametrize("page", sorted(PAGES))
def test_links_lead_somewhere(page: str) -> None:
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(str(file.relative_to(ROOT))), target


@pytest.mark.parametrize("page", sorted(NOW))
def test_files_that_are_named_exist(page: str) -> None:
    rooms = (ROOT, ROOT / "server", ROOT / page / "..")
    for name in _FILE.findall(NOW[page]):
        found = any((room / name).exists() for room in rooms) or list(ROOT.glob(f"server/*/{name}"))
        assert found or name in NOT_OURS, f"{page}: {name}"


@pytest.mark.parametrize("page", sorted(NOW))
def test_tests_that_are_named_exist(page: str) -> None:
    for file, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", NOW[page]):
        assert re.search(rf"^(?:async )?def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), name


def test_every_room_is_in_the_plan() -> None:
    plan = PAGES["docs/architecture.md"].split("```")[1]
    rooms = [path for top in ("server", "ws") for path in (ROOT / top).iterdir()
             if path.suffix == ".py" and path.stem != "__init__" or path.is_dir() and any(path.glob("*.*"))]
    rooms += [ROOT / name for name in ("bot", "config", "tests")]
    for room in rooms:
        if room.name != "__pycache__":
            assert f"{room.name}/" in plan if room.is_dir() else room.name in plan, room.name


def test_every_page_is_reached_from_the_readme() -> None:
    seen, waiting = set(), ["README.md"]
    while waiting:
        page = waiting.pop()
        if page in PAGES and page not in seen:
            seen.add(page)
            waiting += [str(((ROOT / page).parent / link.partition("#")[0]).resolve().relative_to(ROOT))
                        for link in links(page) if link.partition("#")[0]]
    assert seen == set(PAGES)
