"""What every database offers, whichever engine is behind it."""
from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")


class Row(Protocol):
    """One row of a result; columns by name."""

    def __getitem__(self, name: str | int, /) -> Any:
        """The value of the column, by its name or place."""

    def __iter__(self) -> Iterator[Any]:
        """The values in the order of the columns."""

    def keys(self) -> Any:
        """The names of the columns."""


class Tx(Protocol):
    """An open transaction. SQL has `$1`, `$2` ... for its arguments."""

    now: int  # milliseconds since 1970 UTC, the same for all statements of the transaction

    async def one(self, sql: str, *args: Any) -> Row | None:
        """The first row, or None."""

    async def all(self, sql: str, *args: Any) -> list[Row]:
        """All rows."""

    async def value(self, sql: str, *args: Any) -> Any:
        """The first column of the first row, or None."""

    async def run(self, sql: str, *args: Any) -> int:
        """Executes; the number of rows that it changed."""

    async def lock(self, what: str) -> None:
        """Waits until nobody else holds what is called so, and holds it to the end of the transaction."""

    async def tell(self, topic: str, text: str) -> None:
        """Tells the other processes on this database, if and when the transaction is committed."""

    def after_commit(self, action: Callable[[], None]) -> None:
        """Calls `action` on the event loop once the transaction is durable, before its caller is answered."""


TxFunction = Callable[Concatenate[Tx, P], Awaitable[T]]


@dataclass(frozen=True, slots=True)
class Size:
    """What a database takes on the disk. `wal_bytes`: of SQLite's write-ahead log, beside its file."""

    bytes: int
    wal_bytes: int | None


class Receiver(Protocol):
    """Who is told what became of a transaction: a future, or somebody who needs no task to wait in."""

    def set_result(self, result: Any, /) -> None:
        """It succeeded, and is durable. Must not raise."""

    def set_exception(self, error: BaseException, /) -> None:
        """It failed. Must not raise."""

    def done(self) -> bool:
        """Whether nobody wants to hear of it any more."""

    def cancelled(self) -> bool:
        """Whether it need not even begin."""


class Channel(Protocol):
    """Word to and from the other processes that share the database."""

    def listen(self, topic: str, listener: Callable[[str, int], None]) -> None:
        """Gives what others tell about the topic to `listener`, with how often they have told it."""

    def doubt(self, doubts: Callable[[], Awaitable[None]]) -> None:
        """`doubts` is called when something may have been missed."""

    def tell(self, topic: str, text: str) -> None:
        """Tells all others, soon; it may be lost, and then there is doubt."""

    async def start(self) -> None:
        """Begins to listen."""

    async def stop(self) -> None:
        """Ends it."""


class Database(Protocol):
    """Runs functions inside transactions. Such a function awaits nothing but its `tx`."""

    channel: Channel | None  # None: no other process serves this database
    refuses_writes: bool  # whether a write failed (on a full disk, say) and none succeeded since, with room for more

    async def read(self, function: TxFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `function(tx, ...)` on a snapshot; it cannot write."""

    async def write(self, function: TxFunction[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `function(tx, ...)` in a transaction; returns when it is durable.

        An exception of the function rolls back only what it did and is raised here. `StorageUnavailable` when
        the database could not keep it.
        """

    def read_to(self, receiver: Receiver, function: TxFunction[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        """`read` for one who does not await: on the event loop the receiver is told what came of it."""

    def write_to(self, receiver: Receiver, function: TxFunction[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        """`write` for one who does not await."""

    async def size(self) -> Size:
        """What it takes on the disk."""

    async def scrub(self) -> bool:
        """Sees to it that what was deleted before cannot be read from the files any more; False when it cannot be
        done now."""

    async def close(self) -> None:
        """Finishes what was begun and lets go of the database."""


def member_lock(user_id: int) -> str:
    """The name of the lock that is held by whoever reads a member's own data to change it."""
    return f"member {user_id}"


def drive(coroutine: Awaitable[T]) -> T:
    """Runs to its end a coroutine that never really waits."""
    running = cast(Coroutine[Any, None, T], coroutine)
    try:
        running.send(None)
    except StopIteration as stop:
        return cast(T, stop.value)
    running.close()
    raise RuntimeError("a transaction may await nothing but its tx")
