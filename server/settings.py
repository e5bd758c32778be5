"""Every setting: its section, key, default, form and a sentence; read from file, environment and command line.

`config/server.cfg` is made of the same declarations (`as_file`), and a test holds the two together.
"""
from __future__ import annotations

import configparser
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from server.core import units
from server.core.errors import ConfigError
from server.core.units import Network, Rate

T = TypeVar("T")
DEFAULT_FILE = Path("config/server.cfg")
BACKUPS_APART, LONGEST_KEPT = 60.0, 36500 * 86400.0  # seconds
VERDICTS = ("valid", "accept_all", "webmail", "disposable", "unknown", "invalid")


def _setting(default: str, parse: Callable[[str], T], sentence: str, secret: bool = False) -> T:
    metadata = {"default": default, "parse": parse, "sentence": sentence, "secret": secret,
                "is_list": isinstance(parse(default), tuple)}
    made: T = field(default_factory=lambda: parse(default), metadata=metadata, repr=not secret)
    return made


@dataclass(frozen=True)
class Server:
    host: str = _setting("127.0.0.1", units.text, "The address to listen on.")
    port: int = _setting("8080", units.integer(0, 65535), "The port to listen on; 0 picks a free one.")
    public_url: str = _setting("", units.http_url, "Where the outside sees this server; unset: http://host:port.")
    jobs: bool = _setting("yes", units.yes_no, "Whether this process also does the background work.")
    workers: int = _setting("1", units.integer(1, 256), "How many processes share the port; more than 1 needs "
                            "PostgreSQL.")
    trusted_proxies: tuple[Network, ...] = _setting(
        "", units.networks, "Whose X-Forwarded-For is believed: addresses or networks.")
    max_body: int = _setting("2 MiB", units.size, "The largest request body.")
    log_format: str = _setting("text", units.choice("text", "json"), "How the log on stderr looks: text or json.")


@dataclass(frozen=True)
class Database:
    url: str = _setting("sqlite:foyer.db", units.database_url, "sqlite:FILE or postgresql://...", secret=True)
    durability: str = _setting("full", units.choice("full", "normal"),
                               "full: an acknowledged write survives a power cut; normal: a crash of the program only.")


@dataclass(frozen=True)
class Auth:
    secret: str = _setting("", units.text, "Signs the tokens, 32 characters or more; unset: made on first start into "
                           "foyer.key beside the SQLite file.", secret=True)
    access_minutes: int = _setting("15", units.integer(1, 1440), "How long an access token lives.")
    refresh_days: int = _setting("30", units.integer(1, 365), "How long a session lives without being used.")
    bcrypt_cost: int = _setting("12", units.integer(4, 18), "The cost of a password hash; each step doubles the work.")
    require_confirmed_email: str = _setting(
        "no", units.choice("no", "write", "yes", "login"), "What needs a confirmed e-mail address: no (nothing), "
        "write or yes (posts, likes and files), login (signing in).")


@dataclass(frozen=True)
class Hunter:
    url: str = _setting("https://api.hunter.io", units.http_url, "Where Hunter answers.")
    api_key: str = _setting("", units.text, "The key of your Hunter account.", secret=True)
    timeout: float = _setting("3 s", units.duration, "How long a sign-up waits for Hunter.")
    reject: tuple[str, ...] = _setting("invalid,disposable", units.words(*VERDICTS),
                                       "The verdicts that refuse a sign-up.")
    on_failure: str = _setting("accept", units.choice("accept", "reject"), "When Hunter gives no verdict in time: "
                               "accept (and ask again in the background) or reject (503).")


@dataclass(frozen=True)
class Clearbit:
    url: str = _setting("https://person-stream.clearbit.com", units.http_url, "Where Clearbit answers.")
    api_secret: str = _setting("", units.text, "The secret key of your Clearbit account.", secret=True)


@dataclass(frozen=True)
class Enrichment:
    providers: tuple[str, ...] = _setting("clearbit,hunter", units.words("clearbit", "hunter", "gravatar"),
                                          "Who is asked, in this order, until one finds somebody.")
    attempts: int = _setting("8", units.integer(1, 100), "How often is tried before it is given up.")
    first_retry: float = _setting("2 s", units.duration, "The wait before the second attempt; it doubles from there.")
    longest_retry: float = _setting("1 h", units.duration, "The longest wait between two attempts.")
    concurrency: int = _setting("16", units.integer(1, 1000), "How many members are enriched at the same time.")


@dataclass(frozen=True)
class Gravatar:
    url: str = _setting("https://api.gravatar.com", units.http_url, "Where Gravatar answers.")
    api_key: str = _setting("", units.text, "The key of your Gravatar account; it works without, but slower.",
                            secret=True)


@dataclass(frozen=True)
class RandomData:
    card_key: str = _setting("", units.text, "Keys the fingerprints of card numbers; unset: made like auth.secret.",
                             secret=True)
    url: str = _setting("https://random-data-api.com", units.http_url, "Where random-data-api answers.")
    every: float = _setting("60 s", units.duration, "How often is imported (fills the schedules once).")
    batch: int = _setting("10", units.integer(1, 100), "How many records at a time (fills the schedules once).")
    enabled: bool = _setting("no", units.yes_no, "Whether the import runs (fills the schedules once).")


@dataclass(frozen=True)
class Checks:
    concurrency: int = _setting(str(os.cpu_count() or 1), units.integer(1, 256),
                                "How many files are checked at the same time; default: the number of cores.")
    seconds: float = _setting("30 s", units.duration, "The CPU time of one check; twice that by the clock.")
    memory: int = _setting("512 MiB", units.size, "The memory of one check.")
    max_file: int = _setting("256 KiB", units.size, "The largest file.")
    files_per_member: int = _setting("100", units.integer(1, 1_000_000), "How many files a member may have.")


@dataclass(frozen=True)
class Referrals:
    invitee_reward: int = _setting("1000", units.integer(0, 10**12), "What the invited member gets, in minor units.")
    inviter_reward: int = _setting("1000", units.integer(0, 10**12), "What the inviter gets, in minor units.")
    inviter_target: int = _setting("5", units.integer(1, 10**6), "For how many invited members.")
    currency: str = _setting("USD", units.currency, "The currency of the balance (ISO 4217).")
    per_day: int = _setting("1000", units.integer(0, 10**6), "How many sign-ups through one code count on a day (UTC); "
                            "0: all of them.")


@dataclass(frozen=True)
class Mail:
    first_retry: float = _setting("2 s", units.duration, "The wait before a mail is tried again; it doubles.")
    longest_retry: float = _setting("5 min", units.duration, "The longest wait between two tries.")
    url: str = _setting("", units.mail_url, "The mail server: smtp://user:password@host:port or smtps://; "
                        "unset: no mail.",
                        secret=True)
    sender: str = _setting("", units.mailbox, "The sender of the mails: an address or Foyer <foyer@example.org>; "
                           "unset: foyer at the host of the public URL.")


@dataclass(frozen=True)
class Limits:
    enabled: bool = _setting("yes", units.yes_no, "Whether the limits hold.")
    exempt: tuple[Network, ...] = _setting("", units.networks, "Whom the rates do not concern: addresses or networks "
                                           "(loopback too while stand-ins are in use).")
    signup: Rate = _setting("10/hour", units.rate,
                            "Sign-ups per address, and changes of the e-mail address per member.")
    login: Rate = _setting("10/minute", units.rate, "Sign-ins per address.")
    login_failures: Rate = _setting("5/15 minutes", units.rate, "Wrong passwords per account and address.")
    write: Rate = _setting("120/minute", units.rate, "Writing requests per member.")
    read: Rate = _setting("1200/minute", units.rate, "Reading requests per member, else per address.")
    sockets: int = _setting("10", units.integer(1, 100_000), "Open sockets and event streams per member.")


@dataclass(frozen=True)
class Retention:
    events: float = _setting("30 d", units.duration, "How long an event waits to be acknowledged.")
    idempotency: float = _setting("24 h", units.duration, "How long the answer to an Idempotency-Key is kept.")
    jobs: float = _setting("7 d", units.duration, "How long a job that has ended is kept.")
    imports: float = _setting("30 d", units.duration, "How long the history of imports is kept.")
    audit: float = _setting("365 d", units.duration, "How long the audit is kept.")


@dataclass(frozen=True)
class Backup:
    folder: str = _setting("", units.text, "Where scheduled backups are put; unset: there are none.")
    every: float = _setting("24 h", units.duration, "How often.")
    keep: int = _setting("7", units.integer(1, 1000), "How many are kept.")


@dataclass(frozen=True)
class Cors:
    origins: tuple[str, ...] = _setting("", units.origins, "Which other web sites may use the API from a browser.")


@dataclass(frozen=True)
class Sandbox:
    mode: str = _setting("auto", units.choice("auto", "on", "off"), "auto: stand-ins take the place of providers "
                         "without a key (of random-data-api, while its url is the default) while the server is only "
                         "reachable from this machine; on: of all providers; off: of none.")


@dataclass(frozen=True)
class Settings:
    """All settings, one attribute a section."""

    server: Server = field(default_factory=Server)
    database: Database = field(default_factory=Database)
    auth: Auth = field(default_factory=Auth)
    hunter: Hunter = field(default_factory=Hunter)
    clearbit: Clearbit = field(default_factory=Clearbit)
    enrichment: Enrichment = field(default_factory=Enrichment)
    gravatar: Gravatar = field(default_factory=Gravatar)
    randomdata: RandomData = field(default_factory=RandomData)
    checks: Checks = field(default_factory=Checks)
    referrals: Referrals = field(default_factory=Referrals)
    mail: Mail = field(default_factory=Mail)
    limits: Limits = field(default_factory=Limits)
    retention: Retention = field(default_factory=Retention)
    backup: Backup = field(default_factory=Backup)
    cors: Cors = field(default_factory=Cors)
    sandbox: Sandbox = field(default_factory=Sandbox)

    @property
    def sqlite_file(self) -> Path | None:
        """The SQLite file, or None on PostgreSQL."""
        kind, _, rest = self.database.url.partition(":")
        return Path(rest) if kind == "sqlite" else None

    def private(self) -> bool:
        """Whether the server can only be reached from this machine (then stand-ins may be used by themselves)."""
        public_host = urlsplit(self.server.public_url).hostname or self.server.host
        return (units.is_loopback(self.server.host) and units.is_loopback(public_host)
                and not self.server.trusted_proxies)

    def stand_in(self, provider: str) -> bool:
        """Whether a stand-in takes the place of the provider."""
        # Those that need no key: an address of one's own says as well that the one behind it is to be asked.
        own = {"gravatar": self.gravatar.url.rstrip("/") != Gravatar().url,
               "randomdata": self.randomdata.url.rstrip("/") != RandomData().url}
        keys = {"hunter": self.hunter.api_key, "clearbit": self.clearbit.api_secret, "mail": self.mail.url,
                "randomdata": "not needed" if own["randomdata"] else ""}
        if "gravatar" in self.enrichment.providers:
            keys["gravatar"] = self.gravatar.api_key or ("not needed" if own["gravatar"] else "")
        if self.sandbox.mode == "on":
            return provider in keys
        return self.sandbox.mode == "auto" and self.private() and keys.get(provider) == ""


SECTIONS = {section.name: section.default_factory for section in fields(Settings)}


def load(file: Path | None = None, environ: Mapping[str, str] = os.environ,
         overrides: Mapping[tuple[str, str], str] | None = None) -> Settings:
    """The settings of this start; the command line (`overrides`) wins over the environment, that over the file.

    Raises `ConfigError` with one line (source, section, key, what was expected).
    """
    given = _from_file(file)
    given.update(_from_environment(environ))
    for (section, key), value in (overrides or {}).items():
        given[section, key] = ("command line", value)
    settings = Settings(**{name: _section(name, given) for name in SECTIONS})
    for section, key, expected in _unusable(settings):
        source, _ = given.get((section, key), ("default", ""))
        raise ConfigError(f"{source}: [{section}] {key}: {expected}")
    return settings


def _from_file(file: Path | None) -> dict[tuple[str, str], tuple[str, str]]:
    if file is None and not DEFAULT_FILE.exists():
        return {}
    path = file or DEFAULT_FILE
    parser = configparser.ConfigParser(interpolation=None, default_section="\0")
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (configparser.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not an INI file: {' '.join(str(error).split())}") from None
    given = {}
    for section in parser.sections():
        for key, value in parser.items(section):
            _known(str(path), section, key)
            given[section, key] = (str(path), value.strip())
        _known(str(path), section, None)
    return given


def _from_environment(environ: Mapping[str, str]) -> dict[tuple[str, str], tuple[str, str]]:
    given = {}
    for name, value in sorted(environ.items()):
        prefix, _, rest = name.partition("_")
        section, _, key = rest.lower().partition("_")
        if prefix == "FOYER" and section in SECTIONS:
            _known(f"environment {name}", section, key)
            given[section, key] = (f"environment {name}", value.strip())
    return given


def _keys(section: str) -> dict[str, Any]:
    return {item.name: item for item in fields(SECTIONS[section])}  # type: ignore[arg-type]


def _known(source: str, section: str, key: str | None) -> None:
    if section not in SECTIONS:
        raise ConfigError(f"{source}: section [{section}] is unknown; expected one of {', '.join(SECTIONS)}")
    if key is not None and key not in _keys(section):
        raise ConfigError(f"{source}: [{section}] {key}: unknown key; expected one of {', '.join(_keys(section))}")


def _section(name: str, given: Mapping[tuple[str, str], tuple[str, str]]) -> Any:
    values = {}
    for key, item in _keys(name).items():
        if (name, key) in given:
            source, value = given[name, key]
            # An emptied line means "as if it were not there"; an emptied list is an empty list.
            if not value and not item.metadata["is_list"]:
                value = item.metadata["default"]
            values[key] = _parse(source, name, key, value, item.metadata["parse"])
    return SECTIONS[name](**values)  # type: ignore[operator]


def _parse(source: str, section: str, key: str, value: str, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(value)
    except ValueError as error:
        raise ConfigError(f"{source}: [{section}] {key}: expected {error}") from None


def _unusable(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """What no single value shows: combinations, and what this version does not have."""
    if settings.auth.secret and len(settings.auth.secret) < 32:
        yield "auth", "secret", "expected 32 characters or more"
    if settings.randomdata.card_key and len(settings.randomdata.card_key) < 32:
        yield "randomdata", "card_key", "expected 32 characters or more"
    if settings.server.workers > 1 and settings.sqlite_file is not None:
        yield "server", "workers", "more than 1 needs PostgreSQL; expected 1 with database.url = sqlite:FILE"
    if not BACKUPS_APART <= settings.backup.every <= LONGEST_KEPT:
        yield "backup", "every", "expected 1 min to 36500 d"
    for kept in fields(settings.retention):
        if getattr(settings.retention, kept.name) > LONGEST_KEPT:
            yield "retention", kept.name, "expected at most 36500 d"


def as_file() -> str:
    """The text of `config/server.cfg`: every setting with its sentence and default."""
    parts = ["# Every setting of the server with its default. FOYER_<SECTION>_<KEY> in the environment wins over this\n"
             "# file, the command line over both. Durations: 500 ms, 2 s, 5 min, 1 h, 30 d. Sizes: 64 KiB, 2 MiB.\n"]
    for section in SECTIONS:
        parts.append(f"\n[{section}]\n")
        for key, item in _keys(section).items():
            default = "" if (section, key) == ("checks", "concurrency") else item.metadata["default"]
            parts.append(f"# {item.metadata['sentence']}\n{key} = {default}".rstrip() + "\n")
    return "".join(parts)
