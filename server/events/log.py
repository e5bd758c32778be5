"""The event log: numbers without a gap and in commit order, because they are counted in the member's own row."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from server.core.clock import DAY, iso
from server.events.nudges import Nudges
from server.storage import Tx

ACKED_MS = DAY  # an acknowledged one stays a little for the member's other devices
MOST_WAITING = 1000  # above this many, what is news of the hour is dropped, oldest first
PRUNED_AT_ONCE = 500  # members
EVENTS_EACH = 40  # that are looked at for each of them


@dataclass(frozen=True, slots=True)
class Event:
    """One event as it goes over the wire."""

    seq: int
    type: str
    at: int
    data: str  # JSON

    @property
    def frame(self) -> str:
        """The whole frame of the socket, as text."""
        return f'{{"type":"{self.type}","seq":{self.seq},"at":"{iso(self.at)}","data":{self.data}}}'


@dataclass(frozen=True, slots=True)
class Page:
    """Events in order. `gap`: the first number still there, when something older was asked for."""

    events: list[Event]
    gap: int | None
    seq: int


@dataclass(frozen=True, slots=True)
class Position:
    """Where a member's log stands: the newest number and the newest acknowledged one."""

    seq: int
    acked: int


NEXT_SEQ = """
    UPDATE users SET event_seq = event_seq + 1 WHERE id = $1
    RETURNING event_seq, event_acked, event_floor, events_dropped"""
INSERT_EVENT = "INSERT INTO events (user_id, seq, type, at, data) VALUES ($1, $2, $3, $4, $5)"
DROP_OLDEST = """
    DELETE FROM events WHERE user_id = $1 AND seq = (
        SELECT seq FROM events
        WHERE user_id = $1 AND seq > $2 AND seq < $3 AND type IN ('post_liked', 'import_finished')
        ORDER BY seq LIMIT 1)"""
COUNT_DROPPED = "UPDATE users SET events_dropped = events_dropped + 1 WHERE id = $1"
READ_POSITION = "SELECT event_seq, event_acked FROM users WHERE id = $1"
READ_AFTER = "SELECT seq, type, at, data FROM events WHERE user_id = $1 AND seq > $2 ORDER BY seq LIMIT $3"
ACKNOWLEDGE = """
    UPDATE users SET event_acked = $2 WHERE id = $1 AND event_acked < $2 AND event_seq >= $2
    RETURNING events_dropped"""
# Nobody looks through all events: what is too old is among the oldest rows, which lie in the order of time, and what is
# done with belongs to those who acknowledged something since they were last pruned.
FIND_PRUNABLE = """
    SELECT user_id, max(seq) AS seq FROM (SELECT user_id, seq, at FROM events ORDER BY id LIMIT 40 * $3) AS oldest
    WHERE at < $2 GROUP BY user_id
    UNION ALL
    SELECT u.id, (SELECT max(e.seq) FROM events e WHERE e.user_id = u.id AND e.seq <= u.event_acked AND e.at < $1)
    FROM users u JOIN events f ON f.user_id = u.id AND f.seq = (SELECT min(m.seq) FROM events m WHERE m.user_id = u.id)
    WHERE u.event_acked > u.event_floor AND f.seq <= u.event_acked AND f.at >= $2 AND f.at < $1
    LIMIT $3"""
PRUNE = "DELETE FROM events WHERE user_id = $1 AND seq <= $2"
# What is missing between the old floor and the new one besides the deleted rows had been dropped before.
RAISE_FLOOR = """
    UPDATE users SET events_dropped = events_dropped - ($2 - event_floor - $3), event_floor = $2
    WHERE id = $1 AND event_floor < $2"""


class EventLog:
    """Appends to and reads from the log."""

    def __init__(self, nudges: Nudges) -> None:
        self._nudges = nudges

    async def append(self, tx: Tx, user_id: int, type_: str, data: str) -> int:
        """Writes an event in the caller's transaction; whoever listens hears of it once that is durable.

        `data` is JSON text. Returns the event's number.
        """
        row = await tx.one(NEXT_SEQ, user_id)
        if row is None:
            return 0  # the member is gone, and with them who could be told
        seq: int = row["event_seq"]
        await tx.run(INSERT_EVENT, user_id, seq, type_, tx.now, data)
        begin = max(row["event_acked"], row["event_floor"])
        if seq - begin - row["events_dropped"] > MOST_WAITING:
            await _drop_oldest(tx, user_id, begin, seq)
        tx.after_commit(partial(self._tell, user_id, seq, type_, tx.now, data))
        return seq

    def _tell(self, user_id: int, seq: int, type_: str, at: int, data: str) -> None:
        if self._nudges.anybody(user_id):
            self._nudges.tell(user_id, seq, Event(seq, type_, at, data).frame)
        if self._nudges.elsewhere is not None:
            self._nudges.elsewhere(user_id, seq)


async def _drop_oldest(tx: Tx, user_id: int, begin: int, newest: int) -> None:
    if await tx.run(DROP_OLDEST, user_id, begin, newest):
        await tx.run(COUNT_DROPPED, user_id)


async def position(tx: Tx, user_id: int) -> Position:
    """Where the member's log stands."""
    row = await tx.one(READ_POSITION, user_id)
    return Position(row["event_seq"], row["event_acked"]) if row else Position(0, 0)


async def page(tx: Tx, user_id: int, after: int, limit: int) -> Page:
    """The events behind `after`, up to the next gap. A gap stands at the head of the page that follows it."""
    seq = (await position(tx, user_id)).seq
    if after > seq:
        return Page([], seq + 1, seq)
    rows = await tx.all(READ_AFTER, user_id, after, limit)
    events = [Event(row["seq"], row["type"], row["at"], row["data"]) for row in rows]
    if not events:
        return Page([], seq + 1 if after < seq else None, seq)
    whole = [event for at, event in enumerate(events) if event.seq == events[0].seq + at]
    return Page(whole, events[0].seq if events[0].seq != after + 1 else None, seq)


async def newest(tx: Tx, user_ids: Sequence[int]) -> dict[int, int]:
    """The number of the newest event of each member who is still there."""
    found = {user_id: await tx.one(READ_POSITION, user_id) for user_id in user_ids}
    return {user_id: row["event_seq"] for user_id, row in found.items() if row is not None}


async def acknowledge(tx: Tx, user_id: int, seq: int) -> None:
    """All events up to `seq` are done with. A number that was not given out yet changes nothing."""
    if await tx.value(ACKNOWLEDGE, user_id, seq):
        # The dropped ones are counted above the floor, and the bound is about those above the acknowledged one.
        await _forget(tx, user_id, seq)


async def _forget(tx: Tx, user_id: int, seq: int) -> int:
    deleted = await tx.run(PRUNE, user_id, seq)
    await tx.run(RAISE_FLOOR, user_id, seq, deleted)
    return deleted


async def prune(tx: Tx, before: int, most: int = PRUNED_AT_ONCE) -> int:
    """Deletes what nobody needs any more, acknowledged or from `before`, for at most so many members.

    Returns for how many, or for how many it was as much work: with `most` of them there may be more to delete.
    """
    due = await tx.all(FIND_PRUNABLE, tx.now - ACKED_MS, before, most)
    deleted = sum([await _forget(tx, row["user_id"], row["seq"]) for row in due])
    return max(len(due), deleted // EVENTS_EACH)
