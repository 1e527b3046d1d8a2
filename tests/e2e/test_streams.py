"""A stream that ends, for whatever reason, is a turn; one that breaks, fails or is left stores nothing."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import httpx
import pytest
from redis import Redis

from lab.answers import Answer, cut_in_pieces
from lab.asking import Asker
from lab.client import Reply, reply_of_events
from lab.formats import FORMATS
from lab.lines import Manner
from lab.processes import wait_until
from lab.proxy import FORMAT_OF_MODEL, MODELS

from .checks import check_is_unknown, check_remembers, marker, redis_holds

LONG_TEXT_BYTES = 4_000_000
WHOLE = Answer("one two three four five six", pieces=6)
FINISH = re.compile(rb'"(finish_reason|stop_reason|finishReason)": "')


@pytest.fixture
def streaming(asker: Asker, model: str) -> Asker:
    return asker.with_manner(model, stream=True)


@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_an_incomplete_response_is_continued(finish: str, manner: Manner, asker: Asker) -> None:
    asker = asker.with_manner(manner.model, manner.stream)
    first = asker.ask("Tell me all.", answer=Answer("Half of it", finish=finish))
    assert first.status == 200
    assert first.reply.body["status"] == "incomplete"
    check_remembers(asker, first, ["Tell me all."])


def check_left_nothing(asker: Asker, reply: Reply, secret: str, redis: Redis) -> None:
    assert not redis_holds(redis, secret)
    for response_id in {given for given in reply.ids.values() if given}:
        check_is_unknown(asker, response_id)


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_whose_connection_breaks_in_its_midst_stores_nothing(
    model: str, streaming: Asker, redis: Redis
) -> None:
    """The client has read a part of it by then. Up to 1.93 LiteLLM ends such a stream as if it were whole."""
    secret, gate = marker(), marker()
    third_piece = cut_in_pieces(WHOLE.text, WHOLE.pieces)[2].encode()
    half = next(number for number, event in enumerate(events_of(model)) if third_piece in event) + 1
    streaming.provider.script(replace(WHOLE, cut_after=half, cut_gate=gate))
    events = []
    for event in left_open(streaming.client.events(model, secret)):
        events.append(event)
        if event["type"] == "response.output_text.delta":
            streaming.provider.release(gate)
    broken = reply_of_events(200, events, broken=True)
    assert WHOLE.text.startswith(broken.streamed_text) and broken.streamed_text not in ("", WHOLE.text)
    check_left_nothing(streaming, broken, secret, redis)


def left_open(events: Iterator[dict]) -> Iterator[dict]:
    """``events`` to their end, or to where the proxy breaks off too."""
    with suppress(httpx.TransportError):
        yield from events


@pytest.mark.parametrize("model", MODELS)
def test_wherever_a_connection_breaks_half_a_turn_is_not_stored(model: str, streaming: Asker, redis: Redis) -> None:
    for number in range(finish_of(model) + 1):
        check_is_not_stored(streaming, replace(WHOLE, cut_after=number), redis)


@pytest.mark.parametrize("model", ["claude-model", "chat-model"])
def test_an_answer_that_ends_in_good_order_without_its_finish_is_not_stored(
    model: str, streaming: Asker, redis: Redis
) -> None:
    for number in range(1, finish_of(model) + 1):
        check_is_not_stored(streaming, replace(WHOLE, end_after=number), redis)


@pytest.mark.parametrize("model", ["gemini-model"])
def test_gemini_s_answer_that_ends_in_good_order_without_its_finish_is_kept_as_the_client_got_it(
    streaming: Asker,
) -> None:
    """Upstream's defect: it takes each of Gemini's chunks for the last one, so to all after it the answer is whole."""
    first = streaming.ask("Count.", answer=replace(WHOLE, end_after=3))
    assert first.reply.body["status"] == "completed"
    assert first.reply.text == "".join(cut_in_pieces(WHOLE.text, WHOLE.pieces)[:3])
    check_remembers(streaming, first, ["Count."])


def events_of(model: str) -> list[bytes]:
    return list(FORMATS[FORMAT_OF_MODEL[model]].stream({"stream_options": {"include_usage": True}}, WHOLE))


def finish_of(model: str) -> int:
    """The number of the event by which the provider says that it has finished."""
    return next(number for number, event in enumerate(events_of(model)) if FINISH.search(event))


def check_is_not_stored(asker: Asker, answer: Answer, redis: Redis) -> None:
    secret = marker()
    assert asker.ask(secret, answer=answer).request is not None
    assert not redis_holds(redis, secret)


@pytest.mark.parametrize("model", ["claude-model", "chat-model"])
def test_a_stream_that_breaks_after_its_finish_is_stored_whole_or_not_at_all(
    model: str, streaming: Asker, redis: Redis
) -> None:
    for number in range(finish_of(model) + 1, len(events_of(model))):
        secret = marker()
        late = streaming.ask(secret, answer=replace(WHOLE, cut_after=number))
        if redis_holds(redis, secret):
            assert late.reply.text == WHOLE.text
            check_remembers(streaming, late, [secret])
        else:
            check_left_nothing(streaming, late.reply, secret, redis)


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_that_fails_stores_nothing(model: str, streaming: Asker, redis: Redis) -> None:
    secret = marker()
    failed = streaming.ask(secret, answer=Answer(status=500))
    assert "completed" not in failed.reply.ids
    check_left_nothing(streaming, failed.reply, secret, redis)


@pytest.mark.parametrize("answer", [Answer(status=500), Answer("never said", cut_after=0)], ids=["error", "cut"])
@pytest.mark.parametrize("model", MODELS)
def test_a_plain_request_that_fails_stores_nothing(model: str, answer: Answer, asker: Asker, redis: Redis) -> None:
    secret = marker()
    failed = asker.with_manner(model).ask(secret, answer=answer)
    assert failed.status >= 400
    assert not redis_holds(redis, secret)


@pytest.mark.parametrize("model", MODELS)
def test_a_follow_up_that_breaks_leaves_the_conversation_as_it_was(model: str, streaming: Asker, redis: Redis) -> None:
    secret = marker()
    first = streaming.ask("I am here.")
    streaming.ask(secret, first, answer=Answer("one two three", cut_after=1))
    assert not redis_holds(redis, secret)
    check_remembers(streaming, first, ["I am here."])


@pytest.fixture
def end_of_answer(model: str, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when the provider has said everything, or cannot, because nobody listens any more."""
    ended = threading.Event()
    format = FORMATS[FORMAT_OF_MODEL[model]]
    stream = format.stream

    def watched(body: dict, answer: Answer) -> Iterator[bytes]:
        try:
            yield from stream(body, answer)
        finally:
            ended.set()

    monkeypatch.setattr(format, "stream", watched)
    return ended


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_that_the_client_leaves_stores_nothing(
    model: str, streaming: Asker, end_of_answer: threading.Event, redis: Redis
) -> None:
    secret = marker()
    streaming.provider.script(Answer("x" * LONG_TEXT_BYTES, pieces=400))
    events = streaming.client.events(model, secret)
    response_id = next(event["response"]["id"] for event in events if "response" in event)
    next(event for event in events if event["type"] == "response.output_text.delta")
    events.close()
    # A proxy may drop its end of such a connection only as it goes on working.
    others = streaming.with_manner(model)
    wait_until(end_of_answer.is_set, 300, "the provider's answer", on_wait=lambda: others.ask("Are you there?"))
    check_is_unknown(streaming, response_id)
    assert not redis_holds(redis, secret)
