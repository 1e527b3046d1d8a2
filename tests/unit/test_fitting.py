"""A whole conversation as a provider takes it: calls and results in pairs, ids and cache marks as it wants them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.request.fitting import (
    NO_RESULT,
    ORPHAN,
    fit,
)

from .support.messages import (
    ALL_TARGETS,
    CLAUDE,
    DEEPSEEK,
    GEMINI,
    GROQ,
    MISTRAL,
    OPENAI,
    assistant,
    by_client,
    call,
    calling,
    fitted,
    ids_of,
    result,
    said,
    system,
    user,
)

every_target = pytest.mark.parametrize("target", ALL_TARGETS, ids=lambda target: target.maker)


MARK = {"cache_control": {"type": "ephemeral"}}


def marked(text: str) -> dict[str, Any]:
    return user([{"type": "text", "text": text, **MARK}])


def orphan(call_id: str, text: str = "done") -> dict[str, Any]:
    return user(ORPHAN.format(call_id) + text)


@every_target
def test_a_conversation_that_is_in_order_is_sent_as_it_is(target):
    conversation = [
        system("be kind"),
        user("look"),
        assistant("One moment.", "abc123XYZ", "abc123XYz"),
        result("abc123XYZ"),
        result("abc123XYz", "42"),
        assistant("42."),
        user([{"type": "text", "text": "and?"}]),
    ]
    assert fit(said(conversation), target) == conversation


def test_nothing_is_nothing():
    assert fit([], GROQ) == []


# What was said, a turn each, and what is sent of it to a provider without wishes of its own.
PAIRS = {
    "results in another order": (
        [[user("look"), assistant(None, "c1", "c2")], [result("c2", "2"), result("c1", "1")]],
        [user("look"), assistant(None, "c1", "c2"), result("c1", "1"), result("c2", "2")],
    ),
    "a late result": (
        [[assistant(None, "c1")], [user("wait"), assistant("I wait.")], [result("c1"), user("now")]],
        [assistant(None, "c1"), result("c1"), user("wait"), assistant("I wait."), user("now")],
    ),
    "a result behind the text of its turn": (
        [[assistant(None, "c1")], [user("here"), result("c1")]],
        [assistant(None, "c1"), result("c1"), user("here")],
    ),
    "a result twice": (
        [
            [assistant(None, "c1")],
            [result("c1", "first"), result("c1", "second")],
            [result("c1", "third"), user("now")],
        ],
        [assistant(None, "c1"), result("c1", "first"), user("now")],
    ),
    "a result of several": (
        [[assistant(None, "c1", "c2")], [result("c2"), user("now")]],
        [assistant(None, "c1", "c2"), result("c1", NO_RESULT), result("c2"), user("now")],
    ),
    "no result": (
        [[assistant("One moment.", "c1")], [user("never mind")]],
        [assistant("One moment.", "c1"), result("c1", NO_RESULT), user("never mind")],
    ),
    "no result yet": (
        [[user("look"), assistant(None, "c1")]],
        [user("look"), assistant(None, "c1"), result("c1", NO_RESULT)],
    ),
    "a result of an unknown call": (
        [[user("look"), assistant("I see.")], [result("c9", "42"), user("now")]],
        [user("look"), assistant("I see."), orphan("c9", "42"), user("now")],
    ),
    "an unknown one among the known": (
        [[assistant(None, "c1", "c2")], [result("c1"), result("c9", "42"), result("c2")]],
        [assistant(None, "c1", "c2"), result("c1"), result("c2"), orphan("c9", "42")],
    ),
    "a result before its call": (
        [[result("c1", "42"), user("look"), assistant(None, "c1")], [user("now")]],
        [orphan("c1", "42"), user("look"), assistant(None, "c1"), result("c1", NO_RESULT), user("now")],
    ),
    "an id twice in an answer": (
        [[calling(call("c1", "{}"), call("c1", '{"x": 2}'))], [result("c1", "1"), result("c1", "2")]],
        [assistant(None, "c1"), result("c1", "1")],
    ),
    "a result without an id": (
        [[user("look"), {"role": "tool", "content": "42"}]],
        [user("look"), orphan("", "42")],
    ),
    "an unknown result in parts": (
        [[result("c9", [{"type": "text", "text": "4"}, {"type": "text", "text": "2"}])]],
        [orphan("c9", "42")],
    ),
    "an unknown result with a picture": (
        [[result("c9", [{"type": "text", "text": "4"}, {"type": "image_url"}])]],
        [user([{"type": "text", "text": ORPHAN.format("c9")}, {"type": "text", "text": "4"}, {"type": "image_url"}])],
    ),
    "a result in parts": (
        [[assistant(None, "c1")], [result("c1", [{"type": "text", "text": "42"}])]],
        [assistant(None, "c1"), result("c1", [{"type": "text", "text": "42"}])],
    ),
    "a result with a name": (
        [[assistant(None, "c1")], [{**result("c1"), "name": "f"}]],
        [assistant(None, "c1"), {**result("c1"), "name": "f"}],
    ),
    "an answer that says nothing": (
        [[user("a"), assistant("")], [user("b"), assistant(None, reasoning_content="hm")], [user("c")]],
        [user("a"), user("b"), user("c")],
    ),
}


@pytest.mark.parametrize("case", PAIRS)
def test_each_call_has_its_result_right_behind_it_once(case):
    turns, sent = PAIRS[case]
    assert fit(said(*turns), GROQ) == sent


def test_an_answer_that_says_nothing_is_not_sent_where_the_client_says_it_either():
    assert fit(by_client(0, user("a"), assistant(" "), assistant(None), user("b")), GROQ) == [user("a"), user("b")]


def test_a_call_without_an_id_gets_one_and_a_result():
    sent = fit(said([user("look"), calling(call(""), call(""))], [user("now")]), GROQ)
    first, second = (each["id"] for each in sent[1]["tool_calls"])
    assert first and second and first != second
    assert sent[2:] == [result(first, NO_RESULT), result(second, NO_RESULT), user("now")]


@pytest.mark.parametrize("call_id", ["", None])
def test_the_result_of_a_call_without_an_id_is_its_result(call_id):
    sent = fit(said([user("look"), calling(call(""))], [{**result("", "42"), "tool_call_id": call_id}]), GROQ)
    assert sent[2] == result(sent[1]["tool_calls"][0]["id"], "42")


def test_the_id_that_a_call_gets_stays_while_the_conversation_goes_on():
    turns = [user("look"), calling(call(""))], [user("now"), calling(call(""))], [user("then")]
    shorter, longer = fit(said(*turns[:1]), GROQ), fit(said(*turns), GROQ)
    assert longer[: len(shorter)] == shorter and len(set(ids_of(longer))) == 2


ASKED = [user("look"), calling(call("c1", '{"x": 1}'))]
AGAIN = calling(call("c1", '{"x": 1}'))
OTHER = calling(call("c1", '{"x": 2}'))


def test_a_call_that_the_client_says_again_with_its_result_stands_once():
    """LiteLLM puts calls from its memory before their results; some clients say them again themselves."""
    conversation = [*said(ASKED), *by_client(1, AGAIN, result("c1"), user("now"))]
    assert fit(conversation, GROQ) == [*ASKED, result("c1"), user("now")]


def test_an_unanswered_call_that_the_client_says_again_with_other_arguments_is_as_the_model_said_it():
    conversation = [*said(ASKED), *by_client(1, OTHER, result("c1"))]
    assert fit(conversation, GROQ) == [*ASKED, result("c1")]


def test_an_answered_call_that_the_client_says_again_stands_once_with_its_first_result():
    before = said(ASKED, [result("c1", "42"), assistant("42.")])
    conversation = [*before, *by_client(2, AGAIN, result("c1", "43"), user("now"))]
    assert fit(conversation, GROQ) == [*ASKED, result("c1", "42"), assistant("42."), user("now")]


def test_a_signed_call_that_the_client_says_again_without_its_signature_stands_once():
    signed = call("c1", '{"x": 1}')
    signed["function"] = {**signed["function"], "provider_specific_fields": {"thought_signature": "s"}}
    before = [user("look"), calling(signed), result("c1", "42"), assistant("42.")]
    conversation = [*said(before), *by_client(2, AGAIN, result("c1", "42"), user("now"))]
    assert fit(conversation, GEMINI) == [*before, user("now")]


def test_what_the_client_says_beside_a_call_that_it_says_again_stays():
    before = said(ASKED, [result("c1"), assistant("42.")])
    both = {**assistant("I looked.", "c2"), "tool_calls": [*AGAIN["tool_calls"], call("c2")]}
    sent = fit([*before, *by_client(2, both, result("c1"), result("c2"))], GROQ)
    assert sent == [*ASKED, result("c1"), assistant("42."), assistant("I looked.", "c2"), result("c2")]
    sent = fit([*before, *by_client(2, {**AGAIN, "content": "I looked."}, result("c1"), user("now"))], GROQ)
    assert sent == [*ASKED, result("c1"), assistant("42."), assistant("I looked."), user("now")]


def test_an_answered_id_with_other_arguments_is_a_new_call_of_the_client_s():
    before = said(ASKED, [result("c1", "42"), assistant("42.")])
    conversation = [*before, *by_client(2, OTHER, result("c1", "43"))]
    assert fit(conversation, GROQ) == [*ASKED, result("c1", "42"), assistant("42."), OTHER, result("c1", "43")]


@pytest.mark.parametrize("again", [AGAIN, OTHER], ids=["same arguments", "other arguments"])
def test_a_model_s_own_call_is_a_new_one_where_the_one_before_it_has_no_result(again):
    sent = fit(said(ASKED, [user("never mind"), again], [result("c1", "43")]), GROQ)
    assert sent == [*ASKED, result("c1", NO_RESULT), user("never mind"), again, result("c1", "43")]


@pytest.mark.parametrize("again", [AGAIN, OTHER], ids=["same arguments", "other arguments"])
def test_a_model_that_numbers_its_calls_anew_in_every_answer_has_called_twice(again):
    conversation = said(ASKED, [result("c1", "42"), again], [result("c1", "43")])
    assert fit(conversation, GROQ) == [*ASKED, result("c1", "42"), again, result("c1", "43")]


def test_a_conversation_that_the_client_says_in_one_input_may_number_its_calls_anew():
    whole = [*ASKED, result("c1", "42"), AGAIN, result("c1", "43"), user("now")]
    assert fit(by_client(0, *whole), GROQ) == whole


def test_a_call_with_the_id_of_another_turn_is_answered_by_the_result_that_follows_it():
    sent = fit(said(ASKED, [result("c1", "42"), OTHER], [user("never mind")]), GROQ)
    assert sent == [*ASKED, result("c1", "42"), OTHER, result("c1", NO_RESULT), user("never mind")]


HOSTED = calling(
    call("srvtoolu_1", name="web_search"),
    call("abc123XYZ"),
    content="I looked.",
    provider_specific_fields={"web_search_results": [{"tool_use_id": "srvtoolu_1", "content": []}]},
)


def test_a_call_that_claude_ran_itself_has_its_result_with_it_and_no_message_of_its_own():
    conversation = [user("a"), HOSTED, result("abc123XYZ")]
    assert fitted(said(conversation), CLAUDE) == conversation


@pytest.mark.parametrize("target", [GEMINI, MISTRAL, DEEPSEEK, OPENAI, GROQ], ids=lambda target: target.maker)
def test_a_call_that_claude_ran_itself_goes_nowhere_else(target):
    sent = [user("a"), assistant("I looked.", "abc123XYZ"), result("abc123XYZ")]
    assert fitted(said([user("a"), HOSTED], [result("abc123XYZ")]), target, "claude") == sent
    assert fit(by_client(0, user("a"), HOSTED, result("abc123XYZ")), target) == sent


@every_target
def test_what_was_said_stays_as_it_was(target):
    signed = call("c1__thought__s", "", **MARK, provider_specific_fields={"thought_signature": "s"})
    conversation = said([*map(marked, "abcde"), HOSTED], [result("abc123XYZ", "42"), calling(signed), marked("now")])
    before = copy.deepcopy(conversation)
    fit(conversation, target)
    assert conversation == before


def waiting(*answered: str) -> dict[str, Any]:
    """An answer of Claude's with two calls of its own tools, of which those ``answered`` have their results."""
    calls = [call(f"srvtoolu_{number}", name="web_search") for number in (1, 2)]
    results = [{"type": "web_search_tool_result", "tool_use_id": each} for each in answered]
    fields = {"server_tool_calls": calls, **({"web_search_results": results} if results else {})}
    return assistant("Let me see.", "c1", provider_specific_fields=fields)


def open_calls(message: dict[str, Any]) -> list[str]:
    return [each["id"] for each in message.get("provider_specific_fields", {}).get("server_tool_calls", ())]


def test_a_call_of_claude_s_own_waits_in_the_last_answer_alone():
    asking = said([user("look"), waiting("srvtoolu_1")], [result("c1")])
    (_, answer, _) = fit(asking, CLAUDE)
    assert open_calls(answer) == ["srvtoolu_1", "srvtoolu_2"]
    (_, answer, *_) = fit([*asking, (assistant("Done."), None), (user("and?"), 1)], CLAUDE)
    assert open_calls(answer) == ["srvtoolu_1"]
    (_, answer, *_) = fit([*said([user("look"), waiting()], [result("c1"), assistant("Done.")])], CLAUDE)
    assert open_calls(answer) == []


def test_what_a_client_says_to_a_call_of_claude_s_own_is_a_user_s():
    hosted = assistant("a", "srvtoolu_1", provider_specific_fields={"tool_results": [{"tool_use_id": "srvtoolu_1"}]})
    sent = fit(said([user("look"), hosted], [result("srvtoolu_1", "No such tool.")]), CLAUDE)
    assert sent[-1] == user(ORPHAN.format("srvtoolu_1") + "No such tool.")
