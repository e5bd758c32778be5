"""Requests that were under way at the same time: one order must explain all of their answers."""
from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

from tests.judges.model.operations import Operation
from tests.judges.model.world import World
from tests.support import Answer

Asked = tuple[Operation, Answer | None]  # None: nobody knows whether it was done


def explained(world: World, asked: Sequence[Asked], afterwards: Callable[[World], None]) -> World:
    """The world after a serial order of the requests that fits every answer and what was read `afterwards`.

    A request without an answer may stand anywhere in that order or nowhere. Raises AssertionError with what was wrong
    with each attempt when there is none.
    """
    complaints: list[str] = []
    world.just_ended.clear()
    result = _search(world, list(asked), afterwards, complaints)
    if result is None:
        raise AssertionError("no serial order explains these:\n" + "\n".join(
            f"  {operation} -> {answer and (answer.status, answer.raw)}" for operation, answer in asked)
            + "\n" + "\n".join(dict.fromkeys(complaints)))
    return result


def _search(world: World, left: list[Asked], afterwards: Callable[[World], None],
            complaints: list[str]) -> World | None:
    if all(answer is None for _, answer in left):
        here = copy.deepcopy(world)
        if _fits(lambda: afterwards(here), complaints):
            return here
    for at, (operation, answer) in enumerate(left):
        there = copy.deepcopy(world)
        if _fits(lambda: operation.check(there, answer), complaints):  # noqa: B023
            result = _search(there, left[:at] + left[at + 1:], afterwards, complaints)
            if result is not None:
                return result
    return None


def _fits(check: Callable[[], None], complaints: list[str]) -> bool:
    try:
        check()
    except AssertionError as error:
        complaints.append(str(error))
        return False
    return True
