"""Work of ours on a large text: in a thread, and no part of what a request waits for Redis."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import store as stores
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.store import (
    OFF_THE_LOOP_BYTES,
    SessionStore,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import JsonText, Turn

from .support.clients import Interposed
from .support.stores import chain_of, noise_of, say, store_on

LITTLE, MUCH = "x" * (OFF_THE_LOOP_BYTES // 2), "x" * OFF_THE_LOOP_BYTES
SECONDS = 0.1


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Whether each step of work was done in the thread of the event loop."""
    seen: dict[str, bool] = {}

    def noted(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            seen[name] = threading.current_thread() is threading.main_thread()
            return step(*arguments)

        return run

    for name in ("_seal", "_open"):
        monkeypatch.setattr(SessionStore, name, noted(name, getattr(SessionStore, name)))
    return seen


@pytest.mark.parametrize(("text", "on_the_loop"), [(LITTLE, True), (MUCH, False)], ids=["little", "much"])
@pytest.mark.parametrize(
    "turn_with",
    [
        Turn,
        lambda text: Turn([{"role": "user", "content": [{"type": "input_text", "text": text}]}]),
        lambda text: Turn(JsonText(f'"{text}"')),
        lambda text: Turn("q", ({"role": "assistant", "content": text},)),
        lambda text: Turn("q", reply={"output": [{"content": [{"text": text}]}]}),
    ],
    ids=["a text", "items", "JSON", "an answer", "a reply"],
)
async def test_a_large_text_is_worked_on_in_a_thread_however_small_it_is_packed(
    store, threads, text, on_the_loop, turn_with
):
    place = await say(store, turn_with(text))
    assert (await chain_of(store, place)).tip.bytes < 2_000
    assert threads == {"_seal": on_the_loop, "_open": on_the_loop}


async def test_many_small_turns_are_a_large_text_too(store, threads):
    last = await say(store, noise_of(0))
    for number in range(1, OFF_THE_LOOP_BYTES // 2_000):
        last = await say(store, noise_of(number), await chain_of(store, last))
    await chain_of(store, last)
    assert threads == {"_seal": True, "_open": False}


@pytest.mark.parametrize("step", ["encode_turn", "pack", "unpack", "decode_turns"])
@pytest.mark.parametrize("text", ["little", MUCH], ids=["little", "much"])
async def test_work_that_takes_longer_than_redis_may_is_no_delay_of_redis(redis_client, monkeypatch, step, text):
    """Neither in the thread of the event loop nor in another one."""
    work = getattr(stores, step)

    def slowly(*arguments: Any) -> Any:
        time.sleep(3 * SECONDS)
        return work(*arguments)

    monkeypatch.setattr(stores, step, slowly)
    store = store_on(redis_client, timeout_seconds=SECONDS)
    assert (await chain_of(store, await say(store, text))).turns[0].items == text


async def test_redis_is_asked_from_another_thread_than_the_event_loop_s(redis_client):
    asking: set[threading.Thread] = set()
    store = store_on(Interposed(redis_client, before=lambda name: asking.add(threading.current_thread())))
    await chain_of(store, await say(store, "a"))
    assert asking and threading.main_thread() not in asking
