"""The files that put Foyer into operation. What they start is started here as they say, in other places."""
from __future__ import annotations

import asyncio
import configparser
import json
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path, PurePosixPath
from subprocess import DEVNULL, PIPE, STDOUT
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import yaml

from server import cli, secret, settings
from server.core.errors import ConfigError
from server.settings import SECTIONS, Settings
from tests import postgres
from tests.proofs.processes import READY, Process, lasting_port
from tests.support import PASSWORD, Api, frame, until

ROOT = Path(__file__).resolve().parents[1]
STOPS_WITHIN = 10  # seconds, as docs/operations.md promises
LINES = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.M).replace("\\\n", " ").splitlines()


def told(word: str) -> list[str]:
    """What the Dockerfile says after each such word."""
    return [each.removeprefix(word).strip() for each in LINES if each.startswith(f"{word} ")]


COPIES = [(rest.split()[:-1], rest.split()[-1]) for rest in told("COPY")]
# In JSON arrays, so without a shell in between that would keep SIGTERM to itself.
HEALTH, ENTRY, COMMAND = (json.loads(re.sub(r"^.*?\[", "[", told(word)[-1]))
                          for word in ("HEALTHCHECK", "ENTRYPOINT", "CMD"))
IMAGE = dict(pair.split("=", 1) for rest in told("ENV") for pair in shlex.split(rest))
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICE = COMPOSE["services"]["foyer"]
GROWN = {name: each for name, each in COMPOSE["services"].items() if each.get("profiles") == ["grow"]}
OURS = {name: each for name, each in GROWN.items() if "build" in each}
UNITS = {}
for _path in (ROOT / "config").glob("foyer*.*"):
    UNITS[_path.name] = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    UNITS[_path.name].optionxform = str  # type: ignore[assignment]
    UNITS[_path.name].read_string(_path.read_text())


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A folder with what the Dockerfile copies and nothing else, and our Python as its environment."""
    folder = tmp_path / "srv" / "foyer"
    for sources, target in COPIES:
        (folder / target).mkdir(parents=True, exist_ok=True)
        for source in (ROOT / each for each in sources):
            if source.is_dir():
                shutil.copytree(source, folder / target, ignore=lambda *_: {"__pycache__"}, dirs_exist_ok=True)
            else:
                shutil.copy(source, folder / target)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


async def spawn(words: list[str], folder: Path, environ: Mapping[str, str]) -> Process:
    """Starts a command; `python` is ours."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return Process(await asyncio.create_subprocess_exec(*words, cwd=folder, env={"PATH": path, **environ},
                                                        stdin=DEVNULL, stdout=PIPE, stderr=STDOUT))


async def run(words: list[str], folder: Path, environ: Mapping[str, str]) -> tuple[int | None, str]:
    """Runs a command to its end; exit code and output."""
    process = await spawn(words, folder, environ)
    async with asyncio.timeout(30):
        printed, _ = await process.handle.communicate()
    return process.handle.returncode, printed.decode()


@asynccontextmanager
async def serving(words: list[str], folder: Path, environ: Mapping[str, str]) -> AsyncIterator[Process]:
    """A server that is ready, and that stops in time when it is told to."""
    server = await spawn(words, folder, environ)
    try:
        server.url = await server.line(READY)
        yield server
        async with asyncio.timeout(STOPS_WITHIN):
            assert await server.terminate() == 0
    finally:
        await server.kill()


# -- the image

def test_the_base_is_exact_and_of_the_python_that_is_tested() -> None:
    tag = re.fullmatch(r"python:(\d+\.\d+)\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?", told("FROM")[-1])
    assert tag and f"python_version = {tag[1]}\n" in (ROOT / "setup.cfg").read_text()


def test_the_image_does_not_run_as_root_and_its_user_is_made() -> None:
    user, group = told("USER")[-1].split(":")
    assert int(user) > 0 and int(group) > 0
    assert re.search(rf"groupadd --gid {group} .*useradd --uid {user} --gid {group} ", " ".join(told("RUN")))


def sent(path: str) -> bool:
    """Whether .dockerignore lets a file go into a build: the last line that fits it or a folder above it says."""
    answer, above = True, [path, *map(str, PurePosixPath(path).parents)]
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        names = PurePosixPath(path).parts if "**/" in line else above
        if not line.startswith("#") and any(fnmatchcase(name, pattern) for name in names):
            answer = line.startswith("!")
    return answer


@pytest.mark.parametrize("source", [source for sources, _ in COPIES for source in sources])
def test_what_is_copied_is_there_and_is_sent(source: str) -> None:
    assert (ROOT / source).exists() and sent(f"{source}any.py" if source.endswith("/") else source)


@pytest.mark.parametrize("path", ["foyer.db", "foyer.key", "foyer.cards.key", ".env", ".git/config",
                                  ".venv/bin/python", "ws/old.pyc", "config/own.cfg", "tests/conftest.py",
                                  "server/__pycache__/app.pyc", "bot/a.db-wal"])
def test_what_is_private_or_useless_is_not_sent(path: str) -> None:
    assert not sent(path)


def test_the_packages_are_exact() -> None:
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    assert lines and all(re.fullmatch(r"[\w.-]+(\[\w+\])?==[\w.]+(; .+)?", line) for line in lines), lines
    install = next(rest for rest in told("RUN") if "pip install" in rest)
    assert "-r requirements.txt" in install and "--no-cache-dir" in install


async def test_the_image_serves_as_its_health_check_sees_and_stops(program: Path, tmp_path: Path) -> None:
    port, database = lasting_port(), IMAGE["FOYER_DATABASE_URL"].replace(told("VOLUME")[0], str(tmp_path))
    environ = {**IMAGE, "FOYER_SERVER_PORT": str(port), "FOYER_DATABASE_URL": database}
    async with serving(ENTRY + COMMAND, program, environ) as server, aiohttp.ClientSession() as session:
        assert server.url == f"http://0.0.0.0:{port}"
        assert await run(HEALTH, program, environ) == (0, "")
        assert await run(HEALTH, program, {**environ, "http_proxy": "http://127.0.0.1:9"}) == (0, "")
        async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
            assert (await answer.json())["data"]["stand_ins"] == []
        assert (tmp_path / "foyer.db").exists() and (tmp_path / "foyer.key").exists()
        assert (await run([*ENTRY, "check"], program, environ))[0] == 0
        assert "--seed: expected" in (await run([*ENTRY, "bot", "config/bot.cfg", "--seed=x"], program, environ))[1]
    assert (await run(HEALTH, program, environ))[0] != 0


async def test_the_health_check_fails_when_the_answer_is_an_error(tmp_path: Path) -> None:
    async def ill(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
        writer.close()
    async with await asyncio.start_server(ill, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await run(HEALTH, tmp_path, {"FOYER_SERVER_PORT": str(port)}) == (1, "")


# -- compose

def given(environ: Mapping[str, str], service: Mapping[str, Any] = SERVICE) -> Settings:
    """The settings in the container when compose is started with these variables."""
    filled = {name: re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: environ.get(found[1]) or found[2], text)
              for name, text in service["environment"].items()}
    return settings.load(ROOT / "config" / "server.cfg", environ={**IMAGE, **filled})


def test_compose_passes_each_setting_on_by_its_own_name() -> None:
    for name, text in SERVICE["environment"].items():
        prefix, section, key = name.lower().split("_", 2)
        assert prefix == "foyer" and hasattr(SECTIONS[section](), key), name
        assert text.startswith("${" + name + ":-"), text


@pytest.mark.parametrize("variables", [{}, dict.fromkeys(SERVICE["environment"], "")], ids=["missing", "empty"])
def test_compose_starts_with_the_defaults_when_variables_are(variables: dict[str, str]) -> None:
    made, usual = given(variables), Settings()
    assert made.server.host == "0.0.0.0" and not made.stand_in("hunter")
    assert replace(made, server=usual.server, database=usual.database) == usual
    assert given({**variables, "FOYER_HUNTER_API_KEY": "a key"}).hunter.api_key == "a key"


def test_compose_keeps_the_data_and_gives_the_container_no_more_than_it_needs() -> None:
    [target], [port] = told("VOLUME"), told("EXPOSE")
    assert IMAGE["FOYER_DATABASE_URL"].startswith(f"sqlite:{target}/") and IMAGE["FOYER_SERVER_PORT"] == port
    wanted = {"volumes": [f"data:{target}"], "ports": [f"127.0.0.1:{port}:{port}"], "read_only": True, "init": True,
              "tmpfs": ["/tmp"], "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"],
              "restart": "unless-stopped", "build": "."}
    assert SERVICE == {**SERVICE, **wanted} and set(SERVICE) == {*wanted, "environment", "stop_grace_period"}
    assert int(SERVICE["stop_grace_period"].removesuffix("s")) > STOPS_WITHIN


# -- compose with many processes

def test_the_grown_services_differ_from_the_one_in_what_they_must() -> None:
    assert {name: each["command"] for name, each in OURS.items()} == {
        "serve-1": ["serve", "--no-jobs"], "serve-2": ["serve", "--no-jobs"], "worker": ["worker"]}
    besides = {"command", "depends_on", "healthcheck", "environment", "ports", "volumes", "profiles", "networks"}
    for name, each in OURS.items():
        assert {key: value for key, value in each.items() if key not in besides} == {
            key: value for key, value in SERVICE.items() if key not in besides}, name
        assert each["depends_on"] == {"postgres": {"condition": "service_healthy"}}
        told, usual = each["environment"], SERVICE["environment"]
        assert set(told) == {*usual, "FOYER_DATABASE_URL"}
        own = {"FOYER_DATABASE_URL", "FOYER_AUTH_SECRET", "FOYER_SERVER_TRUSTED_PROXIES"}
        assert {key: told[key] for key in told.keys() - own} == {key: usual[key] for key in usual.keys() - own}


def test_the_grown_servers_have_one_database_and_one_secret_and_there_is_no_default_for_either() -> None:
    database = GROWN["postgres"]
    [needed] = re.findall(r"\$\{(\w+):-\}", database["environment"]["POSTGRES_PASSWORD"])
    variables = {needed: "abc", "FOYER_AUTH_SECRET": "a secret of all processes, 32 or more"}
    for each in OURS.values():
        with pytest.raises(ConfigError, match=r"\[auth\] secret"):
            secret.of(given({needed: "abc"}, each))
    made = [given(variables, each) for each in OURS.values()]
    user, name = (database["environment"][f"POSTGRES_{key}"] for key in ("USER", "DB"))
    assert {each.database.url for each in made} == {f"postgresql://{user}:abc@postgres/{name}"}
    assert {each.auth.secret for each in made} == {variables["FOYER_AUTH_SECRET"]}
    assert not made[0].stand_in("hunter")
    [network] = made[0].server.trusted_proxies
    assert COMPOSE["networks"]["grow"]["ipam"]["config"] == [{"subnet": str(network)}]
    assert all(each["networks"] == ["grow"] for each in GROWN.values())


def test_the_grown_images_are_exact_and_only_the_proxy_is_reached() -> None:
    services = GROWN
    assert set(services) == {*OURS, "postgres", "proxy"} == set(COMPOSE["services"]) - {"foyer"}
    images = [services[name]["image"] for name in ("postgres", "proxy")]
    assert all(re.fullmatch(r"\w+:\d+\.\d+(\.\d+)?(-[a-z]+)?", image) for image in images), images
    assert [name for name, each in services.items() if "ports" in each] == ["proxy"]
    assert services["proxy"]["ports"] == SERVICE["ports"]
    [target] = (each.split(":")[1] for each in services["postgres"]["volumes"])
    assert target == "/var/lib/postgresql/data" and set(COMPOSE["volumes"]) == {"data", "postgres"}
    assert "--host=127.0.0.1" in services["postgres"]["healthcheck"]["test"]
    for each in services.values():
        assert each["restart"] == "unless-stopped" and "no-new-privileges:true" in each["security_opt"]


def test_the_proxy_knows_the_servers() -> None:
    [upstreams] = re.findall(r"reverse_proxy \{\$SERVERS:([^}]*)\}", (ROOT / "config" / "Caddyfile").read_text())
    [port] = told("EXPOSE")
    assert upstreams.split() == [f"{name}:{port}" for name in OURS if name.startswith("serve")]
    assert list(GROWN["proxy"]["depends_on"]) == [name for name in OURS if name.startswith("serve")]


@asynccontextmanager
async def proxied(folder: Path, servers: list[str]) -> AsyncIterator[str]:
    """The proxy of compose.yaml before these servers; its URL."""
    port = lasting_port()
    proxy = await spawn(["caddy", "run", "--config", str(ROOT / "config" / "Caddyfile"), "--adapter", "caddyfile"],
                        folder, {"LISTEN": f":{port}", "SERVERS": " ".join(servers), "HOME": str(folder)})
    try:
        async with aiohttp.ClientSession() as session:
            await until(partial(answers, session, f"http://127.0.0.1:{port}/livez"))
        yield f"http://127.0.0.1:{port}"
    finally:
        await proxy.kill()


async def answers(session: aiohttp.ClientSession, url: str) -> bool:
    """Whether somebody does."""
    try:
        async with session.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


@pytest.mark.caddy
async def test_the_proxy_shares_out_requests_sockets_and_streams(program: Path, tmp_path: Path) -> None:
    environ = {"FOYER_SERVER_PORT": "0", "FOYER_DATABASE_URL": postgres.database_of(tmp_path),
               "FOYER_AUTH_SECRET": "a secret of all processes, 32 or more", "FOYER_AUTH_BCRYPT_COST": "4",
               "FOYER_SANDBOX_MODE": "off", "FOYER_SERVER_TRUSTED_PROXIES": "127.0.0.1"}
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(serving([*ENTRY, *OURS[name]["command"]], program, environ))
                   for name in ("serve-1", "serve-2")]
        url = await stack.enter_async_context(proxied(tmp_path, [urlsplit(each.url).netloc for each in servers]))
        session = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        api = Api(session, url)
        author, reader = [(await api.sign_up())["access_token"] for _ in range(2)]
        seen: set[str] = set()

        async def both() -> bool:
            seen.add((await api.get("/livez")).headers["X-Request-ID"].partition("-")[0])
            return len(seen) == 2
        await until(both)
        assert (await api.get("/metrics")).status == 404
        # Before it there may be another one, which has seen the client.
        who = {"username": "far_away", "email": "far@example.org", "password": PASSWORD}
        assert (await api.post("/api/signup", who, headers={"X-Forwarded-For": "203.0.113.7"})).status == 201
        assert b"203.0.113.7" in postgres.contents(environ["FOYER_DATABASE_URL"])["sessions"]
        given = {"Authorization": f"Bearer {author}"}
        listening = [await stack.enter_async_context(session.ws_connect(f"{url}/ws?after=0", headers=given))
                     for _ in range(4)]
        stream = await stack.enter_async_context(session.get(f"{url}/api/events/stream?after=0", headers=given))
        for each in listening:
            await frame(each, "ready")
            await frame(each, "enriched")  # `not_configured`
        post = (await api.write_post(author))["id"]
        assert (await api.call("PUT", f"/api/posts/{post}/like", token=reader)).status < 300
        for each in listening:
            await frame(each, "post_liked")
        async with asyncio.timeout(5):
            while b"event: post_liked" not in (await stream.content.readline()):
                pass
        metrics = [(await Api(session, each.url).get("/metrics")).raw.decode() for each in servers]
        assert all(int(re.findall(r"^foyer_sockets (\d)", text, re.M)[0]) >= 2 for text in metrics)
        stream.close()
        assert await servers[0].terminate() == 0
        assert [(await api.get("/livez")).status for _ in range(20)] == [200] * 20


# -- systemd

def line(name: str, key: str, folder: Path) -> list[str]:
    """The words of a line of a [Service], with the places of a test."""
    text = UNITS[name]["Service"][key].replace("%%", "%").replace("$$", "$")
    return shlex.split(text.replace("/srv/", f"{folder}/srv/").replace("/var/lib/", f"{folder}/lib/"))


def prepared(name: str, folder: Path) -> dict[str, str]:
    """Makes the folders that systemd makes for the unit; its environment, with a free port."""
    for each in UNITS[name]["Service"]["StateDirectory"].split():
        (folder / "lib" / each).mkdir(parents=True, exist_ok=True)
    return dict(pair.split("=", 1) for pair in ["FOYER_SERVER_PORT=0", *line(name, "Environment", folder)])


async def test_the_units_serve_and_back_up_and_only_old_backups_go(program: Path, tmp_path: Path) -> None:
    serve, backup = "foyer.service", "foyer-backup.service"
    async with serving(line(serve, "ExecStart", tmp_path), program, prepared(serve, tmp_path)):
        environ, kept = prepared(backup, tmp_path), tmp_path / "lib/foyer/backups"
        for file, days in ((kept / "foyer-13.db", 13), (kept / "foyer-16.db", 16)):
            file.touch()
            os.utime(file, times=(time.time() - days * 86400,) * 2)
        for key in ("ExecStart", "ExecStartPost"):
            code, printed = await run(line(backup, key, tmp_path), program, environ)
            assert code == 0, printed
        names = " ".join(sorted(path.name for path in kept.iterdir()))
        assert re.fullmatch(r"foyer-13\.db foyer-2\d{3}-\d\d-\d\d\.db", names), names


@pytest.mark.parametrize("name", ["foyer.service", "foyer-backup.service"])
def test_a_unit_may_write_in_its_own_folder_only(name: str) -> None:
    service = UNITS[name]["Service"]
    wanted = {"User": "foyer", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes", "UMask": "0077",
              "NoNewPrivileges": "yes", "CapabilityBoundingSet": "", "MemoryDenyWriteExecute": "yes",
              "SystemCallFilter": "@system-service", "StateDirectoryMode": "0700", "EnvironmentFile": "-/etc/foyer.env",
              "Environment": "FOYER_DATABASE_URL=sqlite:/var/lib/foyer/foyer.db"}
    assert {key: service.get(key) for key in wanted} == wanted and "ReadWritePaths" not in service


def test_the_server_is_started_again_but_not_with_an_unusable_setting() -> None:
    service = UNITS["foyer.service"]["Service"]
    assert service["Restart"] == "on-failure" and service["RestartPreventExitStatus"] == str(cli.UNUSABLE)
    assert service["KillSignal"] == "SIGTERM" and int(service["TimeoutStopSec"]) > STOPS_WITHIN


def test_the_timer_starts_the_service_of_its_name_every_night() -> None:
    timer = {section: dict(UNITS["foyer-backup.timer"][section]) for section in ("Timer", "Install")}
    assert timer == {"Timer": {"OnCalendar": "03:30", "Persistent": "true"}, "Install": {"WantedBy": "timers.target"}}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not on this machine")
async def test_systemd_has_nothing_to_say_against_the_units(program: Path, tmp_path: Path) -> None:
    for name in UNITS:
        (tmp_path / name).write_text((ROOT / "config" / name).read_text().replace("/srv/", f"{tmp_path}/srv/"))
    code, printed = await run(["systemd-analyze", "verify", *(f"{tmp_path}/{name}" for name in UNITS)], tmp_path, {})
    assert (code, [each for each in printed.splitlines() if "foyer" in each]) == (0, [])
