"""Bodies with a file that are made to break whoever reads them: a problem or the file, at once, and never a 500."""
from __future__ import annotations

import time

import pytest

from tests.files.support import Cell, checked, count, send
from tests.support import Served
from tests.web.hostile import FILE, problem

END = b"--between--\r\n"
NAMED = b'Content-Disposition: form-data; name="file"; filename="a.py"'


def part(head: bytes = NAMED, content: bytes = b"x = 1\n") -> bytes:
    return b"--between\r\n" + head + b"\r\n\r\n" + content + b"\r\n"


def named(rest: bytes) -> bytes:
    """A part whose head says this about its name."""
    return part(b'Content-Disposition: form-data; name="file"; ' + rest)


BROKEN: dict[str, tuple[bytes, int]] = {
    "no part": (b"--between\r\n" + END, 400),
    "ten thousand": (part() * 10_000 + END, 400),
    "a charset for all": (part(b'Content-Disposition: form-data; name="_charset_"', b"utf-8") + part() + END, 400),
    "a charset of fifty letters": (part(b'Content-Disposition: form-data; name="_charset_"', b"a" * 50) + END, 400),
    "a line that is no header": (part(NAMED + b"\r\nno colon here") + END, 400),
    "a header with a space in its name": (part(NAMED + b"\r\nX A: b") + END, 400),
    "a header with a zero": (part(NAMED + b"\r\nX-A: \0") + END, 400),
    "a name with a zero": (named(b'filename="a\0.py"') + END, 400),
    "a header over two lines": (part(NAMED + b"\r\n folded: x") + END, 400),
    "a header of a megabyte": (part(NAMED + b"\r\nX-A: " + b"a" * 1_000_000) + END, 400),
    "twenty thousand headers": (part(NAMED + b"".join(b"\r\nX-%d: a" % each for each in range(20_000))) + END, 400),
    "a disposition that is none": (part(b"Content-Disposition: ;;;===") + END, 400),
    "no disposition": (part(b"X-A: b") + END, 422),
    "a name in a charset that nobody knows": (named(b"filename*=nope''%ff.py") + END, 400),
    "a name in broken UTF-8": (named(b"filename*=UTF-8''%ff.py") + END, 400),
    "a name in Latin-1": (named(b'filename="\xe9.py"') + END, 422),
    "an identity that is an encoding": (part(NAMED + b"\r\nContent-Encoding: identity") + END, 400),
    "parts in the file": (part(NAMED + b"\r\nContent-Type: multipart/mixed; boundary=in", b"--in--") + END, 400),
    "line ends of one letter": ((part() + END).replace(b"\r\n", b"\n"), 400),
    "the boundary and more": (part(NAMED, b"a\r\n--betweenX\r\nb") + END, 400),
    "cut in the content": (part()[:-4], 400),
    "cut in the head": (b"--between\r\nContent-Disp", 400),
}
# What is odd, and all the same a file: its name and content.
ODD: dict[str, tuple[bytes, str, bytes]] = {
    "a preamble and an epilogue": (b"hello\r\n" + part() + END + b"junk\r\n" * 99, "a.py", b"x = 1\n"),
    "a length that is wrong": (part(NAMED + b"\r\nContent-Length: 99999") + END, "a.py", b"x = 1\n"),
    "a length that is none": (part(NAMED + b"\r\nContent-Length: -5") + END, "a.py", b"x = 1\n"),
    "a transfer encoding": (part(NAMED + b"\r\nTransfer-Encoding: chunked") + END, "a.py", b"x = 1\n"),
    "another charset": (part(NAMED + b"\r\nContent-Type: text/x-python; charset=utf-16") + END, "a.py", b"x = 1\n"),
    "the boundary inside": (part(NAMED, b"'--between'\n--between\n\r\n--betwee\r\n -- between") + END, "a.py",
                            b"'--between'\n--between\n\r\n--betwee\r\n -- between"),
    "beginnings of the boundary": (part(NAMED, b"\r\n--betwee" * 20_000) + END, "a.py", b"\r\n--betwee" * 20_000),
    "nothing but line ends": (part(NAMED, b"\r\r\n\n" * 9_999) + END, "a.py", b"\r\r\n\n" * 9_999),
    "all bytes": (part(NAMED, bytes(range(256)) * 9) + END, "a.py", bytes(range(256)) * 9),
    "a name in UTF-8": (named('filename="été🎉.py"'.encode()) + END, "été🎉.py", b"x = 1\n"),
    "a name that is quoted": (named(b"filename*=UTF-8''%e2%82%ac.py") + END, "€.py", b"x = 1\n"),
    "a name that only looks quoted": (named(b'filename="%e2%80%ae.py"') + END, "%e2%80%ae.py", b"x = 1\n"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_what_is_no_file(server: Served, cell: Cell, ada: str, name: str) -> None:
    body, status = BROKEN[name]
    began = time.monotonic()
    answer = await server.api.call("POST", "/api/files", token=ada, data=body, headers=FILE)
    assert time.monotonic() - began < 2
    assert problem(answer, status) in ("malformed", "invalid_fields")
    assert await count(server, "SELECT count(*) FROM contents") == 0
    assert (await send(server, ada)).status == 201
    await checked(server)


async def test_what_is_odd_and_a_file(server: Served, cell: Cell, ada: str) -> None:
    for case, (body, name, content) in ODD.items():
        answer = await server.api.call("POST", "/api/files", token=ada, data=body, headers=FILE)
        assert answer.status == 201, (case, answer.raw)
        assert (answer.data["name"], answer.data["size"]) == (name, len(content)), case
        assert (await server.api.get(f"/api/files/{answer.data['id']}/content", token=ada)).raw == content, case
    await checked(server)
    assert {source for source, _ in cell.asked} == {content for _, _, content in ODD.values()}
