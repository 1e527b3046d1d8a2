"""A streamed answer of the bridge: one response id in every event, and the answer kept for the outer door."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from ..redis.defects import report
from ..redis.runtime import Runtime
from ..values.ids import wrapped_with_place
from .call import CALL, Call

TERMINAL = ("response.completed", "response.incomplete")
TEXT = "response.output_text.delta"
ATTRIBUTE = "redis_session_patch_keeper"  # of a stream: who looks at its events


@dataclass(frozen=True)
class StreamKeeper:
    """One stream of the bridge; ``attach`` gives it to the iterator."""

    runtime: Runtime
    call: Call

    def attach(self, stream: Any) -> None:
        setattr(stream, ATTRIBUTE, self)

    async def next_event(self, anext_: Callable[..., Awaitable[Any]], stream: Any, *args: Any, **options: Any) -> Any:
        """The stream's next event."""
        before = CALL.set(self.call)  # The provider may only now be asked, at the first event or a later one.
        try:
            event = await anext_(stream, *args, **options)
        finally:
            CALL.reset(before)
        try:
            # Most events have no response, which a model's getattr is slow to say.
            fields = event.__dict__
            if getattr(response := fields.get("response"), "id", None):
                self._look_at(stream, event, response)
                return event
            if event.type == TEXT:
                self.call.streamed += event.delta
            ids = self.call.exchange.item_ids
            if (item := fields.get("item")) is not None:
                self.call.exchange.put_place_into(item)
            elif (upstreams := fields.get("item_id")) in ids:
                fields["item_id"] = ids[upstreams]
        except Exception as error:
            report(error)
        return event

    def _look_at(self, stream: Any, event: Any, response: Any) -> None:
        exchange = self.call.exchange
        response.previous_response_id = exchange.previous_as_sent
        if (conversation := exchange.conversation_shown) is not None:
            response.conversation = conversation
        if exchange.shown_id is None:  # Of several streams in one exchange all have the id of the first.
            model_info = (self.call.kwargs.get("litellm_metadata") or {}).get("model_info") or {}
            target = self.call.provider, model_info.get("id")
            exchange.shown_id = wrapped_with_place(response.id, exchange.place, exchange.previous_id, *target)
        response.id = exchange.shown_id
        if getattr(event.type, "value", event.type) in TERMINAL:
            self._take_answer(stream)
        exchange.put_places_into(response.output or (), self.call.items_before)

    def _take_answer(self, stream: Any) -> None:
        if not _was_cut(self.call, stream):
            self.call.take_answer(_answer(stream))
            return
        # Upstream ends such a stream as if it were whole; a turn that is half an answer is not kept.
        self.runtime.metrics.count("turns", "stream_cut")
        for call in self.call.exchange.calls:  # What rounds of tools before it answered is no reply.
            call.forget_answer()


def _was_cut(call: Call, stream: Any) -> bool:
    """Whether the provider never said that it had finished, or its connection broke.

    until 1.93: a stream whose connection broke ends as if it were whole. What the provider said of its end these
    releases keep for others than Gemini: there every chunk counts as the last, or (1.72) none.
    """
    if call.provider_stream is not None and _broke_off(call.provider_stream):
        return True
    if call.maker == "gemini":
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
