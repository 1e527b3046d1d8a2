"""Serving a follow-up of releases from 1.109 on, in the form of the database's rows.

Their class of looked-up turns stands here in a form of our own: the release under test may not have it yet.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from litellm.responses.litellm_completion_transformation import session_handler
from litellm.responses.litellm_completion_transformation.redis_session_patch.doors.bridge import (
    get_stored_turns_from_redis,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.runtime import Runtime
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.exchange import Call, Source
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import Turn

from .support.bridge import BOB, call_in, exchange_of, stored, wrapped
from .support.lookups import Upstream, look_up
from .support.runtimes import counted

UNKNOWN = wrapped("chatcmpl-unknown")


class StoredTurns(NamedTuple):
    spend_logs: Any = ()
    proxy_server_requests: Any = ()


@pytest.fixture(autouse=True)
def has_stored_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_handler, "StoredTurns", StoredTurns, raising=False)


ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes."}}]}
FROM_DATABASE = StoredTurns(({"session_id": "s", "response": ANSWER},), ({"input": "from the database"},))
# As LiteLLM writes them by default.
WITHOUT_MESSAGES = StoredTurns(({"session_id": "s", "response": {}},), ({},))


async def rows(runtime: Runtime, call: Call, given: StoredTurns = FROM_DATABASE) -> tuple[StoredTurns, int]:
    """What the bridge gets, and how often upstream's own lookup was asked."""
    upstream = Upstream(given)
    return await look_up(runtime, call, upstream, get_stored_turns_from_redis), upstream.asked


async def test_a_stored_conversation_is_served_as_rows_without_asking_upstream(runtime):
    last = await stored(runtime, Turn("a", ({"role": "assistant", "content": "A."},), session_id="s"), "b")
    found, asked = await rows(runtime, call_in(exchange_of("c", after=last)))
    assert [each["input"] for each in found.proxy_server_requests] == ["a", "b"]
    messages = [row["response"]["choices"][0]["message"]["content"] for row in found.spend_logs]
    assert messages == ["A.", "You said: b"]
    assert {row["session_id"] for row in found.spend_logs} == {"s"}
    assert asked == 0 and counted(runtime) == {"lookups found": 1}


@pytest.mark.parametrize(
    "given, source, result, inputs",
    [
        (FROM_DATABASE, Source.DATABASE, "database", ["from the database"]),
        (WITHOUT_MESSAGES, Source.NONE, "unknown", []),
        (StoredTurns(), Source.NONE, "unknown", []),
    ],
    ids=["rows", "rows without messages", "no rows"],
)
async def test_what_the_database_gave_is_the_history(runtime, given, source, result, inputs):
    exchange = exchange_of("now", after=UNKNOWN)
    assert await rows(runtime, call_in(exchange), given) == (given, 1)
    assert exchange.history.source is source and counted(runtime) == {f"lookups {result}": 1}
    assert [turn.items for turn in exchange.history.chain.turns] == inputs


async def test_for_somebody_else_there_are_no_rows_and_the_database_is_not_asked(runtime):
    call = call_in(exchange_of(caller=BOB, after=await stored(runtime, "a secret")))
    assert await rows(runtime, call) == (StoredTurns(), 0)
