"""Serving a follow-up of releases from 1.109 on, in the form of the database's rows.

Their class of looked-up turns stands here in a form of our own: the release under test may not have it yet.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from litellm.responses.litellm_completion_transformation import session_handler
from litellm.responses.litellm_completion_transformation.redis_session_patch.conversation import Turn
from litellm.responses.litellm_completion_transformation.redis_session_patch.lookup import read_stored_turns
from litellm.responses.litellm_completion_transformation.redis_session_patch.request import Source
from litellm.responses.litellm_completion_transformation.redis_session_patch.saving import store_answer

from .support.bridge import answer_of, counted, request_of
from .support.lookups import MEMORY, Upstream, stored
from .support.stores import BOB, inputs_of, say

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


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


async def test_a_stored_conversation_is_served_as_rows_without_asking_upstream(redis_client, runtime):
    request, upstream = request_of("c"), Upstream(FROM_DATABASE)
    found = await read_stored_turns(runtime, request, await stored(redis_client, "a", "b"), upstream)
    assert [each["input"] for each in found.proxy_server_requests] == ["a", "b"]
    messages = [row["response"]["choices"][0]["message"]["content"] for row in found.spend_logs]
    assert messages == ["You said: a", "You said: b"]
    assert {row["session_id"] for row in found.spend_logs} == {"trace"}
    assert upstream.asked == 0 and counted(runtime) == {"lookups found": 1}


@pytest.mark.parametrize(
    "given, source, result, inputs",
    [
        (FROM_DATABASE, Source.DATABASE, "database", ["from the database", "now"]),
        (WITHOUT_MESSAGES, Source.NONE, "unknown", ["now"]),
        (StoredTurns(), Source.NONE, "unknown", ["now"]),
    ],
    ids=["rows", "rows without messages", "no rows"],
)
async def test_what_the_database_gave_is_stored_with_the_answer(store, runtime, given, source, result, inputs):
    request = request_of("now")
    assert await read_stored_turns(runtime, request, "unknown", Upstream(given)) is given
    assert request.history.source is source and counted(runtime) == {f"lookups {result}": 1}
    response_id = await store_answer(runtime, request, "x", answer_of())
    assert await inputs_of(store, response_id) == inputs


async def test_for_somebody_else_there_are_no_rows_and_the_database_is_not_asked(redis_client, runtime, log_lines):
    upstream = Upstream(FROM_DATABASE)
    found = await read_stored_turns(runtime, request_of(owner=BOB), await stored(redis_client, "a secret"), upstream)
    assert found == StoredTurns() and upstream.asked == 0


async def test_the_connection_s_memory_is_a_row(runtime):
    request = request_of("now", connection_turns=MEMORY)
    found = await read_stored_turns(runtime, request, "unknown", Upstream())
    assert [each["input"] for each in found.proxy_server_requests] == [list(MEMORY)]
    assert request.history.source is Source.CONNECTION


@pytest.mark.parametrize("where", ["an answer", "the connection's memory"])
async def test_a_tool_call_that_the_rows_hold_is_not_sent_twice(store, runtime, where):
    result = {"role": "tool", "tool_call_id": "c1", "content": "42"}
    request = request_of([{"type": "function_call_output", "call_id": "c1", "output": "42"}])
    calling = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    request.completion["messages"] = [calling, result]  # Upstream has put the call before it, from its cache.
    previous = "unknown"
    if where == "an answer":
        previous = await say(store, Turn("look", (calling,)))
    else:
        request.connection_turns = ({"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},)
    await read_stored_turns(runtime, request, previous, Upstream(StoredTurns()))
    assert request.completion["messages"] == [result]
