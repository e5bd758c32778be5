"""The bot's settings: config/bot.cfg, and what the command line puts over it."""

import configparser
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

_SECTION = "bot"
_LARGEST_SEED = 2**63 - 1


class ConfigError(Exception):
    """A setting that cannot be used; the text is one line: file, section, key, what was expected."""


@dataclass(frozen=True)
class BotConfig:
    """What a run is to be like; the names are those of the file. None means unset."""

    number_of_users: int
    max_posts_per_user: int
    max_likes_per_user: int
    base_url: str | None = None
    seed: int | None = None
    concurrency: int = 8
    enrich_timeout: float = 60.0
    report: str | None = None


class _Unfit(ValueError):
    """A text that is no value of its kind; says what was expected."""


_Reader = Callable[[str], Any]


def _whole(least: int, most: int) -> _Reader:
    def read(text: str) -> int:
        # Not int() alone: it takes "1_000" and digits of other scripts.
        if re.fullmatch(r"[+-]?[0-9]{1,19}", text) and least <= int(text) <= most:
            return int(text)
        raise _Unfit(f"a whole number from {least} to {most}")
    return read


def _seconds(most: float) -> _Reader:
    def read(text: str) -> float:
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text) and 0 < float(text) <= most:
            return float(text)
        raise _Unfit(f"a number of seconds above 0, at most {most:g}")
    return read


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or re.search(r"\s", text):
        raise _Unfit("an http or https address such as http://127.0.0.1:8080")
    return text.rstrip("/")


def _file(text: str) -> str:
    # Asked now: a run of a minute should not end with "no such folder".
    if not text or os.path.isdir(text) or not os.path.isdir(os.path.dirname(text) or "."):
        raise _Unfit("the name of a file in a folder that exists")
    return text


_READERS: Mapping[str, _Reader] = {
    "number_of_users": _whole(1, 10_000),
    "max_posts_per_user": _whole(0, 1_000),
    "max_likes_per_user": _whole(0, 10_000),
    "base_url": _url,
    "seed": _whole(-_LARGEST_SEED, _LARGEST_SEED),
    "concurrency": _whole(1, 256),
    "enrich_timeout": _seconds(3600),
    "report": _file,
}
_REQUIRED = ("number_of_users", "max_posts_per_user", "max_likes_per_user")


def load_config(path: str) -> BotConfig:
    """Reads a settings file; a key left blank is unset.

    Raises ConfigError for a file that cannot be read, an unknown section or key, a value that does not fit.
    """
    parser = _parse(path)
    for section in parser.sections():
        if section != _SECTION:
            raise ConfigError(f"{path}: [{section}]: unknown section; expected [{_SECTION}]")
    if not parser.has_section(_SECTION):
        raise ConfigError(f"{path}: [{_SECTION}]: the section is missing")
    values = _known(path, dict(parser.items(_SECTION)))
    return BotConfig(**{
        key: _read(f"{path}: [{_SECTION}] {key}", key, values.get(key, "").strip())
        for key in _READERS if key in _REQUIRED or values.get(key, "").strip()
    })


def with_overrides(config: BotConfig, *, url: str | None = None, seed: str | int | None = None,
                   report: str | None = None) -> BotConfig:
    """Puts --url, --seed and --report of the command line over a configuration; None leaves it as it is.

    Raises ConfigError that names the option.
    """
    given = {"base_url": ("--url", url), "seed": ("--seed", seed), "report": ("--report", report)}
    return replace(config, **{
        key: _read(f"command line: {option}", key, str(value))
        for key, (option, value) in given.items() if value is not None
    })


def _parse(path: str) -> configparser.ConfigParser:
    # No default section: [DEFAULT] is as unknown as any other. No interpolation: a % is a %.
    parser = configparser.ConfigParser(interpolation=None, default_section="", empty_lines_in_values=False)
    try:
        with open(path, encoding="utf-8-sig") as file:
            parser.read_file(file, path)
    except OSError as failure:
        raise ConfigError(f"{path}: cannot be read: {failure.strerror}") from failure
    except UnicodeDecodeError as failure:
        raise ConfigError(f"{path}: expected UTF-8 text") from failure
    except configparser.Error as failure:
        raise ConfigError(f"{path}: {_fault(failure)}") from failure
    return parser


def _fault(failure: configparser.Error) -> str:
    """Says in one line what configparser says in several, with the file's name in each."""
    if isinstance(failure, configparser.DuplicateOptionError):
        return f"[{failure.section}] {failure.option}: stands there twice; expected once"
    if isinstance(failure, configparser.DuplicateSectionError):
        return f"[{failure.section}]: stands there twice; expected once"
    if isinstance(failure, configparser.MissingSectionHeaderError):
        return f"line {failure.lineno}: {_one_line(str(failure.line))}: expected [{_SECTION}] before it"
    if isinstance(failure, configparser.ParsingError):
        number, line = failure.errors[0]
        return f"line {number}: {_one_line(line)}: expected key = value"
    return _one_line(str(failure))


def _known(path: str, values: Mapping[str, str]) -> Mapping[str, str]:
    for key in values:
        if key not in _READERS:
            known = ", ".join(_READERS)
            raise ConfigError(f"{path}: [{_SECTION}] {key}: unknown key; expected one of {known}")
    return values


def _read(where: str, key: str, text: str) -> Any:
    try:
        return _READERS[key](text)
    except _Unfit as unfit:
        raise ConfigError(f"{where}: expected {unfit}, not {_one_line(text)!r}") from None


def _one_line(text: str) -> str:
    return " ".join(text.split())[:120]
