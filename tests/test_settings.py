"""Every setting of the contract, its default, where it may come from, and what is said of one that is wrong."""
from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from server import secret, settings
from server.core.errors import ConfigError
from server.core.units import Rate

ROOT = Path(__file__).resolve().parents[1]
MIB = 1024 * 1024
DAY = 86400.0
# The table of the contract; what depends on the machine or is unset by default is left open (...).
CONTRACT: dict[str, dict[str, Any]] = {
    "server": {"host": "127.0.0.1", "port": 8080, "public_url": "", "jobs": True, "workers": 1, "trusted_proxies": (),
               "max_body": 2 * MIB, "log_format": "text"},
    "database": {"url": "sqlite:foyer.db", "durability": "full"},
    "auth": {"secret": "", "access_minutes": 15, "refresh_days": 30, "bcrypt_cost": 12,
             "require_confirmed_email": "no"},
    "hunter": {"url": "https://api.hunter.io", "api_key": "", "timeout": 3.0, "reject": ("invalid", "disposable"),
               "on_failure": "accept"},
    "clearbit": {"url": "https://person-stream.clearbit.com", "api_secret": ""},
    "enrichment": {"providers": ("clearbit", "hunter"), "attempts": 8, "first_retry": 2.0, "longest_retry": 3600.0,
                   "concurrency": 16},
    "gravatar": {"url": "https://api.gravatar.com", "api_key": ""},
    "randomdata": {"card_key": "", "url": "https://random-data-api.com", "every": 60.0, "batch": 10, "enabled": False},
    "checks": {"concurrency": ..., "seconds": 30.0, "memory": 512 * MIB, "max_file": 256 * 1024,
               "files_per_member": 100},
    "referrals": {"invitee_reward": 1000, "inviter_reward": 1000, "inviter_target": 5, "currency": "USD",
                  "per_day": 1000},
    "mail": {"first_retry": 2.0, "longest_retry": 300.0, "url": "", "sender": ...},
    "limits": {"enabled": True, "exempt": (), "signup": Rate(10, 3600), "login": Rate(10, 60),
               "login_failures": Rate(5, 900),
               "write": Rate(120, 60), "read": Rate(1200, 60), "sockets": 10},
    "retention": {"events": 30 * DAY, "idempotency": DAY, "jobs": 7 * DAY, "imports": 30 * DAY, "audit": 365 * DAY},
    "backup": {"folder": "", "every": DAY, "keep": 7},
    "cors": {"origins": ()},
    "sandbox": {"mode": "auto"},
}


def load(tmp_path: Path, text: str = "", environ: dict[str, str] | None = None,
         overrides: dict[tuple[str, str], str] | None = None) -> settings.Settings:
    """The settings of a file with this text."""
    file = tmp_path / "given.cfg"
    file.write_text(text, encoding="utf-8")
    return settings.load(file, environ or {}, overrides)


def test_every_setting_of_the_contract_is_there_with_its_default() -> None:
    made = settings.Settings()
    assert set(CONTRACT) == {section.name for section in fields(made)}
    for section, keys in CONTRACT.items():
        found = getattr(made, section)
        assert set(keys) == {item.name for item in fields(found)}, section
        for key, default in keys.items():
            assert default is ... or getattr(found, key) == default, (section, key)


def test_the_file_in_the_repository_is_made_of_the_declarations(tmp_path: Path) -> None:
    text = (ROOT / "config" / "server.cfg").read_text(encoding="utf-8")
    assert text == settings.as_file()
    assert load(tmp_path, text) == settings.Settings()
    for section, keys in CONTRACT.items():
        part = text.split(f"[{section}]")[1].split("\n[")[0]
        for key in keys:
            before, _, _ = part.partition(f"\n{key} =")
            assert before != part and before.rsplit("\n", 1)[-1].startswith("# "), (section, key)


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    text = "[server]\nport = 1\nhost = ::1\n[limits]\nsignup = 7/day\n"
    assert load(tmp_path, text).server.port == 1
    environ = {"FOYER_SERVER_PORT": "2", "FOYER_LIMITS_LOGIN_FAILURES": "3/2 minutes", "OTHER": "x",
               "FOYER_UNRELATED": "x"}
    made = load(tmp_path, text, environ)
    assert (made.server.port, made.server.host, made.limits.signup) == (2, "::1", Rate(7, 86400))
    assert made.limits.login_failures == Rate(3, 120)
    assert load(tmp_path, text, environ, {("server", "port"): "3"}).server.port == 3


def test_an_emptied_line_means_the_default(tmp_path: Path) -> None:
    assert load(tmp_path, "[server]\nport =\n[limits]\nsignup =   \n") == settings.Settings()
    assert load(tmp_path, "[server]\nport = 5\n", {"FOYER_SERVER_PORT": ""}).server.port == 8080


WRONG = {
    ("server", "port"): "http", ("server", "jobs"): "maybe", ("server", "public_url"): "example",
    ("server", "max_body"): "2",
    ("server", "trusted_proxies"): "proxy", ("server", "log_format"): "xml", ("server", "workers"): "0",
    ("database", "url"): "mysql://x", ("database", "durability"): "some", ("auth", "access_minutes"): "0",
    ("auth", "secret"): "short",
    ("auth", "refresh_days"): "x", ("auth", "bcrypt_cost"): "3", ("auth", "require_confirmed_email"): "perhaps",
    ("hunter", "timeout"): "3", ("hunter", "reject"): "bad", ("hunter", "on_failure"): "cry",
    ("hunter", "url"): "ftp://x.y",
    ("clearbit", "url"): "x", ("enrichment", "providers"): "google", ("enrichment", "attempts"): "0",
    ("enrichment", "first_retry"): "soon", ("enrichment", "concurrency"): "-1", ("randomdata", "batch"): "101",
    ("randomdata", "every"): "0 s", ("randomdata", "enabled"): "2", ("checks", "memory"): "lots",
    ("checks", "seconds"): "x",
    ("referrals", "inviter_target"): "0", ("referrals", "invitee_reward"): "1.5", ("mail", "first_retry"): "x",
    ("mail", "url"): "imap://u:pa55@h", ("mail", "sender"): "Foyer",
    ("limits", "signup"): "10", ("limits", "login_failures"): "5/fortnight", ("limits", "exempt"): "here",
    ("limits", "sockets"): "0", ("cors", "origins"): "*", ("sandbox", "mode"): "maybe", ("server", "nonsense"): "1",
    ("nonsense", "port"): "1",
}


@pytest.mark.parametrize("place", [*WRONG, ("server", "workers "), ("database", "url ")])
def test_one_line_names_the_file_the_section_the_key_and_what_was_expected(tmp_path: Path,
                                                                           place: tuple[str, str]) -> None:
    section, key = place
    value = WRONG.get(place) or {"workers ": "2", "url ": "mysql://u:pa55@h/d"}[key]
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"[{section}]\n{key.strip()} = {value}\n")
    line = str(caught.value)
    assert "\n" not in line and "given.cfg" in line and f"[{section}]" in line and "expected" in line
    assert section == "nonsense" or key.strip() in line
    assert "pa55" not in line and "short" not in line.replace("shorter", "")


def test_postgresql_needs_a_secret_of_its_own(tmp_path: Path) -> None:
    url = "[database]\nurl = postgresql://u:pa55@h/d\n"
    with pytest.raises(ConfigError, match=r"\[auth\] secret: must be set with PostgreSQL") as caught:
        secret.of(load(tmp_path, url))
    assert "pa55" not in str(caught.value)
    assert load(tmp_path, f"{url}[auth]\nsecret = {'x' * 32}\n").sqlite_file is None


def test_a_wrong_variable_or_option_is_named(tmp_path: Path) -> None:
    for environ in ({"FOYER_SERVER_PORT": "x"}, {"FOYER_SERVER_NONSENSE": "x"}, {"FOYER_SERVER": "x"}):
        with pytest.raises(ConfigError, match=next(iter(environ))):
            load(tmp_path, "", environ)
    with pytest.raises(ConfigError, match=r"command line: \[server\] port: expected"):
        load(tmp_path, "", {}, {("server", "port"): "x"})


@pytest.mark.parametrize("text",
                         ["port = 1", "[server]\nport\n", "[server]\nport = 1\nport = 2\n", "[server]\n[server]\n",
                          "[server\nport = 1", "\0", "[DEFAULT]\nport = 1\n", "[Server]\nport = 1\n"])
def test_a_file_that_is_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert "given.cfg" in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.cfg").write_bytes(b"[server]\nhost = caf\xe9\n")
    for path in (tmp_path / "missing.cfg", tmp_path, tmp_path / "latin.cfg"):
        with pytest.raises(ConfigError) as caught:
            settings.load(path, {})
        assert "\n" not in str(caught.value)


def test_a_value_may_hold_percent_and_colon(tmp_path: Path) -> None:
    made = load(tmp_path, "[mail]\nurl = smtp://u:p%40ss@h:25\n[hunter]\napi_key = a%b:c=d\n")
    assert (made.mail.url, made.hunter.api_key) == ("smtp://u:p%40ss@h:25", "a%b:c=d")


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    marks = {"auth": "secret", "hunter": "api_key", "clearbit": "api_secret", "gravatar": "api_key",
             "randomdata": "card_key",
             "mail": "url"}
    before = {"mail": "smtp://u:"}
    text = "".join(f"[{section}]\n{key} = {before.get(section, '')}m4rker-{section}-of-thirty-two-characters"
                   f"{'@h' if section in before else ''}\n" for section, key in marks.items())
    shown = repr(load(tmp_path, text))
    assert "m4rker" not in shown
    assert {(section, item.name) for section in CONTRACT for item in fields(getattr(settings.Settings(), section))
            if item.metadata["secret"]} >= set(marks.items())


STAND_INS = [
    ({}, True), ({"server.host": "::1"}, True), ({"server.host": "localhost"}, True),
    ({"server.host": "0.0.0.0"}, False),
    ({"server.host": "10.0.0.1"}, False), ({"server.public_url": "https://foyer.example.org"}, False),
    ({"server.public_url": "http://localhost:80"}, True), ({"server.trusted_proxies": "127.0.0.1"}, False),
    ({"hunter.api_key": "k"}, False), ({"sandbox.mode": "off"}, False),
    ({"sandbox.mode": "on", "server.host": "0.0.0.0", "hunter.api_key": "k"}, True),
]


@pytest.mark.parametrize(("given", "wanted"), STAND_INS)
def test_when_stand_ins_are_used(given: dict[str, str], wanted: bool) -> None:
    overrides = {(name.split(".")[0], name.split(".")[1]): value for name, value in given.items()}
    made = settings.load(ROOT / "config" / "server.cfg", {}, overrides)
    assert made.stand_in("hunter") is wanted
    assert made.stand_in("clearbit") is (wanted or "hunter.api_key" in given)


GRAVATAR = {"enrichment.providers": "gravatar,clearbit"}


@pytest.mark.parametrize(("given", "wanted"), [
    ({}, False), ({"sandbox.mode": "on"}, False), (GRAVATAR, True), (GRAVATAR | {"gravatar.api_key": "k"}, False),
    (GRAVATAR | {"gravatar.url": "https://gravatar.example.org"}, False),
    (GRAVATAR | {"gravatar.url": "https://api.gravatar.com/"}, True),
    (GRAVATAR | {"server.host": "0.0.0.0"}, False), (GRAVATAR | {"sandbox.mode": "off"}, False),
    (GRAVATAR | {"sandbox.mode": "on", "gravatar.api_key": "k", "server.host": "0.0.0.0"}, True)])
def test_when_gravatars_stand_in_is_used(given: dict[str, str], wanted: bool) -> None:
    made = settings.load(ROOT / "config" / "server.cfg", {}, {
        (name.split(".")[0], name.split(".")[1]): value for name, value in given.items()})
    assert made.stand_in("gravatar") is wanted


@pytest.mark.parametrize(("given", "wanted"), [
    ({}, True), ({"mail.url": "smtp://mail.example.org"}, False), ({"server.host": "0.0.0.0"}, False),
    ({"hunter.api_key": "k", "clearbit.api_secret": "k"}, True), ({"sandbox.mode": "off"}, False),
    ({"sandbox.mode": "on", "server.host": "0.0.0.0", "mail.url": "smtp://mail.example.org"}, True)])
def test_when_the_mail_sink_is_used(given: dict[str, str], wanted: bool) -> None:
    made = settings.load(ROOT / "config" / "server.cfg", {}, {
        (name.split(".")[0], name.split(".")[1]): value for name, value in given.items()})
    assert made.stand_in("mail") is wanted


@pytest.mark.parametrize(("given", "wanted"), [
    ({}, True), ({"randomdata.url": "https://random.example.org"}, False), ({"server.host": "0.0.0.0"}, False),
    ({"randomdata.url": "https://random-data-api.com/"}, True), ({"sandbox.mode": "off"}, False),
    ({"hunter.api_key": "k", "clearbit.api_secret": "k", "mail.url": "smtp://mail.example.org"}, True),
    ({"sandbox.mode": "on", "server.host": "0.0.0.0", "randomdata.url": "https://random.example.org"}, True)])
def test_when_the_stand_in_of_random_data_is_used(given: dict[str, str], wanted: bool) -> None:
    made = settings.load(ROOT / "config" / "server.cfg", {}, {
        (name.split(".")[0], name.split(".")[1]): value for name, value in given.items()})
    assert made.stand_in("randomdata") is wanted


def _with_database(folder: Path) -> settings.Settings:
    return settings.load(ROOT / "config" / "server.cfg", {}, {("database", "url"): f"sqlite:{folder / 'foyer.db'}"})


def test_the_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    first = secret.of(_with_database(tmp_path))
    path = tmp_path / "foyer.key"
    assert path.stat().st_mode & 0o777 == 0o600 and len(first) >= 32 and path.read_text().strip() == first
    assert secret.of(_with_database(tmp_path)) == first
    assert [each.name for each in tmp_path.iterdir()] == ["foyer.key"]


def test_a_key_that_is_set_needs_no_file(tmp_path: Path) -> None:
    given = "thirty-two characters, or even more"
    assert secret.of(load(tmp_path, f"[auth]\nsecret = {given}\n")) == given
    assert [each.name for each in tmp_path.iterdir()] == ["given.cfg"]


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 40])
def test_a_key_file_that_is_none_is_not_used(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "foyer.key").write_bytes(content)
    with pytest.raises(ConfigError, match="foyer.key"):
        secret.of(_with_database(tmp_path))
