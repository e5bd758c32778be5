"""A file that comes as `multipart/form-data` (RFC 7578), whole and checked."""
from __future__ import annotations

import asyncio
import hashlib
import re
import unicodedata
import warnings
from dataclasses import dataclass
from typing import Any

from aiohttp import (
    BadContentDispositionHeader, BadContentDispositionParam, BodyPartReader, MultipartReader, StreamReader,
)
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import BadHttpMessage
from multidict import CIMultiDictProxy

from server.core.errors import FieldError, Problem
from server.web.bodies import invalid

MEDIA = "multipart/form-data"
FIELD = "file"
LONGEST_NAME = 255
_AS_IT_IS = ("binary", "8bit", "7bit")
# What aiohttp makes of parts and heads that are none.
_UNREADABLE = (ValueError, AssertionError, LookupError, RuntimeError, BadHttpMessage, RuntimeWarning)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came."""

    name: str
    content: bytes
    sha256: str

    @property
    def told(self) -> bytes:
        """What it is by, whatever boundary it came between."""
        return f"{self.name}\n{self.sha256}".encode()


async def read(raw: bytes, headers: CIMultiDictProxy[str], content_type: str, most: int) -> Upload:
    """The one file of a body; raises Problem 400 (cannot be read), 413 (larger than `most`), 415 or 422."""
    if content_type != MEDIA:
        raise Problem("unsupported_media_type", f"Send {MEDIA} with a part called '{FIELD}'.",
                      headers={"Accept": MEDIA})
    try:
        # aiohttp only warns of some, and Python would keep every text that it was warned of.
        with warnings.catch_warnings():
            warnings.simplefilter("error", BadContentDispositionHeader)
            warnings.simplefilter("error", BadContentDispositionParam)
            parts = await _parts(raw, headers, most)
    except _UNREADABLE:
        raise Problem("malformed", "The multipart body cannot be read.") from None
    if [name for name, _, _ in parts] != [FIELD]:
        raise invalid(_wrong([name for name, _, _ in parts]))
    _, name, content = parts[0]
    return Upload(_checked_name(name), content, hashlib.sha256(content).hexdigest())


async def _parts(raw: bytes, headers: CIMultiDictProxy[str], most: int) -> list[tuple[str, str | None, bytes]]:
    """Name, file name and content of each part."""
    loop = asyncio.get_running_loop()
    # So large that it never asks a connection, which is not there, to wait.
    stream = StreamReader(BaseProtocol(loop), len(raw) + 1, loop=loop)
    stream.feed_data(raw)
    stream.feed_eof()
    found: list[tuple[str, str | None, bytes]] = []
    async for part in MultipartReader(headers, stream):
        if not isinstance(part, BodyPartReader) or len(found) > 1:
            raise ValueError("nested parts, or too many")
        found.append((part.name or "", part.filename, await _content(part, most)))
    return found


async def _content(part: BodyPartReader, most: int) -> bytes:
    encoding = part.headers.get("Content-Transfer-Encoding", "binary").lower()
    if "Content-Encoding" in part.headers or encoding not in _AS_IT_IS:
        raise ValueError("an encoded part")  # RFC 7578 section 4.7 wants none, and unpacking has no bound
    content = bytearray()
    while chunk := await part.read_chunk():
        content += chunk
        if len(content) > most:  # aiohttp's own limit does not hold here
            raise Problem("too_large", f"The file is larger than {most} bytes.")
    return bytes(content)


def _wrong(names: list[str]) -> list[FieldError]:
    errors = [FieldError(re.sub(r"[^\w.-]", "?", name, flags=re.ASCII)[:60], "unknown_field",
                         "is not a field of this request") for name in names if name != FIELD]
    if names.count(FIELD) != 1:
        errors.append(FieldError(FIELD, "required" if FIELD not in names else "not_both", "must be there once"))
    return errors


def _checked_name(name: str | None) -> str:
    """The last part of the name that came; raises Problem 415 for what is not called like a Python file, 422 for what
    nobody could read in a list."""
    if name is None:
        raise invalid([FieldError(FIELD, "required", "must have a file name")])
    name = re.split(r"[/\\]", name)[-1]
    if not name.endswith(".py"):
        raise Problem("unsupported_media_type", "Only Python files are taken: the name must end in .py.")
    odd = [letter for letter in name if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")]
    if odd or len(name) > LONGEST_NAME or name == ".py":
        raise invalid([FieldError(FIELD, "bad_format", f"must have a name of 4 to {LONGEST_NAME} characters that can "
                                  "be shown")])
    return name


def described(most: int) -> dict[str, Any]:
    """The body as OpenAPI has it; `most`: bytes of the file."""
    file = {"type": "string", "format": "binary", "description": "A Python file.", "maxLength": most}
    head = {"description": "Has the name of the file, which ends in .py.", "required": True,
            "schema": {"type": "string"}, "example": 'form-data; name="file"; filename="engine.py"'}
    return {"required": True, "content": {MEDIA: {
        "schema": {"type": "object", "required": [FIELD], "additionalProperties": False, "properties": {FIELD: file}},
        "example": {FIELD: 'print("Hello")\n'},
        "encoding": {FIELD: {"contentType": "text/x-python", "headers": {"Content-Disposition": head}}}}}}
