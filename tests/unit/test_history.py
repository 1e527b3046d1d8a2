"""The stored conversation as messages, and what of a request is new in it."""

from __future__ import annotations

from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.request.exchange import Call, Exchange
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.history import (
    answer_message,
    call_ids,
    calls_put_back,
    history_messages,
    latest,
    results_of,
    spend_log_rows,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import NOBODY
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import Turn


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str | None = None, *ids: str, **fields: Any) -> dict[str, Any]:
    calls = {
        "tool_calls": [{"id": each, "type": "function", "function": {"name": "f", "arguments": "{}"}} for each in ids]
    }
    return {"role": "assistant", "content": text, **(calls if ids else {}), **fields}


def result(call_id: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": "done"}


def turn(text: Any, *answer: dict[str, Any], instructions: str | None = None, **fields: Any) -> Turn:
    return Turn(text, answer, instructions, **fields)


def messages(*turns: Turn, maker: str | None = None, with_instructions: bool = False) -> list[Any]:
    return history_messages(turns, lambda text: [user(text)], maker=maker, with_instructions=with_instructions)


def test_each_turn_is_its_input_and_then_its_answer_in_order():
    turns = turn("a", assistant("1")), turn("b", assistant("2"), assistant("3"))
    assert messages(*turns) == [user("a"), assistant("1"), user("b"), assistant("2"), assistant("3")]


def test_the_input_goes_through_the_transformation_that_is_given():
    seen = []
    history_messages([turn([{"x": 1}])], lambda given: seen.append(given) or [], maker=None, with_instructions=False)
    assert seen == [[{"x": 1}]]


def test_where_asked_each_turn_s_instructions_stand_before_its_input():
    turns = turn("a", instructions="be kind"), turn("b"), turn("c", instructions="be brief")
    system = [{"role": "system", "content": text} for text in ("be kind", "be brief")]
    assert messages(*turns, with_instructions=True) == [system[0], user("a"), user("b"), system[1], user("c")]
    assert messages(*turns) == [user("a"), user("b"), user("c")]


def test_the_latest_instructions_are_those_of_the_last_turn_that_had_some():
    assert latest([turn("a", instructions="1"), turn("b", instructions="2"), turn("c")], "instructions") == "2"
    assert latest([turn("a"), turn("b", instructions="")], "instructions") is None


SIGNED = assistant(
    "42",
    thinking_blocks=[{"type": "thinking", "thinking": "hm", "signature": "s"}],
    provider_specific_fields={"x": 1},
    tool_calls=[
        {
            "id": "c1",
            "type": "function",
            "function": {"name": "f", "arguments": "{}", "provider_specific_fields": {"s": 1}},
            "provider_specific_fields": {"thought_signature": "s"},
        }
    ],
)


def test_the_same_maker_gets_signatures_back():
    assert messages(turn("a", SIGNED, maker="gemini"), maker="gemini")[1] == SIGNED


def test_another_maker_gets_text_and_calls_without_signatures():
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert messages(turn("a", SIGNED, maker="gemini"), maker="claude")[1] == assistant("42", tool_calls=[call])
    assert (
        SIGNED["tool_calls"][0]["provider_specific_fields"] and SIGNED["thinking_blocks"]
    )  # The stored turn is as it was.


def test_as_rows_of_the_database_turns_have_input_instructions_and_answer():
    first, second = turn("a", assistant("1"), instructions="be kind"), turn([user("b")], SIGNED, maker="gemini")
    rows = spend_log_rows([first, second], "session", "gemini")
    requests = [row["proxy_server_request"] for row in rows]
    assert requests == [{"input": "a", "instructions": "be kind"}, {"input": [user("b")], "instructions": None}]
    assert [row["response"]["choices"][0]["message"] for row in rows] == [assistant("1"), SIGNED]
    assert {row["session_id"] for row in rows} == {"session"}
    (foreign,) = spend_log_rows([second], None, "claude")
    assert "thinking_blocks" not in foreign["response"]["choices"][0]["message"]


def test_in_rows_a_summary_of_claude_stays_for_upstream_to_make_text_of():
    summaries = [{"type": "compaction", "content": "in short"}]
    fields = {"compaction_blocks": summaries, "citations": []}
    answer = assistant("on", thinking_blocks=[{"thinking": "hm"}], provider_specific_fields=fields)
    (row,) = spend_log_rows([turn("a", answer, maker="claude")], None, "gemini")
    message = assistant("on", provider_specific_fields={"compaction_blocks": summaries})
    assert row["response"]["choices"][0]["message"] == message
    (own_row,) = spend_log_rows([turn("a", answer, maker="claude")], None, "claude")
    assert own_row["response"]["choices"][0]["message"] == answer


@pytest.mark.parametrize(
    "model, provider, maker",
    [
        ("claude-sonnet-4", "anthropic", "claude"),
        ("anthropic.Claude-3", "bedrock", "claude"),
        ("gemini-2.5-pro", "vertex_ai", "gemini"),
        ("deepseek-chat", "deepseek", "deepseek"),
        (None, "groq", "groq"),
        (None, None, None),
    ],
)
def test_the_maker_is_whose_model_it_is_wherever_it_is_hosted(model, provider, maker):
    assert Call(Exchange(NOBODY), {}, {"model": model, "custom_llm_provider": provider}).maker == maker


def item_of_result(call_id: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": "done"}


def item_of_call(call_id: str) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}"}


CALLING = (assistant("Let me look.", "c1"),)
BOTH_CALLING = (assistant(None, "c1", "c2"),)
BEFORE = [user("look"), item_of_call("c0"), item_of_result("c0")]


@pytest.mark.parametrize(
    "answer, request_input, results",
    [
        (CALLING, [user("look"), item_of_call("c1"), item_of_result("c1")], ["c1"]),
        (CALLING, [*BEFORE, item_of_call("c1"), item_of_result("c1")], ["c1"]),
        (CALLING, [{**item_of_call("c1"), "type": "custom_tool_call"}, item_of_result("c1")], ["c1"]),
        (CALLING, [{"type": "reasoning"}, assistant("Let me look."), item_of_call("c1"), item_of_result("c1")], ["c1"]),
        (BOTH_CALLING, [*map(item_of_call, ("c1", "c2")), *map(item_of_result, ("c1", "c2"))], ["c1", "c2"]),
    ],
    ids=["one call", "after a round before it", "a custom tool", "with the answer's text", "parallel calls"],
)
def test_of_an_input_that_says_an_answer_s_calls_again_their_results_are_new(answer, request_input, results):
    assert results_of(answer, request_input) == [item_of_result(each) for each in results]


@pytest.mark.parametrize(
    "answer, request_input",
    [
        (CALLING, "look"),
        (CALLING, None),
        (CALLING, BEFORE),
        (CALLING, [item_of_result("c1")]),
        (BOTH_CALLING, [item_of_call("c1"), item_of_result("c1")]),
        ((assistant("done"),), [item_of_call("c1"), item_of_result("c1")]),
        ((), [item_of_call("c1"), item_of_result("c1")]),
    ],
    ids=["a text", "nothing", "other calls", "a result alone", "one of two calls", "no calls", "no answer"],
)
def test_any_other_input_says_no_calls_again(answer, request_input):
    assert results_of(answer, request_input) is None


def test_call_ids_are_found_in_objects_and_in_dictionaries():
    from litellm.types.utils import ChatCompletionMessageToolCall, Function, Message

    call = ChatCompletionMessageToolCall(id="c1", type="function", function=Function(name="f", arguments="{}"))
    assert call_ids(Message(content=None, tool_calls=[call])) == call_ids(assistant(None, "c1")) == ["c1"]
    assert call_ids(user("hello")) == []


@pytest.mark.parametrize("call_id", [["c1"], {"a": 1}, 7, None])
def test_a_call_id_that_is_no_text_does_no_harm(call_id):
    odd_call, odd_result = ({**item, "call_id": call_id} for item in (item_of_call("c1"), item_of_result("c1")))
    both = [item_of_call("c1"), item_of_result("c1")]
    assert results_of(CALLING, [odd_call, *both, odd_result]) == [item_of_result("c1")]
    assert results_of(CALLING, [odd_call, item_of_result("c1")]) is None
    assert list(calls_put_back(CALLING, [odd_call, odd_result, item_of_result("c1")])) == [item_of_call("c1")]
    assert call_ids({"tool_calls": [{"id": call_id}, {"id": "c2"}]}) == ["c2"]


def test_fields_that_say_nothing_are_left_out_of_a_message():
    assert answer_message({"content": "", "tool_calls": [], "name": None}) == {"role": "assistant", "content": ""}
    assert answer_message({"role": "user", "content": "a"}) == user("a")


@pytest.mark.parametrize(
    "request_input, found",
    [
        ([item_of_result("c1"), item_of_result("c2")], [item_of_call("c1"), item_of_call("c2")]),
        ([item_of_call("c1"), item_of_result("c1"), item_of_result("c2")], [item_of_call("c2")]),
        ([item_of_result("c3")], []),
        ([{**item_of_result("c1"), "call_id": None}], []),
        ([user("c1")], []),
        ("c1", []),
    ],
)
def test_a_call_that_the_client_did_not_send_with_its_result_was_put_back(request_input, found):
    sent = [assistant(None, "c1"), result("c1"), assistant(None, "c2"), result("c2"), user("x")]
    assert list(calls_put_back(sent, request_input)) == found
