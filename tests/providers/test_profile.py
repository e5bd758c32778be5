"""Cleaning: whatever JSON comes, the result obeys the caps and never raises."""
from __future__ import annotations

import unicodedata
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.providers import text
from server.providers.profile import SERVICES, fields_of

CAPS = {"name": 120, "title": 120, "company": 120, "location": 120, "bio": 1000, "site": 500, "avatar_url": 500,
        "time_zone": 64}

_strings = st.one_of(
    st.text(), st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zs", "Mn", "Lu"])),
    st.sampled_from(["https://a.example/", "http://u:p@h/", "javascript:alert(1)", "in/ada", "@ada", "..", "x" * 2000,
                     "Europe/London", "a.example", "\u202eabc", "\ud800", " \0 ", "http://[::1]:99999/"]))
_leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), _strings)
_any = st.recursive(_leaves, lambda inner: st.one_of(
    st.lists(inner, max_size=3), st.dictionaries(_strings, inner, max_size=3)), max_leaves=8)
_person = st.fixed_dictionaries({}, optional={
    "name": st.one_of(_any, st.fixed_dictionaries({}, optional=dict.fromkeys(
        ("fullName", "givenName", "familyName"), _any))),
    "employment": st.one_of(_any, st.fixed_dictionaries({}, optional=dict.fromkeys(("name", "title"), _any))),
    **dict.fromkeys(("location", "bio", "site", "avatar", "timeZone"), _any),
    **dict.fromkeys(SERVICES, st.one_of(_any, st.fixed_dictionaries({"handle": _any}))),
})
_company = st.one_of(_any, st.fixed_dictionaries({"name": _any, "domain": _any}))


def obeys(fields: dict[str, Any]) -> None:
    assert set(fields) <= {*CAPS, "handles"}
    handles = fields.pop("handles", {"github": "x"})
    assert handles and set(handles) <= set(SERVICES)
    for value, most in [*((fields[name], CAPS[name]) for name in fields), *((each, 100) for each in handles.values())]:
        assert isinstance(value, str) and value and len(value) <= most
        assert value == " ".join(value.split())
        assert not any(unicodedata.category(ch) in ("Cc", "Cs") or ch in "\u202e\u2066\ufeff" for ch in value)
        value.encode()
    for name in ("site", "avatar_url"):
        if name in fields:
            parts = urlsplit(fields[name])
            assert parts.scheme in ("http", "https") and parts.hostname and parts.username is None


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(person=st.one_of(_any, _person), company=_company)
def test_whatever_comes(person: object, company: object) -> None:
    obeys(fields_of(person, company))


@settings(max_examples=300, deadline=None)
@given(value=_strings, most=st.integers(1, 50))
def test_cleaning_twice_changes_nothing(value: str, most: int) -> None:
    once = text.plain(value, most)
    assert once is None or (len(once) <= most and text.plain(once, most) == once)


def test_a_whole_record() -> None:
    person = {
        "name": {"fullName": "Mira  Holt\n"}, "location": "Leeds, England, GB", "timeZone": "Europe/London",
        "bio": "Casts\u00a0things.", "site": None, "avatar": "https://cdn.example.test/a/mh.png",
        "employment": {"name": "Example Foundry", "title": "Head of Casting", "domain": "other.example.test"},
        "github": {"handle": "miraholt"}, "twitter": {"handle": None}, "linkedin": {"handle": "in/mira-holt-000"}}
    company = {"name": "Another Name", "domain": "Example-Foundry.test", "emailProvider": False}
    assert fields_of(person, company) == {
        "name": "Mira Holt", "title": "Head of Casting", "company": "Example Foundry",
        "location": "Leeds, England, GB", "bio": "Casts things.", "site": "https://example-foundry.test",
        "avatar_url": "https://cdn.example.test/a/mh.png", "time_zone": "Europe/London",
        "handles": {"github": "miraholt", "linkedin": "in/mira-holt-000"}}


def test_what_stands_in_when_something_is_missing() -> None:
    person = {"name": {"fullName": 7, "givenName": "Mira", "familyName": None}, "site": "https://mira.example"}
    assert fields_of(person, {"name": "Firm", "domain": "firm.example"}) == {
        "name": "Mira", "company": "Firm", "site": "https://mira.example"}
    assert fields_of(None, {"name": "Firm", "domain": "no domain"}) == {"company": "Firm"}
    assert fields_of(None, {"name": "Gmail", "domain": "gmail.com", "emailProvider": True}) == {}
    assert fields_of(None, {"name": "Firm", "emailProvider": "google.com"}) == {"company": "Firm"}


@pytest.mark.parametrize("value, cleaned", [
    ("A\u0000d\u202ea\ud800 \n\t Love\u200blace\u0007", "Ada Lovelace"), ("  ", None), ("", None), (None, None),
    (5, None), ("\u200d", None), ("नमस्\u200dते", "नमस्\u200dते"), ("Zoë 🇬🇧", "Zoë 🇬🇧"), ("\ufeffA", "A"),
    ("x" * 7, "xxxxx"), ("abcd efgh", "abcd"), ("😀" * 9, "😀" * 5)])
def test_plain(value: object, cleaned: str | None) -> None:
    assert text.plain(value, 5 if value in ("x" * 7, "abcd efgh", "😀" * 9) else 100) == cleaned


@pytest.mark.parametrize("value", [
    "javascript:alert(1)", "data:text/html,x", "//host/x", "/x", "https:///x", "https://", "http://u@h/",
    "http://u:p@h/", "http://@h/", "https://h/a b", "https://h/\n", "https://h\\@evil/", "https://h/\u202e",
    "https://h/<x>", "https://h/\"", "http://h:99999/", "http://h:x/", "http://[::1/", "ftp://h/",
    "https://h/" + "x" * 500, "\u0000https://h/", " https://h/", "https://h/\ud800", "", None, 5, ["https://h/"]])
def test_urls_that_are_dropped(value: object) -> None:
    assert text.web_url(value, 500) is None


@pytest.mark.parametrize("value", [
    "https://h/", "http://example.test:8080/a/b?c=d#e", "https://münchen.example/ü", "HTTPS://EXAMPLE.TEST"])
def test_urls_that_are_kept_as_they_are(value: str) -> None:
    assert text.web_url(value, 500) == value


@pytest.mark.parametrize("value, cleaned", [
    ("ada", "ada"), ("@ada", "ada"), ("in/ada-1", "in/ada-1"), ("company/a.b", "company/a.b"), ("../x", None),
    ("a/../b", None), ("a//b", None), ("//evil.example", None), ("https://x", None), ("a b", None), ("a\n", None),
    ("a?b", None), ("a#b", None), ("@", None), ("", None), (3, None), ("x" * 101, None)])
def test_handles(value: object, cleaned: str | None) -> None:
    assert text.handle(value, 100) == cleaned


@pytest.mark.parametrize("value, cleaned", [
    ("A.Example", "a.example"), ("xn--mnchen-3ya.example", "xn--mnchen-3ya.example"), ("localhost", None),
    ("127.0.0.1", None), ("a..b", None), ("-a.b", None), ("a.b/c", None), ("a.b:80", None), ("u@a.b", None),
    ("a.b\n", None), ("x" * 64 + ".de", None), (None, None), ("a." * 200 + "de", None)])
def test_domains(value: object, cleaned: str | None) -> None:
    assert text.domain(value) == cleaned


@pytest.mark.parametrize("value, cleaned", [
    ("Europe/London", "Europe/London"), ("Etc/GMT+5", "Etc/GMT+5"), ("UTC", "UTC"), ("../../etc/passwd", None),
    ("Europe/London\n", None), ("x" * 65, None), (0, None)])
def test_zones(value: object, cleaned: str | None) -> None:
    assert text.zone(value, 64) == cleaned
