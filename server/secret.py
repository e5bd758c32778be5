"""The secret that signs tokens: set, or made on first start beside the SQLite file, never in the database."""
from __future__ import annotations

import os
import secrets
from pathlib import Path

from server.core.errors import ConfigError
from server.settings import Settings

NAME = "foyer.key"


def of(settings: Settings) -> str:
    """The secret; made (mode 0600) when it is not set and there is none yet. Raises `ConfigError`."""
    if settings.auth.secret:
        return settings.auth.secret
    if settings.sqlite_file is None:
        raise ConfigError("[auth] secret: must be set with PostgreSQL, the same for all; expected 32 characters "
                          "or more")
    path = settings.sqlite_file.with_name(NAME)
    try:
        if not path.exists():
            _make(path)
        secret = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"[auth] secret: {path} cannot be used: {error}") from None
    if len(secret) < 32:
        raise ConfigError(f"[auth] secret: {path} holds no secret; expected 32 characters or more")
    return secret


def _make(path: Path) -> None:
    # Written aside and linked into place: a crash leaves either no key or a whole one, and two starts agree on one.
    aside = path.with_name(f"{NAME}.{secrets.token_hex(4)}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(handle)
        os.link(aside, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(aside)
