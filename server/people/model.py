"""The types of people, addresses, cards and their import."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

What = Literal["users", "addresses", "cards"]  # what a schedule imports; also its name
Linked = Literal["addresses", "cards"]  # what finds its person
LinkRule = Literal["uid", "embedded", "coordinates", "card", "adopted"]


@dataclass(slots=True)
class Counts:
    """What an import did with the records that came."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    rejected: int = 0
    linked: int = 0
    reasons: dict[str, int] = field(default_factory=dict)  # why records were rejected, and how many each


@dataclass(frozen=True, slots=True)
class NewAddress:
    """An address as it is stored; latitude and longitude in millionths of a degree, both or none."""

    street_address: str | None = None
    secondary_address: str | None = None
    city: str | None = None
    zip_code: str | None = None
    state: str | None = None
    country: str | None = None
    country_code: str | None = None
    time_zone: str | None = None
    latitude: int | None = None
    longitude: int | None = None


@dataclass(frozen=True, slots=True)
class NewCard:
    """What is stored of a card."""

    type: str | None
    last4: str
    expires: str | None
    fingerprint: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewPerson:
    """A person as they are stored, with the address and the card that their record carries."""

    first_name: str
    last_name: str
    username: str | None
    email: str | None
    phone: str | None
    avatar_url: str | None
    gender: str | None
    birth_date: str | None
    job_title: str | None
    key_skill: str | None
    plan: str | None
    plan_status: str | None
    payment_method: str | None
    plan_term: str | None
    country: str | None
    gender_key: str | None  # folded, to be found by
    country_key: str | None
    address: NewAddress | None
    card: NewCard | None


New = NewPerson | NewAddress | NewCard


@dataclass(frozen=True, slots=True)
class Taken:
    """What is left of the records of an answer: each good one with its uid, and why the others were rejected."""

    records: list[tuple[str, New]] = field(repr=False)  # about people: in no log
    rejected: dict[str, int]


# -- schedules, as they go over the wire

Ending = Literal["done", "failed"]
RunStatus = Literal["running"] | Ending
LONGEST_SECONDS = 30 * 86_400


class ImportRun(msgspec.Struct):
    """A run of a schedule."""

    id: int
    status: RunStatus
    started_at: str
    finished_at: str | None
    new: int
    changed: int
    unchanged: int
    rejected: int
    linked: int
    reasons: dict[str, int]
    error: str | None


class Schedule(msgspec.Struct):
    """A schedule of the import."""

    name: What
    every_seconds: int
    enabled: bool
    batch: int
    next_run_at: str | None
    last_error: str | None
    last_run: ImportRun | None


class ChangeSchedule(msgspec.Struct, forbid_unknown_fields=True):
    """PATCH /api/admin/schedules/{name}."""

    every_seconds: Annotated[int, Meta(ge=1, le=LONGEST_SECONDS)] | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    batch: Annotated[int, Meta(ge=1, le=100)] | UnsetType = UNSET


class ImportFinished(msgspec.Struct):
    """The data of `import_finished`."""

    schedule: What
    status: Ending
    started_at: str
    finished_at: str
    new: int
    changed: int
    unchanged: int
    rejected: int
    linked: int
    error: str | None
