"""Where LiteLLM is not as the fork expects it: the request goes on as if the fork were not there; that is counted."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import litellm
from litellm.responses.litellm_completion_transformation.redis_session_patch import bridge, defects
from litellm.responses.litellm_completion_transformation.redis_session_patch import runtime as runtimes
from litellm.responses.litellm_completion_transformation.redis_session_patch.owner import NOBODY, Owner
from litellm.responses.litellm_completion_transformation.redis_session_patch.request import CURRENT, Source
from litellm.responses.litellm_completion_transformation.redis_session_patch.streams import StreamKeeper

from .support.bridge import Stream, answer_of, asked_by, counted, events_of, ids_of, request_of, wrapped
from .support.lookups import NOTHING, contents, stored
from .support.stores import ALICE, OF_ALICE, OF_BOB, inputs_of, say

CALL: dict[str, Any] = {
    "request_input": "now",
    "responses_api_request": {},
    "litellm_completion_request": {"model": "m", "custom_llm_provider": "groq"},
    "litellm_metadata": OF_ALICE,
}


@pytest.fixture(autouse=True)
def is_used(runtime, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(litellm, "turn_off_message_logging", False)
    runtimes.use(runtime)
    yield
    runtimes.use(None)


class Reply(SimpleNamespace):
    """A response object of LiteLLM's. ``request``: the one that was running when it was made."""


async def answered(call: dict[str, Any], caller: Owner | None = ALICE, previous: str | None = None) -> Reply:
    """What the bridge does with a request: the lookup, the model, and what is stored before its reply."""

    @bridge.get_session_from_redis
    async def look_up(previous_response_id: str) -> Any:
        return NOTHING

    @bridge.remember_request
    async def handler(*args: Any, **given: Any) -> Reply:
        session = await look_up(previous) if previous else None
        reply = Reply(id="x", request=CURRENT.get(), given=given, session=session, model_dump=lambda **_: {})
        await bridge.store_session_in_redis(reply, answer_of())
        return reply

    with asked_by(caller):
        return await handler(**call)


async def test_a_caller_s_request_is_remembered_and_stored(store, redis_client):
    reply = await answered(CALL, previous=await stored(redis_client, "before"))
    assert contents(reply.session)[0] == ("user", "before")
    assert await inputs_of(store, reply.id) == ["before", "now"]
    assert reply._hidden_params["additional_headers"] and defects.counted() == 0


NOT_THE_CALLER_S = {
    "by no route": (None, OF_ALICE),
    "of somebody else": (ALICE, OF_BOB),
    "of nobody": (ALICE, {}),
    "without metadata": (ALICE, None),
    "with metadata of another form": (ALICE, 7),
}


@pytest.mark.parametrize("case", NOT_THE_CALLER_S)
async def test_any_other_request_is_as_if_the_fork_were_not_there(redis_client, runtime, case):
    caller, metadata = NOT_THE_CALLER_S[case]
    previous, keys = await stored(redis_client, "before"), await redis_client.keys("*")
    reply = await answered({**CALL, "litellm_metadata": metadata}, caller, previous)
    assert (reply.request, reply.id, reply.session) == (None, "x", NOTHING)
    assert not hasattr(reply, "_hidden_params") and not hasattr(reply, "previous_response_id")
    assert await redis_client.keys("*") == keys and counted(runtime) == {} and defects.counted() == 0


async def test_a_request_of_a_hook_within_a_caller_s_is_not_the_caller_s(redis_client):
    inner = []

    @bridge.remember_request
    async def handler(**call: Any) -> Reply:
        inner.append(await answered({**CALL, "litellm_metadata": {}}))
        return Reply(request=CURRENT.get())

    with asked_by(ALICE):
        outer = await handler(**CALL)
    assert inner[0].request is None and outer.request.input == "now" and await redis_client.keys("*") == []


async def test_of_one_of_whom_nothing_is_known_nothing_is_read_and_nothing_stored(redis_client, runtime):
    nobodys = dict.fromkeys(OF_ALICE)
    previous, keys = await stored(redis_client, "before"), await redis_client.keys("*")
    reply = await answered({**CALL, "litellm_metadata": nobodys}, NOBODY, previous)
    assert reply.session == NOTHING and await redis_client.keys("*") == keys
    assert counted(runtime) == {"lookups denied": 1, "turns unidentified": 1}


RENAMED = ["request_input", "responses_api_request", "litellm_completion_request"]


@pytest.mark.parametrize("name", RENAMED)
async def test_a_handler_whose_parameter_has_another_name_is_litellm_s_alone(redis_client, runtime, log_lines, name):
    call = {**CALL, f"new_{name}": CALL[name]}
    del call[name]
    reply = await answered(call)
    assert (reply.given, reply.request, reply.id) == (call, None, "x")
    assert await redis_client.keys("*") == [] and counted(runtime) == {}
    assert defects.counted() == 1 and "KeyError at request.py:" in log_lines[0]


async def test_a_handler_is_called_as_it_is_called(redis_client):
    @bridge.remember_request
    async def handler(*args: Any, **call: Any) -> Any:
        return args, call

    with asked_by(ALICE):
        assert await handler(1, 2, **CALL) == ((1, 2), CALL)


async def test_an_error_of_the_handler_is_litellm_s():
    @bridge.remember_request
    async def handler(**call: Any) -> Any:
        raise ZeroDivisionError

    with asked_by(ALICE), pytest.raises(ZeroDivisionError):
        await handler(**CALL)
    assert CURRENT.get() is None and defects.counted() == 0


async def test_a_reply_that_takes_no_header_is_the_reply():
    @bridge.remember_request
    async def handler(**call: Any) -> Any:
        return 7

    with asked_by(ALICE):
        assert await handler(**CALL) == 7
    assert defects.counted() == 1


async def test_a_conversation_is_refused():
    with pytest.raises(litellm.BadRequestError, match="conversation"):
        await answered({**CALL, "conversation": "conv_1"})
    assert defects.counted() == 0


async def test_a_conversation_of_somebody_without_a_route_is_upstream_s():
    assert (await answered({**CALL, "conversation": "conv_1"}, None)).request is None


READS = [bridge.get_session_from_redis, bridge.get_stored_turns_from_redis]


@pytest.mark.parametrize("decorate", READS)
async def test_after_a_lookup_whose_parameter_has_another_name_the_turn_is_not_stored(
    redis_client, store, runtime, decorate
):
    """Upstream answers; and what was answered with a history that nobody knows is no first turn."""

    @decorate
    async def look_up(response_id: str) -> Any:
        return f"what upstream has of {response_id}"

    @bridge.remember_request
    async def handler(**call: Any) -> Any:
        reply = Reply(session=await look_up(response_id="x"), id="y", model_dump=lambda **_: {})
        await bridge.store_session_in_redis(reply, answer_of())
        return reply

    await say(store, "before", as_id="x")
    keys = await redis_client.keys("*")
    with asked_by(ALICE):
        reply = await handler(**CALL)
    assert reply.session == "what upstream has of x"
    assert await redis_client.keys("*") == keys
    assert counted(runtime) == {"turns skipped": 1} and defects.counted() == 1


@pytest.mark.parametrize("how", ["by position", "by keyword"])
async def test_a_lookup_is_asked_by_position_or_by_keyword(redis_client, how):
    @bridge.get_session_from_redis
    async def look_up(previous_response_id: str, *args: Any, **more: Any) -> Any:
        return NOTHING

    last = await stored(redis_client, "a")
    before = CURRENT.set(request_of())
    try:
        options = {"previous_response_id": last, "of_tomorrow": 1}
        session = await (look_up(last, 1) if how == "by position" else look_up(**options))
    finally:
        CURRENT.reset(before)
    assert contents(session)[0] == ("user", "a") and defects.counted() == 0


async def test_an_error_of_upstream_s_lookup_is_upstream_s_and_asked_for_once():
    times = []

    @bridge.get_session_from_redis
    async def look_up(previous_response_id: str) -> Any:
        times.append(1)
        raise ZeroDivisionError

    request = request_of()
    before = CURRENT.set(request)
    try:
        with pytest.raises(ZeroDivisionError):
            await look_up(previous_response_id="unknown")
    finally:
        CURRENT.reset(before)
    assert times == [1] and defects.counted() == 0 and request.history_unknown


@pytest.mark.parametrize("names", [("response_id", "request"), ("previous_response_id", "request")])
async def test_an_old_release_s_session_step_whose_parameters_have_other_names_is_upstream_s(redis_client, names):
    @bridge.get_request_from_redis
    async def handle_session(**given: Any) -> Any:
        return given

    given = dict(zip(names, ("x", {"messages": []}), strict=True))
    request = request_of()
    before = CURRENT.set(request)
    try:
        assert await handle_session(**given) == given
    finally:
        CURRENT.reset(before)
    assert defects.counted() == 1 and request.history_unknown


async def test_a_lookup_without_a_request_of_ours_is_upstream_s():
    @bridge.get_session_from_redis
    async def look_up(*args: Any, **options: Any) -> Any:
        return args, options

    assert await look_up("x", more=1) == (("x",), {"more": 1}) and defects.counted() == 0


async def test_a_plain_reply_of_another_form_leaves_as_it_is(redis_client, runtime):
    class Frozen:
        __slots__ = ("id",)

    reply = Frozen()
    reply.id = "x"
    before = CURRENT.set(request_of())
    try:
        await bridge.store_session_in_redis(reply, answer_of())
    finally:
        CURRENT.reset(before)
    assert reply.id == "x" and await redis_client.keys("*") == [] and defects.counted() == 1


async def streamed(stream: Any) -> list[Any]:
    @bridge.remember_request
    async def handler(**call: Any) -> Any:
        return stream

    with asked_by(ALICE):
        return [event async for event in await handler(**CALL)]


async def test_a_caller_s_stream_is_stored(store):
    events = await streamed(Stream(events_of("resp_x")))
    assert await inputs_of(store, ids_of(events)[0]) == ["now"]


async def test_a_stream_that_no_keeper_can_be_put_on_is_litellm_s(redis_client):
    class Slotted(Stream):
        def __setattr__(self, name: str, value: Any) -> None:
            if name not in ("litellm_model_response", "_events"):
                raise AttributeError(name)
            super().__setattr__(name, value)

    events = events_of(wrapped("x"))
    assert await streamed(Slotted(events)) == events and ids_of(events) == [wrapped("x")] * 3
    assert await redis_client.keys("*") == [] and defects.counted() == 1


async def test_a_stream_s_step_is_called_as_it_is_called_kept_or_not(runtime):
    @bridge.store_stream_in_redis
    async def anext_(*args: Any, **options: Any) -> Any:
        return args, options

    stream = SimpleNamespace()
    assert await anext_(stream, 1, more=2) == ((stream, 1), {"more": 2})
    assert await anext_() == ((), {})
    StreamKeeper(runtime, request_of()).attach(stream)
    assert await anext_(stream, 1, more=2) == ((stream, 1), {"more": 2})


async def test_the_source_of_the_history_is_in_the_header(redis_client):
    reply = await answered(CALL, previous=await stored(redis_client, "before"))
    assert Source.REDIS.value in reply._hidden_params["additional_headers"].values()


def test_a_provider_s_reply_of_another_form_is_litellm_s():
    before = CURRENT.set(request_of())
    try:
        bridge.note_provider_reply(SimpleNamespace())
    finally:
        CURRENT.reset(before)
    assert defects.counted() == 1
