"""Keeps a fault that happens a thousand times a second from filling the log, and the disk that it lies on."""
from __future__ import annotations

import logging

MOST = 20  # lines of one kind ...
SECONDS = 10.0  # ... in so long a time
_KINDS = 1000  # that are remembered: a message without arguments is a kind of its own


class FloodFilter(logging.Filter):
    """Lets the first lines of a kind pass, and says with the next one later how many were left out.

    A kind is what the program says, without what it says it of: the logger and the message before its arguments.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kinds: dict[tuple[str, str], list[float]] = {}  # since when, how many since then

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written; `record.left_out` is how many before it were not."""
        kind = (record.name, str(record.msg))
        seen = self._kinds.get(kind)
        if seen is None or not 0 <= record.created - seen[0] < SECONDS:
            if seen is None and len(self._kinds) >= _KINDS:
                self._kinds.clear()
            record.left_out = max(0, int(seen[1]) - MOST) if seen else 0
            self._kinds[kind] = [record.created, 1]
            return True
        seen[1] += 1
        return seen[1] <= MOST
