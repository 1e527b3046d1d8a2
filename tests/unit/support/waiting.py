"""Waiting for a state, and not for a time."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

LONGEST_SECONDS = 20.0


async def until(condition: Callable[[], Any], seconds: float = LONGEST_SECONDS) -> None:
    """Returns once ``condition``, a function or one that gives a coroutine, is true. Fails when it never is."""

    async def wait() -> None:
        while not (await found if inspect.isawaitable(found := condition()) else found):
            await asyncio.sleep(0.001)

    await asyncio.wait_for(wait(), seconds)
