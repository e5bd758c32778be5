"""Logs on stderr, as text or as JSON lines, redacted on the way out."""
from __future__ import annotations

import json
import logging
import sys

from server.core.clock import iso
from server.core.flood import FloodFilter
from server.core.redaction import redact


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = f"{iso(int(record.created * 1000))} {record.levelname.lower()} {record.name}: {_message(self, record)}"
        # A line break that came from outside must not start a line of its own; those of a traceback are set in.
        line = line.replace("\r", "\\r")
        return line.replace("\n", "\n    " if record.exc_info else "\\n")


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps({
            "at": iso(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(self, record),
        })


def _message(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    message = record.getMessage()
    left_out = getattr(record, "left_out", 0)
    if left_out:
        message += f" ({left_out} more like this were left out before)"
    if record.exc_info:
        message += "\n" + formatter.formatException(record.exc_info)
    return redact(message)


def set_up(log_format: str, level: int = logging.INFO) -> None:
    """Sends every log record of the process to stderr; `log_format` is `text` or `json`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if log_format == "json" else _TextFormatter())
    handler.addFilter(FloodFilter())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.getLogger("aiosqlite").setLevel(logging.WARNING)
    logging.getLogger("faker").setLevel(logging.WARNING)
