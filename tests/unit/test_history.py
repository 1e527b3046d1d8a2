"""The stored conversation as messages, and what of a request is new in it."""

from __future__ import annotations

from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.request.call import Call
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.exchange import Exchange
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.fitting import fit
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.history import (
    answer_message,
    call_ids,
    calls_put_back,
    latest,
    results_of,
    said_in,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.target import Target
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import NOBODY
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import Turn

from .support.messages import CLAUDE, GEMINI, GROQ, Message, assistant, result, system, turn, user

SUMMARIES = "compaction"


def to_messages(given: Any) -> list[Any]:
    """In the place of upstream's transformation."""
    if isinstance(given, str):
        return [user(given)]
    return [user(item["summary"]) if item.get("type") == SUMMARIES else item for item in given]


def messages(*turns: Turn, target: Target = GROQ) -> list[Message]:
    return [message for message, _ in said_in(turns, to_messages, target)]


def test_each_turn_is_its_input_and_then_its_answer_in_order():
    turns = turn("a", assistant("1")), turn([user("b"), user("c")], assistant("2")), turn("d")
    assert said_in(turns, to_messages, GROQ) == [
        (user("a"), 0),
        (assistant("1"), None),
        (user("b"), 1),
        (user("c"), 1),
        (assistant("2"), None),
        (user("d"), 2),
    ]


def test_several_choices_are_one_answer():
    assert messages(turn("b", assistant("2"), assistant("3"))) == [user("b"), assistant("2\n\n3")]


def native(call_id: str, *output: dict[str, Any]) -> Turn:
    called = {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}"}
    return Turn([item_of_result(call_id)], account="one", reply={"output": [*output, called]})


def from_items(given: Any) -> list[Any]:
    """The same, of calls and results."""
    said: list[Any] = []
    for item in [{"role": "user", "content": given}] if isinstance(given, str) else given:
        if item.get("type") == "function_call":
            said.append(assistant(None, item["call_id"]))
        elif item.get("type") == "function_call_output":
            said.append(result(item["call_id"]))
        else:
            said.append(item)
    return said


def test_calls_that_a_native_model_numbers_anew_are_no_repetition():
    turns = Turn("q", account="one", reply={"output": [item_of_call("c0")]}), native("c0"), turn([item_of_result("c0")])
    fitted = fit(said_in(turns, from_items, GROQ), GROQ)
    assert [message["role"] for message in fitted] == ["user", "assistant", "tool", "assistant", "tool"]


def test_a_refusal_of_a_native_model_is_said():
    refusal = {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "I cannot."}]}
    turns = (Turn("q", account="one", reply={"output": [refusal]}),)
    _, message = [message for message, _ in said_in(turns, from_items, GROQ)]
    assert message["content"] == [{"type": "output_text", "text": "I cannot.", "annotations": []}]


def test_the_input_goes_through_the_transformation_that_is_given():
    seen: list[Any] = []
    assert said_in([turn([{"x": 1}])], lambda given: seen.append(given) or [], GROQ) == []
    assert [{"x": 1}] in seen


def test_the_latest_instructions_are_those_of_the_last_turn_that_had_some():
    assert latest([turn("a", instructions="1"), turn("b", instructions="2"), turn("c")], "instructions") == "2"
    assert latest([turn("a"), turn("b", instructions="")], "instructions") is None


SIGNED = assistant("42", "c1", thinking_blocks=[{"type": "thinking", "thinking": "hm", "signature": "s"}])


def test_its_own_maker_gets_of_an_answer_what_others_do_not():
    conversation = turn("a", SIGNED, maker="claude"), turn("b", SIGNED, maker="gemini")
    plain = assistant("42", "c1")
    assert messages(*conversation, target=CLAUDE) == [user("a"), SIGNED, user("b"), plain]
    assert messages(*conversation, target=GEMINI) == [user("a"), plain, user("b"), plain]
    assert SIGNED["thinking_blocks"], "The stored turn is as it was."


def test_an_answer_that_says_nothing_is_none_but_what_the_client_said_stays():
    assert messages(turn("a", assistant("")), turn("b", assistant(None)), turn("c")) == [*map(user, "abc")]


def summarized(text: str, *summaries: str) -> Message:
    blocks = [{"type": "compaction", "content": each} for each in summaries]
    return assistant(text, provider_specific_fields={"compaction_blocks": blocks})


def test_from_a_summary_of_claude_s_on_nothing_before_it_is_sent_but_what_instructs():
    instructing = {"role": "developer", "content": "be brief"}
    turns = (
        turn([system("be kind"), user("a")], assistant("1"), maker="claude"),
        turn([instructing, user("b")], summarized("2", "in short"), maker="claude"),
        turn("c", assistant("3"), maker="claude"),
    )
    after = [user("in short"), assistant("2"), user("c"), assistant("3")]
    assert messages(*turns) == [system("be kind"), instructing, *after]
    compacting = Target("claude", "anthropic", compacts=True)
    as_such = [summarized("2", "in short"), *after[2:]]
    assert messages(*turns, target=compacting) == [system("be kind"), instructing, *as_such]


def test_the_newest_summary_is_the_one_that_stands_for_what_came_before():
    turns = turn("a", summarized("1", "old")), turn("b", summarized("2", "new")), turn("c", summarized("3", ""))
    assert messages(*turns)[:2] == [user("new"), assistant("2")] and len(messages(*turns)) == 4


def test_from_a_summary_that_the_client_sent_on_nothing_before_it_is_sent():
    summary = {"type": SUMMARIES, "summary": "in short"}
    turns = turn([system("be kind"), user("a")], assistant("1")), turn([summary, user("b")], assistant("2")), turn("c")
    assert messages(*turns) == [system("be kind"), user("in short"), user("b"), assistant("2"), user("c")]


def test_a_summary_that_upstream_cannot_read_stands_for_nothing():
    """Up to 1.108 it makes no message of one."""

    def without_summaries(given: Any) -> list[Any]:
        return [] if given == [summary] else to_messages([each for each in given if each != summary])

    summary = {"type": SUMMARIES, "summary": "in short"}
    turns = turn([user("a")], assistant("1")), turn([summary, user("b")], assistant("2"))
    said = [message for message, _ in said_in(turns, without_summaries, GROQ)]
    assert said == [user("a"), assistant("1"), user("b"), assistant("2")]


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
