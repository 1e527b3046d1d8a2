"""Ids of calls, answers between, and cache marks as a provider takes them; ids stay while a conversation goes on."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.request.fitting import (
    FILLER,
    NO_RESULT,
    ORPHAN,
    fit,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.target import Target

from .support.messages import (
    ALL_TARGETS,
    CLAUDE,
    DEEPSEEK,
    GEMINI,
    GROQ,
    MISTRAL,
    OPENAI,
    STRICT,
    assistant,
    by_client,
    call,
    calling,
    ids_of,
    result,
    said,
    system,
    user,
)

every_target = pytest.mark.parametrize("target", ALL_TARGETS, ids=lambda target: target.maker)


@pytest.mark.parametrize(
    "target, call_id, sent",
    [
        (GEMINI, "c1__thought__AAA+/==\nB", "c1__thought__AAA+/==\nB"),
        (Target("gemini", "openrouter"), "c1__thought__AAA", "c1__thought__AAA"),
        *((target, "abc123XYZ__thought__AAA+/==\nB", "abc123XYZ") for target in ALL_TARGETS if target is not GEMINI),
        (CLAUDE, "x" * 41, "x" * 41),
        (GEMINI, "x" * 41, "x" * 41),
        (OPENAI, "x" * 40, "x" * 40),
        (MISTRAL, "abc123XYZ", "abc123XYZ"),
    ],
)
def test_ids_are_sent_without_gemini_s_signature_to_others_and_else_as_they_are(target, call_id, sent):
    messages = fit(said([user("a"), assistant(None, call_id)], [result(call_id)]), target)
    assert messages == [user("a"), assistant(None, sent), result(sent)]


@pytest.mark.parametrize(
    "target, form, given",
    [
        (OPENAI, "call_[0-9a-f]{32}", ["x" * 41, "x" * 42, "\ud800" * 41, f"{'x' * 40}__thought__"[:40] + "y"]),
        (GROQ, "call_[0-9a-f]{32}", ["x" * 64]),
        (DEEPSEEK, "call_[0-9a-f]{32}", ["x" * 64]),
        (
            MISTRAL,
            "[0-9a-zA-Z]{9}",
            ["c1", "abc123XY", "call_0123", "toolu_01A", "abc123XYZ0", "functions.f:0", "x" * 64, "ü" * 9, "\ud800"],
        ),
    ],
    ids=lambda value: value.maker if isinstance(value, Target) else None,
)
def test_ids_that_a_provider_refuses_become_others_alike_for_call_and_result(target, form, given):
    messages = fit(said([assistant(None, *given)], [result(each, each) for each in given]), target)
    new = [each["id"] for each in messages[0]["tool_calls"]]
    assert all(re.fullmatch(form, each) for each in new) and len(set(new)) == len(given)
    assert messages[1:] == [result(*pair) for pair in zip(new, given, strict=True)]


@every_target
def test_ids_stay_while_the_conversation_goes_on(target):
    """So that the provider's cache of prompts knows them."""
    turns: list[Any] = [[user("a"), assistant(None, "x" * 41, "functions.f:0")]]
    turns.append([result("functions.f:0"), result("x" * 41), assistant(None, "functions.f:0")])
    turns.append([result("functions.f:0"), user("b")])
    shorter, longer = fit(said(*turns[:2]), target), fit(said(*turns), target)
    count = len(shorter) - 1  # Its last call has no result yet.
    assert longer[:count] == shorter[:count] and ids_of(shorter) == ids_of(longer)


@every_target
def test_where_a_provider_wants_it_no_two_calls_of_a_conversation_have_one_id(target):
    turns = [
        [assistant(None, "c1", "c2")],
        *([result("c1"), result("c2"), assistant(None, "c1", "c2")] for _ in range(3)),
    ]
    ids = ids_of(fit(said(*turns), target))
    calls = Counter(ids).most_common()
    assert all(count == (2 if target in (CLAUDE, DEEPSEEK, MISTRAL) else 8) for _, count in calls), calls


def test_deepseek_s_calls_of_one_id_are_counted():
    turns = [[assistant(None, "c1")], [result("c1", "1"), assistant(None, "c1")], [result("c1", "2")]]
    assert fit(said(*turns), DEEPSEEK) == [
        assistant(None, "c1"),
        result("c1", "1"),
        assistant(None, "c1_2"),
        result("c1_2", "2"),
    ]


def test_a_counted_id_is_none_that_another_call_has():
    turns = [[assistant(None, "c1", "c1_2")], [result("c1"), result("c1_2"), assistant(None, "c1")], [result("c1")]]
    sent = fit(said(*turns), DEEPSEEK)
    assert len(set(ids_of(sent))) == 3 and ids_of(sent[:3]) == ["c1", "c1_2", "c1", "c1_2"]


def test_ids_that_differ_by_gemini_s_signature_alone_stay_two():
    turns = [[assistant(None, "c1__thought__a", "c1__thought__b")], [result("c1__thought__a"), user("b")]]
    assert ids_of(fit(said(*turns), OPENAI)) == ["c1", "c1_2", "c1", "c1_2"]


@pytest.mark.parametrize("role", ["system", "developer"])
def test_what_an_operator_says_behind_a_result_or_an_answer_is_a_user_s_to_mistral(role):
    late = {"role": role, "content": "Be brief."}
    turns = [[assistant(None, "abc123XYZ")], [result("abc123XYZ"), late, assistant("yes")], [late, user("b")]]
    sent = fit(said([user("a")], *turns), MISTRAL)
    assert [message["role"] for message in sent] == [
        *("user", "assistant", "tool", "assistant", "user", "assistant", "user", "user"),
    ]
    assert [message["content"] for message in sent if message["role"] == "user"] == ["a", "Be brief.", "Be brief.", "b"]


def test_mistral_has_an_answer_between_a_result_and_what_the_user_says_next():
    turns = [[assistant(None, "abc123XYZ")], [result("abc123XYZ"), user("now"), user("then")]]
    sent = fit(said(*turns), MISTRAL)
    assert sent == [assistant(None, "abc123XYZ"), result("abc123XYZ"), assistant(FILLER), user("now"), user("then")]


def test_mistral_has_none_where_the_model_answered_itself_or_is_to():
    turns = [[assistant(None, "abc123XYZ")], [result("abc123XYZ"), assistant("42.")], [user("now")]]
    for count in range(1, 4):
        assert assistant(FILLER) not in fit(said(*turns[:count]), MISTRAL)


def test_mistral_has_one_before_an_unknown_result_and_after_a_missing_one():
    sent = fit(said([assistant(None, "abc123XYZ")], [result("c9"), result("abc123XYZ", "42")]), MISTRAL)
    assert sent == [
        assistant(None, "abc123XYZ"),
        result("abc123XYZ", "42"),
        assistant(FILLER),
        user(f"{ORPHAN.format('c9')}done"),
    ]
    sent = fit(said([assistant(None, "abc123XYZ")], [user("now")]), MISTRAL)
    assert sent[1:] == [result("abc123XYZ", NO_RESULT), assistant(FILLER), user("now")]


@pytest.mark.parametrize("target", [each for each in ALL_TARGETS if each is not MISTRAL], ids=lambda each: each.maker)
def test_nobody_else_has_an_answer_of_ours(target):
    conversation = [user("a"), assistant(None, "abc123XYZ"), result("abc123XYZ"), user("now")]
    assert fit(said(conversation), target) == conversation


@every_target
def test_where_a_provider_wants_it_a_user_begins(target):
    """The beginning of a conversation may have been deleted, or be a greeting of the assistant's."""
    for answer, wanting in ((assistant("Hello."), (CLAUDE,)), (assistant(None, "abc123XYZ"), (CLAUDE, GEMINI))):
        sent = fit(said([system("Be brief."), answer, result("abc123XYZ")]), target)
        assert (sent[1] == user(FILLER)) == (target in wanting)
        assert [message for message in sent if message != user(FILLER)][:2] == [system("Be brief."), answer]
    assert fit([], target) == []


MARK = {"cache_control": {"type": "ephemeral"}}


def marked(text: str) -> dict[str, Any]:
    return user([{"type": "text", "text": text, **MARK}])


def marks_in(messages: list[dict[str, Any]]) -> list[str]:
    """Where marks are, oldest first: the texts and the ids that have one."""
    found: list[str] = []
    for message in messages:
        content = message["content"] if isinstance(message["content"], list) else ()
        found += [str(message["content"])] if "cache_control" in message else []
        found += [part["text"] for part in content if "cache_control" in part]
        found += [each["id"] for each in message.get("tool_calls") or () if "cache_control" in each]
    return found


MARKED = [
    {**system("rules"), **MARK},
    marked("a"),
    calling(call("abc123XYZ", **MARK), content="Look."),
    {**result("abc123XYZ", "42"), **MARK},
    assistant("42.", **MARK),
    user([{"type": "text", "text": "b", **MARK}, {"type": "text", "text": "c"}, {"type": "text", "text": "d", **MARK}]),
]
ALL_MARKS = ["rules", "a", "abc123XYZ", "42", "42.", "b", "d"]


@pytest.mark.parametrize(
    "target, kept",
    [
        (CLAUDE, ALL_MARKS[-4:]),
        (Target("claude", "bedrock"), ALL_MARKS[-4:]),
        (Target("claude", "anthropic", marks=1), ALL_MARKS[-3:]),
        (Target("claude", "anthropic", marks=3), ["d"]),
        (Target("claude", "anthropic", marks=4), []),
        (Target("claude", "anthropic", marks=9), []),
        (GEMINI, ALL_MARKS),
        (Target("openrouter", "openrouter"), ALL_MARKS),
        (Target(None, None), ALL_MARKS),
        *((Target(provider, provider), []) for provider in (*STRICT, "deepseek", "fireworks_ai")),
        (Target("claude", "openai"), []),
    ],
    ids=str,
)
def test_cache_marks_are_the_newest_as_many_as_the_provider_takes(target, kept):
    sent = fit(said(MARKED), target)
    assert marks_in(sent) == kept
    if target.provider != "mistral":
        assert [message["role"] for message in sent] == [message["role"] for message in MARKED]
    assert "cache_control" not in json.dumps(sent) or kept


def test_as_many_marks_as_are_taken_stay_where_they_are():
    conversation = [marked("a"), assistant("1"), marked("b"), assistant("2"), marked("c"), marked("d")]
    assert fit(said(conversation), CLAUDE) == conversation


def test_a_message_loses_its_marks_and_nothing_else():
    unmarked = user([{"type": "text", "text": "a"}])
    conversation = [marked("a"), assistant("1"), *map(marked, "bcde")]
    assert fit(said(conversation), CLAUDE) == [unmarked, *conversation[1:]]


def test_marks_on_what_is_not_sent_twice_do_not_count():
    again = calling(call("c1", **MARK))
    conversation = [*said([marked("a"), calling(call("c1"))]), *by_client(1, again, result("c1"), *map(marked, "bcd"))]
    assert marks_in(fit(conversation, CLAUDE)) == ["a", "b", "c", "d"]
