"""The rules of files through the API: what a file is, whose it is, its versions, and where its bytes stand."""
from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from server.web import machine
from tests.accounts.letters import confirmed, quiet
from tests.accounts.test_erasure import leave
from tests.conftest import Serve
from tests.files.support import Cell, add, check_again, checked, count, file, history, send, whole
from tests.support import Served, until
from tests.web.hostile import FILE, file_body, guarded, problem

CONTENTS = "SELECT count(*) FROM contents"
USES = "SELECT coalesce(sum(uses), 0) FROM contents"
MARKER = b"# marker: kaleidoscope of nightingales\n"


async def test_a_file_as_its_owner_sees_it(server: Served, cell: Cell, ada: str) -> None:
    answer = await send(server, ada, b"import os\r\n", "../a/engine.py")
    id_ = answer.data["id"]
    assert answer.status == 201 and answer.headers["Location"] == f"/api/files/{id_}"
    await checked(server)
    shown = await file(server, ada, id_)
    assert {**shown, "created_at": "", "checked_at": ""} == {
        "id": id_, "name": "engine.py", "size": 11, "sha256": hashlib.sha256(b"import os\r\n").hexdigest(),
        "version": 1, "status": "passed", "checked_at": "", "created_at": ""}
    assert shown["created_at"] <= shown["checked_at"]
    assert answer.data == {**shown, "status": "pending", "checked_at": None}


async def test_the_source_is_what_came_byte_for_byte(server: Served, cell: Cell, ada: str) -> None:
    for content in (b"", b"a = 1\r\nb = 2\r\r\n\r\n", bytes(range(256)), b"\xef\xbb\xbfx = 1",
                    b"<script>alert(1)</script>"):
        id_ = await add(server, ada, content)
        answer = await server.api.get(f"/api/files/{id_}/content", token=ada)
        guarded(answer)
        assert answer.raw == content and answer.headers["Content-Type"] == "text/plain; charset=utf-8"


async def test_an_empty_file_is_one(server: Served, ada: str) -> None:
    id_ = await add(server, ada, b"", "__init__.py")
    await checked(server)
    shown, (last,) = await file(server, ada, id_), await history(server, ada, id_)
    assert (shown["size"], shown["status"], last["status"], last["total"]) == (0, "passed", "passed", 0)


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), 7):
        yield body[at:at + 7]


async def test_a_file_may_come_in_chunks(server: Served, cell: Cell, ada: str) -> None:
    answer = await server.api.call("POST", "/api/files", token=ada, data=_pieces(file_body(b"x = 1\n" * 9)),
                                   headers=FILE)
    assert (await server.api.get(f"/api/files/{answer.data['id']}/content", token=ada)).raw == b"x = 1\n" * 9


async def test_a_file_that_comes_too_slowly(server: Served, ada: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = machine._body
    monkeypatch.setattr(machine, "_body", lambda request, seconds: read(request, 0.1))
    port = int(server.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = file_body()
    writer.write(f"POST /api/files HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ada}\r\nContent-Type: "
                 f"{FILE['Content-Type']}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[:-9])
    said = await reader.readuntil(b"}")
    writer.write(body[-9:])
    assert b" 408 " in said and b'"code":"request_timeout"' in said and await reader.read() is not None
    writer.close()
    await writer.wait_closed()
    assert await count(server, "SELECT count(*) FROM files") == 0


async def test_the_list_is_newest_first_and_in_pages(server: Served, cell: Cell, ada: str, bob: str) -> None:
    ids = [await add(server, ada, b"x = %d\n" % number) for number in range(5)]
    await add(server, bob)
    seen, path = [], "/api/files?limit=2"
    while path:
        page = await server.api.get(path, token=ada)
        seen.append([one["id"] for one in page.data])
        path = f"/api/files?limit=2&cursor={page.body['next']}" if page.body["next"] else ""
    assert seen == [ids[4:2:-1], ids[2:0:-1], ids[:1]]
    for cursor in ("x", "AAAA", (await server.api.get(f"/api/posts?limit=1&cursor={'x' * 9}", token=ada)).code):
        assert problem(await server.api.get(f"/api/files?cursor={cursor}", token=ada), 400) == "bad_cursor"


async def test_nobody_sees_or_changes_somebody_elses(server: Served, cell: Cell, ada: str, bob: str) -> None:
    id_ = await add(server, ada)
    await checked(server)
    await quiet(server)
    before = await file(server, ada, id_), await history(server, ada, id_)
    for method, path in (("GET", ""), ("GET", "/content"), ("GET", "/checks"), ("POST", "/checks"), ("DELETE", "")):
        answer = await server.api.call(method, f"/api/files/{id_}{path}", token=bob)
        nothing = await server.api.call(method, f"/api/files/{id_ + 99}{path}", token=bob)
        assert problem(answer, 404) == problem(nothing, 404) and answer.body["detail"] == nothing.body["detail"]
        problem(await server.api.call(method, f"/api/files/{id_}{path}"), 401)
    problem(await send(server, bob, file=id_), 404)
    assert (await file(server, ada, id_), await history(server, ada, id_)) == before
    assert await count(server, USES) == 1


# -- how many, how large


async def test_the_limit_holds_exactly_however_many_come_at_once(serve: Serve) -> None:
    server = await serve({"checks.files_per_member": "3"})
    Cell.of(server)
    ada, bob = [(await server.api.sign_up(name))["access_token"] for name in ("ada", "bob")]
    answers = await asyncio.gather(*[send(server, ada, b"x = %d\n" % number) for number in range(12)])
    assert Counter(answer.status for answer in answers) == {201: 3, 409: 9}
    assert {problem(answer) for answer in answers if answer.status == 409} == {"file_limit"}
    assert await count(server, CONTENTS) == 3
    id_ = next(answer.data["id"] for answer in answers if answer.status == 201)
    assert (await send(server, ada, b"y", file=id_)).status == 200 and (await send(server, bob)).status == 201
    await server.api.call("DELETE", f"/api/files/{id_}", token=ada)
    assert (await send(server, ada)).status == 201 and problem(await send(server, ada), 409) == "file_limit"
    await checked(server)


async def test_a_body_that_is_larger_than_any_may_be(serve: Serve) -> None:
    server = await serve({"checks.max_file": "64 KiB", "server.max_body": "128 KiB"})
    token = (await server.api.sign_up())["access_token"]
    for size in (64 * 1024 + 1, 128 * 1024, 1_000_000):
        assert problem(await send(server, token, b"#" * size), 413) == "too_large"
        answer = await server.api.call("POST", "/api/files", token=token, headers=FILE,
                                       data=_pieces(file_body(b"#" * 140_000)))
        assert problem(answer, 413) == "too_large"
    assert await count(server, CONTENTS) == 0


async def test_an_address_that_has_to_be_confirmed_first(serve: Serve) -> None:
    server = await serve({"auth.require_confirmed_email": "write"})
    Cell.of(server)
    token = (await server.api.sign_up("ada"))["access_token"]
    assert problem(await send(server, token), 403) == "email_unconfirmed"
    assert await count(server, CONTENTS) == 0
    await confirmed(server, "ada@example.org")
    id_ = await add(server, token)
    await server.foyer.database.write(lambda tx: tx.run("UPDATE users SET email_confirmed_at = NULL"))
    for answer in (await send(server, token, file=id_), await check_again(server, token, id_)):
        assert problem(answer, 403) == "email_unconfirmed"
    assert (await server.api.call("DELETE", f"/api/files/{id_}", token=token)).status == 204


# -- the bytes


async def test_equal_bytes_stand_there_once_and_go_with_the_last_who_has_them(
        server: Served, cell: Cell, ada: str, bob: str) -> None:
    files = [(ada, await add(server, ada, MARKER)), (ada, await add(server, ada, MARKER, "b.py")),
             (bob, await add(server, bob, MARKER))]
    await send(server, bob, b"other", file=files[2][1])
    await send(server, bob, MARKER, file=files[2][1])
    assert (await count(server, CONTENTS), await count(server, USES)) == (2, 5)
    await checked(server)
    for (token, id_), left in zip(files, (4, 3, 0), strict=True):
        assert (await server.api.get(f"/api/files/{id_}/content", token=token)).raw == MARKER
        assert (await server.api.call("DELETE", f"/api/files/{id_}", token=token)).status == 204
        assert await count(server, USES) == left
        problem(await server.api.call("DELETE", f"/api/files/{id_}", token=token), 404)
    assert await count(server, CONTENTS) == 0
    await whole(server)


async def test_many_with_the_same_bytes_at_once(server: Served, cell: Cell, ada: str, bob: str) -> None:
    for _ in range(3):
        ids = await asyncio.gather(*[add(server, token, MARKER) for token in (ada, bob) for _ in range(5)])
        assert (await count(server, CONTENTS), await count(server, USES)) == (1, 10)
        work = [server.api.call("DELETE", f"/api/files/{id_}", token=token)
                for token, those in ((ada, ids[:5]), (bob, ids[5:])) for id_ in those]
        answers = await asyncio.gather(*work, send(server, ada, MARKER), send(server, bob, MARKER, "last.py"))
        assert [answer.status for answer in answers] == [204] * 10 + [201] * 2
        assert (await count(server, CONTENTS), await count(server, USES)) == (1, 2)
        await checked(server)
        for token in (ada, bob):
            for one in (await server.api.get("/api/files", token=token)).data:
                await server.api.call("DELETE", f"/api/files/{one['id']}", token=token)
        assert await count(server, CONTENTS) == 0


def _stored(served: Served) -> bool:
    return MARKER.rstrip() in b"\0".join(served.stored().values())


@pytest.mark.sqlite
async def test_the_bytes_of_a_member_who_leaves_are_gone(server: Served, cell: Cell, ada: str, bob: str) -> None:
    for number in range(3):
        await send(server, ada, MARKER + b"%d" % number, file=await add(server, ada, MARKER))
    id_ = await add(server, bob, MARKER)
    assert _stored(server)
    assert (await leave(server, ada)).status == 204
    assert (await count(server, CONTENTS), await count(server, USES)) == (1, 1)
    await checked(server)
    assert (await leave(server, bob)).status == 204
    assert await count(server, CONTENTS) == 0 and id_
    await until(lambda: not _stored(server))
    await whole(server)
    await server.stop()
    assert not _stored(server)


async def test_the_rows_of_a_member_who_leaves_are_gone(server: Served, cell: Cell, ada: str, bob: str,
                                                        dice: Any) -> None:
    shared = [await add(server, token, MARKER) for token in (ada, bob)]
    await add(server, ada, b"x")
    answers = await asyncio.gather(leave(server, ada), *[send(server, ada, b"%d" % number) for number in range(6)],
                                   check_again(server, ada, shared[0]), send(server, ada, b"y", file=shared[0]))
    assert answers[0].status == 204 and {answer.status for answer in answers} <= {200, 201, 202, 204, 401, 404}
    await checked(server)
    for table in ("files", "file_versions", "contents"):
        assert await count(server, f"SELECT count(*) FROM {table}") == 1
    assert (await file(server, bob, shared[1]))["status"] == "passed"
    assert not dice.thrown, "somebody and who leaves waited for each other"


# -- versions


async def test_a_new_version(server: Served, cell: Cell, ada: str) -> None:
    id_ = await add(server, ada, b"one")
    await checked(server)
    changed = (await send(server, ada, b"two two", "other.py", file=id_)).data
    assert (changed["id"], changed["name"], changed["version"], changed["size"]) == (id_, "other.py", 2, 7)
    assert (changed["status"], changed["checked_at"]) == ("pending", None)
    await checked(server)
    assert [one["version"] for one in await history(server, ada, id_)] == [2, 1]
    for query, content in (("", b"two two"), ("?version=1", b"one"), ("?version=2", b"two two")):
        assert (await server.api.get(f"/api/files/{id_}/content{query}", token=ada)).raw == content
    problem(await server.api.get(f"/api/files/{id_}/content?version=3", token=ada), 404)
    for query in ("version=0", "version=x", "version=", "version=9007199254740992"):
        problem(await server.api.get(f"/api/files/{id_}/content?{query}", token=ada), 422)


async def test_twenty_versions_are_kept(server: Served, cell: Cell, ada: str) -> None:
    id_ = await add(server, ada, b"version 1")
    for number in range(2, 24):
        assert (await send(server, ada, b"version %d" % number, file=id_)).data["version"] == number
    for version, status in ((3, 404), (4, 200), (23, 200)):
        answer = await server.api.get(f"/api/files/{id_}/content?version={version}", token=ada)
        assert answer.status == status and (status == 404 or answer.raw == b"version %d" % version)
    assert await count(server, CONTENTS) == 20
    await checked(server)
    assert len(await history(server, ada, id_)) == 23


async def test_versions_at_once_have_numbers_one_after_the_other(server: Served, cell: Cell, ada: str) -> None:
    id_ = await add(server, ada)
    answers = await asyncio.gather(*[send(server, ada, b"%d" % number, file=id_) for number in range(8)])
    assert sorted(answer.data["version"] for answer in answers) == list(range(2, 10))
    await checked(server)
    assert (await file(server, ada, id_))["status"] == "passed"


# -- the same again


async def test_the_same_key_and_file_get_the_stored_answer(server: Served, cell: Cell, ada: str) -> None:
    key = {"Idempotency-Key": "once"}
    first = await send(server, ada, **key)
    await checked(server)
    other = file_body().replace(b"between", b"somewhere-else")
    again = await server.api.call("POST", "/api/files", token=ada, data=other, headers={
        **key, "Content-Type": "multipart/form-data; boundary=somewhere-else"})
    assert (again.status, again.raw, again.headers["Location"]) == (201, first.raw, first.headers["Location"])
    for content, name in ((b"import sys\n", "engine.py"), (b"import os\n", "other.py")):
        assert problem(await send(server, ada, content, name, **key), 422) == "idempotency_mismatch"
    assert await count(server, "SELECT count(*) FROM files") == 1
    assert await count(server, "SELECT count(*) FROM checks") == 1


async def test_the_same_at_once_is_one_file(server: Served, cell: Cell, ada: str) -> None:
    answers = await asyncio.gather(*[send(server, ada, **{"Idempotency-Key": "once"}) for _ in range(8)])
    assert {(answer.status, answer.raw) for answer in answers} == {(201, answers[0].raw)}
    assert await count(server, "SELECT count(*) FROM files") == 1
    await checked(server)
