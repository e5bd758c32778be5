"""A signal wakes its one waiter, keeps what came before, and forgets a waiter that gave up."""
from __future__ import annotations

import asyncio

import pytest

from server.core.signal import Signal


async def test_what_was_set_before_does_not_wait() -> None:
    signal = Signal()
    signal.set()
    await asyncio.wait_for(signal.wait(), 1)
    signal.clear()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(signal.wait(), 0)


async def test_a_waiter_is_woken_however_often_it_is_set() -> None:
    signal = Signal()
    waiter = asyncio.create_task(signal.wait())
    await asyncio.sleep(0)
    signal.set()
    signal.set()
    signal.clear()
    await asyncio.wait_for(waiter, 1)


async def test_a_waiter_that_gave_up_is_forgotten() -> None:
    signal = Signal()
    waiter = asyncio.create_task(signal.wait())
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    signal.set()
    await asyncio.wait_for(signal.wait(), 1)
