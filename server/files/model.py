"""What files take and give."""
from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from server.web.fields import rule

Status = Literal["pending", "running", "passed", "violations", "error"]
MailStatus = Literal["queued", "sent", "failed", "not_configured"]
MOST_CODES = 100
# As flake8 itself takes them (7.5.0, flake8/defaults.py): the beginning of a code will do.
_CODE = "[A-Z]{1,3}[0-9]{0,3}"
_TEXT = rf"[\s,]*({_CODE}([\s,]+{_CODE})*)?[\s,]*"


def _codes(value: str) -> str | None:
    if not re.fullmatch(_TEXT, value) or len(re.findall(_CODE, value)) > MOST_CODES:
        return f"must be at most {MOST_CODES} codes such as E501, W6 or F, with commas"
    return None


Code = Annotated[str, Meta(pattern=f"^{_CODE}$(?!\n)")]  # where `$` would let a last line end pass
CodeList = Annotated[list[Code], Meta(max_length=MOST_CODES)]
CodeText = Annotated[str, rule(_codes, schema={"pattern": f"^{_TEXT}$"}, max_length=400)]


class Options(msgspec.Struct, omit_defaults=True):
    """How flake8 looks, where that is not its own way."""

    max_line_length: int | None = None
    select: list[str] | None = None
    ignore: list[str] | None = None


class Recheck(msgspec.Struct, forbid_unknown_fields=True):
    """POST /api/files/{id}/checks."""

    max_line_length: Annotated[int, Meta(ge=40, le=200)] | None = None
    select: CodeList | CodeText | None = None
    ignore: CodeList | CodeText | None = None

    def options(self) -> Options:
        """The options that were given."""
        return Options(self.max_line_length, _listed(self.select), _listed(self.ignore))


def _listed(codes: list[str] | str | None) -> list[str] | None:
    return re.findall(_CODE, codes) if isinstance(codes, str) else codes


class File(msgspec.Struct):
    """A file as its owner sees it: its newest version, and how the check of that ended."""

    id: int
    name: str
    size: int
    sha256: str
    version: int
    status: Status
    checked_at: str | None
    created_at: str


class Finding(msgspec.Struct):
    """What flake8 found at a place. `suppressed`: a `noqa` comment silences it."""

    line: int
    column: int
    code: str
    text: str
    source: str
    suppressed: bool


class Check(msgspec.Struct):
    """A check of a version. `total`, `counts` and `suppressed` are complete; of `findings` there are at most 1000."""

    id: int
    version: int
    status: Status
    requested_at: str
    started_at: str | None
    finished_at: str | None
    flake8: str | None
    python: str | None
    options: Options
    total: int
    suppressed: int
    counts: dict[str, int]
    findings: list[Finding]
    mail: MailStatus | None
    reason: str | None


class Checked(msgspec.Struct):
    """The data of a `file_checked` event."""

    file_id: int
    name: str
    version: int
    check_id: int
    status: Status
    total: int
    suppressed: int
    counts: dict[str, int]
    reason: str | None


class ExportedVersion(msgspec.Struct):
    """A version of a file as its owner's export has it; `content` is base64."""

    id: int
    file_id: int
    name: str
    version: int
    sha256: str
    size: int
    created_at: str
    content: bytes


class Version(msgspec.Struct, forbid_unknown_fields=True):
    """Which version; the newest, when it is not said."""

    version: Annotated[int, Meta(ge=1, le=2**53 - 1)] | None = None


class ExportedCheck(Check, kw_only=True):
    """A check as its owner's export has it."""

    file_id: int
