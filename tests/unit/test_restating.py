"""An input that says the whole of the last turn over again: only what is new goes on."""

from __future__ import annotations

from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.conversation import Turn
from litellm.responses.litellm_completion_transformation.redis_session_patch.history import new_after_restating

QUESTION = {"role": "user", "content": "look"}
CALL_ITEM = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
OUTPUT_ITEM = {"type": "function_call_output", "call_id": "c1", "output": "done"}


def assistant(text: str | None = None, *ids: str) -> dict[str, Any]:
    calls = [{"id": each, "type": "function", "function": {"name": "f", "arguments": "{}"}} for each in ids]
    return {"role": "assistant", "content": text, **({"tool_calls": calls} if calls else {})}


def turn(text: Any, *answer: dict[str, Any]) -> Turn:
    return Turn(text, answer)


ASKED = turn([{"type": "message", "role": "user", "content": "look"}], assistant(None, "c1"))


@pytest.mark.parametrize("again", [[QUESTION], [{**QUESTION, "type": "message"}]])
def test_an_input_that_begins_with_the_whole_turn_restates_it(again):
    assert new_after_restating(ASKED, [*again, CALL_ITEM, OUTPUT_ITEM]) == [OUTPUT_ITEM]


def test_a_text_input_is_restated_as_a_user_message():
    asked = turn("look", assistant(None, "c1"))
    assert new_after_restating(asked, [QUESTION, CALL_ITEM, OUTPUT_ITEM]) == [OUTPUT_ITEM]


@pytest.mark.parametrize(
    "request_input",
    [
        "look",
        [QUESTION],
        [OUTPUT_ITEM],
        [QUESTION, OUTPUT_ITEM],
        [CALL_ITEM, OUTPUT_ITEM],
        [{**QUESTION, "content": "see"}, CALL_ITEM],
        None,
    ],
)
def test_a_part_of_a_turn_does_not_restate_it(request_input):
    assert new_after_restating(ASKED, request_input) is None


def test_of_parallel_calls_all_must_be_there():
    both = turn("look", assistant(None, "c1", "c2"))
    assert new_after_restating(both, [QUESTION, CALL_ITEM, OUTPUT_ITEM]) is None
    calls = [CALL_ITEM, {**CALL_ITEM, "call_id": "c2"}]
    assert new_after_restating(both, [QUESTION, *calls, OUTPUT_ITEM]) == [OUTPUT_ITEM]


def test_a_turn_without_calls_is_never_restated():
    asked = [QUESTION, {"role": "user", "content": "look again"}]
    assert new_after_restating(turn("look", assistant("done")), asked) is None


TEXT_ITEM = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me look."}]}
REASONING_ITEM = {"type": "reasoning", "summary": []}


def test_of_the_answer_nothing_is_said_again_in_any_form():
    asked = turn("look", assistant("Let me look.", "c1"))
    for text_item in (TEXT_ITEM, {"role": "assistant", "content": "Let me look."}):
        again = [QUESTION, REASONING_ITEM, text_item, CALL_ITEM, OUTPUT_ITEM]
        assert new_after_restating(asked, again) == [OUTPUT_ITEM]


def test_a_text_of_the_assistant_that_the_client_adds_itself_is_new():
    added = {"role": "assistant", "content": "I remember something else."}
    assert new_after_restating(ASKED, [QUESTION, CALL_ITEM, added, OUTPUT_ITEM]) == [added, OUTPUT_ITEM]


@pytest.mark.parametrize("call_id", [["c1"], {"a": 1}, 7, None])
def test_a_call_id_that_is_no_text_restates_nothing(call_id):
    assert new_after_restating(ASKED, [QUESTION, {**CALL_ITEM, "call_id": call_id}, OUTPUT_ITEM]) is None


@pytest.mark.parametrize("content", [None, [], ["text"], [{"text": None}], [{"text": ["x"]}], 7])
def test_content_of_the_assistant_that_says_nothing_is_not_new(content):
    odd = {"role": "assistant", "content": content}
    assert new_after_restating(ASKED, [QUESTION, CALL_ITEM, odd, OUTPUT_ITEM]) == [OUTPUT_ITEM]
