"""The keys: set, or made on first start beside the SQLite file, never in the database."""
from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path

from server.core.errors import ConfigError
from server.settings import Settings

NAME = "foyer.key"
CARDS_NAME = "foyer.cards.key"


def of(settings: Settings) -> str:
    """What signs the tokens; made (mode 0600) when it is not set and there is none yet. Raises `ConfigError`."""
    if settings.auth.secret:
        return settings.auth.secret
    if settings.sqlite_file is None:
        raise ConfigError("[auth] secret: must be set with PostgreSQL, the same for all; expected 32 characters "
                          "or more")
    return _kept(settings.sqlite_file.with_name(NAME), "[auth] secret")


def card_key(settings: Settings) -> str:
    """What keys the fingerprints of card numbers; made likewise. With PostgreSQL, where all processes must have the
    same and none keeps a file, it comes of `auth.secret`. Raises `ConfigError`."""
    if settings.randomdata.card_key:
        return settings.randomdata.card_key
    if settings.sqlite_file is None:
        return hmac.digest(of(settings).encode(), b"foyer card numbers", "sha256").hex()
    return _kept(settings.sqlite_file.with_name(CARDS_NAME), "[randomdata] card_key")


def places(settings: Settings) -> list[str]:
    """Where each key is: the file, or the setting that gives it."""
    kept = {NAME: ("auth.secret", settings.auth.secret),
            CARDS_NAME: ("randomdata.card_key", settings.randomdata.card_key)}
    if settings.sqlite_file is None:
        return [setting for setting, value in kept.values() if value]
    return [setting if value else str(settings.sqlite_file.with_name(name)) for name, (setting, value) in kept.items()]


def _kept(path: Path, setting: str) -> str:
    try:
        if not path.exists():
            _make(path)
        secret = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{setting}: {path} cannot be used: {error}") from None
    if len(secret) < 32:
        raise ConfigError(f"{setting}: {path} holds no secret; expected 32 characters or more")
    return secret


def _make(path: Path) -> None:
    # Written aside and linked into place: a crash leaves either no key or a whole one, and two starts agree on one.
    aside = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
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
