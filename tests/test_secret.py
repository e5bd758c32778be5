"""The key of the card numbers: set, made beside the SQLite file, or made of the secret that PostgreSQL needs anyway."""
from __future__ import annotations

from pathlib import Path

import pytest

from server import secret, settings
from server.core.errors import ConfigError
from server.settings import Settings

LONG = "thirty-two characters, or even more"


def given(folder: Path, **auth: str) -> Settings:
    """Settings of a SQLite file in the folder, or of PostgreSQL when there is a secret."""
    url = "postgresql://localhost/foyer" if auth.get("auth_secret") else f"sqlite:{folder / 'foyer.db'}"
    values = {("database", "url"): url, **{tuple(name.split("_", 1)): value for name, value in auth.items()}}
    return settings.load(environ={}, overrides=values)  # type: ignore[arg-type]


def test_it_is_made_once_for_its_owner_only_and_is_another_one(tmp_path: Path) -> None:
    first = secret.card_key(given(tmp_path))
    path = tmp_path / "foyer.cards.key"
    assert path.stat().st_mode & 0o777 == 0o600 and len(first) >= 32 and path.read_text().strip() == first
    assert secret.card_key(given(tmp_path)) == first != secret.of(given(tmp_path))
    assert {each.name for each in tmp_path.iterdir()} == {"foyer.key", "foyer.cards.key"}


def test_one_that_is_set_needs_no_file(tmp_path: Path) -> None:
    assert secret.card_key(given(tmp_path, randomdata_card_key=LONG)) == LONG
    assert list(tmp_path.iterdir()) == []


def test_with_postgresql_all_processes_have_the_same(tmp_path: Path) -> None:
    key = secret.card_key(given(tmp_path, auth_secret=LONG))
    assert len(key) == 64 and LONG not in key and secret.card_key(given(tmp_path, auth_secret=LONG)) == key
    assert key != secret.card_key(given(tmp_path, auth_secret=LONG + "x"))
    assert secret.card_key(given(tmp_path, auth_secret=LONG, randomdata_card_key=LONG[::-1])) == LONG[::-1]
    assert list(tmp_path.iterdir()) == []


def test_a_short_one_is_not_used(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^command line: \[randomdata\] card_key: expected 32 characters or more$"):
        given(tmp_path, randomdata_card_key="4111111111111111")
    (tmp_path / "foyer.cards.key").write_text("short")
    with pytest.raises(ConfigError, match=r"\[randomdata\] card_key: .*foyer.cards.key holds no secret"):
        secret.card_key(given(tmp_path))
