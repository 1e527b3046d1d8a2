"""A reply is stored as it leaves, before its client has it; another one than the model answered is not stored."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.doors import leaving
from litellm.responses.litellm_completion_transformation.redis_session_patch.doors.leaving import (
    HISTORY_HEADER,
    leave,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import defects
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.exchange import (
    Exchange,
    History,
    Source,
)

from .support.bridge import (
    answered,
    call_in,
    chain_at,
    client_id,
    exchange_of,
    inputs_at,
    message_item,
    miss_at,
    reply_of,
    using,
    wrapped,
)
from .support.runtimes import runtime_on

pytestmark = pytest.mark.usefixtures("used_runtime")


@pytest.fixture
def exchange() -> Exchange:
    """A request that a model has answered."""
    exchange = exchange_of("a")
    answered(exchange)
    return exchange


def headers() -> Any:
    """FastAPI's, of a plain reply."""
    return SimpleNamespace(headers={})


class Model(SimpleNamespace):
    def model_dump(self, mode: str) -> dict[str, Any]:
        return dict(vars(self))


def starlettes(body: dict[str, Any]) -> Any:
    return SimpleNamespace(body=json.dumps(body).encode(), headers={})


FORMS = {"dict": dict, "model": lambda body: Model(**body), "Starlette": starlettes}


@pytest.mark.parametrize("form", FORMS)
async def test_a_plain_reply_is_stored_as_it_leaves_in_whatever_form(runtime, exchange, form):
    reply = FORMS[form](reply_of(exchange, "Changed."))
    assert await leave(exchange, reply, headers()) is reply
    (turn,) = (await chain_at(runtime, client_id(exchange.place))).turns
    assert turn.shown == {"status": "completed", "output": [message_item("Changed.")]}


REFUSED = [
    {"error": {"message": "refused"}},
    {"id": wrapped("chatcmpl-of-a-guardrail"), "output": [message_item("I cannot say that.")]},
    {"id": None},
    {},
    "a text",
    None,
    SimpleNamespace(body=b"{", headers={}),
    SimpleNamespace(body=b"7", headers={}),
]


@pytest.mark.parametrize("reply", REFUSED, ids=str)
async def test_another_reply_than_the_one_that_the_model_answered_is_not_stored(redis_client, exchange, reply):
    assert await leave(exchange, reply, headers()) is reply
    assert redis_client.keys("*") == [] and defects.counted() == 0


async def test_a_reply_in_shape_says_whether_its_turn_is_stored(redis_client, exchange):
    with using(runtime_on(redis_client, shape=True)):
        assert (await leave(exchange, reply_of(exchange), headers()))["store"] is True
        other = {"id": wrapped("chatcmpl-of-a-guardrail"), "output": [message_item("I cannot say that.")]}
        refused = exchange_of("a")
        answered(refused)
        assert (await leave(refused, other, headers()))["store"] is False


@pytest.mark.parametrize("reply", [{"error": {"message": "refused"}}, {}], ids=str)
async def test_what_is_no_response_gets_no_shape(redis_client, exchange, reply):
    with using(runtime_on(redis_client, shape=True)):
        assert await leave(exchange, reply, headers()) is reply


async def test_a_reply_with_the_place_of_another_turn_is_not_stored(redis_client, exchange):
    await leave(exchange, reply_of(exchange_of()), headers())
    assert redis_client.keys("*") == []


@pytest.mark.parametrize("calls", [0, 1])
async def test_of_a_request_that_no_bridged_model_answered_nothing_is_stored(redis_client, calls):
    exchange = exchange_of()
    for _ in range(calls):
        call_in(exchange)
    await leave(exchange, reply_of(exchange), headers())
    assert redis_client.keys("*") == []


async def test_without_redis_nothing_is_stored(redis_client, exchange):
    with using(None):
        await leave(exchange, reply_of(exchange), headers())
    assert redis_client.keys("*") == [] and defects.counted() == 0


SOURCES = {
    Source.REDIS: "redis",
    Source.DATABASE: "database",
    Source.UNAVAILABLE: "unavailable",
    Source.CONNECTION: "none",
    Source.NONE: "none",
    None: "none",
}


@pytest.mark.parametrize("source", SOURCES, ids=str)
@pytest.mark.parametrize("form", ["plain", "stream"])
async def test_the_header_says_where_the_history_came_from(source, form):
    exchange = exchange_of(history=History(source) if source else None)
    call_in(exchange)
    plain, stream = headers(), SimpleNamespace(body_iterator=sent(), headers={"x-call": "1"})
    await leave(exchange, stream if form == "stream" else {}, plain)
    given = stream.headers if form == "stream" else plain.headers
    assert given[HISTORY_HEADER] == SOURCES[source]
    assert given.get("x-call") == ("1" if form == "stream" else None)


async def test_a_model_that_is_not_bridged_has_no_header():
    plain = headers()
    await leave(exchange_of(), {}, plain)
    assert plain.headers == {}


def data(kind: str, response: Any = None, **more: Any) -> str:
    fields = {"type": kind, **({} if response is None else {"response": response}), **more}
    return f"event: {kind}\ndata: {json.dumps(fields)}\n\n"


DELTA, DONE = data("response.output_text.delta", delta="Hi."), "data: [DONE]\n\n"


async def sent(*chunks: Any) -> AsyncIterator[Any]:
    """An error among the chunks is raised."""
    for chunk in chunks:
        if isinstance(chunk, BaseException):
            raise chunk
        yield chunk


async def streaming(exchange: Exchange, *chunks: Any) -> AsyncIterator[Any]:
    """The chunks on their way out."""
    reply = SimpleNamespace(body_iterator=sent(*chunks), headers={})
    assert await leave(exchange, reply, None) is reply
    return reply.body_iterator


@pytest.mark.parametrize("kind", ["response.completed", "response.incomplete"])
@pytest.mark.parametrize("encode", [str, str.encode, lambda text: bytearray(text.encode())], ids=range(3))
async def test_a_stream_is_stored_before_its_terminal_event_leaves(redis_client, runtime, exchange, kind, encode):
    reply = reply_of(exchange, "Changed.")
    chunks = [*map(encode, (data("response.created", reply), DELTA, data(kind, reply), DONE))]
    seen = [(chunk, bool(redis_client.keys("*"))) async for chunk in await streaming(exchange, *chunks)]
    assert seen == list(zip(chunks, [False, False, True, True], strict=True))
    (turn,) = (await chain_at(runtime, client_id(exchange.place))).turns
    assert turn.shown["output"] == [message_item("Changed.")]


async def test_several_events_may_come_at_once(runtime, exchange):
    reply = reply_of(exchange)
    whole = DELTA + data("response.completed", reply) + DONE
    assert [chunk async for chunk in await streaming(exchange, whole)] == [whole]
    assert await inputs_at(runtime, reply["id"]) == ["a"]


async def test_a_lone_surrogate_in_a_terminal_event_leaves_and_is_stored(runtime, exchange):
    reply = reply_of(exchange, "\ud83d")
    chunk = f"data: {json.dumps({'type': 'response.completed', 'response': reply}, ensure_ascii=False)}\n\n"
    assert [chunk async for chunk in await streaming(exchange, chunk)] == [chunk]
    (turn,) = (await chain_at(runtime, reply["id"])).turns
    assert turn.answer[0]["content"] == "\ud83d"


NOT_TERMINAL = [
    [],
    [DONE],
    [data("response.failed", {"id": "x"}), DONE],
    ['data: {"error": {"code": 400}}\n\n'],
    [data("response.output_text.delta", delta='"response.completed"')],
    ['data: not JSON "response.completed"\n\n'],
    [data("response.completed", {"id": wrapped("chatcmpl-of-a-guardrail")})],
    [data("response.completed", "a text")],
    [data("response.completed")],
]


@pytest.mark.parametrize("end", NOT_TERMINAL, ids=str)
async def test_a_stream_whose_terminal_event_was_refused_is_not_stored(redis_client, exchange, end):
    created = data("response.created", reply_of(exchange))
    assert [chunk async for chunk in await streaming(exchange, created, *end)] == [created, *end]
    assert redis_client.keys("*") == [] and defects.counted() == 0


@pytest.mark.parametrize("error", [RuntimeError("refused by a guardrail"), asyncio.CancelledError()])
async def test_an_error_in_a_stream_goes_on_and_nothing_is_stored(redis_client, exchange, error):
    seen = []
    with pytest.raises(type(error)) as caught:
        async for chunk in await streaming(exchange, DELTA, error):
            seen.append(chunk)
    assert caught.value is error and seen == [DELTA] and redis_client.keys("*") == []


async def test_a_stream_that_is_left_is_closed_and_not_stored(redis_client, exchange):
    ended = []

    async def stream() -> AsyncIterator[str]:
        try:
            yield DELTA
            yield data("response.completed", reply_of(exchange))
        finally:
            ended.append(True)

    reply = SimpleNamespace(body_iterator=stream(), headers={})
    await leave(exchange, reply, None)
    assert await anext(reply.body_iterator) == DELTA
    await reply.body_iterator.aclose()
    assert ended == [True] and redis_client.keys("*") == []


async def test_an_iterator_that_cannot_be_closed_is_read_too(runtime, exchange):
    class Chunks:
        def __init__(self) -> None:
            self.left = [data("response.completed", reply_of(exchange))]

        def __aiter__(self) -> Chunks:
            return self

        async def __anext__(self) -> str:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop()

    reply = SimpleNamespace(body_iterator=Chunks(), headers={})
    await leave(exchange, reply, None)
    assert len([chunk async for chunk in reply.body_iterator]) == 1
    assert await inputs_at(runtime, client_id(exchange.place)) == ["a"]


@pytest.mark.parametrize("error", [ZeroDivisionError, ValueError, UnicodeDecodeError("utf-8", b"", 0, 1, "a text")])
async def test_a_defect_in_storing_a_stream_is_counted_and_all_events_leave(monkeypatch, exchange, error):
    async def broken(*_: Any) -> None:
        raise error

    monkeypatch.setattr(leaving, "store_reply", broken)
    chunks = [DELTA, data("response.completed", reply_of(exchange)), DONE]
    assert [chunk async for chunk in await streaming(exchange, *chunks)] == chunks
    assert defects.counted() == 1


async def test_a_response_is_not_there_before_its_reply_leaves(runtime, exchange):
    assert await miss_at(runtime, client_id(exchange.place)) == "unknown"
