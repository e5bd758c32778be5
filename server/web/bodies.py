"""Turns what came into a checked `Struct`, or into a Problem that names everything wrong with it at once."""
from __future__ import annotations

import json
import re
import typing
from collections.abc import Callable, Mapping
from functools import cache, reduce
from operator import or_
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl

import msgspec

from server.core.errors import FieldError, Problem
from server.web.fields import text

S = TypeVar("S", bound=msgspec.Struct)
Check = Callable[[str], str | None]
Rule = tuple[Check, str]  # and the code of its complaint


class _Field(NamedTuple):
    """A field's type without its null, its rule and whether it must be there."""

    kind: Any
    may_be_null: bool
    rule: Rule | None
    required: bool


JSON, FORM = "application/json", "application/x-www-form-urlencoded"

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
    if content_type == FORM:  # an empty one is a form without a field
        return _checked(cls, _emptied(cls, _form(raw)), strict=False)
    if not raw:
        raise Problem("malformed", f"A body is needed: send {JSON} or {FORM}.")
    if content_type == JSON or content_type.endswith("+json"):
        return _decode_json(cls, raw)
    raise Problem("unsupported_media_type", f"Send {JSON} or {FORM}.", headers={"Accept": f"{JSON}, {FORM}"})


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


def _emptied(cls: type[msgspec.Struct], form: Mapping[str, str]) -> dict[str, str | None]:
    """A form cannot say null: an empty value does, where null is possible."""
    kinds = _fields(cls)
    return {name: None if not value and name in kinds and kinds[name].may_be_null else value
            for name, value in form.items()}


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
    fields = _fields(cls)
    errors = [FieldError(_shown(name), "unknown_field", "is not a field of this request")
              for name in raw if name not in fields]
    values = {}
    for name, field in fields.items():
        if name in raw:
            values[name], error = _convert(name, raw[name], field, strict)
        else:
            error = FieldError(name, "required", "is missing") if field.required else None
        if error:
            errors.append(error)
    if errors:
        raise invalid(errors)
    return cls(**values)


def _shown(name: Any) -> str:
    return re.sub(r"[^\w.-]", "?", str(name), flags=re.ASCII)[:60]


def _convert(name: str, value: Any, field: _Field, strict: bool) -> tuple[Any, FieldError | None]:
    if isinstance(value, str) and re.search("[\ud800-\udfff]", value):
        return None, FieldError(name, "bad_format", "must not hold lone surrogates")
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # to JSON Schema 1.0 is an integer
    if value is None and field.may_be_null:
        return None, None
    try:
        converted = msgspec.convert(value, field.kind, strict=strict)
    except (msgspec.ValidationError, OverflowError, RecursionError) as error:
        return None, _said(name, str(error))
    return converted, _complaint(name, converted, field.rule)


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
    return tuple((name, field.rule) for name, field in _fields(cls).items() if field.rule)


@cache
def _fields(cls: type[msgspec.Struct]) -> dict[str, _Field]:
    hints = typing.get_type_hints(cls, include_extras=True)
    return {item.encode_name: _field(hints[item.name], item.required) for item in msgspec.structs.fields(cls)}


def _field(hint: Any, required: bool) -> _Field:
    parts = typing.get_args(hint)
    if type(None) not in parts:
        return _Field(hint, False, _rule_of(hint), required)
    # Without its null, which msgspec would also see in the word "null" of a query or a form.
    kind = reduce(or_, [part for part in parts if part is not type(None)])
    return _Field(kind, True, _rule_of(hint), required)


def _rule_of(hint: Any) -> Rule | None:
    """The rule of a field; text without one is at least kept free of what no database takes."""
    parts = (hint, *typing.get_args(hint))
    for part in parts:
        for meta in getattr(part, "__metadata__", ()):
            if isinstance(meta, msgspec.Meta) and meta.extra and "check" in meta.extra:
                return meta.extra["check"], meta.extra["code"]
    is_text = any(part is str or str in typing.get_args(part) for part in parts)
    return (text, "bad_format") if is_text else None
