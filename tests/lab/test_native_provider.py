"""The native provider as OpenAI's own client sees it: answers, streams, what it holds, and how it goes down."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from lab.answers import Answer, ToolCall
from lab.native_models import native_entries
from lab.provider import Provider
from lab.provider_client import ProviderProcess
from lab.wire import Call, Message, Result, Thinking

MODEL = "gpt-5"
ENCRYPTED = ["reasoning.encrypted_content"]
LOOK_UP: Any = {"type": "function", "name": "look_up", "parameters": {"type": "object"}, "strict": False}
WRITE: Any = {"type": "custom", "name": "write"}
SEARCHED = {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "Rome"}}
CITED = {"type": "url_citation", "url": "https://a.b", "title": "a", "start_index": 0, "end_index": 4}
FULL = Answer(
    "sunny", (ToolCall("look_up", '{"city": "Rome"}', "call_1"), ToolCall("write", "a line", "call_2")), "let me think"
)


def client_of(url: str, account: str = "one", key: str = "key-1") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/{account}/v1", api_key=key, max_retries=0, timeout=20)


@pytest.fixture
def sdk(provider: Provider) -> Iterator[openai.OpenAI]:
    with client_of(provider.url) as client:
        yield client


def create(sdk: openai.OpenAI, stream: bool = False, **fields: Any) -> Any:
    """The response; of a stream, the one that its last event holds."""
    if not stream:
        return sdk.responses.create(**{"model": MODEL, **fields})
    events = list(sdk.responses.create(**{"model": MODEL, **fields}, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    return events[-1].response


def refused(call: Any) -> tuple[int, dict[str, Any]]:
    with pytest.raises(openai.APIStatusError) as caught:
        call()
    return caught.value.status_code, caught.value.response.json()["error"]


plain_and_stream = pytest.mark.parametrize("stream", [False, True])


@plain_and_stream
def test_an_answer_has_all_its_items(sdk: openai.OpenAI, provider: Provider, stream: bool) -> None:
    provider.script(Answer(**{**vars(FULL), "blocks": (SEARCHED,), "extra": {"annotations": [CITED]}}))
    response = create(sdk, stream, input="hello", tools=[LOOK_UP, WRITE], include=ENCRYPTED)
    kinds = ["reasoning", "web_search_call", "message", "function_call", "custom_tool_call"]
    assert [item.type for item in response.output] == kinds
    thought, searched, said, called, wrote = response.output
    assert (thought.summary[0].text, thought.encrypted_content is None) == ("let me think", False)
    assert searched.action.query == "Rome"
    assert (said.content[0].text, said.content[0].annotations[0].url) == ("sunny", "https://a.b")
    assert (called.name, called.arguments, called.call_id) == ("look_up", '{"city": "Rome"}', "call_1")
    assert (wrote.name, wrote.input, wrote.call_id) == ("write", "a line", "call_2")
    prefixes = [item.id.partition("_")[0] for item in response.output]
    assert prefixes == ["rs", "ws", "msg", "fc", "ctc"]
    assert len({item.id for item in response.output}) == 5
    assert (response.status, response.output_text, response.model) == ("completed", "sunny", MODEL)


def test_a_stream_tells_each_item_from_its_first_event_to_its_last(sdk: openai.OpenAI, provider: Provider) -> None:
    provider.script(Answer(**{**vars(FULL), "blocks": (SEARCHED,), "pieces": 2}))
    events: list[Any] = list(
        sdk.responses.create(model=MODEL, input="hello", tools=[LOOK_UP, WRITE], include=ENCRYPTED, stream=True)
    )
    assert [event.type.removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "web_search_call.in_progress",
        "web_search_call.searching",
        "web_search_call.completed",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
        "completed",
    ]
    done = [event.item for event in events if event.type == "response.output_item.done"]
    assert done == events[-1].response.output
    begun = [event.item for event in events if event.type == "response.output_item.added"]
    assert [item.id for item in begun] == [item.id for item in done]
    assert (begun[0].summary, begun[2].content, begun[3].arguments, begun[4].input) == ([], [], "", "")
    assert (events[0].response.status, events[0].response.output) == ("in_progress", [])
    assert {event.response.id for event in events if hasattr(event, "response")} == {events[-1].response.id}


@plain_and_stream
@pytest.mark.parametrize(
    "answer, status, reason, kind",
    [
        (Answer("so far", finish="length"), "incomplete", "max_output_tokens", "output_text"),
        (Answer("so far", finish="content_filter"), "incomplete", "content_filter", "output_text"),
        (Answer("I can not.", finish="refusal"), "completed", None, "refusal"),
    ],
    ids=["length", "content_filter", "refusal"],
)
def test_an_answer_may_end_otherwise(
    sdk: openai.OpenAI, provider: Provider, stream: bool, answer: Answer, status: str, reason: str | None, kind: str
) -> None:
    provider.script(answer)
    response = create(sdk, stream, input="hello")
    assert (response.status, response.output[0].content[0].type) == (status, kind)
    assert (response.incomplete_details.reason if response.incomplete_details else None) == reason


@plain_and_stream
def test_a_follow_up_sees_what_was_said_before(sdk: openai.OpenAI, provider: Provider, stream: bool) -> None:
    provider.script(FULL, Answer("written"), Answer("bye"))
    image = "data:image/png;base64,AAAA"
    parts: Any = [{"type": "input_text", "text": "Look"}, {"type": "input_image", "image_url": image}]
    asked: Any = [{"role": "user", "content": parts}]
    tools = [LOOK_UP, WRITE]
    first = create(sdk, stream, input=asked, instructions="Be brief.", tools=tools, include=ENCRYPTED)
    results: Any = [
        {"type": "function_call_output", "call_id": "call_1", "output": "21 degrees"},
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": "done"},
    ]
    second = create(sdk, stream, input=results, previous_response_id=first.id, tools=tools)
    create(sdk, stream, input="Thanks.", previous_response_id=second.id)
    request = provider.requests()[-1]
    assert request.body["input"] == "Thanks."
    assert len(request.held) == 8
    thought = Thinking("let me think", first.output[0].encrypted_content)
    calls = (Call("look_up", '{"city": "Rome"}', "call_1"), Call("write", "a line", "call_2"))
    assert request.conversation_as(thinking=True) == (
        Message("user", ("Look",), (image,)),
        Message("assistant", ("sunny",), calls=calls, thinking=(thought,)),
        Message("tool", results=(Result("21 degrees", "call_1"), Result("done", "call_2"))),
        Message("assistant", ("written",)),
        Message("user", ("Thanks.",)),
    )
    assert provider.requests()[0].conversation[0] == Message("system", ("Be brief.",))


@plain_and_stream
def test_who_sends_everything_itself_gets_the_same_view(sdk: openai.OpenAI, provider: Provider, stream: bool) -> None:
    provider.always(FULL)
    results: Any = [
        {"type": "function_call_output", "call_id": "call_1", "output": "21 degrees"},
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": "done"},
    ]
    tools: Any = [LOOK_UP, WRITE]
    first = create(sdk, stream, input="hello", tools=tools, include=ENCRYPTED)
    create(sdk, stream, input=results, previous_response_id=first.id, tools=tools)
    said = [item.to_dict() for item in first.output]
    everything: Any = [{"role": "user", "content": "hello"}, *said, *results]
    create(sdk, stream, input=everything, tools=tools)
    followed, alone = provider.requests()[-2:]
    assert (len(followed.held), alone.held) == (5, ())
    assert followed.conversation_as(thinking=True) == alone.conversation_as(thinking=True)


@plain_and_stream
def test_a_response_is_had_listed_and_deleted(sdk: openai.OpenAI, provider: Provider, stream: bool) -> None:
    provider.script(FULL)
    response = create(sdk, stream, input="hello", tools=[LOOK_UP], metadata={"a": "b"})
    assert sdk.responses.retrieve(response.id) == response
    items = sdk.responses.input_items.list(response.id)
    assert [item.content[0].text for item in items.data] == ["hello"]  # type: ignore[union-attr]
    sdk.responses.delete(response.id)
    path = f"/one/v1/responses/{response.id}"
    assert provider.stored_requests() == [("GET", path), ("GET", f"{path}/input_items"), ("DELETE", path)]
    gone = {"message": f"Response with id '{response.id}' not found.", "type": "invalid_request_error"}
    nothing = {"param": None, "code": None}
    for call in (sdk.responses.retrieve, sdk.responses.delete, sdk.responses.cancel, sdk.responses.input_items.list):
        assert refused(lambda call=call: call(response.id)) == (404, {**gone, **nothing})


def test_what_was_sent_is_listed_page_by_page(sdk: openai.OpenAI, provider: Provider) -> None:
    provider.always(Answer("fine"))
    first = create(sdk, input="one")
    second = create(sdk, input=[{"role": "user", "content": "two"}], previous_response_id=first.id)
    texts = [item.content[0].text for item in sdk.responses.input_items.list(second.id, limit=1)]  # type: ignore[union-attr]
    assert texts == ["two", "fine", "one"]
    page = sdk.responses.input_items.list(second.id, order="asc", limit=2)
    assert [item.content[0].text for item in page.data] == ["one", "fine"]  # type: ignore[union-attr]
    assert page.data[1].id == first.output[0].id
    assert page.has_more
    unknown = refused(lambda: sdk.responses.input_items.list(second.id, after="msg_0"))
    assert unknown[0] == 404


def not_found(id: str) -> dict[str, Any]:
    return {
        "message": f"Previous response with id '{id}' not found.",
        "type": "invalid_request_error",
        "param": "previous_response_id",
        "code": "previous_response_not_found",
    }


@plain_and_stream
def test_an_unknown_id_is_refused(sdk: openai.OpenAI, provider: Provider, stream: bool) -> None:
    unknown = "resp_" + "5f" * 25
    call = {"model": MODEL, "input": "hello", "previous_response_id": unknown, "stream": stream}
    assert refused(lambda: sdk.responses.create(**call)) == (400, not_found(unknown))
    assert provider.requests()[-1].refused == "responses-unknown-response"


@pytest.mark.parametrize("account, key", [("two", "key-1"), ("one", "key-2")])
def test_another_account_knows_nothing_of_it(sdk: openai.OpenAI, provider: Provider, account: str, key: str) -> None:
    first = create(sdk, input="hello")
    with client_of(provider.url, account, key) as other:
        assert refused(lambda: other.responses.retrieve(first.id))[0] == 404
        follow_up = {"model": MODEL, "input": "And?", "previous_response_id": first.id}
        assert refused(lambda: other.responses.create(**follow_up)) == (400, not_found(first.id))


@plain_and_stream
def test_what_is_not_stored_is_not_held(sdk: openai.OpenAI, provider: Provider, stream: bool) -> None:
    first = create(sdk, input="hello")
    second = create(sdk, stream, input="And?", previous_response_id=first.id, store=False)
    assert len(provider.requests()[-1].held) == 2
    assert refused(lambda: sdk.responses.retrieve(second.id))[0] == 404
    assert refused(lambda: create(sdk, input="And?", previous_response_id=second.id))[0] == 400
    reference: Any = [{"type": "item_reference", "id": second.output[0].id}]
    status, error = refused(lambda: create(sdk, input=reference))
    assert (status, error["message"]) == (404, f"Item with id '{second.output[0].id}' not found.")


def test_a_stream_that_did_not_end_is_not_held(sdk: openai.OpenAI, provider: Provider) -> None:
    provider.script(Answer("a long text", cut_after=5), Answer("a long text", end_after=5))
    for _ in range(2):
        events = sdk.responses.create(model=MODEL, input="hello", stream=True)
        first: Any = next(iter(events))
        told: list[str] = []
        with contextlib.suppress(httpx.RemoteProtocolError, openai.APIConnectionError):  # by the client's release
            told.extend(event.type for event in events)
        assert told
        assert "response.completed" not in told
        assert refused(lambda id=first.response.id: sdk.responses.retrieve(id))[0] == 404


def test_a_stream_may_fail(sdk: openai.OpenAI, provider: Provider) -> None:
    provider.script(Answer("a long text", fail_after=5, error="overloaded"))
    events: list[Any] = list(sdk.responses.create(model=MODEL, input="hello", stream=True))
    last = events[-1]
    assert [event.sequence_number for event in events] == list(range(6))
    assert (last.type, last.response.status, last.response.error.message) == (
        "response.failed",
        "failed",
        "overloaded",
    )
    assert last.response.id == events[0].response.id
    assert refused(lambda: sdk.responses.retrieve(last.response.id))[0] == 404


def test_references_stand_for_what_is_held(sdk: openai.OpenAI, provider: Provider) -> None:
    provider.script(Answer("sunny", thinking="hm"))
    first = create(sdk, input="hello")
    reasoning, said = first.output
    items: Any = [
        {"role": "user", "content": "hello"},
        {"type": "reasoning", "id": reasoning.id, "summary": []},
        {"type": "item_reference", "id": said.id},
        {"role": "user", "content": "And?"},
    ]
    create(sdk, input=items)
    assert provider.requests()[-1].conversation_as(thinking=True)[1] == Message(
        "assistant", ("sunny",), thinking=(Thinking("hm"),)
    )


def test_an_account_may_be_down(sdk: openai.OpenAI, provider: Provider) -> None:
    first = create(sdk, input="hello")
    before = provider.turned_away("one")
    with provider.down("one"), client_of(provider.url, "two") as other:
        error = {
            "message": "Our servers are currently overloaded. Please try again later.",
            "type": "service_unavailable_error",
            "param": None,
            "code": "server_is_overloaded",
        }
        assert refused(lambda: create(sdk, input="hello", stream=True)) == (503, error)
        assert refused(lambda: create(sdk, input="hello")) == (503, error)
        assert refused(lambda: sdk.responses.retrieve(first.id)) == (503, error)
        assert create(other, input="hello").status == "completed"
    assert provider.turned_away("one") - before == 3
    assert [request.path for request in provider.requests()] == ["/one/v1/responses", "/two/v1/responses"]
    assert create(sdk, input="And?", previous_response_id=first.id).status == "completed"


def test_an_account_may_forget(sdk: openai.OpenAI, provider: Provider) -> None:
    with client_of(provider.url, "two") as other:
        first, second = create(sdk, input="hello"), create(other, input="hello")
        provider.forget("one")
        assert refused(lambda: sdk.responses.retrieve(first.id))[0] == 404
        assert other.responses.retrieve(second.id) == second
        provider.clear()
        assert refused(lambda: other.responses.retrieve(second.id))[0] == 404


def test_what_runs_in_the_background_is_done_when_its_gate_opens(sdk: openai.OpenAI, provider: Provider) -> None:
    provider.script(Answer("late", gate="door"), Answer("never", gate="other"))
    first, second = (create(sdk, input="hello", background=True) for _ in range(2))
    assert (first.status, sdk.responses.retrieve(first.id).status) == ("queued", "queued")
    provider.release("door")
    assert sdk.responses.retrieve(first.id).output_text == "late"
    assert sdk.responses.cancel(second.id).status == "cancelled"
    provider.release("other")
    assert sdk.responses.retrieve(second.id).status == "cancelled"
    sync = create(sdk, input="hello")
    assert refused(lambda: sdk.responses.cancel(sync.id))[1]["message"] == "Cannot cancel a synchronous response."


def test_a_plain_path_has_an_account_too(provider: Provider) -> None:
    with openai.OpenAI(base_url=f"{provider.url}/v1", api_key="key", max_retries=0) as sdk:
        first = create(sdk, input="My favourite number is 4711.")
        asked = create(sdk, input="What is my favourite number?", previous_response_id=first.id, max_output_tokens=77)
        assert "4711" in asked.output_text
        assert [request.format for request in provider.requests(tag=77)] == ["responses"]


@pytest.fixture
def other(provider: Provider) -> Iterator[openai.OpenAI]:
    """Another account."""
    with client_of(provider.url, "two", "key-2") as client:
        yield client


def said(response: Any) -> list[Any]:
    return [item.to_dict() for item in response.output]


def test_encrypted_reasoning_is_read_by_the_account_that_was_given_it(
    sdk: openai.OpenAI, other: openai.OpenAI, provider: Provider
) -> None:
    provider.script(Answer("sunny", thinking="hm"), Answer("sunny", thinking="hm"))
    answers = [create(one, input="hello", include=ENCRYPTED, store=False) for one in (sdk, other)]
    first, second = (answer.output[0].encrypted_content for answer in answers)
    assert first != second
    history: list[Any] = [{"role": "user", "content": "hello"}, *said(answers[0]), {"role": "user", "content": "And?"}]
    assert create(sdk, input=history).status == "completed"
    provider.forget()
    assert create(sdk, input=history).status == "completed"
    status, error = refused(lambda: create(other, input=history))
    assert (status, error["code"]) == (400, "invalid_encrypted_content")
    without = [item for item in history if item.get("type") != "reasoning"]
    assert create(other, input=without).status == "completed"


def test_an_account_knows_which_reasoning_belongs_to_an_item(
    sdk: openai.OpenAI, other: openai.OpenAI, provider: Provider
) -> None:
    provider.script(Answer("", (ToolCall("look_up", id="call_1"),), thinking="hm"))
    first = create(sdk, input="hello", tools=[LOOK_UP])
    reasoning, call = said(first)
    found = {"type": "function_call_output", "call_id": "call_1", "output": "found"}
    status, error = refused(lambda: create(sdk, input=[call, found]))
    assert (status, error["message"]) == (
        400,
        f"Item '{call['id']}' of type 'function_call' was provided without its required 'reasoning' item: "
        f"'{reasoning['id']}'.",
    )
    assert create(sdk, input=[reasoning, call, found]).status == "completed"
    assert create(sdk, input=[found], previous_response_id=first.id).status == "completed"
    assert refused(lambda: create(sdk, input=[call, found], previous_response_id=first.id))[1]["message"] == (
        f"Duplicate item found with id {call['id']}. Remove duplicate items from your input and try again."
    )
    assert create(other, input=[call, found]).status == "completed"
    assert refused(lambda: create(other, input=[reasoning, call, found]))[0] == 404
    provider.forget("one")
    assert create(sdk, input=[call, found]).status == "completed"


def test_what_follows_a_response_is_paired_with_it(sdk: openai.OpenAI, provider: Provider) -> None:
    provider.script(FULL)
    first = create(sdk, input="hello", tools=[LOOK_UP, WRITE])
    status, error = refused(lambda: create(sdk, input="And?", previous_response_id=first.id))
    assert (status, error["message"]) == (400, "No tool output found for function call call_1.")
    assert provider.requests()[-1].refused == "responses-unanswered-call"


def test_a_model_that_does_not_reason_takes_no_reasoning(sdk: openai.OpenAI, provider: Provider) -> None:
    provider.script(Answer("sunny", thinking="hm"))
    first = create(sdk, input="hello")
    plain = {"model": "gpt-4.1", "input": "And?", "previous_response_id": first.id}
    assert "Remove reasoning items" in refused(lambda: sdk.responses.create(**plain))[1]["message"]
    assert create(sdk, input="And?", previous_response_id=first.id).status == "completed"


def test_each_native_model_names_its_account() -> None:
    entries = native_entries("http://a.b")
    named = [(entry["model_name"], entry["litellm_params"]["api_base"]) for entry in entries]
    assert named == [
        ("native-model", "http://a.b/one/v1"),
        ("native-other", "http://a.b/two/v1"),
        ("native-plain", "http://a.b/two/v1"),
        ("native-pair", "http://a.b/one/v1"),
        ("native-pair", "http://a.b/two/v1"),
    ]
    assert len({entry["model_info"]["id"] for entry in entries}) == len(entries)
    assert {entry["litellm_params"]["api_key"] for entry in entries} == {"native-key-1", "native-key-2"}
    assert [entry["model_name"] for entry in native_entries("http://a.b", "native-other")] == ["native-other"]


def test_as_a_process_it_is_steered_over_http() -> None:
    with ProviderProcess() as process, client_of(process.url) as sdk:
        first = create(sdk, input="hello")
        create(sdk, input="And?", previous_response_id=first.id)
        (_, follow_up) = process.requests()
        assert [message.role for message in follow_up.conversation] == ["user", "assistant", "user"]
        with process.down("one"):
            assert refused(lambda: sdk.responses.retrieve(first.id))[0] == 503
        assert process.turned_away("one") == 1
        assert sdk.responses.retrieve(first.id) == first
        assert process.stored_requests() == [("GET", f"/one/v1/responses/{first.id}")]
        process.forget("one")
        assert refused(lambda: sdk.responses.retrieve(first.id))[0] == 404
