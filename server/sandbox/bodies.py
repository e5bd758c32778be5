"""The full documents of Clearbit and Hunter, made from an invented person.

Field for field the shapes the vendors send, most leaves null, as theirs are. Hunter's is Clearbit's with differences.
"""
from __future__ import annotations

from typing import Any
from uuid import UUID

from server.sandbox.people import Person

Document = dict[str, Any]

_INDEXED = "2026-05-01T08:00:00.000Z"
_ACTIVE = "2026-04-02T00:00:00.000Z"
_RANGES = ((10, "1-10"), (50, "11-50"), (250, "51-250"), (1000, "251-1K"), (5000, "1K-5K"))


def _nulls(*names: str) -> Document:
    return dict.fromkeys(names)


def _id(person: Person, part: int) -> str:
    return str(UUID(person.seed[part * 16:part * 16 + 32], version=4))


def employees_range(count: int) -> str:
    """The bucket of a number of employees."""
    return next(name for most, name in _RANGES if count <= most)


def _geo(person: Person) -> Document:
    place = person.place
    return {"city": place.city, "state": place.state, "stateCode": None, "country": place.country,
            "countryCode": place.code, "lat": place.lat, "lng": place.lng}


def _employment(person: Person) -> Document:
    if person.free_mail:
        return _nulls("domain", "name", "title", "role", "subRole", "seniority")
    return {"domain": person.domain, "name": person.company, "title": person.title, "role": person.role,
            "subRole": None, "seniority": person.seniority}


def _accounts(person: Person) -> Document:
    return {
        "facebook": {"handle": None},
        "github": {"handle": person.github, "id": 90001 if person.github else None, "avatar": None, "company": None,
                   "blog": None, "followers": 4 if person.github else None, "following": None},
        "twitter": {"handle": person.twitter} | _nulls(
            "id", "bio", "followers", "following", "statuses", "favorites", "location", "site", "avatar"),
        "linkedin": {"handle": person.linkedin}, "googleplus": {"handle": None},
        "aboutme": _nulls("handle", "bio", "avatar"),
        "gravatar": {"handle": None, "urls": [], "avatar": None, "avatars": []},
    }


def clearbit_person(person: Person) -> Document:
    """A person as Clearbit sends it."""
    place = person.place
    return {
        "id": _id(person, 0),
        "name": {"fullName": person.full_name, "givenName": person.given, "familyName": person.family},
        "email": person.email, "gender": None, "location": f"{place.city}, {place.state}, {place.code}",
        "timeZone": place.zone, "utcOffset": place.offset, "geo": _geo(person), "bio": person.bio,
        "site": person.site, "avatar": person.avatar, "employment": _employment(person), **_accounts(person),
        "fuzzy": False, "emailProvider": person.free_mail, "indexedAt": _INDEXED, "phone": None, "activeAt": _ACTIVE,
        "inactiveAt": None,
    }


def _company_accounts() -> Document:
    return {
        "facebook": _nulls("handle", "likes"), "linkedin": {"handle": None},
        "twitter": _nulls("handle", "id", "bio", "followers", "following", "location", "site", "avatar"),
        "crunchbase": {"handle": None},
    }


def _metrics(person: Person) -> Document:
    return {"alexaUsRank": None, "alexaGlobalRank": None, "trafficRank": "low", "employees": person.employees,
            "employeesRange": employees_range(person.employees), "marketCap": None, "raised": None,
            "annualRevenue": None, "estimatedAnnualRevenue": "$10M-$50M", "fiscalYearEnd": None}


def _category(person: Person) -> Document:
    empty: Document = {"sic4Codes": [], "naics6Codes": [], "naics6Codes2022": []}
    return {"sector": person.sector, **empty, **_nulls(
        "industryGroup", "industry", "subIndustry", "gicsCode", "sicCode", "naicsCode")}


def clearbit_company(person: Person) -> Document:
    """The employer as Clearbit sends it."""
    place = person.place
    street = {"streetNumber": "1", "streetName": "Mill Lane", "subPremise": None, "streetAddress": "1 Mill Lane",
              "postalCode": None}
    return {
        "id": _id(person, 1), "name": person.company, "legalName": None, "domain": person.domain,
        "domainAliases": [], "site": {"phoneNumbers": [], "emailAddresses": []}, "category": _category(person),
        "tags": ["B2B"], "description": f"Invented firm in {place.city}.", "foundedYear": person.founded,
        "location": f"1 Mill Lane, {place.city}, {place.country}", "timeZone": place.zone,
        "utcOffset": place.offset, "geo": street | _geo(person), "logo": None, **_company_accounts(),
        "emailProvider": False, "type": "private", "ticker": None, "identifiers": {"usEIN": None}, "phone": None,
        "metrics": _metrics(person), "indexedAt": _INDEXED, "tech": ["nginx"], "techCategories": ["web_servers"],
        "parent": {"domain": None}, "ultimateParent": {"domain": None},
    }


def clearbit_combined(person: Person) -> Document:
    """Person and company; the company of a free-mail address is null."""
    return {"person": clearbit_person(person),
            "company": None if person.free_mail else clearbit_company(person)}


def hunter_person(person: Person) -> Document:
    """A person as Hunter sends it: days instead of times, a name as `emailProvider`."""
    return clearbit_person(person) | {
        "emailProvider": person.domain if person.free_mail else "google.com", "indexedAt": _INDEXED[:10],
        "activeAt": _ACTIVE[:10]}


def hunter_company(person: Person) -> Document:
    """A company as Hunter sends it: employees as a range, more kinds of accounts."""
    metrics = _metrics(person) | {"employees": employees_range(person.employees)}
    return clearbit_company(person) | {
        "emailProvider": "google.com", "indexedAt": _INDEXED[:10], "metrics": metrics,
        "phone": None, "youtube": {"handle": None}, "instagram": {"handle": None}, "fundingRounds": []}


def hunter_combined(person: Person) -> Document:
    """Person and company, without the envelope."""
    return {"person": hunter_person(person),
            "company": None if person.free_mail else hunter_company(person)}
