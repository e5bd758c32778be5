"""How the server and the parent talk: frames of a number (which check), a kind, and a length, then so many bytes."""
from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

_HEAD = struct.Struct("!IBI")
HEAD_SIZE = _HEAD.size

# To the parent.
CHECK = 1   # the options as a line of JSON, then the file
CANCEL = 2  # nobody waits for it any more
# From the parent.
READY = 11   # JSON: versions, and the folder that it works in; the first frame
REPORT = 12  # JSON, as the child wrote it
FAILED = 13  # the check came to no report: why, for the member to read
AGAIN = 14   # nothing is known of the file, the trouble is ours: why


def frame(number: int, kind: int, body: bytes = b"") -> bytes:
    """One frame, ready to be sent."""
    return _HEAD.pack(number, kind, len(body)) + body


def head(data: bytes | bytearray) -> tuple[int, int, int]:
    """Number, kind and length, from the first `HEAD_SIZE` bytes of a frame."""
    number, kind, size = _HEAD.unpack_from(data)
    return number, kind, size


def take(buffer: bytearray) -> Iterator[tuple[int, int, bytes]]:
    """Takes the frames that are whole out of the buffer: number, kind, body."""
    while len(buffer) >= HEAD_SIZE:
        number, kind, size = head(buffer)
        end = HEAD_SIZE + size
        if len(buffer) < end:
            return
        body = bytes(buffer[HEAD_SIZE:end])
        del buffer[:end]
        yield number, kind, body


def pack_check(options: Mapping[str, Any], source: bytes) -> bytes:
    """The body of CHECK."""
    return json.dumps(options).encode() + b"\n" + source


def unpack_check(body: bytes) -> tuple[dict[str, Any], bytes]:
    """Options and file of a CHECK."""
    options, _, source = body.partition(b"\n")
    return json.loads(options), source
