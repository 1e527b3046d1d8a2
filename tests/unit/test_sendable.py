"""Of an answer, what is input to a model: what it says and its calls for everybody, the rest for its own maker."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from litellm.types.utils import Message

from litellm.responses.litellm_completion_transformation.redis_session_patch.request.sendable import (
    answer_for,
    summary_of,
    text_of,
    with_input_fields,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.target import Target

from .support.messages import (
    ALL_TARGETS,
    CLAUDE,
    GEMINI,
    GROQ,
    STRICT,
    assistant,
    call,
    calling,
    result,
    system,
    user,
)

SIGNED = {"type": "thinking", "thinking": "hm", "signature": "sig=="}
REDACTED = {"type": "redacted_thinking", "data": "secret=="}
UNSIGNED = {"type": "thinking", "thinking": "hm"}

OWN_SPECIFIC = {
    "web_search_results": [{"tool_use_id": "srvtoolu_1", "content": []}],
    "tool_results": [{"tool_use_id": "srvtoolu_2", "content": "4"}],
    "server_tool_calls": [{"id": "srvtoolu_1"}],
    "compaction_blocks": [{"type": "compaction", "content": ""}],
    "thought_signatures": ["s1"],
    "server_side_tool_invocations": [{"id": "i1"}],
}
EVERYTHING = assistant(
    "42",
    name="bot",
    annotations=[{"type": "url_citation"}],
    audio={"id": "a1"},
    citations=["https://example.com"],
    executed_tools=[{"type": "search"}],
    function_call={"name": "f", "arguments": "{}"},
    images=[{"type": "image_url", "image_url": {"url": "data:,"}}],
    reasoning="hm",
    reasoning_content="hm",
    reasoning_details=[{"type": "reasoning.text", "text": "hm"}],
    refusal="I will not.",
    thinking_blocks=[SIGNED],
    provider_specific_fields={**OWN_SPECIFIC, "citations": [["x"]], "refusal": "I will not."},
)

CLAUDES = {"web_search_results", "tool_results", "server_tool_calls", "compaction_blocks"}
GEMINIS = {"thought_signatures", "server_side_tool_invocations"}
# Maker and provider; which fields are input to the maker's own models, and which of ``provider_specific_fields``.
OWN_FIELDS = [
    ("claude", "anthropic", {"thinking_blocks"}, CLAUDES),
    ("claude", "bedrock", {"thinking_blocks"}, CLAUDES),
    ("claude", "vertex_ai", {"thinking_blocks"}, CLAUDES),
    ("gemini", "gemini", {"reasoning_content", "images"}, GEMINIS),
    ("gemini", "vertex_ai", {"reasoning_content", "images"}, GEMINIS),
    ("gemini", "openai", set(), set()),
    ("deepseek", "deepseek", {"reasoning_content"}, set()),
    ("fireworks_ai", "fireworks_ai", {"reasoning_content"}, set()),
    ("moonshot", "moonshot", {"reasoning_content"}, set()),
    ("openrouter", "openrouter", {"reasoning_details"}, set()),
    ("of tomorrow", "of tomorrow", set(), set()),
    *((provider, provider, set(), set()) for provider in STRICT),
    *(("claude", provider, set(), set()) for provider in STRICT),
]


def compacting(target: Target) -> Target:
    """Asked to summarize by itself, so that its summaries go back to it."""
    return Target(target.maker, target.provider, compacts=True)


@pytest.mark.parametrize("maker, provider, fields, specific", OWN_FIELDS)
def test_of_its_maker_s_answer_a_model_is_sent_the_fields_that_are_its_input(maker, provider, fields, specific):
    (sent,) = answer_for([EVERYTHING], maker, compacting(Target(maker, provider)))
    expected = {"role": "assistant", "content": "42", **{name: EVERYTHING[name] for name in fields}}
    if specific:
        expected["provider_specific_fields"] = {name: OWN_SPECIFIC[name] for name in specific}
    assert sent == expected


@pytest.mark.parametrize(
    "target, fields",
    [
        (GEMINI, {"server_side_tool_invocations": [{"id": "i1"}]}),
        (GEMINI, {"images": [{"type": "image_url", "image_url": {"url": "data:,"}}]}),
    ],
)
def test_a_picture_and_a_search_of_gemini_s_are_an_answer_without_a_text(target, fields):
    specific = {name: fields[name] for name in fields if name in OWN_SPECIFIC}
    answer = assistant(None, **({"provider_specific_fields": specific} if specific else fields))
    assert answer_for([answer], "gemini", target) == [answer] and answer_for([answer], "gemini", GROQ) == []


@pytest.mark.parametrize("maker, provider", [(maker, provider) for maker, provider, _, _ in OWN_FIELDS])
@pytest.mark.parametrize("made_by", ["another", None])
def test_of_anybody_else_s_answer_every_model_is_sent_what_it_says_alone(maker, provider, made_by):
    assert answer_for([EVERYTHING], made_by, Target(maker, provider)) == [assistant("42")]


TEXT_PARTS = [{"type": "text", "text": "4"}, {"type": "text", "text": "2"}]
PICTURE = [{"type": "text", "text": ""}, {"type": "image_url", "image_url": {"url": "data:,"}}]
KINDS = {
    "a text": (assistant("42"), "42"),
    "a text with blanks around it": (assistant(" 42\n"), " 42\n"),
    "a list": (assistant(TEXT_PARTS), TEXT_PARTS),
    "null": (assistant(None), None),
    "empty": (assistant(""), None),
    "blank": (assistant(" \n\t"), None),
    "an empty list": (assistant([]), None),
    "a list of blank texts": (assistant([{"type": "text", "text": " "}, {"type": "text"}]), None),
    "a list with a picture": (assistant(PICTURE), PICTURE),
    "refused": (assistant(None, refusal="No."), "No."),
    "refused, in the provider's fields": (assistant(None, provider_specific_fields={"refusal": "No."}), "No."),
    "refused, with an empty text": (assistant("", refusal="No."), "No."),
    "refused after a text": (assistant("42", refusal="No."), "42"),
    "a refusal that is null": (assistant(None, refusal=None), None),
    "reasoning alone": (assistant(None, reasoning_content="hm", reasoning="hm"), None),
    "reasoning alone, cut": (assistant("", reasoning_content="hm"), None),
    "signed thinking alone": (assistant(None, thinking_blocks=[SIGNED]), None),
    "unsigned thinking alone": (assistant("", thinking_blocks=[UNSIGNED]), None),
    "redacted thinking alone": (assistant(None, thinking_blocks=[REDACTED]), None),
    "signatures alone": (assistant(None, provider_specific_fields={"thought_signatures": ["s"]}), None),
    "a hosted tool's results alone": (assistant(None, provider_specific_fields={"tool_results": [{}]}), None),
    "no calls": (assistant(None, tool_calls=[]), None),
    "calls that are null": (assistant("42", tool_calls=None), "42"),
    "provider's fields that are null": (assistant("42", provider_specific_fields=None), "42"),
}


@pytest.mark.parametrize("target", ALL_TARGETS, ids=lambda target: target.maker)
@pytest.mark.parametrize("is_own", [True, False], ids=["its own", "another's"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_is_what_it_says_and_one_that_says_nothing_is_not_sent(kind, is_own, target):
    answer, text = KINDS[kind]
    sent = answer_for([answer], target.maker if is_own else "another", target)
    assert [(message["role"], message["content"]) for message in sent] == ([("assistant", text)] if text else [])


def test_no_answer_is_none():
    assert answer_for([], "claude", CLAUDE) == []


@pytest.mark.parametrize(
    "blocks, kept",
    [
        ([SIGNED], [SIGNED]),
        ([REDACTED], [REDACTED]),
        ([UNSIGNED], []),
        ([{**UNSIGNED, "signature": ""}, {**REDACTED, "data": ""}, {}, None, "hm"], []),
        ([UNSIGNED, REDACTED, SIGNED], [REDACTED, SIGNED]),
    ],
)
def test_claude_gets_its_thinking_back_in_order_where_it_is_signed(blocks, kept):
    (sent,) = answer_for([assistant("42", thinking_blocks=blocks)], "claude", CLAUDE)
    assert sent == assistant("42", **({"thinking_blocks": kept} if kept else {}))


def test_thinking_before_a_call_stays_with_it():
    answer = assistant(None, "c1", thinking_blocks=[SIGNED])
    assert answer_for([answer], "claude", CLAUDE) == [answer]


SEVERAL = {
    "two texts": ([assistant("a"), assistant("b")], "a\n\nb", []),
    "a text and nothing": ([assistant(None), assistant("b"), assistant(" ")], "b", []),
    "a list and a text": ([assistant(TEXT_PARTS), assistant("b")], "42\n\nb", []),
    "a list alone": ([assistant(TEXT_PARTS), assistant("")], TEXT_PARTS, []),
    "a refusal and a text": ([assistant(None, refusal="No."), assistant("b")], "No.\n\nb", []),
    "a text and a call": ([assistant("a"), assistant(None, "c1")], "a", ["c1"]),
    "calls": ([assistant(None, "c1", "c2"), assistant("", "c3")], None, ["c1", "c2", "c3"]),
}


@pytest.mark.parametrize("case", SEVERAL)
def test_several_choices_are_one_message(case):
    answer, text, ids = SEVERAL[case]
    assert answer_for(answer, "groq", GROQ) == [assistant(text, *ids)]


def test_lists_of_several_choices_follow_each_other():
    searches = [{"type": "web_search_tool_result", "tool_use_id": f"srvtoolu_{number}"} for number in (1, 2)]
    answer = [
        assistant(text, thinking_blocks=[SIGNED], provider_specific_fields={"web_search_results": [search]})
        for text, search in zip("ab", searches, strict=True)
    ]
    both = assistant("a\n\nb", thinking_blocks=[SIGNED, SIGNED])
    assert answer_for(answer, "claude", CLAUDE) == [
        {**both, "provider_specific_fields": {"web_search_results": searches}}
    ]


def test_several_choices_that_say_nothing_are_none():
    assert answer_for([assistant(None), assistant("")], "groq", GROQ) == []


def summary(text: Any) -> dict[str, Any]:
    return {"type": "compaction", "content": text}


def summarizing(*blocks: Any, text: Any = "on", **fields: Any) -> dict[str, Any]:
    return assistant(text, provider_specific_fields={"compaction_blocks": list(blocks), **fields})


def test_a_summary_goes_back_to_claude_as_such_where_it_is_asked_to_summarize():
    answer = summarizing(summary("in short"))
    assert answer_for([answer], "claude", compacting(CLAUDE)) == [answer]
    alone = summarizing(summary("in short"), text=None)
    assert answer_for([alone], "claude", compacting(CLAUDE)) == [alone]


@pytest.mark.parametrize("made_by", ["claude", None])
@pytest.mark.parametrize("target", [GEMINI, GROQ, compacting(GROQ), compacting(Target(None, None)), CLAUDE], ids=str)
def test_for_others_and_where_nobody_asks_for_one_a_summary_is_a_user_s_text_before_the_answer(target, made_by):
    assert answer_for([summarizing(summary("in short"))], made_by, target) == [user("in short"), assistant("on")]
    assert answer_for([summarizing(summary("in short"), text=None)], made_by, target) == [user("in short")]


@pytest.mark.parametrize(
    "answer, text",
    [
        ([assistant("on")], None),
        ([assistant("on", provider_specific_fields=None)], None),
        ([summarizing()], None),
        ([summarizing(summary(""), summary(None), {}, "in short", None)], None),
        ([summarizing(summary("a"), summary("b"), summary(""))], "b"),
        ([summarizing(summary("a")), summarizing(summary("b")), assistant("on")], "b"),
    ],
)
def test_the_newest_summary_that_has_a_text_counts(answer, text):
    assert summary_of(answer) == text


def test_a_history_that_the_database_gave_stays_in_its_order_and_its_answers_are_input():
    foreign = {**EVERYTHING, "tool_calls": [call("c1", '{"x"')]}
    before = [system("be kind"), user("a"), foreign, result("c1"), assistant(""), user("b"), assistant("42")]
    assert answer_for(before, "claude", GROQ) == [
        system("be kind"),
        user("a"),
        calling(call("c1", '{"invalid_json": "{\\"x\\""}'), content="42"),
        result("c1"),
        user("b"),
        assistant("42"),
    ]


def test_answers_one_after_the_other_in_a_history_of_the_database_are_not_choices_of_one():
    before = [user("a"), assistant("1"), assistant("2")]
    assert answer_for(before, None, GROQ) == before


SIGNED_CALL = call("c1__thought__s", provider_specific_fields={"thought_signature": "s"})
HOSTED = calling(call("srvtoolu_1"), content="I looked.", provider_specific_fields=OWN_SPECIFIC)
ANSWERS = {"everything": EVERYTHING, "hosted": HOSTED, "signed": calling(SIGNED_CALL), "odd": calling(call("", None))}


@pytest.mark.parametrize("target", ALL_TARGETS, ids=lambda target: target.maker)
@pytest.mark.parametrize("name", ANSWERS)
def test_what_is_stored_stays_as_it_was(name, target):
    answer = copy.deepcopy(ANSWERS[name])
    answer_for([answer, answer], "claude", target)
    with_input_fields(answer, target)
    assert answer == ANSWERS[name]


@pytest.mark.parametrize("target", ALL_TARGETS, ids=lambda target: target.maker)
@pytest.mark.parametrize("name", ANSWERS)
def test_what_is_input_once_is_input_again(name, target):
    for sent in answer_for([ANSWERS[name]], target.maker, target):
        assert with_input_fields(sent, target) == sent


@pytest.mark.parametrize(
    "message", [user("a"), user(""), user([{"type": "text", "text": ""}]), system("a"), result("c")]
)
def test_what_somebody_else_than_a_model_says_is_as_it_was_said(message):
    assert with_input_fields(message, CLAUDE) == message


@pytest.mark.parametrize("role", ["user", "tool", "system"])
def test_an_assistant_alone_calls(role):
    stray = {"role": role, "content": "look", "tool_calls": [{"ie": "c1"}]}
    heard = {"role": role, "content": "look"}
    assert with_input_fields(stray, CLAUDE) == heard
    assert answer_for([stray, assistant("42")], "claude", CLAUDE) == [heard, assistant("42")]


def test_an_answer_that_the_client_says_is_input_by_the_same_rules():
    assert with_input_fields(EVERYTHING, GROQ) == assistant("42")
    assert with_input_fields(assistant("42", thinking_blocks=[SIGNED, UNSIGNED]), CLAUDE) == assistant(
        "42", thinking_blocks=[SIGNED]
    )


def test_a_message_of_litellm_s_is_taken_by_its_fields():
    message = Message(role="assistant", content="42", tool_calls=[call("c1")])
    assert with_input_fields(message, GROQ) == assistant("42", "c1")


@pytest.mark.parametrize(
    "content, text",
    [
        ("42", "42"),
        ([{"type": "text", "text": "4"}, {"type": "image_url"}, {"type": "text", "text": None}, "x"], "4"),
        (TEXT_PARTS, "42"),
        (None, ""),
        (7, ""),
    ],
)
def test_the_text_of_a_content_is_all_of_its_texts(content, text):
    assert text_of(content) == text
