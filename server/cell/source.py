"""Reads a file as Python would: which encoding it is in, whether it is text, whether it compiles.

flake8 alone reads what has an unknown encoding as Latin-1, or calls it clean.
"""
from __future__ import annotations

import codecs
import io
import re
import tokenize

PACKAGE = "__init__.py"
NAME = "file.py"  # what flake8 and Python know the file by; the member's name for it stays outside

_MARKS = ((codecs.BOM_UTF32_LE, "UTF-32"), (codecs.BOM_UTF32_BE, "UTF-32"),
          (codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16"))
_ASCII_ONLY = bytes(range(128)) + b"?" * 128
_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST_NAME = 40


class Unreadable(Exception):
    """The file cannot be checked; the message says why to the member."""


def read_lines(source: bytes) -> list[str]:
    """The lines, as flake8 reads them from a file; raises Unreadable when Python would not read it."""
    for mark, name in _MARKS:
        if source.startswith(mark):
            raise Unreadable(f"the file is {name}, which Python does not read; save it as UTF-8")
    if b"\0" in source:
        raise Unreadable(f"line {_line(source, source.index(0))} contains a NUL byte, which Python does not allow")
    encoding = _encoding(source)
    try:
        lines = io.TextIOWrapper(io.BytesIO(source), encoding).readlines()
    except LookupError:
        raise Unreadable(f"the file names an encoding that is not one of text: {encoding[:_LONGEST_NAME]}") from None
    except ValueError:
        raise Unreadable(_not_decoded(source, encoding)) from None
    if _SURROGATE.search("".join(lines)):
        raise Unreadable("the file contains half a character (a lone surrogate)")
    return lines


def refusal(source: bytes) -> str | None:
    """Why Python does not compile the file, in its own words; raises Unreadable when it cannot even try."""
    try:
        compile(source, NAME, "exec", dont_inherit=True)
    except SyntaxError as error:
        where = f" (line {error.lineno})" if error.lineno else ""
        return f"{error.msg}{where}"
    except RecursionError:
        raise Unreadable("the code is nested too deeply for Python") from None
    except MemoryError:  # also what the parser says of a nesting that is too deep for it
        raise Unreadable("the code is nested too deeply for Python, or needs more memory than it may use") from None
    except (ValueError, OverflowError) as error:
        return str(error)
    return None


def _encoding(source: bytes) -> str:
    """The encoding that the file is declared to be in."""
    stream = io.BytesIO(source)

    def ascii_line() -> bytes:
        # Only what is declared matters here; the other bytes are looked at when it is decoded.
        line = stream.readline()
        mark = codecs.BOM_UTF8 if line.startswith(codecs.BOM_UTF8) else b""
        return mark + line[len(mark):].translate(_ASCII_ONLY)
    try:
        encoding, _ = tokenize.detect_encoding(ascii_line)
    except SyntaxError as error:
        raise Unreadable(_not_declared(str(error))) from None
    return encoding


def _not_declared(said: str) -> str:
    kind, _, name = said.partition(": ")
    if kind == "unknown encoding":
        return f"the file names an encoding that Python does not know: {name[:_LONGEST_NAME]}"
    return "the file begins with the mark of UTF-8, but names another encoding"


def _not_decoded(source: bytes, encoding: str) -> str:
    where = "the file is"
    try:
        source.decode(encoding)
    except UnicodeDecodeError as error:
        where = f"line {_line(source, error.start)} is"
    except ValueError:
        pass
    if encoding in ("utf-8", "utf-8-sig"):
        return f"{where} not UTF-8; save the file as UTF-8, or name its encoding in the first line"
    return f"{where} not {encoding[:_LONGEST_NAME]}, the encoding that the file names"


def _line(source: bytes, place: int) -> int:
    return source.count(b"\n", 0, place) + 1
