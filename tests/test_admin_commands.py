"""`admin create|promote|demote`, and how a running server notices what another process has written."""
from __future__ import annotations

import asyncio
import re
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from server.ops import check
from server.storage import inspection, schema
from server.storage.lock import only_one
from tests import postgres
from tests.conftest import Serve
from tests.proofs.processes import spawn
from tests.storage.lived import files
from tests.support import Served, close_code, frame, until
from tests.web.hostile import problem

pytestmark = pytest.mark.long  # each command is a process, and there are many
PASSWORD_FORM = re.compile(r"[a-z2-9]{5}(-[a-z2-9]{5}){3}\n")
SECRET = "a secret of all processes, 32 or more"
NOTICED = 1.0  # seconds, by the contract


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database that is not made yet."""
    return f"sqlite:{tmp_path / 'foyer.db'}" if request.param == "sqlite" else postgres.database_of(tmp_path)


@pytest.fixture
async def server(serve: Serve, url: str) -> Served:
    """A server on either database."""
    return await serve({"database.url": url, "auth.secret": SECRET})


@pytest.fixture
async def on_file(serve: Serve, tmp_path: Path) -> Served:
    """A server on a file, into which anybody may write."""
    return await serve({"database.url": f"sqlite:{tmp_path / 'foyer.db'}"})


async def run(*arguments: str, url: str) -> tuple[int, str, str]:
    """Runs a command on the database; its exit code and what it wrote."""
    with tempfile.NamedTemporaryFile() as said:
        process = await spawn(*arguments, "--database", url, log=Path(said.name),
                              environ={"FOYER_AUTH_BCRYPT_COST": "4", "FOYER_AUTH_SECRET": SECRET})
        printed, _ = await process.handle.communicate()
        assert process.handle.returncode is not None
        return process.handle.returncode, printed.decode(), said.read().decode()


async def elsewhere(url: str, *statements: str) -> None:
    """Writes as a program does that is none of ours."""
    def write() -> None:
        if not url.startswith("sqlite:"):
            postgres.execute("; ".join(statements), url)
            return
        with inspection.opened(place(url)) as raw:  # type: ignore[arg-type]
            raw.execute("BEGIN IMMEDIATE")
            for statement in statements:
                raw.execute(statement)
            raw.execute("COMMIT")
    await asyncio.to_thread(write)


def place(url: str) -> inspection.Place:
    """What `inspection` calls it."""
    return Path(url.removeprefix("sqlite:")) if url.startswith("sqlite:") else url


async def look(url: str, function: Callable[[Any], Awaitable[Any]]) -> Any:
    """What `function(tx)` finds."""
    return await asyncio.to_thread(inspection.inspect, place(url), function)


def of(served: Served) -> str:
    """The URL of the server's database."""
    return served.settings.database.url


async def test_the_first_one_is_there_before_the_server(serve: Serve, tmp_path: Path, url: str) -> None:
    code, printed, said = await run("admin", "create", "Ada", "Ada@Example.org", url=url)
    assert code == 0 and PASSWORD_FORM.fullmatch(printed)
    assert "Ada is an administrator" in said and printed.strip() not in said
    assert files(tmp_path) == ({"foyer.db", "foyer.db.lock"} if url.startswith("sqlite:") else set())
    assert await asyncio.to_thread(inspection.damage, place(url)) + await look(url, check.broken) == []
    served = await serve({"database.url": url, "auth.secret": SECRET})
    assert printed.strip().encode() not in b"".join(served.stored().values())
    for name in ("ada", "ada@example.org"):
        me = (await served.api.post("/api/login", {"username": name, "password": printed.strip()})).data["user"]
    assert (me["role"], me["username"], me["email"], me["email_status"]) == ("admin", "Ada", "Ada@example.org",
                                                                             "unchecked")
    assert me["email_confirmed_at"] and len(me["referral_code"]) == 10
    assert me["enrichment"] == {"status": "not_configured", "provider": None, "attempts": 0, "fields": {},
                                "next_attempt_at": None, "updated_at": me["created_at"]}


async def test_beside_a_running_server_it_works_at_once(server: Served) -> None:
    code, printed, _ = await run("admin", "create", "ada", "ada@example.org", url=of(server))
    assert code == 0
    session = (await server.api.post("/api/login", {"username": "ada", "password": printed.strip()})).data
    token = session["access_token"]
    assert session["user"]["role"] == "admin"
    await server.api.write_post(token)
    socket = await server.socket(token)
    assert (await frame(socket, "ready"))["seq"] == 0
    # Nobody was asked about them; they may ask at once, and hear of it.
    assert (await server.api.post("/api/me/enrichment", token=token)).status == 202
    assert (await frame(socket, "enriched"))["seq"] == 1
    await socket.close()
    assert await look(of(server), check.broken) == []


@pytest.mark.parametrize("name, email, code, says", [
    ("ADA", "other@example.org", 1, "a member ADA already"), ("eve", "ADA@example.org", 1, "belongs to a member"),
    ("a", "other@example.org", 2, "username"), ("e v e", "other@example.org", 2, "username"),
    ("eve", "no address", 2, "email"), ("eve", "x@y", 2, "email"), ("e\udcffe", "other@example.org", 2, "username")])
async def test_the_rules_are_those_of_a_sign_up(server: Served, name: str, email: str, code: int, says: str) -> None:
    await server.api.sign_up("ada")
    before = await look(of(server), _members)
    ended, printed, said = await run("admin", "create", name, email, url=of(server))
    assert (ended, printed) == (code, "") and says in said and len(said.splitlines()) == 1
    assert await look(of(server), _members) == before


async def _members(tx: Any) -> int:
    return int(await tx.value("SELECT count(*) FROM users"))


async def test_promoted_and_demoted_by_name(server: Served) -> None:
    token = (await server.api.sign_up("Ada"))["access_token"]
    for deed, role, says in (("promote", "admin", "Ada is an administrator\n"), ("promote", "admin", "Ada is an "),
                             ("demote", "member", "Ada is a member"), ("demote", "member", "Ada is a member")):
        code, printed, said = await run("admin", deed, "aDA", url=of(server))
        assert code == 0 and printed.startswith(says)
        assert ("there is no administrator any more" in said) == (deed == "demote")
        began = time.monotonic()
        await until(lambda: _has_role(server, token, role))
        assert time.monotonic() - began < NOTICED
        assert (await server.api.get("/api/me", token=token)).data["role"] == role
    code, printed, said = await run("admin", "promote", "nobody", url=of(server))
    assert (code, printed, said) == (1, "", "foyer: there is no member nobody\n")


async def _has_role(served: Served, token: str, role: str) -> bool:
    """What the gate lets somebody in as, who is never out of its memory for long."""
    return (await served.foyer.gate.authenticate(token)).role == role


async def test_who_is_not_the_last_one_goes_without_a_word(url: str) -> None:
    for name in ("ada", "bob"):
        assert (await run("admin", "create", name, f"{name}@example.org", url=url))[0] == 0
    assert (await run("admin", "demote", "ada", url=url)) == (0, "ada is a member like any other\n", "")


async def test_one_who_is_suspended_does_not_count(url: str) -> None:
    for name in ("ada", "bob"):
        assert (await run("admin", "create", name, f"{name}@example.org", url=url))[0] == 0
    await elsewhere(url, SUSPEND)
    assert "there is no administrator any more" in (await run("admin", "demote", "bob", url=url))[2]


@pytest.mark.parametrize("deed", ["promote", "demote"])
async def test_without_a_database(tmp_path: Path, url: str, deed: str) -> None:
    code, printed, said = await run("admin", deed, "ada", url=url)
    assert (code, printed, len(said.splitlines())) == (2, "", 1) and "[database] url: " in said
    assert files(tmp_path) == set()


async def test_another_schema_is_left_alone(server: Served) -> None:
    """A program that is newer than the server beside it must not bring the schema up under it."""
    await server.api.sign_up("ada")
    for version, says in ((schema.VERSION - 1, "start the server once"), (schema.VERSION + 1, "use a newer Foyer")):
        await elsewhere(of(server), f"UPDATE meta SET schema_version = {version}")
        for arguments in (("create", "eve", "eve@example.org"), ("promote", "ada")):
            code, printed, said = await run("admin", *arguments, url=of(server))
            assert (code, printed) == (2, "") and says in said and len(said.splitlines()) == 1
    await elsewhere(of(server), f"UPDATE meta SET schema_version = {schema.VERSION}")


async def test_the_database_is_made_only_when_nobody_else_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "foyer.db"
    with only_one(path):
        code, _, said = await run("admin", "create", "ada", "ada@example.org", url=f"sqlite:{path}")
        assert code == 2 and "in use by another Foyer process" in said and not path.exists()
    path.touch()  # as a server leaves it that was killed at its first start
    assert (await run("admin", "create", "ada", "ada@example.org", url=f"sqlite:{path}"))[0] == 0


async def test_two_may_make_it_at_once(url: str) -> None:
    """Of PostgreSQL's tables one makes all; of a file the other one is told that it is in use, or comes later."""
    ends = await asyncio.gather(*(run("admin", "create", name, f"{name}@example.org", url=url)
                                  for name in ("ada", "bob")))
    assert {code for code, *_ in ends} <= ({0, 2} if url.startswith("sqlite:") else {0}), ends
    assert await look(url, _members) == sum(code == 0 for code, *_ in ends)


async def test_many_at_once_beside_a_server_that_is_written_to(server: Served) -> None:
    token = (await server.api.sign_up())["access_token"]
    done = asyncio.Event()

    async def write() -> int:
        number = 0
        while not done.is_set():
            assert (await server.api.post("/api/posts", {"title": "t", "text": "x"}, token=token)).status == 201
            number += 1
        return number
    writing = asyncio.create_task(write())
    ends = await asyncio.gather(*(_create(server, number) for number in range(6)))
    done.set()
    assert await writing > 10
    assert ends == [0] * 6
    assert await look(of(server), check.broken) == []


async def test_check_and_backup_beside_a_running_server(server: Served, tmp_path: Path) -> None:
    token = (await server.api.sign_up("ada"))["access_token"]
    await server.api.write_post(token)
    code, printed, said = await run("check", url=of(server))
    assert (code, said) == (0, "") and "invariants hold" in printed
    code, printed, said = await run("backup", str(tmp_path / "kept.db"), url=of(server))
    assert (code, said) == (0, "") and "1 members, 1 posts" in printed and SECRET not in printed
    assert (await server.api.get("/api/me", token=token)).status == 200


async def _create(served: Served, number: int) -> int:
    process = await spawn("admin", "create", f"admin{number}", f"admin{number}@example.org", "--database",
                          of(served), environ={"FOYER_AUTH_BCRYPT_COST": "4", "FOYER_AUTH_SECRET": SECRET})
    return await process.handle.wait()


# -- what another program writes into the file is known within a second

SUSPEND = "UPDATE users SET suspended_at = 1 WHERE username = 'ada'"
END = "UPDATE sessions SET ended_at = 1 WHERE user_id = 1"
DELETE = "DELETE FROM users WHERE username = 'ada'"


async def within_a_second(condition: Callable[[], Awaitable[bool]]) -> None:
    began = time.monotonic()
    await until(condition)
    assert time.monotonic() - began < NOTICED


@pytest.mark.parametrize("statement", [SUSPEND, END, DELETE])
async def test_who_is_let_in_no_more(on_file: Served, statement: str) -> None:
    token, other = [(await on_file.api.sign_up(name))["access_token"] for name in ("ada", "bob")]
    sockets = [await on_file.socket(token) for _ in range(2)]
    stays = await on_file.socket(other)
    for socket in (*sockets, stays):
        await frame(socket, "ready")
    for each in (token, other):
        assert (await on_file.api.get("/api/me", token=each)).status == 200
    # A first change that concerns nobody: what is held open must be known after it too.
    await elsewhere(of(on_file), "UPDATE meta SET schema_version = schema_version + 0")
    await elsewhere(of(on_file), statement)
    began = time.monotonic()
    assert [await close_code(socket) for socket in sockets] == [4401, 4401]
    assert time.monotonic() - began < NOTICED
    problem(await on_file.api.get("/api/me", token=token), 401)
    assert (await on_file.api.get("/api/me", token=other)).status == 200
    await stays.send_json({"type": "ping"})
    await until(lambda: on_file.foyer.hub.count == 1)
    await stays.close()


async def test_a_suspended_one_is_refused_without_a_socket_too(on_file: Served) -> None:
    token = (await on_file.api.sign_up("ada"))["access_token"]
    assert (await on_file.api.get("/api/me", token=token)).status == 200
    await elsewhere(of(on_file), SUSPEND)

    async def refused() -> bool:
        return (await on_file.api.get("/api/sessions", token=token)).status == 401
    await within_a_second(refused)


async def test_posts_show_what_somebody_else_changed(on_file: Served) -> None:
    ada, bob = [(await on_file.api.sign_up(name))["access_token"] for name in ("ada", "bob")]
    post = await on_file.api.write_post(ada)
    paths = ("/api/posts", f"/api/posts/{post['id']}", "/api/posts?sort=likes", "/api/posts?author=ada")
    for path in paths * 2:
        for token in (None, bob):
            await on_file.api.get(path, token=token)
    await elsewhere(of(on_file), "UPDATE users SET name = 'Second'", "UPDATE posts SET like_count = 1",
                    "INSERT INTO likes (post_id, user_id, at) VALUES (1, 2, 1)")

    async def shown() -> bool:
        found = [(await on_file.api.get(path, token=bob)).data for path in paths]
        posts = [each[0] if isinstance(each, list) else each for each in found]
        return all(each["author"]["name"] == "Second" and each["liked"] and each["like_count"] == 1 for each in posts)
    await within_a_second(shown)


async def test_a_page_that_was_being_read_meanwhile_is_not_remembered(serve: Serve, tmp_path: Path) -> None:
    # No enrichment changes the author.
    server = await serve({"sandbox.mode": "off", "database.url": f"sqlite:{tmp_path / 'foyer.db'}"})
    memory, token = server.foyer.memory, (await server.api.sign_up("ada"))["access_token"]
    await server.api.write_post(token)
    stamp = memory.stamp
    memory.everything_changed()
    memory.fill_page(stamp, "key", False, ((1,), None))
    assert memory.page("key", False, 0) is None and memory.post(1, 0) is None and memory.stamp > stamp
    assert (await server.api.get("/api/posts/1")).status == 200
    assert memory.post(1, 0) is not None


async def test_a_member_who_was_being_looked_up_meanwhile_is_not_remembered(
        on_file: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, token = on_file.foyer.gate, (await on_file.api.sign_up("ada"))["access_token"]
    reached, go, read = asyncio.Event(), asyncio.Event(), on_file.foyer.database.read

    async def held(function: Any, *args: Any) -> Any:
        found = await read(function, *args)
        reached.set()
        await go.wait()
        return found
    monkeypatch.setattr(on_file.foyer.database, "read", held)
    looking = asyncio.create_task(gate.authenticate(token))
    await reached.wait()
    changing = asyncio.create_task(gate.look_again())
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(looking, changing)
    assert gate.remembered(token) is None


async def test_work_that_another_process_asks_for_begins_at_once(on_file: Served) -> None:
    await elsewhere(of(on_file), "INSERT INTO jobs (kind, key, body, state, run_at, created_at)"
                                 " VALUES ('housekeeping', '', '{}', 'ready', 1, 1)")

    async def done() -> bool:
        return bool(await on_file.foyer.database.read(_done))
    await within_a_second(done)


async def _done(tx: Any) -> Any:
    return await tx.value("SELECT 1 FROM jobs WHERE kind = 'housekeeping' AND state = 'done'")


async def test_commands_that_only_read_disturb_nobody(on_file: Served, tmp_path: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(on_file.foyer.memory, "everything_changed", lambda: calls.append(1))
    token = (await on_file.api.sign_up("ada"))["access_token"]
    await on_file.api.write_post(token)
    for arguments in (("check",), ("backup", str(tmp_path / "kept.db"))):
        assert (await run(*arguments, url=of(on_file)))[0] == 0
    await elsewhere(of(on_file), "UPDATE users SET name = 'x' WHERE id = 1")
    await until(lambda: calls)
    assert calls == [1]
