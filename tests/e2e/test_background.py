"""Responses in the background: an id at once, polled, streamed, resumed, cancelled, followed up; by OpenAI's client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.responses import Response
from redis import Redis

from lab.answers import Answer
from lab.client import ResponsesClient
from lab.exchange import texts_of
from lab.processes import wait_until
from lab.provider import Provider
from lab.proxy import MODELS, Proxy

from .checks import marker
from .raw import openai_client
from .test_stored_responses import input_of, refused, texts_in

RUNNING = ("queued", "in_progress")

every_model = pytest.mark.parametrize("model", MODELS)


@pytest.fixture
def sdk(proxy: Proxy, provider: Provider) -> Iterator[openai.OpenAI]:
    with openai_client(proxy) as client:
        yield client


def begin(sdk: openai.OpenAI, model: str, said: str = "Tell me.", **params: Any) -> Response:
    return sdk.responses.create(model=model, input=said, background=True, **params)


def poll(sdk: openai.OpenAI, response_id: str, seconds: float = 20) -> Response:
    """As OpenAI's guide polls."""
    last: list[Response] = []

    def is_over() -> bool:
        last[:] = [sdk.responses.retrieve(response_id)]
        return last[0].status not in RUNNING

    wait_until(is_over, seconds, "the end of a background response", 0.05)
    return last[0]


@every_model
def test_it_is_answered_at_once_and_polled(model: str, sdk: openai.OpenAI, provider: Provider) -> None:
    provider.script(Answer("Late.", gate="done"))
    first = begin(sdk, model, instructions="Be kind.", metadata={"colour": "blue"})
    assert (first.status, first.background, first.output, first.usage) == ("queued", True, [], None)
    assert (first.instructions, first.metadata) == ("Be kind.", {"colour": "blue"})
    wait_until(lambda: sdk.responses.retrieve(first.id).status == "in_progress", 5, "its start")
    provider.release("done")
    last = poll(sdk, first.id)
    assert (last.id, last.status, last.background, last.output_text) == (first.id, "completed", True, "Late.")
    assert last.created_at == first.created_at
    assert last.usage is not None


@every_model
def test_it_is_followed_up_as_any_other(model: str, sdk: openai.OpenAI, provider: Provider) -> None:
    said = [marker(), marker(), marker()]
    first = poll(sdk, begin(sdk, model, said[0]).id)
    second = poll(sdk, begin(sdk, model, said[1], previous_response_id=first.id).id)
    third = sdk.responses.create(model=model, input=said[2], previous_response_id=second.id)
    assert (second.status, third.status) == ("completed", "completed")
    sent = texts_of(provider.requests()[-1].conversation)
    assert [text for text in sent if text in said] == said
    assert texts_in(input_of(sdk, third.id, order="asc"))[0] == said[0]
    assert sdk.responses.delete(first.id) is None
    assert refused(lambda: sdk.responses.retrieve(first.id))[0] == 404


@every_model
def test_a_stream_is_seen_at_once_and_has_all_events(model: str, sdk: openai.OpenAI, provider: Provider) -> None:
    provider.script(Answer("One two three.", gate="done"))
    with begin(sdk, model, stream=True) as events:
        kinds, first = [], next(events)
        assert (first.type, first.response.status, first.sequence_number) == ("response.created", "queued", 0)
        provider.release("done")
        seen = [first, *events]
    kinds = [event.type for event in seen]
    assert kinds[:3] == ["response.created", "response.queued", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    assert {event.response.id for event in seen if hasattr(event, "response")} == {first.response.id}
    assert sdk.responses.retrieve(first.response.id).to_dict() == seen[-1].response.to_dict()


@every_model
def test_it_is_resumed_at_every_event(model: str, sdk: openai.OpenAI, provider: Provider) -> None:
    provider.script(Answer("One two three.", pieces=5))
    with begin(sdk, model, stream=True) as events:
        seen = [event.to_dict() for event in events]
    response_id = seen[0]["response"]["id"]
    for number in range(-1, len(seen) + 1):
        with sdk.responses.retrieve(response_id, stream=True, starting_after=number) as events:
            assert [event.to_dict() for event in events] == seen[number + 1 :], number


@every_model
def test_its_client_may_leave_at_every_event(model: str, sdk: openai.OpenAI, provider: Provider) -> None:
    for number in range(8):
        provider.script(Answer("One two three.", gate=f"go {number}"))
        with begin(sdk, model, stream=True) as events:
            first = next(events)
            if number > 2:
                provider.release(f"go {number}")
            for _ in range(number):
                if number <= 2 and _ >= 1:
                    break
                next(events)
        provider.release(f"go {number}")
        assert poll(sdk, first.response.id).output_text == "One two three."


@every_model
def test_it_goes_on_live_where_it_was_left(model: str, sdk: openai.OpenAI, provider: Provider) -> None:
    provider.script(Answer("One two three.", gate="done"))
    with begin(sdk, model, stream=True) as events:
        first = next(events)
    with sdk.responses.retrieve(first.response.id, stream=True, starting_after=0) as events:
        assert next(events).sequence_number == 1
        provider.release("done")
        *_, last = events
    assert last.type == "response.completed"


@every_model
@pytest.mark.parametrize("stream", [False, True])
def test_it_is_cancelled_once_and_for_all(model: str, stream: bool, sdk: openai.OpenAI, provider: Provider) -> None:
    provider.script(Answer("Never.", gate="never"))
    if stream:
        events = begin(sdk, model, stream=True)
        response_id = next(events).response.id
    else:
        response_id = begin(sdk, model).id
    for _ in range(2):
        cancelled = sdk.responses.cancel(response_id)
        assert (cancelled.id, cancelled.status, cancelled.output) == (response_id, "cancelled", [])
    if stream:
        *_, last = events
        assert (last.type, last.response.status) == ("response.failed", "cancelled")
    provider.release("never")
    assert sdk.responses.retrieve(response_id).status == "cancelled"
    status, body = refused(lambda: sdk.responses.create(model=model, input="And?", previous_response_id=response_id))
    assert (status, body["error"]["code"]) == (400, "previous_response_not_completed")
    assert body["error"]["param"] == "previous_response_id"


@every_model
def test_what_fails_says_why(model: str, sdk: openai.OpenAI, provider: Provider) -> None:
    for stream in (False, True):
        provider.script(Answer(status=500, error="the model is on fire"))
        if stream:
            *_, last = begin(sdk, model, stream=True)
            assert last.type == "response.failed"
            failed = last.response
        else:
            failed = poll(sdk, begin(sdk, model).id)
        assert failed.status == "failed"
        assert failed.error is not None and "on fire" in failed.error.message
        assert sdk.responses.retrieve(failed.id).to_dict() == failed.to_dict()
        follow_up = {"model": model, "input": "And?", "previous_response_id": failed.id}
        assert refused(lambda: sdk.responses.create(**follow_up))[0] == 400  # noqa: B023
        assert refused(lambda: sdk.responses.cancel(failed.id))[1]["error"]["message"] == (  # noqa: B023
            "Cannot cancel a failed response."
        )


def test_without_store_it_is_refused(sdk: openai.OpenAI, provider: Provider) -> None:
    for stream in (False, True):
        status, body = refused(lambda: begin(sdk, "chat-model", store=False, stream=stream))  # noqa: B023
        assert (status, body["error"]["param"]) == (400, "background")
        assert body["error"]["message"] == "background can only be used when `store` is true."
    assert not provider.requests()


def test_one_that_runs_is_not_followed_but_its_input_is_listed(sdk: openai.OpenAI, provider: Provider) -> None:
    before = sdk.responses.create(model="chat-model", input="First.")
    provider.script(Answer("Late.", gate="done"))
    running = begin(sdk, "chat-model", "Second.", previous_response_id=before.id)
    follow_up = {"model": "chat-model", "input": "And?", "previous_response_id": running.id}
    assert refused(lambda: sdk.responses.create(**follow_up))[0] == 400
    while_running = input_of(sdk, running.id, order="asc")
    assert texts_in(while_running)[0::2] == ["First.", "Second."]
    provider.release("done")
    poll(sdk, running.id)
    assert input_of(sdk, running.id, order="asc") == while_running


def test_one_that_runs_is_deleted(sdk: openai.OpenAI, provider: Provider, redis: Redis) -> None:
    of_others = set(redis.scan_iter("*:events:*"))
    provider.script(Answer("Never.", gate="never"))
    with begin(sdk, "chat-model", stream=True) as events:
        response_id = next(events).response.id
        sdk.responses.delete(response_id)
        list(events)
    provider.release("never")
    assert refused(lambda: sdk.responses.retrieve(response_id))[0] == 404
    wait_until(lambda: set(redis.scan_iter("*:events:*")) <= of_others, 10, "the end of its events")


def test_what_cannot_be_stored_is_told_and_not_followed(sdk: openai.OpenAI, provider: Provider) -> None:
    before = sdk.responses.create(model="chat-model", input="First.")
    provider.script(Answer("Late.", gate="done"))
    running = begin(sdk, "chat-model", previous_response_id=before.id)
    wait_until(lambda: len(provider.requests()) == 2, 10, "its request")
    sdk.responses.delete(before.id)
    assert texts_in(input_of(sdk, running.id)) == ["Tell me."]
    provider.release("done")
    last = poll(sdk, running.id)
    assert (last.status, last.output_text) == ("completed", "Late.")
    follow_up = {"model": "chat-model", "input": "And?", "previous_response_id": running.id}
    status, body = refused(lambda: sdk.responses.create(**follow_up))
    assert (status, body["error"]["code"]) == (400, "previous_response_not_completed")


def test_in_a_conversation_object_it_has_the_items_that_it_will_have(sdk: openai.OpenAI, provider: Provider) -> None:
    conversation = sdk.conversations.create(items=[{"type": "message", "role": "user", "content": "First."}]).id
    provider.script(Answer("Late.", gate="done"))
    running = begin(sdk, "chat-model", "Second.", conversation=conversation)
    assert running.conversation is not None and running.conversation.id == conversation
    while_running = input_of(sdk, running.id, order="asc")
    assert texts_in(while_running) == ["First.", "Second."]
    provider.release("done")
    assert poll(sdk, running.id).conversation == running.conversation
    assert texts_in(input_of(sdk, running.id, order="asc")) == texts_in(while_running)


@pytest.mark.parametrize("number", ["--5", "a", "1.5", "\u0663", "9" * 20])
def test_a_number_of_an_event_that_is_none_is_refused(number: str, sdk: openai.OpenAI, provider: Provider) -> None:
    with begin(sdk, "chat-model", stream=True) as events:
        response_id = next(events).response.id
    query: Any = {"stream": "true", "starting_after": number}
    status, body = refused(lambda: sdk.get(f"/responses/{response_id}", cast_to=Response, options={"params": query}))
    assert (status, body["error"]["param"]) == (400, "starting_after")


def test_what_cannot_be_streamed_or_cancelled_says_so(sdk: openai.OpenAI, provider: Provider) -> None:
    foreground = sdk.responses.create(model="chat-model", input="Hello.")
    plain = poll(sdk, begin(sdk, "chat-model").id)
    for response, word in ((foreground, "synchronous"), (plain, "completed")):
        status, body = refused(lambda: sdk.responses.cancel(response.id))  # noqa: B023
        assert (status, body["error"]["message"]) == (400, f"Cannot cancel a {word} response.")
        status, body = refused(lambda: list(sdk.responses.retrieve(response.id, stream=True)))  # noqa: B023
        assert (status, body["error"]["param"]) == (400, "stream")


def test_nobody_else_has_it(proxy: Proxy, sdk: openai.OpenAI, provider: Provider, client: ResponsesClient) -> None:
    unknown = sdk.responses.create(model="chat-model", input="Hello.").id
    sdk.responses.delete(unknown)
    for act in (sdk.responses.retrieve, sdk.responses.cancel, sdk.responses.delete):
        assert refused(lambda: act(unknown))[0] == 404  # noqa: B023
    assert refused(lambda: list(sdk.responses.retrieve(unknown, stream=True)))[0] == 404
