"""Changes to a good combined document: the odd, the wrong and the malicious.

Each takes `{"person": ..., "company": ...}` and changes it in place.
"""
from __future__ import annotations

from typing import Any

Document = dict[str, Any]


def null_person(document: Document) -> None:
    """Only the company is known."""
    document["person"] = None


def null_company(document: Document) -> None:
    """Only the person is known."""
    document["company"] = None


def null_both(document: Document) -> None:
    """Nobody is known, said with 200."""
    document.update(person=None, company=None)


def null_leaves(document: Document) -> None:
    """The whole tree is there, and every leaf of it is null."""
    for part in ("person", "company"):
        document[part] = _emptied(document[part])


def other_domain(document: Document) -> None:
    """The employer's domain is not the one of the address."""
    document["person"]["employment"]["domain"] = "elsewhere.example.test"


def wobbles(document: Document) -> None:
    """Types that really differ from one record to the next."""
    document["person"]["twitter"]["id"] = "123456789"
    document["person"]["gravatar"]["urls"] = None
    if document["company"]:
        document["company"]["twitter"]["id"] = 123456789


def list_person(document: Document) -> None:
    """A list where the person should be."""
    document["person"] = [document["person"]]


def wrong_types(document: Document) -> None:
    """Right names, wrong types; the title alone is right."""
    document["person"].update(
        name=17, location=["Leeds"], bio={"text": "x"}, site=True, avatar=3.5, timeZone=["Europe/London"],
        github="ada", twitter={"handle": 9}, linkedin=[], employment={"name": 5, "title": "Clerk", "domain": []})
    document["company"] = {"name": {}, "domain": 1}


def malicious(document: Document) -> None:
    """Control characters, scripts, overrides, half characters, and 100 kB where a word should be."""
    document["person"].update(
        name={"fullName": "A\u0000d\u202ea\ud800 \n\t Love\u200blace\u0007"}, bio="b" * 100_000,
        location="\u2066Leeds\u2069\u0000", site="javascript:alert(1)", avatar="https://key@evil.example.test/a.png",
        timeZone="../../etc/passwd", github={"handle": "../settings"}, twitter={"handle": "@ada"},
        linkedin={"handle": "//evil.example.test"}, employment={"name": "<script>x</script>", "title": " \u0000 "})
    document["company"] = {"name": "n" * 100_000, "domain": "evil.example.test/path?x=1"}


def _emptied(value: object) -> object:
    if isinstance(value, dict):
        return {key: _emptied(inner) for key, inner in value.items()}
    return [] if isinstance(value, list) else None
