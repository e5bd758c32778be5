"""Whatever comes in the place of a file, the answer is a problem that says so, never a 500."""
from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from server.web.route import Route
from tests.conftest import Serve
from tests.support import Answer, Api, Served
from tests.web.hostile import BROKEN_BODIES, FILE, FORM, JSON, file_body, filled, problem, upload

_END = b"--between--\r\n"
_PART = file_body().removesuffix(_END)
_HEAD = b'--between\r\nContent-Disposition: form-data; name="file"; filename="a.py"\r\n'
# Nothing of these has one whole file in it.
BROKEN: dict[str, tuple[bytes, int]] = {
    "empty": (b"", 400),
    "no boundary": (b"import os\n", 400),
    "only the end": (_END, 422),
    "no end": (_PART, 400),
    "no end of the head": (_HEAD.rstrip(), 400),
    "a head that is none": (b"--between\r\nnonsense\r\n\r\nx\r\n" + _END, 400),
    "a head that is too large": (b"--between\r\nX-A: " + b"x" * 100_000 + b"\r\n\r\nx\r\n" + _END, 400),
    "another name": (file_body(field="other"), 422),
    "no name": (file_body(field=""), 422),
    "twice": (_PART + file_body(), 422),
    "a thousand times": (_PART * 1000 + _END, 400),
    "a field beside it": (_PART + b'--between\r\nContent-Disposition: form-data; name="role"\r\n\r\nadmin\r\n' + _END,
                          422),
    "parts in a part": (b"--between\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x--\r\n" + _END, 400),
    "no file name": (b'--between\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n' + _END, 422),
    "base64": (_HEAD + b"Content-Transfer-Encoding: base64\r\n\r\neA==\r\n" + _END, 400),
    "quoted-printable": (_HEAD + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=41\r\n" + _END, 400),
    "a transfer encoding that nobody knows": (_HEAD + b"Content-Transfer-Encoding: x\r\n\r\nx\r\n" + _END, 400),
    "gzip": (_HEAD + b"Content-Encoding: gzip\r\n\r\nx\r\n" + _END, 400),
}
NAMES = {"a.txt": 415, "a": 415, "": 415, ".py": 422, "a.py.exe": 415, "a.PY": 415, "py": 415, "/": 415,
         "a" * 253 + ".py": 422, "\u202eyp.py": 422, "a\x01.py": 400, "a\u200b.py": 422, "a\ue000.py": 422}

ODD_HEADS = (
    'form-data; name="file"; filename="a.py', "form-data; name=file; filename*=utf-8''%ff.py", "form-data", "", ";;;",
    "form-data; name=file; filename*=x''a.py", "form-data; name=file; filename=a.py; filename=b.py",
    "form-data; name=file; filename*=utf-8''a%0d%0aX.py", "form-data; name=\xff; filename=\xff.py",
    'form-data; name=file; filename="a.py"\r\nContent-Type: multipart/mixed; boundary=between',
    "form-data; name=file; filename=a.py\r\nContent-Length: x",
    "form-data; name=file; filename=a.py\r\nContent-Length: 9",
)


@dataclass
class Door:
    """A server with a member who has a file, and the routes that take one."""

    api: Api
    token: str
    file: int
    routes: list[Route]

    async def send(self, route: Route, raw: bytes | None, headers: dict[str, str] = FILE) -> Answer:
        path = filled(route.path, self.file)
        return await self.api.call(route.method, path, token=self.token, data=raw, headers=headers)


@pytest.fixture
async def door(server: Served) -> AsyncIterator[Door]:
    token = (await server.api.sign_up("ada"))["access_token"]
    file = await upload(server.api, token)
    yield Door(server.api, token, file["id"], [route for route in server.foyer.routes if route.uploads])


async def _files(door: Door) -> list[tuple[str, int]]:
    return [(file["name"], file["version"]) for file in (await door.api.get("/api/files", token=door.token)).data]


async def test_a_body_that_holds_no_file(door: Door) -> None:
    for route in door.routes:
        for name, (raw, status) in BROKEN.items():
            answer = await door.send(route, raw)
            assert answer.status == status, (route.key, name, answer.status, answer.raw[:300])
            problem(answer)
        for raw, _ in BROKEN_BODIES.values():
            problem(await door.send(route, raw))
    assert await _files(door) == [("engine.py", 1)]


async def test_other_content_types(door: Door) -> None:
    for route in door.routes:
        for kind in ({}, JSON, FORM, {"Content-Type": "text/x-python"}, {"Content-Type": "garbage"},
                     {"Content-Type": "multipart/mixed; boundary=between"}):
            answer = await door.send(route, file_body(), kind)
            assert problem(answer, 415) == "unsupported_media_type", (route.key, kind)
            assert answer.headers["Accept"] == "multipart/form-data"


@pytest.mark.parametrize("boundary", ["", "; boundary", "; boundary=", "; boundary=other", "; boundary=" + "x" * 71,
                                      '; boundary="', "; boundary=\xe9"])
async def test_a_boundary_that_is_none(door: Door, boundary: str) -> None:
    for route in door.routes:
        answer = await door.send(route, file_body(), {"Content-Type": f"multipart/form-data{boundary}"})
        assert problem(answer, 400) == "malformed", route.key


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
async def test_a_name_that_is_no_python_files(door: Door, name: str) -> None:
    for route in door.routes:
        problem(await door.send(route, file_body(name=name)), NAMES[name])
    assert await _files(door) == [("engine.py", 1)]


@pytest.mark.parametrize("head", ODD_HEADS, ids=range(len(ODD_HEADS)))
async def test_a_head_that_is_odd(door: Door, head: str) -> None:
    raw = b"--between\r\nContent-Disposition: " + head.encode("latin-1") + b"\r\n\r\nimport os\r\n" + _END
    for route in door.routes:
        answer = await door.send(route, raw)
        if answer.status >= 400:
            assert problem(answer) in ("malformed", "invalid_fields")
        else:
            content = await door.api.get(f"/api/files/{answer.data['id']}/content", token=door.token)
            assert (answer.data["name"], content.raw) == ("a.py", b"import os")


async def test_a_folder_is_no_part_of_a_name(door: Door) -> None:
    for name in ("../../b.py", "/etc/b.py", "C:\\\\a\\\\b.py", "a/b.py"):
        for route in door.routes:
            assert (await door.send(route, file_body(name=name))).data["name"] == "b.py", name


async def test_a_file_may_be_large_but_not_larger(serve: Serve) -> None:
    server = await serve({"checks.max_file": "64 KiB"})
    token = (await server.api.sign_up())["access_token"]
    for size, status in ((64 * 1024, 201), (64 * 1024 + 1, 413), (1024 * 1000, 413)):
        answer = await server.api.call("POST", "/api/files", token=token, data=file_body(b"#" * size), headers=FILE)
        assert answer.status == status and (status == 201 or problem(answer) == "too_large")


async def test_a_value_is_not_said_back(door: Door) -> None:
    for route in door.routes:
        for raw in (file_body(field="<script>marker"), file_body(name="<b>marker</b>"),
                    file_body(name="marker\u202e.py")):
            answer = await door.send(route, raw)
            problem(answer)
            assert b"<script" not in answer.raw and b"<b>" not in answer.raw and b"\\u202e" not in answer.raw


async def test_any_bytes_may_stand_in_a_file(door: Door) -> None:
    for content in (b"", b"\0", b"\xff\xfe", b"\r\n", b"-- between\r\n", b"\r\n--betwee", bytes(range(256))):
        file = await upload(door.api, door.token, content)
        assert (await door.api.get(f"/api/files/{file['id']}/content", token=door.token)).raw == content
