"""The inner door. A history goes in, an answer is kept, nothing is stored; where LiteLLM is not as the fork expects it,
the request goes on as if the fork were not there, and that is counted.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from litellm.responses.utils import ResponsesAPIRequestUtils

import litellm
from litellm.responses.litellm_completion_transformation import session_handler as session_handlers
from litellm.responses.litellm_completion_transformation.redis_session_patch.doors import bridge
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import defects
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import runtime as runtimes
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.call import CALL
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.exchange import (
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
    chain_at,
    completion_of,
    entered,
    events_of,
    exchange_of,
    ids_of,
    result_item,
    running,
    stored,
    wrapped,
)
from .support.inside import turns_in_all
from .support.lookups import FROM_DATABASE, MEMORY, Upstream, contents, session_handler
from .support.messages import assistant, result, system, user
from .support.runtimes import counted

PREVIOUS = "previous_response_id"
KWARGS: dict[str, Any] = {
    "request_input": "now",
    "responses_api_request": {},
    "litellm_completion_request": {"model": "m", "custom_llm_provider": "groq"},
    "litellm_metadata": OF_ALICE,
}


pytestmark = pytest.mark.usefixtures("used_runtime")


class StoredTurns(NamedTuple):
    """Of releases from 1.109 on."""

    spend_logs: Any = ()
    proxy_server_requests: Any = ()


class Reply(SimpleNamespace):
    """A response object of LiteLLM's. ``call``: the one that was running when it was made; ``sent``: the messages that
    the model got; ``asked``: how often upstream's lookup was.
    """


async def handled(exchange: Exchange | None, kwargs: Any = None, previous: str | None = None, **more: Any) -> Reply:
    """What the bridge does with a request: the lookup, the model, and what is kept before its reply."""
    upstream = Upstream()

    @bridge.remember_request
    async def handler(*args: Any, **given: Any) -> Reply:
        completion, after = given["litellm_completion_request"], given["responses_api_request"].get(PREVIOUS)
        if after:
            asked = {PREVIOUS: after, "litellm_completion_request": completion}
            completion = await session_handler(upstream)(**asked)
        sent = completion.get("messages", [])
        reply = Reply(id="chatcmpl-1", output=[], call=CALL.get(), given=given, sent=sent, asked=upstream.asked)
        bridge.keep_answer(reply, completion_of())
        return reply

    given = {**KWARGS, "responses_api_request": {PREVIOUS: previous} if previous else {}, **(kwargs or {}), **more}
    completion = given["litellm_completion_request"]
    given["litellm_completion_request"] = {**completion, "messages": completion.get("messages", [user("now")])}
    with entered(exchange):
        return await handler(**given)


async def test_a_caller_s_request_gets_its_history_and_its_answer_is_kept(redis_client, runtime):
    last = await stored(runtime, "before")
    exchange = exchange_of("now", after=last)
    reply = await handled(exchange, previous=last)
    assert reply.sent == [user("before"), assistant("You said: before"), user("now")] and reply.asked == 0
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
    assert (reply.call, reply.id, reply.sent, reply.asked) == (None, "chatcmpl-1", [user("now")], 1)
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
    assert reply.sent == [user("now")] and counted(runtime) == {"lookups denied": 1}


@pytest.mark.parametrize("previous", [None, "chatcmpl-of-the-first-round"])
async def test_a_further_round_of_mcp_tools_gets_the_round_before_it_whether_it_asks_for_a_history_or_not(previous):
    question = [user("look")]
    exchange = exchange_of(question, instructions="be kind")
    call_in(exchange).take_answer(completion_of(None, "c1"))
    completion = {"messages": [system("be kind"), user("restated")], "custom_llm_provider": "groq"}
    again = [*question, call_item("c1"), result_item("c1")]
    given = {"request_input": again, "litellm_completion_request": completion}
    reply = await handled(exchange, given, previous)
    assert reply.sent == [system("be kind"), user("look"), assistant(None, "c1"), result("c1", "42")]
    assert reply.asked == 0 and reply.call.is_served and exchange.history is None


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


@pytest.mark.parametrize("history", [None, *(History(each) for each in Source if each is not Source.COMPACTION)])
async def test_a_handler_is_called_as_it_is_called(history):
    """From 1.109 on with turns, too, that are looked up before it is known which model answers."""

    @bridge.remember_request
    async def handler(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    with entered(exchange_of(history=history)):
        assert await handler(1, 2, "turns", **KWARGS) == ((1, 2, "turns"), KWARGS)


async def test_tools_that_a_client_s_searches_loaded_are_found_in_the_stored_inputs(runtime, monkeypatch):
    """From 1.109 on they are looked for before there is a call of the bridge."""
    monkeypatch.setattr(session_handlers, "StoredTurns", StoredTurns, raising=False)

    @bridge.get_stored_turns_from_redis
    async def look_up(previous_response_id: str) -> Any:
        return await upstream(previous_response_id)

    searching, upstream = [{"type": "tool_search_call", "id": "t1"}], Upstream("what upstream has")
    last = await stored(runtime, searching, "b")
    exchange = exchange_of(after=last, history=History(Source.REDIS, await chain_at(runtime, last)))
    with entered(exchange):
        found = await look_up(last)
        assert found == await look_up(previous_response_id=last)
        assert await look_up(wrapped("chatcmpl-2")) == "what upstream has"
    assert found.proxy_server_requests == ({"input": searching}, {"input": "b"}) and len(found.spend_logs) == 2
    assert upstream.asked == 1


@pytest.mark.parametrize("history", [None, *(each for each in map(History, Source) if not each.is_ours)])
async def test_without_a_stored_conversation_those_tools_are_looked_up_as_upstream_does(history):
    @bridge.get_stored_turns_from_redis
    async def look_up(previous_response_id: str) -> Any:
        return "what upstream has"

    last = wrapped("chatcmpl-1")
    for exchange in (exchange_of(after=last, history=history), None):
        with entered(exchange):
            assert await look_up(last) == "what upstream has"
    assert defects.counted() == 0


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


async def test_a_session_step_whose_parameter_has_another_name_is_upstream_s_and_the_turn_s_history_unknown(runtime):
    @bridge.get_session_from_redis
    async def handle_session(of_tomorrow: str, litellm_completion_request: Any) -> Any:
        return of_tomorrow, litellm_completion_request

    exchange = exchange_of(after=await stored(runtime, "before"))
    with running(call_in(exchange)):
        assert await handle_session(of_tomorrow="x", litellm_completion_request={}) == ("x", {})
    assert exchange.history is None and defects.counted() == 1


async def test_a_lookup_of_turns_whose_parameter_has_another_name_is_upstream_s(runtime):
    @bridge.get_stored_turns_from_redis
    async def look_up(response_id: str) -> Any:
        return response_id

    with entered(exchange_of(after=await stored(runtime, "before"))):
        assert await look_up(response_id="x") == "x"
    assert defects.counted() == 1


@pytest.mark.parametrize("how", ["by position", "by keyword", "with more"])
async def test_a_session_step_is_asked_by_position_or_by_keyword(runtime, how):
    last, completion = await stored(runtime, "a"), {"messages": [user("b")], "custom_llm_provider": "groq"}
    asked = {PREVIOUS: last, "litellm_completion_request": completion}
    handle_session = session_handler()
    with running(call_in(exchange_of("b", after=last))):
        if how == "by position":
            sent = await handle_session(last, completion)
        else:
            sent = await handle_session(**asked, **({"instructions": None} if how == "with more" else {}))
    assert sent is completion and defects.counted() == 0
    assert contents(sent) == [("user", "a"), ("assistant", "You said: a"), ("user", "b")]


async def test_a_session_step_without_a_call_of_ours_is_upstream_s():
    @bridge.get_session_from_redis
    async def handle_session(*args: Any, **options: Any) -> Any:
        return args, options

    assert await handle_session("x", more=1) == (("x",), {"more": 1}) and defects.counted() == 0


async def test_what_upstream_s_lookup_finds_is_known_to_the_call():
    @bridge.note_history
    async def look_up(*args: Any, **options: Any) -> Any:
        return args, options

    call = call_in(exchange_of())
    with running(call):
        assert await look_up("x", more=1) == call.found == (("x",), {"more": 1})
    assert await look_up("y") == (("y",), {})
    assert call.found[0] == ("x",) and defects.counted() == 0


class EnterpriseHandler:
    """Up to 1.75.1 upstream's lookups are in another package."""

    @staticmethod
    async def get_all_spend_logs_for_previous_response_id(previous_response_id: str) -> Any:
        return ROWS

    @staticmethod
    async def get_chat_completion_message_history_for_previous_response_id(previous_response_id: str) -> Any:
        await EnterpriseHandler.get_all_spend_logs_for_previous_response_id(previous_response_id)
        return FROM_DATABASE


@pytest.fixture
def enterprise(monkeypatch: pytest.MonkeyPatch) -> type[EnterpriseHandler]:
    for name in vars(EnterpriseHandler):
        if name.startswith("get_"):
            monkeypatch.setattr(EnterpriseHandler, name, EnterpriseHandler.__dict__[name])
    monkeypatch.setitem(globals(), "_ENTERPRISE_ResponsesSessionHandler", EnterpriseHandler)
    return EnterpriseHandler


@bridge.get_session_from_redis
async def old_session_step(previous_response_id: str, litellm_completion_request: dict[str, Any]) -> dict[str, Any]:
    name = "get_chat_completion_message_history_for_previous_response_id"
    session = await getattr(EnterpriseHandler, name)(previous_response_id)
    litellm_completion_request["messages"] = session["messages"] + litellm_completion_request["messages"]
    return litellm_completion_request


async def test_what_an_old_release_finds_in_another_package_is_the_history(enterprise):
    for _ in range(2):  # Its lookups are decorated once.
        exchange = exchange_of("now", after=wrapped("chatcmpl-unknown"))
        call = call_in(exchange, messages=[user("now")])
        with entered(exchange), running(call):
            completion = await old_session_step(exchange.previous_id, litellm_completion_request=call.completion)
        assert contents(completion) == [*contents(FROM_DATABASE), ("user", "now")]
        assert exchange.history.source is Source.DATABASE and call.rows == ROWS[:1]
    assert len(exchange.history.chain.turns) == 1 and defects.counted() == 0
    for name in [name for name in vars(EnterpriseHandler) if name.startswith("get_")]:
        assert not hasattr(getattr(EnterpriseHandler, name).__wrapped__, "__wrapped__")


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
    completion = {"messages": [user("restated")], "custom_llm_provider": "groq"}
    again = [*sent, call_item("c1"), result_item("c1")]
    reply = await handled(exchange, request_input=again, litellm_completion_request=completion)
    assert [message["role"] for message in reply.sent] == ["user", "assistant", "user", "assistant", "tool"]


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
    assert (reply.call, reply.id, reply.sent) == (None, "chatcmpl-1", [user("now")])
    assert defects.counted() >= 1
