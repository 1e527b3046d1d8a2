"""The inner door. A history goes in, an answer is kept, nothing is stored; where LiteLLM is not as the fork expects it,
the request goes on as if the fork were not there, and that is counted.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from litellm.responses.utils import ResponsesAPIRequestUtils

import litellm
from litellm.responses.litellm_completion_transformation.redis_session_patch.doors import bridge
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import defects
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import runtime as runtimes
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.exchange import (
    CALL,
    Exchange,
    History,
    Source,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.lookup import note_connections
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.streams import StreamKeeper
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import place_of
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import NOBODY

from .support.bridge import (
    ALICE,
    OF_ALICE,
    OF_BOB,
    Stream,
    call_in,
    call_item,
    completion_of,
    entered,
    events_of,
    exchange_of,
    ids_of,
    result_item,
    running,
    stored,
    tool_call,
    wrapped,
)
from .support.inside import turns_in_all
from .support.lookups import MEMORY, NOTHING, Upstream, contents
from .support.runtimes import counted

KWARGS: dict[str, Any] = {
    "request_input": "now",
    "responses_api_request": {},
    "litellm_completion_request": {"model": "m", "custom_llm_provider": "groq"},
    "litellm_metadata": OF_ALICE,
}


pytestmark = pytest.mark.usefixtures("used_runtime")


class Reply(SimpleNamespace):
    """A response object of LiteLLM's. ``call``: the one that was running when it was made."""


async def handled(exchange: Exchange | None, kwargs: Any = None, previous: str | None = None, **more: Any) -> Reply:
    """What the bridge does with a request: the lookup, the model, and what is kept before its reply."""
    upstream = Upstream()

    @bridge.get_session_from_redis
    async def look_up(previous_response_id: str) -> Any:
        return await upstream(previous_response_id)

    @bridge.remember_request
    async def handler(*args: Any, **given: Any) -> Reply:
        session = await look_up(previous) if previous else None
        reply = Reply(id="chatcmpl-1", call=CALL.get(), given=given, session=session, asked=upstream.asked)
        bridge.keep_answer(reply, completion_of())
        return reply

    with entered(exchange):
        return await handler(**{**KWARGS, **(kwargs or {}), **more})


async def test_a_caller_s_request_gets_its_history_and_its_answer_is_kept(redis_client, runtime):
    last = await stored(runtime, "before")
    exchange = exchange_of("now", after=last)
    reply = await handled(exchange, previous=last)
    assert contents(reply.session)[0] == ("user", "before") and reply.asked == 0
    assert exchange.answered is reply.call and exchange.history.source is Source.REDIS
    assert [message["content"] for message in reply.call.answer] == ["Hi."]
    assert turns_in_all(redis_client) == 1, "nothing is stored at the bridge"
    assert counted(runtime) == {"lookups found": 1} and defects.counted() == 0


async def test_a_plain_reply_has_its_place_in_its_id_which_upstream_reads_as_the_provider_s():
    exchange = exchange_of("now", after="resp_as_sent")
    reply = await handled(exchange)
    assert place_of(reply.id) == place_of(wrapped(reply.id)) == exchange.place
    decode = ResponsesAPIRequestUtils.decode_previous_response_id_to_original_previous_response_id
    assert decode(wrapped(reply.id)) == "chatcmpl-1"
    assert reply.previous_response_id == "resp_as_sent"


NOT_THE_CALLER_S = {
    "by no route": (None, OF_ALICE),
    "of somebody else": (ALICE, OF_BOB),
    "of nobody": (ALICE, {}),
    "without metadata": (ALICE, None),
    "with metadata of another form": (ALICE, 7),
}


@pytest.mark.parametrize("case", NOT_THE_CALLER_S)
async def test_any_other_call_is_as_if_the_fork_were_not_there(redis_client, runtime, case):
    caller, metadata = NOT_THE_CALLER_S[case]
    last = await stored(runtime, "before")
    exchange = exchange_of("now", caller, after=last) if caller else None
    reply = await handled(exchange, previous=last, litellm_metadata=metadata)
    assert (reply.call, reply.id, reply.session, reply.asked) == (None, "chatcmpl-1", NOTHING, 1)
    assert not hasattr(reply, "previous_response_id") and (exchange is None or exchange.calls == [])
    assert turns_in_all(redis_client) == 1 and counted(runtime) == {} and defects.counted() == 0


async def test_a_call_of_a_hook_within_a_caller_s_is_not_the_caller_s():
    inner = []

    @bridge.remember_request
    async def handler(**kwargs: Any) -> Reply:
        inner.append(await handled(exchange, litellm_metadata={}))
        return Reply(call=CALL.get())

    exchange = exchange_of("now")
    with entered(exchange):
        outer = await handler(**KWARGS)
    assert inner[0].call is None and exchange.calls == [outer.call]


async def test_of_one_of_whom_nothing_is_known_nothing_is_read(runtime):
    last = await stored(runtime, "before")
    exchange = exchange_of("now", NOBODY, after=last)
    reply = await handled(exchange, previous=last, litellm_metadata=dict.fromkeys(OF_ALICE))
    assert (reply.session, reply.asked) == (NOTHING, 0) and counted(runtime) == {"lookups denied": 1}


async def test_a_further_round_of_mcp_tools_that_asks_for_no_history_gets_the_round_before_it():
    question = [{"role": "user", "content": "look"}]
    exchange = exchange_of(question, instructions="be kind")
    first = call_in(exchange)
    first.take_answer(completion_of(None, "c1"))
    completion = {"messages": [{"role": "system", "content": "be kind"}, "restated"], "custom_llm_provider": "groq"}
    again = [*question, call_item("c1"), result_item("c1")]
    await handled(exchange, request_input=again, litellm_completion_request=completion)
    assert [message["role"] for message in completion["messages"]] == ["system", "user", "assistant", "tool"]
    assert completion["messages"][2]["tool_calls"] == [tool_call("c1")]


@pytest.mark.parametrize("name", ["request_input", "litellm_completion_request"])
async def test_a_handler_whose_parameter_has_another_name_is_litellm_s_alone(redis_client, log_lines, name):
    @bridge.remember_request
    async def handler(**given: Any) -> Any:
        return CALL.get(), given

    kwargs = {("of_tomorrow" if each == name else each): value for each, value in KWARGS.items()}
    exchange = exchange_of("now")
    with entered(exchange):
        assert await handler(**kwargs) == (None, kwargs)
    assert exchange.calls == [] and redis_client.keys("*") == []
    assert defects.counted() == 1 and "KeyError at bridge.py:" in log_lines[0]


NOT_OURS = [None, *(History(source) for source in Source if source is not Source.REDIS)]


@pytest.mark.parametrize("history", [*NOT_OURS, History(Source.REDIS)])
async def test_a_handler_is_called_as_it_is_called_but_without_what_was_looked_up_for_no_model(history):
    """From 1.109 on turns may be looked up before it is known which model answers."""

    @bridge.remember_request
    async def handler(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    expected = (1, 2) if history == History(Source.REDIS) else (1, 2, "turns")
    with entered(exchange_of(history=history)):
        assert await handler(1, 2, "turns", **KWARGS) == (expected, KWARGS)


@pytest.mark.parametrize("after", ["followed", "another"])
async def test_before_there_is_a_call_what_the_client_follows_is_looked_up_as_the_client(runtime, after):
    upstream, ids = Upstream(), {"followed": await stored(runtime, "a"), "another": wrapped("chatcmpl-2")}

    @bridge.get_session_from_redis
    async def look_up(previous_response_id: str) -> Any:
        return await upstream(previous_response_id)

    with entered(exchange_of(after=ids["followed"])):
        session = await look_up(ids[after])
    if after == "followed":
        assert contents(session)[0] == ("user", "a") and upstream.asked == 0
    else:
        assert session is NOTHING and upstream.asked == 1 and counted(runtime) == {}


async def test_an_error_of_the_handler_is_litellm_s():
    @bridge.remember_request
    async def handler(**kwargs: Any) -> Any:
        raise ZeroDivisionError

    exchange = exchange_of()
    with entered(exchange), pytest.raises(ZeroDivisionError):
        await handler(**KWARGS)
    assert CALL.get() is None and exchange.refusal is None and defects.counted() == 0


async def test_a_conversation_is_refused():
    with pytest.raises(litellm.BadRequestError, match="conversation"):
        await handled(exchange_of(), conversation="conv_1")
    assert defects.counted() == 0


async def test_a_conversation_of_somebody_without_a_route_is_upstream_s():
    assert (await handled(None, conversation="conv_1")).call is None


async def test_a_refusal_of_ours_is_known_to_the_request_that_it_ended(redis_client, runtime):
    last = await stored(runtime, "a")
    await runtime.store.delete(place_of(last), ALICE)
    exchange = exchange_of(after=last)
    with pytest.raises(litellm.BadRequestError) as caught:
        await handled(exchange, previous=last)
    assert exchange.refusal is caught.value and exchange.answered is None


READS = [bridge.get_session_from_redis, bridge.get_stored_turns_from_redis]


@pytest.mark.parametrize("decorate", READS)
async def test_a_lookup_whose_parameter_has_another_name_is_upstream_s_and_the_turn_s_history_unknown(
    runtime, decorate
):
    @decorate
    async def look_up(response_id: str) -> Any:
        return f"what upstream has of {response_id}"

    exchange = exchange_of(after=await stored(runtime, "before"))
    with running(call_in(exchange)):
        assert await look_up(response_id="x") == "what upstream has of x"
    assert exchange.history is None and defects.counted() == 1


@pytest.mark.parametrize("how", ["by position", "by keyword"])
async def test_a_lookup_is_asked_by_position_or_by_keyword(runtime, how):
    @bridge.get_session_from_redis
    async def look_up(previous_response_id: str, *args: Any, **more: Any) -> Any:
        return NOTHING

    last = await stored(runtime, "a")
    with running(call_in(exchange_of(after=last))):
        options = {"previous_response_id": last, "of_tomorrow": 1}
        session = await (look_up(last, 1) if how == "by position" else look_up(**options))
    assert contents(session)[0] == ("user", "a") and defects.counted() == 0


async def test_a_lookup_without_a_call_of_ours_is_upstream_s():
    @bridge.get_session_from_redis
    async def look_up(*args: Any, **options: Any) -> Any:
        return args, options

    assert await look_up("x", more=1) == (("x",), {"more": 1}) and defects.counted() == 0


OWN, BEFORE = {"role": "user", "content": "now"}, {"role": "user", "content": "from the database"}


async def session_step(exchange: Exchange, call: Any = None, after: str | None = None, **names: str) -> list[Any]:
    """The request's messages after the session step of releases before 1.75.2, which puts ``BEFORE`` before them."""
    call = call or call_in(exchange, messages=[OWN])

    @bridge.get_request_from_redis
    async def handle_session(**given: Any) -> Any:
        call.completion["messages"] = [BEFORE, *call.completion["messages"]]
        return call.completion

    given = {"previous_response_id": after or exchange.previous_id, "litellm_completion_request": call.completion}
    with running(call):
        completion = await handle_session(**{names.get(name, name): value for name, value in given.items()})
    assert completion is call.completion
    return completion["messages"]


async def test_an_old_release_s_session_step_gets_the_history_of_redis(runtime):
    exchange = exchange_of("now", after=await stored(runtime, "a"))
    assert [message["content"] for message in await session_step(exchange)] == ["a", "You said: a", "now"]
    assert exchange.history.source is Source.REDIS


async def test_an_old_release_s_session_step_gets_the_rounds_before_it():
    question = [{"role": "user", "content": "look"}]
    exchange = exchange_of(question)
    call_in(exchange).take_answer(completion_of(None, "c1"))
    call = call_in(exchange, [*question, call_item("c1"), result_item("c1")])
    messages = await session_step(exchange, call, "chatcmpl-of-the-first-round")
    assert [message["role"] for message in messages] == ["user", "assistant", "tool"]


async def test_what_an_old_release_s_session_step_puts_before_the_request_is_the_history():
    exchange = exchange_of("now", after=wrapped("chatcmpl-unknown"))
    assert await session_step(exchange) == [BEFORE, OWN]
    assert exchange.history.source is Source.DATABASE
    (turn,) = exchange.history.chain.turns
    assert [message["content"] for message in turn.answer] == ["from the database"]


async def test_an_old_release_s_session_step_whose_parameter_has_another_name_is_upstream_s(runtime):
    exchange = exchange_of("now", after=await stored(runtime, "a"))
    assert await session_step(exchange, previous_response_id="of_tomorrow") == [BEFORE, OWN]
    assert exchange.history is None and defects.counted() == 1


ROWS = [{"user": "alice", "team_id": "red", "api_key": "k1"}, {"user": "bob", "team_id": "red", "api_key": "k2"}]


@pytest.mark.parametrize("has_call", [True, False])
@pytest.mark.parametrize("exchange, seen", [(exchange_of(), ROWS[:1]), (None, ROWS)], ids=["a caller", "no route"])
async def test_of_the_database_s_rows_a_caller_sees_its_own(exchange, seen, has_call):
    """Before there is a call of the bridge, too."""

    @bridge.note_rows
    async def look_up(*args: Any) -> Any:
        return ROWS

    call = call_in(exchange or exchange_of()) if has_call else None
    with entered(exchange), running(call):
        assert await look_up("x") == seen
    assert call is None or call.rows == seen


async def test_rows_of_another_form_are_nobody_s():
    @bridge.note_rows
    async def look_up(*args: Any) -> Any:
        return ["a row of tomorrow"]

    with entered(exchange_of()):
        assert list(await look_up("x")) == []
    assert defects.counted() == 1


def test_a_plain_reply_of_another_form_leaves_as_it_is():
    class Frozen:
        __slots__ = ("id",)

    reply = Frozen()
    reply.id = "x"
    exchange = exchange_of()
    with running(call_in(exchange)):
        bridge.keep_answer(reply, completion_of())
    assert reply.id == "x" and exchange.answered is None and defects.counted() == 1


def test_a_reply_without_a_call_of_ours_leaves_as_it_is():
    reply = Reply(id="x")
    bridge.keep_answer(reply, completion_of())
    assert vars(reply) == {"id": "x"}


async def streamed(exchange: Exchange, stream: Any) -> list[Any]:
    @bridge.remember_request
    async def handler(**kwargs: Any) -> Any:
        return stream

    with entered(exchange):
        return [event async for event in await handler(**KWARGS)]


async def test_a_further_round_of_mcp_tools_in_a_connection_goes_on_from_its_memory_too():
    question = {"role": "user", "content": "look"}
    exchange = exchange_of([question])
    note_connections(exchange, MEMORY)
    sent = [*MEMORY, question]
    call_in(exchange, sent).take_answer(completion_of(None, "c1"))
    completion: dict[str, Any] = {"messages": ["restated"], "custom_llm_provider": "groq"}
    again = [*sent, call_item("c1"), result_item("c1")]
    await handled(exchange, request_input=again, litellm_completion_request=completion)
    roles = [message["role"] for message in completion["messages"]]
    assert roles == ["user", "assistant", "user", "assistant", "tool"]


async def test_a_caller_s_stream_is_kept(redis_client):
    exchange = exchange_of("now")
    events = await streamed(exchange, Stream(events_of("chatcmpl-1")))
    assert {place_of(each) for each in ids_of(events)} == {exchange.place}
    assert exchange.answered is not None and redis_client.keys("*") == []


async def test_a_stream_that_no_keeper_can_be_put_on_is_litellm_s():
    class Slotted(Stream):
        def __setattr__(self, name: str, value: Any) -> None:
            if name not in ("litellm_model_response", "_events"):
                raise AttributeError(name)
            super().__setattr__(name, value)

    exchange, events = exchange_of("now"), events_of(wrapped("x"))
    assert await streamed(exchange, Slotted(events)) == events and ids_of(events) == [wrapped("x")] * 3
    assert exchange.answered is None and defects.counted() == 1


async def test_a_stream_s_step_is_called_as_it_is_called_kept_or_not(runtime):
    @bridge.store_stream_in_redis
    async def anext_(*args: Any, **options: Any) -> Any:
        return args, options

    stream = SimpleNamespace()
    assert await anext_(stream, 1, more=2) == ((stream, 1), {"more": 2})
    assert await anext_() == ((), {})
    StreamKeeper(runtime, call_in(exchange_of())).attach(stream)
    assert await anext_(stream, 1, more=2) == ((stream, 1), {"more": 2})


async def test_where_the_store_cannot_be_had_litellm_answers_alone(monkeypatch, runtime):
    def broken() -> Any:
        raise ZeroDivisionError

    last = await stored(runtime, "before")
    monkeypatch.setattr(runtimes, "current", broken)
    reply = await handled(exchange_of(after=last), previous=last)
    assert (reply.call, reply.id, reply.session) == (None, "chatcmpl-1", NOTHING)
    assert defects.counted() >= 1
