"""Invents people: the same address always gives the same person, in every process."""
from __future__ import annotations

import asyncio
import hashlib
import random
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faker import Faker

FREE_MAIL = frozenset({"gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "yahoo.com", "mail.ru", "gmx.de"})


@dataclass(frozen=True, slots=True)
class Place:
    """A city with all that a record says about where it is."""

    city: str
    state: str
    country: str
    code: str
    zone: str
    offset: int
    lat: float
    lng: float


@dataclass(frozen=True, slots=True)
class Person:
    """What the stand-ins know about one address; None where the vendor would have null."""

    seed: str
    email: str
    domain: str
    given: str
    family: str
    place: Place
    title: str
    role: str
    seniority: str
    company: str
    sector: str
    bio: str | None
    site: str | None
    avatar: str
    github: str | None
    twitter: str | None
    linkedin: str | None
    employees: int
    founded: int

    @property
    def full_name(self) -> str:
        """Given and family name."""
        return f"{self.given} {self.family}"

    @property
    def free_mail(self) -> bool:
        """Whether the address tells nothing about an employer."""
        return self.domain in FREE_MAIL


_PLACES = (
    Place("Leeds", "England", "United Kingdom", "GB", "Europe/London", 0, 53.8, -1.55),
    Place("Malmö", "Skåne", "Sweden", "SE", "Europe/Stockholm", 1, 55.6, 13.0),
    Place("Kraków", "Lesser Poland", "Poland", "PL", "Europe/Warsaw", 1, 50.06, 19.94),
    Place("Lyon", "Auvergne-Rhône-Alpes", "France", "FR", "Europe/Paris", 1, 45.76, 4.84),
    Place("Porto", "Porto", "Portugal", "PT", "Europe/Lisbon", 0, 41.15, -8.61),
    Place("Denver", "Colorado", "United States", "US", "America/Denver", -7, 39.74, -104.99),
    Place("São Paulo", "São Paulo", "Brazil", "BR", "America/Sao_Paulo", -3, -23.55, -46.63),
    Place("Nairobi", "Nairobi County", "Kenya", "KE", "Africa/Nairobi", 3, -1.29, 36.82),
    Place("Pune", "Maharashtra", "India", "IN", "Asia/Kolkata", 5, 18.52, 73.86),
    Place("Sapporo", "Hokkaido", "Japan", "JP", "Asia/Tokyo", 9, 43.06, 141.35),
)
_ROLES = ("engineering", "operations", "product", "design", "sales", "education")
_SECTORS = ("Industrials", "Information Technology", "Health Care", "Consumer Staples", "Utilities")
_makers: list[Faker] = []


def normalised(email: str) -> str:
    """The form of an address that decides who is behind it."""
    return email.strip().lower()


def hashed(email: str) -> str:
    """The hash of an address; a person is made of nothing else."""
    return hashlib.sha256(normalised(email).encode("utf-8", "replace")).hexdigest()


async def person_of(email: str) -> Person:
    """The person behind an address."""
    return await _made(hashed(email), normalised(email))


async def person_behind(hash_: str) -> Person:
    """The person behind the hash of an address: the same one, but their address is not known."""
    return await _made(hash_, "")


async def makers() -> list[Faker]:
    """Those who invent names: British, German."""
    # The first call loads Faker, in a thread, because that takes a few tenths of a second and the loop may be the one
    # that serves Foyer itself.
    if not _makers:
        await asyncio.to_thread(_load)
    return _makers


async def _made(seed: str, email: str) -> Person:
    await makers()
    return _invent(seed, email)


def _load() -> None:
    from faker import Faker
    if not _makers:
        _makers.extend([Faker("en_GB"), Faker("de_DE")])


@lru_cache(maxsize=4096)
def _invent(seed: str, email: str) -> Person:
    dice = random.Random(seed)
    maker = dice.choice(_makers)
    maker.seed_instance(dice.getrandbits(64))
    given, family = maker.first_name(), maker.last_name()
    nick = "".join(ch for ch in f"{given}{family}".lower() if ch.isascii() and ch.isalnum())
    return Person(
        seed=seed, email=email, domain=email.rpartition("@")[2], given=given, family=family,
        place=dice.choice(_PLACES), title=maker.job(), role=dice.choice(_ROLES),
        seniority=dice.choice(("executive", "manager", "director")), company=maker.company(),
        sector=dice.choice(_SECTORS), bio=_maybe(dice, 0.7, f"{maker.job()} by day, {maker.job()} at heart."),
        site=_maybe(dice, 0.4, f"https://{nick}.example.test/"), avatar=f"https://avatars.example.test/{seed[:16]}.png",
        github=_maybe(dice, 0.6, nick), twitter=_maybe(dice, 0.4, f"{nick}_{dice.randrange(99)}"),
        linkedin=_maybe(dice, 0.8, f"in/{nick}-{dice.randrange(999)}"), employees=dice.randrange(1, 4000),
        founded=dice.randrange(1850, 2024))


def _maybe(dice: random.Random, share: float, value: str) -> str | None:
    return value if dice.random() < share else None
