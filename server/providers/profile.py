"""Turns a person and a company in Clearbit's shape into the profile fields Foyer keeps.

The document is hostile until proven otherwise: every leaf is checked for its type, cleaned and capped on its own, and
what fails is left out without harm to the rest.
"""
from __future__ import annotations

from server.providers import text
from server.providers.outcome import Fields

NAME, BIO, URL, HANDLE, ZONE = 120, 1000, 500, 100, 64
SERVICES = ("github", "twitter", "linkedin")


def fields_of(person: object, company: object) -> Fields:
    """The cleaned fields: any of `name title company location bio site avatar_url time_zone handles`.

    `person` and `company` are what JSON gave, null and nonsense included. Gives an empty dict when nothing is usable.
    """
    firm = company if isinstance(company, dict) and company.get("emailProvider") is not True else {}
    found: dict[str, str | dict[str, str] | None] = {
        "name": _name(_inside(person, "name")),
        "title": text.plain(_at(person, "employment", "title"), NAME),
        "company": text.plain(_at(person, "employment", "name"), NAME) or text.plain(firm.get("name"), NAME),
        "location": text.plain(_at(person, "location"), NAME),
        "bio": text.plain(_at(person, "bio"), BIO),
        "site": text.web_url(_at(person, "site"), URL) or _home(firm),
        "avatar_url": text.web_url(_at(person, "avatar"), URL),
        "time_zone": text.zone(_at(person, "timeZone"), ZONE),
        "handles": _handles(person),
    }
    return {field: value for field, value in found.items() if value}


def _name(parts: object) -> str | None:
    whole = text.plain(_at(parts, "fullName"), NAME)
    if whole:
        return whole
    halves = (text.plain(_at(parts, half), NAME) for half in ("givenName", "familyName"))
    return text.plain(" ".join(half for half in halves if half), NAME)


def _home(firm: dict[str, object]) -> str | None:
    name = text.domain(firm.get("domain"))
    return f"https://{name}" if name else None


def _handles(person: object) -> dict[str, str]:
    found = {service: text.handle(_at(person, service, "handle"), HANDLE) for service in SERVICES}
    return {service: name for service, name in found.items() if name}


def _inside(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, dict) else None


def _at(value: object, *path: str) -> object:
    for key in path:
        value = _inside(value, key)
    return value
