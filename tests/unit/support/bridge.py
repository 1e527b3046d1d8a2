"""Small stand-ins for what LiteLLM hands over at the two doors: requests, answers, streams, a proxy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

from litellm.responses.utils import ResponsesAPIRequestUtils
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from litellm.responses.litellm_completion_transformation.redis_session_patch.doors import bridge
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import runtime as runtimes
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.runtime import Runtime
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.call import CALL, Call, call_of
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.exchange import (
    CONNECTION,
    ClientConnection,
    Exchange,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.streams import StreamKeeper
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import (
    Place,
    new_conversation,
    new_turn,
    place_of,
    with_place,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import Owner, owner_of
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.results import Miss
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import (
    NO_TURNS,
    Chain,
    Turn,
    take_down,
)

# What the proxy puts into the `litellm_metadata` of a request of hers, and of his.
OF_ALICE = {"user_api_key_user_id": "alice", "user_api_key_team_id": "red", "user_api_key_hash": "k1"}
OF_BOB = {"user_api_key_user_id": "bob", "user_api_key_team_id": "red", "user_api_key_hash": "k2"}
ALICE, BOB = owner_of(OF_ALICE), owner_of(OF_BOB)


def no_redis() -> Redis:
    """A client whose Redis refuses every connection."""
    return Redis(port=1, retry=Retry(NoBackoff(), 0))


@contextmanager
def using(runtime: Runtime | None) -> Iterator[None]:
    """In a process with this runtime; ``None``: with no store."""
    runtimes.use(runtime)
    try:
        yield
    finally:
        runtimes.use(None)


@contextmanager
def _set(variable: ContextVar[Any], value: Any) -> Iterator[None]:
    before = variable.set(value)
    try:
        yield
    finally:
        variable.reset(before)


def entered(exchange: Exchange | None) -> Any:
    """Within a request that came by one of the proxy's own routes; ``None``: by none of them."""
    return _set(CONNECTION, None if exchange is None else ClientConnection(exchange))


def asked_by(caller: Owner | None) -> Any:
    return entered(None if caller is None else Exchange(caller, is_taken=True))


def running(call: Call | None) -> Any:
    """Within that call of the bridge."""
    return _set(CALL, call)


def exchange_of(text: Any = "hello", caller: Owner = ALICE, *, after: str | None = None, **fields: Any) -> Exchange:
    """A request that says ``text`` after the response with the id ``after``."""
    followed = () if after is None else (after,)
    previous = {"previous_as_sent": after, "previous_id": after}
    return Exchange(caller, followed=followed, is_taken=True, said=take_down(text), **previous, **fields)


def call_in(exchange: Exchange, its_input: Any = None, kwargs: Any = None, **completion: Any) -> Call:
    """A further call of the bridge; ``its_input``: where LiteLLM has made another one of what was said."""
    defaults = {"model": "m", "custom_llm_provider": "groq", "messages": [], "litellm_trace_id": "trace"}
    if its_input is None and exchange.said is not None:
        its_input = Turn(exchange.said).items
    call = call_of(kwargs or {}, {**defaults, **completion}, its_input, exchange)
    exchange.calls.append(call)
    return call


def answered(exchange: Exchange, text: str = "Hi.", **options: Any) -> Call:
    """A call of the bridge that a model has answered, with the history that it was sent."""
    call = call_in(exchange, **options)
    call.is_served = True
    call.take_answer(completion_of(text))
    return call


def completion_of(text: str | None = "Hi.", *calls: str) -> Any:
    """LiteLLM's chat completion; ``calls``: ids of tool calls."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [tool_call(call_id) for call_id in calls]
    return SimpleNamespace(choices=[SimpleNamespace(message=message)])


def tool_call(call_id: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "f", "arguments": "{}"}}


def call_item(call_id: str) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}"}


def result_item(call_id: str, output: str = "42") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def wrapped(response_id: str) -> str:
    """The id as LiteLLM hands it out."""
    return ResponsesAPIRequestUtils._build_responses_api_response_id("groq", "m", response_id)


def client_id(place: Place) -> str:
    return wrapped(with_place("chatcmpl-1", place))


def message_item(text: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "role": "assistant", "content": [part]}


def reply_of(exchange: Exchange, text: str = "Hi.") -> dict[str, Any]:
    """The response as its client is to get it."""
    return {"id": client_id(exchange.place), "status": "completed", "output": [message_item(text)]}


async def stored(runtime: Runtime, *said: Any, owner: Owner = ALICE) -> str:
    """The id of the last response of a conversation. A turn that is no Turn is a client's input."""
    place, chain = Place(new_conversation(), ""), NO_TURNS
    for each in said:
        turn = each if isinstance(each, Turn) else Turn(each, ({"role": "assistant", "content": f"You said: {each}"},))
        place = Place(place.conversation, new_turn())
        await runtime.store.append(place, [turn], chain, owner)
        chain = await chain_at(runtime, client_id(place), owner)
    return client_id(place)


async def chain_at(runtime: Runtime, response_id: str, reader: Owner = ALICE) -> Chain:
    found = await _read(runtime, response_id, reader)
    assert isinstance(found, Chain), found
    return found


async def inputs_at(runtime: Runtime, response_id: str, reader: Owner = ALICE) -> list[Any]:
    return [turn.items for turn in (await chain_at(runtime, response_id, reader)).turns]


async def miss_at(runtime: Runtime, response_id: str, reader: Owner = ALICE) -> str:
    """Why somebody does not get a response."""
    found = await _read(runtime, response_id, reader)
    assert isinstance(found, Miss), found
    return found.value


async def _read(runtime: Runtime, response_id: str, reader: Owner) -> Chain | Miss:
    place = place_of(response_id)
    assert place is not None, response_id
    return await runtime.store.read(place, reader)


def event(kind: str, response_id: str | None = None, **fields: Any) -> Any:
    response = None if response_id is None else SimpleNamespace(id=response_id, output=[])
    return SimpleNamespace(type=f"response.{kind}", response=response, **fields)


def text_event(text: str) -> Any:
    return event("output_text.delta", delta=text)


def events_of(response_id: str, terminal: str = "completed", text: str = "Hi.") -> list[Any]:
    beginning = [event("created", response_id), event("in_progress", response_id)]
    return [*beginning, *map(text_event, text), event(terminal, response_id)]


def ids_of(events: Iterable[Any]) -> list[str]:
    return [each.response.id for each in events if each.response]


class Stream:
    """An iterator of the bridge, with the patch's line in it. An event that is an exception is raised instead."""

    def __init__(self, events: Iterable[Any], completion: Any = None):
        self.litellm_model_response = completion or completion_of()
        self._events = iter(events)

    def __aiter__(self) -> Stream:
        return self

    @bridge.store_stream_in_redis
    async def __anext__(self) -> Any:
        following = next(self._events, StopAsyncIteration())
        if isinstance(following, BaseException):
            raise following
        return following


def kept(runtime: Runtime, call: Call, events: Iterable[Any], completion: Any = None) -> Stream:
    """A stream whose answer the patch keeps."""
    stream = Stream(events, completion)
    StreamKeeper(runtime, call).attach(stream)
    return stream


async def all_events(runtime: Runtime, call: Call, events: Iterable[Any], completion: Any = None) -> list[Any]:
    return [each async for each in kept(runtime, call, events, completion)]
