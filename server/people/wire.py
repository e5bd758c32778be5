"""People, addresses and cards as they are asked for and shown."""
from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from server.people.model import LinkRule
from server.web.fields import MAX_ID, Limit, rule, text
from server.web.paging import Page

Text255 = Annotated[str, rule(text, min_length=1, max_length=255)]


class FindPeople(msgspec.Struct, forbid_unknown_fields=True):
    """Which people."""

    q: Annotated[str, rule(text, min_length=1, max_length=100)] | None = None
    gender: Text255 | None = None
    country: Text255 | None = None


class ListPeople(FindPeople, forbid_unknown_fields=True):
    """Which page of them: newest first, or with `q` in the order of what was found."""

    limit: Limit = 20
    cursor: Annotated[str, Meta(max_length=1200)] | None = None  # with `q` there is a name in it


class ListLinked(Page, forbid_unknown_fields=True):
    """Which addresses or cards, newest first."""

    person_id: Annotated[int, Meta(ge=1, le=MAX_ID)] | None = None
    linked: bool | None = None


class Subscription(msgspec.Struct):
    """What a person has subscribed to, in the source's words."""

    plan: str | None
    status: str | None
    payment_method: str | None
    term: str | None


class Address(msgspec.Struct):
    """An address, and whose it is."""

    id: int
    uid: str | None
    person_id: int | None
    link_rule: LinkRule | None
    street_address: str | None
    secondary_address: str | None
    city: str | None
    zip_code: str | None
    state: str | None
    country: str | None
    country_code: str | None
    time_zone: str | None
    latitude: float | None
    longitude: float | None
    created_at: str


class Card(msgspec.Struct):
    """What is kept of a card, and whose it is."""

    id: int
    uid: str | None
    person_id: int | None
    link_rule: LinkRule | None
    type: str | None
    last4: str
    expires: str | None


class Person(msgspec.Struct):
    """A person with their addresses and cards, of each at most a hundred."""

    id: int
    uid: str
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
    subscription: Subscription
    created_at: str
    updated_at: str
    addresses: list[Address]
    cards: list[Card]


class Unlinked(msgspec.Struct):
    """How many have no person."""

    addresses: int
    cards: int


class Links(msgspec.Struct):
    """How many addresses and cards were linked by each rule."""

    uid: int
    embedded: int
    coordinates: int
    card: int
    adopted: int


class PeopleCounts(msgspec.Struct):
    """How many there are. `addresses` and `cards`: those imported by themselves, linked or not."""

    people: int
    addresses: int
    cards: int
    unlinked: Unlinked
    links: Links
