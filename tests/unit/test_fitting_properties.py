"""Whatever was said, what is sent is in pairs; and it begins with what was sent before."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from litellm.responses.litellm_completion_transformation.redis_session_patch.request.fitting import (
    NO_RESULT,
    Said,
    fit,
)

from .support.messages import ALL_TARGETS, Message, assistant, call, calling, fitted, result, user

# Some models number their calls anew in every answer; some providers refuse or shorten what others give.
IDS = ["c1", "c1_2", "abc123XYZ", "functions.f:0", "toolu_" + "x" * 40, "c3__thought__AAA", ""]
ARGUMENTS = ['{"x": 1}', '{"x": 2}', "", '{"x"', "[1]", None]

targets = st.sampled_from(ALL_TARGETS)
texts = st.sampled_from(["a", "b", "", " "])
calls = st.builds(call, st.sampled_from(IDS), st.sampled_from(ARGUMENTS), st.sampled_from("fg"))
calls_of_an_answer = st.lists(calls, max_size=3)


@st.composite
def answers(draw: st.DrawFn) -> Message:
    answer = assistant(draw(st.none() | texts), **draw(st.sampled_from([{}, {"reasoning_content": "hm"}])))
    return {**answer, "tool_calls": made} if (made := draw(calls_of_an_answer)) else answer


@st.composite
def conversations(draw: st.DrawFn) -> list[Said]:
    """Results in any order, missing, twice, of unknown calls; calls that a client says again."""
    conversation: list[Said] = []
    for number in range(draw(st.integers(1, 5))):
        said_by_client = st.one_of(
            st.builds(user, texts),
            st.builds(result, st.sampled_from([*IDS, "unknown"]), texts),
            st.builds(lambda made: calling(*made), calls_of_an_answer),
        )
        conversation += [(message, number) for message in draw(st.lists(said_by_client, max_size=5))]
        conversation += [(message, None) for message in draw(st.lists(answers(), max_size=2))]
    return conversation


@given(conversations(), targets)
def test_each_call_has_one_result_right_behind_it_and_each_result_one_call(conversation, target):
    awaited: list[str] = []
    for message in fitted(conversation, target):
        if message["role"] == "tool":
            assert message["tool_call_id"] == awaited.pop(0)
            continue
        assert awaited == []
        awaited = [each["id"] for each in message.get("tool_calls") or ()]
        assert len(set(awaited)) == len(awaited) and all(awaited)
    assert awaited == []


@given(conversations(), targets)
def test_no_answer_is_empty(conversation, target):
    for message in fitted(conversation, target):
        if message["role"] == "assistant":
            assert (message["content"] or "").strip() or message.get("tool_calls")


@given(conversations(), targets)
def test_what_is_fit_stays_as_it_is(conversation, target):
    sent = fitted(conversation, target)
    assert fit([(message, None) for message in sent], target) == sent


@given(conversations(), targets)
def test_what_the_user_says_is_sent_in_its_order(conversation, target):
    sent = [message["content"] for message in fitted(conversation, target) if message["role"] == "user"]
    asked = [message["content"] for message, _ in conversation if message["role"] == "user"]
    assert [text for text in sent if text in asked] == asked


Turns = list[tuple[list[Message], list[Message]]]


@st.composite
def turns_with_results(draw: st.DrawFn) -> Turns:
    """Each turn's input and answer; the input begins with a result of each call of the turn before it."""
    turns: Turns = []
    for _ in range(draw(st.integers(1, 6))):
        last = turns[-1][1] if turns else []
        open_calls = [each["id"] for message in last for each in message.get("tool_calls") or ()]
        results: list[Message] = [result(each, draw(texts)) for each in draw(st.permutations(open_calls))]
        said_next = draw(st.lists(st.builds(user, texts), min_size=not results, max_size=2))
        turns.append(([*results, *said_next], [draw(answers())]))
    return turns


def request_of(turns: Turns) -> list[Said]:
    """What the last turn's request says: what was said before, and its own input."""
    before: list[Said] = [
        each
        for number, (said, answer) in enumerate(turns[:-1])
        for each in [*((message, number) for message in said), *((message, None) for message in answer)]
    ]
    return [*before, *((message, len(turns) - 1) for message in turns[-1][0])]


@given(turns_with_results(), targets)
def test_what_is_sent_begins_with_what_was_sent_before(turns: Any, target):
    sent: list[Message] = []
    for count in range(1, len(turns) + 1):
        before, sent = sent, fitted(request_of(turns[:count]), target)
        assert sent[: len(before)] == before


@given(turns_with_results(), targets)
def test_every_call_is_sent_with_what_the_client_said_to_it(turns: Any, target):
    """The second call of one id in an answer is left out: no result could be told for it. Without an id it has none."""
    expected: list[tuple[str, str]] = []
    for (_, answer), (said_next, _) in pairwise(turns):
        results: dict[str, str] = {}
        for message in said_next:
            if message["role"] == "tool":
                results.setdefault(message["tool_call_id"], message["content"])
        for each in [each for message in answer for each in message.get("tool_calls") or ()]:
            if not each["id"] or each["id"] in results:
                expected.append((each["function"]["name"], results.pop(each["id"], NO_RESULT)))
    sent = fitted(request_of(turns), target)
    names = [each["function"]["name"] for message in sent for each in message.get("tool_calls") or ()]
    assert list(zip(names, [each["content"] for each in sent if each["role"] == "tool"], strict=True)) == expected
