"""Every address and every card finds its person, by the first rule that fits; a link that was made never moves.

The rules, in this order: `uid` (a person has the same uid), `embedded` (the person's own record carries it: such a row
is theirs from the beginning, see `storing`), `coordinates` or `card` (equal to what a person's own record carries), and
`adopted`: whoever has waited longest without one. All records of a run go through the exact rules before any of them is
adopted. What finds nobody waits for the people to come.

The SQL of addresses and of cards differs in its tables only; PostgreSQL needs them named.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from server.people import tallies
from server.people.many import keys, many
from server.people.model import Linked, LinkRule
from server.storage import Row, Tx

MOST_ADOPTED = 1000  # in a run: more than any run brings, and less than could have become free since

# What waits and could belong to people of the run. `asked`: their ids.
FITTING: Mapping[Linked, str] = {
    "addresses": """
        SELECT a.id FROM json_each($1) AS asked JOIN people p ON p.id = CAST(asked.key AS BIGINT)
            JOIN addresses a ON a.uid = p.uid
        WHERE a.person_id IS NULL
        UNION ALL
        SELECT a.id FROM json_each($1) AS asked
            JOIN addresses e ON e.person_id = CAST(asked.key AS BIGINT) AND e.link_rule = 'embedded'
            JOIN addresses a ON a.latitude = e.latitude AND a.longitude = e.longitude
        WHERE a.person_id IS NULL""",
    "cards": """
        SELECT c.id FROM json_each($1) AS asked JOIN people p ON p.id = CAST(asked.key AS BIGINT)
            JOIN cards c ON c.uid = p.uid
        WHERE c.person_id IS NULL
        UNION ALL
        SELECT c.id FROM json_each($1) AS asked
            JOIN cards e ON e.person_id = CAST(asked.key AS BIGINT) AND e.link_rule = 'embedded'
            JOIN cards c ON c.fingerprint = e.fingerprint
        WHERE c.person_id IS NULL"""}
SAME_UID: Mapping[Linked, str] = {
    "addresses": """
        SELECT a.id, p.id AS person_id
        FROM json_each($1) AS asked JOIN addresses a ON a.id = CAST(asked.key AS BIGINT) JOIN people p ON p.uid = a.uid
        WHERE a.person_id IS NULL""",
    "cards": """
        SELECT c.id, p.id AS person_id
        FROM json_each($1) AS asked JOIN cards c ON c.id = CAST(asked.key AS BIGINT) JOIN people p ON p.uid = c.uid
        WHERE c.person_id IS NULL"""}
SAME_CONTENT: Mapping[Linked, str] = {
    "addresses": """
        SELECT a.id, (
            SELECT e.person_id FROM addresses e
            WHERE e.latitude = a.latitude AND e.longitude = a.longitude AND e.link_rule = 'embedded'
            ORDER BY e.person_id LIMIT 1) AS person_id
        FROM json_each($1) AS asked JOIN addresses a ON a.id = CAST(asked.key AS BIGINT)
        WHERE a.person_id IS NULL""",
    "cards": """
        SELECT c.id, (
            SELECT e.person_id FROM cards e
            WHERE e.fingerprint = c.fingerprint AND e.link_rule = 'embedded'
            ORDER BY e.person_id LIMIT 1) AS person_id
        FROM json_each($1) AS asked JOIN cards c ON c.id = CAST(asked.key AS BIGINT)
        WHERE c.person_id IS NULL"""}
UNLINKED: Mapping[Linked, str] = {
    "addresses": "SELECT id FROM addresses WHERE person_id IS NULL ORDER BY id LIMIT $1",
    "cards": "SELECT id FROM cards WHERE person_id IS NULL ORDER BY id LIMIT $1"}
WAITING: Mapping[Linked, str] = {
    "addresses": "SELECT id FROM people WHERE waits_for_address = 1 ORDER BY id LIMIT $1",
    "cards": "SELECT id FROM people WHERE waits_for_card = 1 ORDER BY id LIMIT $1"}
LINK: Mapping[Linked, str] = {
    "addresses": """
        UPDATE addresses SET person_id = CAST(CAST(pair.value AS TEXT) AS BIGINT), link_rule = $2
        FROM json_each($1) AS pair WHERE addresses.id = CAST(pair.key AS BIGINT)""",
    "cards": """
        UPDATE cards SET person_id = CAST(CAST(pair.value AS TEXT) AS BIGINT), link_rule = $2
        FROM json_each($1) AS pair WHERE cards.id = CAST(pair.key AS BIGINT)"""}
WAIT_NO_MORE: Mapping[Linked, str] = {
    "addresses": """
        UPDATE people SET waits_for_address = 0
        FROM json_each($1) AS served WHERE people.id = CAST(served.key AS BIGINT) AND people.waits_for_address = 1""",
    "cards": """
        UPDATE people SET waits_for_card = 0
        FROM json_each($1) AS served WHERE people.id = CAST(served.key AS BIGINT) AND people.waits_for_card = 1"""}
UNLINK: Mapping[Linked, str] = {
    "addresses": "UPDATE addresses SET person_id = NULL, link_rule = NULL WHERE person_id = $1 AND link_rule = $2",
    "cards": "UPDATE cards SET person_id = NULL, link_rule = NULL WHERE person_id = $1 AND link_rule = $2"}
DELETE_EMBEDDED: Mapping[Linked, str] = {
    "addresses": "DELETE FROM addresses WHERE person_id = $1 AND link_rule = 'embedded'",
    "cards": "DELETE FROM cards WHERE person_id = $1 AND link_rule = 'embedded'"}

# The rules by which a row of its own is linked, in their order.
RULES: Mapping[Linked, tuple[LinkRule, ...]] = {
    "addresses": ("uid", "coordinates", "adopted"), "cards": ("uid", "card", "adopted")}


async def link_people(tx: Tx, people: Collection[int], changes: Counter[str]) -> int:
    """After these people have come, or come again: links what has waited; how much. `changes`: of the tallies."""
    linked = 0
    for what in RULES:
        fitting = FITTING[what]
        waiting = [row["id"] for row in await tx.all(fitting, keys(people))]
        linked += await link_records(tx, what, waiting, changes)
    return linked


async def link_records(tx: Tx, what: Linked, records: Collection[int], changes: Counter[str]) -> int:
    """Links those of the rows that are not yet, by the exact rules; then whoever waits adopts; how many were linked."""
    linked = await _link_exactly(tx, what, records, changes) if records else 0
    return linked + await _adopt(tx, what, changes)


async def _link_exactly(tx: Tx, what: Linked, records: Collection[int], changes: Counter[str]) -> int:
    by_uid, by_content, _ = RULES[what]
    same_uid = SAME_UID[what]
    linked = await _link(tx, what, by_uid, _pairs(await tx.all(same_uid, keys(records))), changes)
    same_content = SAME_CONTENT[what]  # it passes by what has just been linked
    return linked + await _link(tx, what, by_content, _pairs(await tx.all(same_content, keys(records))), changes)


def _pairs(rows: Iterable[Row]) -> dict[int, int]:
    return {row["id"]: row["person_id"] for row in rows if row["person_id"] is not None}


async def _adopt(tx: Tx, what: Linked, changes: Counter[str]) -> int:
    """Those who have waited longest for what has waited longest, as far as there are both."""
    find_unlinked = UNLINKED[what]
    unlinked = await tx.all(find_unlinked, MOST_ADOPTED)
    find_waiting = WAITING[what]
    waiting = await tx.all(find_waiting, len(unlinked)) if unlinked else []
    if len(waiting) < MOST_ADOPTED:
        await tallies.clear(tx, freed(what))
    pairs = {row["id"]: person["id"] for row, person in zip(unlinked, waiting)}
    return await _link(tx, what, "adopted", pairs, changes)


async def _link(tx: Tx, what: Linked, rule: LinkRule, pairs: Mapping[int, int], changes: Counter[str]) -> int:
    if pairs:
        link = LINK[what]
        await tx.run(link, many(pairs), rule)
        wait_no_more = WAIT_NO_MORE[what]
        await tx.run(wait_no_more, keys(pairs.values()))
        changes[f"{what} {rule}"] += len(pairs)
        changes[f"{what} unlinked"] -= len(pairs)
    return len(pairs)


async def unlink(tx: Tx, person_id: int) -> None:
    """Before a person goes, under `tx.lock("people")`: what their record carried is removed, the rest waits for others.

    It keeps the tallies of addresses and cards; that of `people` is the caller's.
    """
    changes: Counter[str] = Counter()
    for what, rules in RULES.items():
        delete_embedded = DELETE_EMBEDDED[what]
        changes[f"{what} embedded"] -= await tx.run(delete_embedded, person_id)
        let_go = UNLINK[what]
        for rule in rules:
            count = await tx.run(let_go, person_id, rule)
            changes.update({f"{what} {rule}": -count, f"{what} unlinked": count, freed(what): count})
    await tallies.tally(tx, changes)


def freed(what: Linked) -> str:
    """The tally of what deletions of people have left without one, since anybody adopted the last time.

    Only of those may some be unlinked while somebody waits.
    """
    return f"{what} freed"
