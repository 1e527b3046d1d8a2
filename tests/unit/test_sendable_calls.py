"""Of a model's calls, what is input: id, name and an object; the calls that Claude ran itself with their results."""

from __future__ import annotations

import json

import pytest
from litellm.types.utils import ChatCompletionMessageToolCall, Function

from litellm.responses.litellm_completion_transformation.redis_session_patch.request.sendable import answer_for
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.target import Target

from .support.messages import CLAUDE, GEMINI, GROQ, OPENAI, call, calling

ARGUMENTS = [
    ("", {}),
    (" ", {}),
    (None, {}),
    ('{"x": 1', {"invalid_json": '{"x": 1'}),
    ("[1]", {"invalid_json": "[1]"}),
    ('"x"', {"invalid_json": '"x"'}),
    ("7", {"invalid_json": "7"}),
    ('{"x": NaN}', {"invalid_json": '{"x": NaN}'}),
    ('{"x": [-Infinity]}', {"invalid_json": '{"x": [-Infinity]}'}),
    ("null", {"invalid_json": "null"}),
    ("look at ☀", {"invalid_json": "look at ☀"}),
    ('{"x": 1}{"x": 2}', {"invalid_json": '{"x": 1}{"x": 2}'}),
    ("[" * 100_000, {"invalid_json": "[" * 100_000}),
    ({"x": [1]}, {"x": [1]}),
    ({}, {}),
    ([1, 2], {"invalid_json": "[1, 2]"}),
    (7, {"invalid_json": "7"}),
    (False, {"invalid_json": "False"}),
]


@pytest.mark.parametrize("given, expected", ARGUMENTS, ids=lambda value: str(value)[:20])
def test_arguments_are_the_text_of_an_object(given, expected):
    (sent,) = answer_for([calling(call("c1", given))], "groq", GROQ)
    assert json.loads(sent["tool_calls"][0]["function"]["arguments"]) == expected


@pytest.mark.parametrize("text", ["{}", ' {"b": 1,  "a": "\\u2600"}\n', '{"a": "☀", "a": 1.0}'])
def test_arguments_that_are_an_object_are_as_the_model_wrote_them(text):
    """So that the provider's cache of prompts still knows them."""
    (sent,) = answer_for([calling(call("c1", text))], "groq", GROQ)
    assert sent["tool_calls"][0]["function"]["arguments"] == text


ODD_CALLS = {
    "without an id": ({"function": {"name": "f", "arguments": "{}"}}, call("")),
    "with an id that is null": ({**call("c1"), "id": None}, call("")),
    "without a name": ({"id": "c1", "function": {"arguments": "{}"}}, call("c1", name="")),
    "without arguments": ({"id": "c1", "function": {"name": "f"}}, call("c1")),
    "without a function": ({"id": "c1", "type": "function"}, call("c1", name="")),
    "with more fields": (call("c1", index=0, caller={"type": "direct"}, extra_content={}), call("c1")),
    "with a cache mark": (
        call("c1", cache_control={"type": "ephemeral"}),
        call("c1", cache_control={"type": "ephemeral"}),
    ),
    "of LiteLLM's": (ChatCompletionMessageToolCall(id="c1", function=Function(name="f", arguments="{}")), call("c1")),
    "with a function of LiteLLM's": ({"id": "c1", "function": Function(name="f", arguments="{}")}, call("c1")),
}


@pytest.mark.parametrize("case", ODD_CALLS)
def test_a_call_has_an_id_a_name_and_arguments_and_nothing_that_is_no_input(case):
    given, expected = ODD_CALLS[case]
    assert answer_for([calling(given)], "groq", GROQ) == [calling(expected)]


FIELDS = {"provider_specific_fields": {"thought_signature": "s"}}
SIGNED_CALL = call("c1__thought__s", **FIELDS)
SIGNED_CALL["function"] |= FIELDS


def test_signatures_of_calls_go_to_gemini_alone():
    assert answer_for([calling(SIGNED_CALL)], "gemini", GEMINI) == [calling(SIGNED_CALL)]
    assert answer_for([calling(SIGNED_CALL)], "gemini", CLAUDE) == [calling(call("c1__thought__s"))]
    assert answer_for([calling(SIGNED_CALL)], "claude", GEMINI) == [calling(call("c1__thought__s"))]


SEARCH, COMPUTE = call("srvtoolu_1", name="web_search"), call("srvtoolu_2", name="code_execution")
HOSTED_FIELDS = {
    "web_search_results": [{"tool_use_id": "srvtoolu_1", "content": []}],
    "tool_results": [{"tool_use_id": "srvtoolu_2", "content": "4"}],
}
HOSTED = calling(SEARCH, call("c1"), COMPUTE, content="I looked.", provider_specific_fields=HOSTED_FIELDS)


def test_claude_gets_the_calls_that_it_ran_itself_with_their_results():
    assert answer_for([HOSTED], "claude", CLAUDE) == [HOSTED]


@pytest.mark.parametrize(
    "fields, ids",
    [
        ({}, ["c1"]),
        ({"web_search_results": HOSTED_FIELDS["web_search_results"]}, ["srvtoolu_1", "c1"]),
        ({"tool_results": [None, {"tool_use_id": "srvtoolu_2"}, {}]}, ["c1", "srvtoolu_2"]),
        ({"web_search_results": None, "tool_results": []}, ["c1"]),
    ],
)
def test_a_call_that_claude_ran_itself_is_not_sent_without_its_result(fields, ids):
    (sent,) = answer_for([{**HOSTED, "provider_specific_fields": fields}], "claude", CLAUDE)
    assert [each["id"] for each in sent["tool_calls"]] == ids


@pytest.mark.parametrize("target", [GEMINI, OPENAI, GROQ, Target("claude", "openai")], ids=str)
def test_no_other_model_is_sent_what_claude_ran_itself(target):
    assert answer_for([HOSTED], "claude", target) == [calling(call("c1"), content="I looked.")]
    assert answer_for([calling(SEARCH, provider_specific_fields=HOSTED_FIELDS)], "claude", target) == []
