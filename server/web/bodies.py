"""Turns what came into a checked `Struct`, or into a Problem that names everything wrong with it at once."""
from __future__ import annotations

import json
import re
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from server.core.errors import FieldError, Problem
from server.web.fields import text

S = TypeVar("S", bound=msgspec.Struct)
Check = Callable[[str], str | None]
Rule = tuple[Check, str]  # and the code of its complaint

# msgspec stops at the first error and says it in a sentence; these are the sentences, made into codes.
_SAYINGS = (
    (re.compile(r"of length >= (\d+)"), "too_short", "must have at least {} characters"),
    (re.compile(r"of length <= (\d+)"), "too_long", "must have at most {} characters"),
    (re.compile(r"matching regex '(.*)'"), "bad_format", "must match {}"),
    (re.compile(r"Expected `int` >= (-?\d+)"), "too_small", "must be at least {}"),
    (re.compile(r"Expected `int` <= (-?\d+)"), "too_large", "must be at most {}"),
    (re.compile(r"Expected `(.+?)`, got `(.+?)`"), "wrong_type", "must be {}, not {}"),
    (re.compile(r"Invalid enum value"), "unknown_value", "is not one of the known values"),
)


def decode(cls: type[S], raw: bytes, content_type: str) -> S:
    """The body as a `cls`. Raises Problem 400 (cannot be read), 415 or 422 (all field errors)."""
    if content_type == "application/json" or content_type.endswith("+json"):
        return _decode_json(cls, raw)
    if content_type == "application/x-www-form-urlencoded":
        return _checked(cls, _form(raw), strict=False)
    raise Problem("unsupported_media_type", "Send application/json.", headers={"Accept": "application/json"})


def _decode_json(cls: type[S], raw: bytes) -> S:
    try:
        value = msgspec.json.decode(raw, type=cls)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _checked(cls, _parse(raw), strict=True)
    errors = _rule_errors(value)
    if errors:
        raise invalid(errors)
    return value


def _parse(raw: bytes) -> Any:
    """The body by the standard library, which also reads what msgspec refuses (half surrogate pairs)."""
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Problem("malformed", "The body is not valid JSON in UTF-8.") from None


def _no_constant(word: str) -> None:
    raise ValueError(word)


def _form(raw: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100))
    except (ValueError, UnicodeDecodeError):
        raise Problem("malformed", "The form body cannot be read.") from None


def from_query(cls: type[S], query: Mapping[str, str]) -> S:
    """The query's parameters as a `cls`; raises Problem 422."""
    if not query:
        return cls()
    return _checked(cls, dict(query), strict=False)


def invalid(errors: list[FieldError]) -> Problem:
    """The 422 that names all the fields."""
    names = ", ".join(dict.fromkeys(error.field for error in errors if error.field)) or "the body"
    code = "unknown_field" if {error.code for error in errors} == {"unknown_field"} else "invalid_fields"
    return Problem(code, f"Not valid: {names}.", errors=errors)


def _checked(cls: type[S], raw: Any, strict: bool) -> S:
    """Field by field, so that all errors come at once."""
    if not isinstance(raw, dict):
        raise invalid([FieldError("", "wrong_type", "must be an object")])
    kinds = _fields(cls)
    errors = [FieldError(_shown(name), "unknown_field", "is not a field of this request")
              for name in raw if name not in kinds]
    values = {}
    for name, (kind, rule, required) in kinds.items():
        if name in raw:
            values[name], error = _convert(name, raw[name], kind, rule, strict)
        else:
            error = FieldError(name, "required", "is missing") if required else None
        if error:
            errors.append(error)
    if errors:
        raise invalid(errors)
    return cls(**values)


def _shown(name: Any) -> str:
    return re.sub(r"[^\w.-]", "?", str(name), flags=re.ASCII)[:60]


def _convert(name: str, value: Any, kind: Any, rule: Rule | None, strict: bool) -> tuple[Any, FieldError | None]:
    if isinstance(value, str) and re.search("[\ud800-\udfff]", value):
        return None, FieldError(name, "bad_format", "must not hold lone surrogates")
    try:
        converted = msgspec.convert(value, kind, strict=strict)
    except (msgspec.ValidationError, OverflowError, RecursionError) as error:
        return None, _said(name, str(error))
    return converted, _complaint(name, converted, rule)


def _complaint(name: str, value: Any, rule: Rule | None) -> FieldError | None:
    if rule is None or not isinstance(value, str):
        return None
    complaint = text(value)
    if complaint:
        return FieldError(name, "bad_format", complaint)
    complaint = rule[0](value)
    return FieldError(name, rule[1], complaint) if complaint else None


def _said(name: str, saying: str) -> FieldError:
    for pattern, code, message in _SAYINGS:
        match = pattern.search(saying)
        if match:
            return FieldError(name, code, message.format(*match.groups()))
    return FieldError(name, "invalid", "is not valid")


def _rule_errors(value: msgspec.Struct) -> list[FieldError]:
    complaints = (_complaint(name, getattr(value, name), rule) for name, rule in _rules(type(value)))
    return [complaint for complaint in complaints if complaint]


@cache
def _rules(cls: type[msgspec.Struct]) -> tuple[tuple[str, Rule], ...]:
    return tuple((name, rule) for name, (_, rule, _) in _fields(cls).items() if rule)


@cache
def _fields(cls: type[msgspec.Struct]) -> dict[str, tuple[Any, Rule | None, bool]]:
    """Each field's type, its rule and whether it must be there."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {item.encode_name: (hints[item.name], _rule_of(hints[item.name]), item.required)
            for item in msgspec.structs.fields(cls)}


def _rule_of(hint: Any) -> Rule | None:
    """The rule of a field; text without one is at least kept free of what no database takes."""
    parts = (hint, *typing.get_args(hint))
    for part in parts:
        for meta in getattr(part, "__metadata__", ()):
            if isinstance(meta, msgspec.Meta) and meta.extra and "check" in meta.extra:
                return meta.extra["check"], meta.extra["code"]
    is_text = any(part is str or str in typing.get_args(part) for part in parts)
    return (text, "bad_format") if is_text else None
