"""Storing a streamed answer: after the provider's last chunk, before the terminal event leaves."""

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from .request import CURRENT, Request
from .response_id import inner_id, with_inner_id
from .runtime import Runtime
from .store import Reservation, StoreUnavailable
from .writing import store_answer

_TERMINAL = ("response.completed", "response.incomplete")
_ATTRIBUTE = "redis_session_patch_stream"

# Releases 1.78 to 1.99 invent ids of this form for streams: unique, so nothing has to be reserved.
_INVENTED = "resp_"


@dataclass
class _Stream:
    """How far a stream is. ``id``: the inner id that the client has seen, ``None`` before it has seen one."""

    id: str | None = None
    reservation: Reservation | None = None


async def next_event_of(runtime: Runtime, request: Request, stream: Any, anext_: Callable[[], Awaitable[Any]]) -> Any:
    """The stream's next event; its response id is one that no other response has."""
    state = stream.__dict__.setdefault(_ATTRIBUTE, _Stream())
    before = CURRENT.set(request)  # The provider may only now be asked.
    try:
        event = await anext_()
    except BaseException:
        # The end of a stream comes this way too: by then nothing is reserved any more.
        await _give_up(runtime, state)
        raise
    finally:
        CURRENT.reset(before)
    response = getattr(event, "response", None)
    given_id = getattr(response, "id", None)
    if not given_id:
        return event
    kind = getattr(event.type, "value", event.type)
    if kind in _TERMINAL and _was_cut(request, stream):
        # Upstream ends such a stream as if it were whole; a turn that is half an answer is not kept.
        runtime.count("stream_cut")
        await _give_up(runtime, state)
    elif kind in _TERMINAL:
        state.id = await store_answer(
            runtime,
            request,
            state.id or inner_id(given_id),
            _answer(stream),
            id_is_out=state.id is not None,
            reservation=state.reservation,
        )
        state.reservation = None
    elif state.id is None:
        await _claim(runtime, request, state, inner_id(given_id))
    if state.id not in (None, inner_id(given_id)):
        response.id = with_inner_id(given_id, state.id)
    return event


async def _claim(runtime: Runtime, request: Request, state: _Stream, wanted_id: str) -> None:
    state.id = wanted_id
    if wanted_id.startswith(_INVENTED):
        return
    try:
        state.reservation = await runtime.write(lambda store: store.reserve(wanted_id))
    except StoreUnavailable:
        return
    state.id = state.reservation.response_id


async def _give_up(runtime: Runtime, state: _Stream) -> None:
    reservation, state.reservation = state.reservation, None
    if reservation is None:
        return
    with contextlib.suppress(StoreUnavailable):  # Then it expires.
        await runtime.write(lambda store: store.release(reservation))


def _was_cut(request: Request, stream: Any) -> bool:
    """Whether the provider never said that it had finished, or its connection broke.

    Releases up to 1.93 end a stream whose connection broke as if it were whole. What the provider said of its end
    they keep for others than Gemini: there every chunk counts as the last, or (1.72) none.
    """
    if request.provider_stream is not None and _broke_off(request.provider_stream):
        return True
    if request.maker == "gemini":
        return False
    wrapper = getattr(stream, "litellm_custom_stream_wrapper", None)
    said = [getattr(wrapper, name, "?") for name in ("received_finish_reason", "intermittent_finish_reason")]
    return said == [None, None]


def _broke_off(reply: Any) -> bool:
    from aiohttp import ClientPayloadError
    from aiohttp.http_exceptions import PayloadEncodingError

    # One that was closed after its last event has an error too, of another kind.
    return isinstance(reply.content.exception(), ClientPayloadError | PayloadEncodingError)


def _answer(stream: Any) -> Any:
    answer = getattr(stream, "litellm_model_response", None)
    if answer is not None:
        return answer
    # Releases before 1.78 keep the chunks only.
    from litellm import stream_chunk_builder

    return stream_chunk_builder(chunks=stream.collected_chat_completion_chunks)
