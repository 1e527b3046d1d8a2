"""A stream that ends, for whatever reason, is a turn; one that breaks, fails or is left stores nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from redis import Redis

from tests.support.answers import Answer
from tests.support.formats import FORMATS
from tests.support.processes import wait_until
from tests.support.proxy import FORMAT_OF_MODEL, MODELS
from tests.support.replay import Setting

from .asking import Asker, Exchange, check_is_unknown, check_remembers, marker, redis_holds

LONG_TEXT_BYTES = 4_000_000


@pytest.fixture
def streaming(asker: Asker, model: str) -> Asker:
    return asker.with_setting(model, stream=True)


@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_an_incomplete_response_is_continued(finish: str, setting: Setting, asker: Asker) -> None:
    asker = asker.with_setting(setting.model, setting.stream)
    first = asker.ask("Tell me all.", answer=Answer("Half of it", finish=finish))
    assert first.status == 200
    assert first.reply.body["status"] == "incomplete"
    check_remembers(asker, first, ["Tell me all."])


def check_left_nothing(asker: Asker, exchange: Exchange, secret: str, redis: Redis) -> None:
    assert not redis_holds(redis, secret)
    for response_id in {given for given in exchange.reply.ids.values() if given}:
        check_is_unknown(asker, response_id)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("events", [1, 3])
def test_a_stream_that_breaks_stores_nothing(events: int, model: str, streaming: Asker, redis: Redis) -> None:
    secret = marker()
    broken = streaming.ask(secret, answer=Answer("one two three four five six", pieces=6, cut_after=events))
    # Older releases take a connection that is cut for the end of the answer, and say "completed".
    check_left_nothing(streaming, broken, secret, redis)


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_that_fails_stores_nothing(model: str, streaming: Asker, redis: Redis) -> None:
    secret = marker()
    failed = streaming.ask(secret, answer=Answer(status=500))
    assert "completed" not in failed.reply.ids
    check_left_nothing(streaming, failed, secret, redis)


@pytest.mark.parametrize("answer", [Answer(status=500), Answer("never said", cut_after=0)], ids=["error", "cut"])
@pytest.mark.parametrize("model", MODELS)
def test_a_plain_request_that_fails_stores_nothing(model: str, answer: Answer, asker: Asker, redis: Redis) -> None:
    secret = marker()
    failed = asker.with_setting(model).ask(secret, answer=answer)
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
    wait_until(end_of_answer.is_set, 60, "the provider's answer")
    check_is_unknown(streaming, response_id)
    assert not redis_holds(redis, secret)
