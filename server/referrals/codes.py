"""The codes by which members bring others."""
from __future__ import annotations

import re

_CODE = re.compile("[a-z0-9]{1,40}")


def folded(text: str) -> str | None:
    """The code in the text as it is stored, or None when it cannot be one."""
    code = text.strip()
    return code.lower() if code.isascii() and _CODE.fullmatch(code.lower()) else None
