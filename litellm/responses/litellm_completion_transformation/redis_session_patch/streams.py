"""Storing a streamed answer: after the provider's last chunk, before the terminal event leaves."""

import asyncio
import contextlib
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

from .connection import has_database
from .defects import report
from .request import CURRENT, Request
from .response_id import inner_id, with_inner_id
from .results import StoreError
from .runtime import Runtime
from .saving import store_answer, unused_id, why_not
from .store import Reservation, different_id

_TERMINAL = ("response.completed", "response.incomplete")
_ATTRIBUTE = "redis_session_patch_keeper"

# Releases 1.78 to 1.99 invent ids of this form for streams: no other response has them.
_INVENTED = "resp_"

_releasing: set["asyncio.Task[None]"] = set()


class StreamKeeper:
    """One stream of the bridge on its way to the client; ``attach`` gives it to the iterator.

    ``_id``: the inner id that the client has seen, ``None`` before it has seen one. ``_give_up`` releases a
    reservation, at the latest when the iterator is gone, as it is when its client has left.
    """

    def __init__(self, runtime: Runtime, request: Request):
        self._runtime = runtime
        self._request = request
        self._id: str | None = None
        self._reservation: Reservation | None = None
        self._give_up: Callable[[], Any] = lambda: None
        self._has_failed = False

    def attach(self, stream: Any) -> None:
        setattr(stream, _ATTRIBUTE, self)

    @staticmethod
    def of(stream: Any) -> "StreamKeeper | None":
        return getattr(stream, _ATTRIBUTE, None)

    async def next_event(self, anext_: Callable[..., Awaitable[Any]], stream: Any, *args: Any, **options: Any) -> Any:
        """The stream's next event; its response id is one that no other response has."""
        before = CURRENT.set(self._request)  # The provider may only now be asked, at the first event or a later one.
        try:
            event = await anext_(stream, *args, **options)
        finally:
            CURRENT.reset(before)
        try:
            # Most events have no response, which a model's getattr is slow to say.
            response = event.__dict__.get("response")
            if given_id := getattr(response, "id", None):
                try:
                    if not self._has_failed:
                        await self._look_at(stream, event, response)
                finally:  # The client has seen the id, whatever has failed.
                    if self._id not in (None, inner_id(given_id)):
                        response.id = with_inner_id(given_id, self._id)
        except Exception as error:
            self._has_failed = True
            report(error)
        return event

    async def _look_at(self, stream: Any, event: Any, response: Any) -> None:
        response.previous_response_id = self._request.previous_response_id
        kind = getattr(event.type, "value", event.type)
        if kind in _TERMINAL and _was_cut(self._request, stream):
            # Upstream ends such a stream as if it were whole; a turn that is half an answer is not kept.
            self._runtime.metrics.count_turn("stream_cut")
            self._give_up()
        elif kind in _TERMINAL:
            await self._store(stream, response)
        elif self._id is None:
            await self._claim(stream, inner_id(response.id))

    async def _store(self, stream: Any, response: Any) -> None:
        self._id = await store_answer(
            self._runtime,
            self._request,
            self._id or inner_id(response.id),
            _answer(stream),
            lambda: self._request.expected_reply(response, is_stream=True),
            id_is_out=self._id is not None,
            reservation=self._reservation,
        )

    async def _claim(self, stream: Any, wanted_id: str) -> None:
        """Settles the id that the client sees first, and that cannot change any more."""
        if wanted_id.startswith(_INVENTED):
            self._id = wanted_id
        elif not has_database():
            self._id = different_id(wanted_id)
        elif why_not(self._runtime, self._request) is not None:
            self._id = await unused_id(self._runtime, wanted_id)
        else:
            await self._reserve(stream, Reservation(wanted_id))

    async def _reserve(self, stream: Any, reservation: Reservation) -> None:
        try:
            is_ours = await self._runtime.write(lambda store, _: store.reserve(reservation))
        except StoreError:
            self._id = reservation.response_id  # The database needs it.
            return
        if not is_ours:
            self._id = different_id(reservation.response_id)
            return
        self._id, self._reservation = reservation.response_id, reservation
        loop = asyncio.get_running_loop()
        finalizer = weakref.finalize(stream, _release_later, loop, self._runtime, reservation)
        finalizer.atexit = False
        self._give_up = finalizer


def _release_later(loop: asyncio.AbstractEventLoop, runtime: Runtime, reservation: Reservation) -> None:
    def start() -> None:
        task = loop.create_task(_release(runtime, reservation))
        _releasing.add(task)
        task.add_done_callback(_releasing.discard)

    if not loop.is_closed():
        loop.call_soon_threadsafe(start)


async def _release(runtime: Runtime, reservation: Reservation) -> None:
    """What the turn has replaced by then stays."""
    with contextlib.suppress(StoreError):  # Then it expires.
        await runtime.write(lambda store, _: store.release(reservation))


def _was_cut(request: Request, stream: Any) -> bool:
    """Whether the provider never said that it had finished, or its connection broke.

    until 1.93: a stream whose connection broke ends as if it were whole. What the provider said of its end these
    releases keep for others than Gemini: there every chunk counts as the last, or (1.72) none.
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
    # until 1.77: the iterator keeps the chunks only.
    from litellm import stream_chunk_builder

    return stream_chunk_builder(chunks=stream.collected_chat_completion_chunks)
