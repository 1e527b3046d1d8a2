"""Truncation leaves out the oldest turns, whole, until a request fits."""

from __future__ import annotations

from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.request import window
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.call import Call
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.exchange import Exchange
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.window import (
    text_tokens,
    truncate,
    turns_in,
    window_of,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import Turn

from .support.messages import assistant, result, system, user
from .support.stores import ALICE


def call_with(messages: list[Any], most: int) -> Call:
    kwargs = {"litellm_metadata": {"model_info": {"max_input_tokens": most}}}
    return Call(Exchange(ALICE), kwargs, {"model": "no-such-model", "messages": messages})


@pytest.fixture
def _each_message_is_a_token(monkeypatch):
    monkeypatch.setattr(window, "tokens_of", lambda model, messages, tools=None: len(messages))


TURN = [user("q"), assistant(None, "c1"), result("c1"), assistant("a")]


def test_turns_begin_with_what_a_user_says_after_an_answer():
    said = [
        system("s"),
        user("a"),
        user("b"),
        assistant("c"),
        system("late"),
        user("d"),
        assistant(None, "c1"),
        result("c1"),
    ]
    leading, turns = turns_in(said)
    assert leading == said[:1] and turns == [said[1:5], said[5:]]
    assert turns_in([assistant("hi"), user("a")]) == ([], [[assistant("hi")], [user("a")]])


@pytest.mark.parametrize(
    ("most", "left"), [(100, 10), (41, 10), (40, 9), (37, 9), (9, 2), (8, 1), (5, 1), (4, 1), (1, 1)]
)
@pytest.mark.usefixtures("_each_message_is_a_token")
def test_whole_turns_go_until_the_rest_fits(most, left):
    call = call_with([system("s"), *(TURN * 10)], most)
    truncate(call)
    assert call.completion["messages"] == [system("s"), *(TURN * left)]


@pytest.mark.usefixtures("_each_message_is_a_token")
def test_what_has_no_turn_stays():
    for messages in ([], [system("s")]):
        call = call_with(messages, 1)
        truncate(call)
        assert call.completion["messages"] == messages


def test_a_model_that_nobody_knows_has_a_usual_window():
    assert window_of("no-such-model") == 128_000
    assert window_of("gemini-2.5-flash", "gemini") > 500_000


def test_texts_are_counted_and_images_by_their_number():
    image = {"type": "input_image", "image_url": "data:image/png;base64," + "A" * 100_000}
    turns = [Turn([{"role": "user", "content": [{"type": "input_text", "text": "word " * 100}]}])]
    alone = text_tokens("no-such-model", turns)
    assert 100 <= alone <= 150
    assert text_tokens("no-such-model", [*turns, Turn([{"role": "user", "content": [image]}])]) in range(
        alone + 1_000, alone + 1_050
    )
