"""How many people, addresses and cards there are: changed with what they count, for counting takes long."""
from __future__ import annotations

from collections.abc import Mapping

from server.people.many import many
from server.storage import Tx

ADD_TO_TALLIES = """
    INSERT INTO tallies (name, n, at) SELECT key, CAST(CAST(value AS TEXT) AS BIGINT), $2 FROM json_each($1) WHERE true
    ON CONFLICT (name) DO UPDATE SET n = tallies.n + excluded.n, at = excluded.at"""
CLEAR_TALLY = "UPDATE tallies SET n = 0, at = $2 WHERE name = $1 AND n <> 0"


async def tally(tx: Tx, changes: Mapping[str, int]) -> None:
    """Adds to the tallies, each by its name; in the transaction of what it counts, under `tx.lock("people")`."""
    changed = {name: change for name, change in changes.items() if change}
    if changed:
        await tx.run(ADD_TO_TALLIES, many(changed), tx.now)


async def clear(tx: Tx, name: str) -> None:
    """Begins a tally anew."""
    await tx.run(CLEAR_TALLY, name, tx.now)
