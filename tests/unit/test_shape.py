"""Replies have the fields of OpenAI's schema; what LiteLLM gave stays."""

from __future__ import annotations

import json
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.doors.shaping import ShapedEvents
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.exchange import Exchange
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.shape import (
    SAID_AGAIN,
    shaped_item,
    shaped_part,
    shaped_response,
)

from .support.stores import ALICE

BARE = {"id": "resp_1", "created_at": 2, "status": "completed", "model": "m", "output": []}


def test_what_is_missing_is_the_default_or_what_the_request_said():
    said = {"temperature": 0.3, "truncation": "auto", "text": {"verbosity": "low"}, "metadata": {"a": "b"}}
    shaped = shaped_response({**BARE, "temperature": None, "text": {}, "metadata": {}, "top_p": 0.5}, said)
    assert (shaped["temperature"], shaped["truncation"], shaped["metadata"]) == (0.3, "auto", {"a": "b"})
    assert shaped["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert (shaped["top_p"], shaped["presence_penalty"], shaped["top_logprobs"]) == (0.5, 0.0, 0)
    assert shaped["completed_at"] >= 2 and shaped["store"] is True and shaped["background"] is False
    assert SAID_AGAIN.keys() <= shaped.keys()


@pytest.mark.parametrize(("asked", "tier"), [("auto", "default"), ("flex", "flex"), (None, "default")])
def test_a_tier_is_one_that_was_used(asked, tier):
    assert shaped_response(BARE, {"service_tier": asked})["service_tier"] == tier


@pytest.mark.parametrize("status", ["in_progress", "failed", "incomplete"])
def test_what_is_not_completed_has_no_time_of_that(status):
    assert shaped_response({**BARE, "status": status}, {})["completed_at"] is None


def test_what_is_not_to_be_stored_says_so():
    assert shaped_response({**BARE, "store": True}, {"store": False})["store"] is False


def test_secrets_of_tools_are_not_said_again():
    server = {"type": "mcp", "server_label": "a", "server_url": "https://example.com"}
    said = {"tools": [{**server, "authorization": "SECRET", "headers": {"X-Key": "SECRET"}}]}
    assert shaped_response(BARE, said)["tools"] == [server]


def test_usage_has_its_parts_and_keeps_its_own():
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3, "cost": 0.1, "output_tokens_details": None}
    usage["input_tokens_details"] = {"cached_tokens": 1, "audio_tokens": None}
    shaped = shaped_response({**BARE, "usage": usage}, {})["usage"]
    assert shaped == {
        **usage,
        "input_tokens_details": {"cached_tokens": 1},
        "output_tokens_details": {"reasoning_tokens": 0},
    }


def test_items_have_their_fields_and_no_nulls():
    part = {"type": "output_text", "text": "hi", "annotations": None}
    message = shaped_item({"type": "message", "id": "m", "content": [part], "phase": None})
    assert message == {
        "type": "message", "id": "m", "status": "completed", "role": "assistant",
        "content": [{"type": "output_text", "text": "hi", "annotations": [], "logprobs": []}],
    }  # fmt: skip
    thought = shaped_item({"type": "reasoning", "id": "r", "content": [{"type": "output_text", "text": "Hm."}]})
    assert thought["summary"] == [{"type": "summary_text", "text": "Hm."}]
    assert shaped_item({"type": "web_search_call", "action": None}) == {"type": "web_search_call", "action": None}


def test_a_part_has_its_text_by_its_name():
    assert shaped_part({"type": "output_text", "text": None})["text"] == ""
    assert shaped_part({"type": "reasoning_text", "reasoning": "Hm."})["text"] == "Hm."


def test_a_number_that_is_not_its_place_is_made_it():
    stream = ShapedEvents(Exchange(ALICE))
    kinds = ("response.output_item.done", "response.mcp_call_arguments.delta", "response.output_text.delta")
    events = [{"type": kind, "sequence_number": 1, "logprobs": []} for kind in ("response.in_progress", *kinds)]
    chunks = [stream.chunk(f"data: {json.dumps(event)}\n\n") for event in events]
    assert [json.loads(chunk[5:])["sequence_number"] for chunk in chunks] == [0, 1, 2, 3]


DELTA = {"type": "response.output_text.delta", "item_id": "m", "delta": '{"logprobs":'}


@pytest.mark.parametrize("space", ["", " "])
@pytest.mark.parametrize("as_bytes", [False, True])
def test_pieces_of_a_text_are_not_read(space, as_bytes):
    stream = ShapedEvents(Exchange(ALICE))
    for number in range(3):
        text = f"data: {json.dumps(DELTA, separators=(',', f':{space}'))}\n\n"
        chunk: Any = stream.chunk(text.encode() if as_bytes else text)
        assert isinstance(chunk, bytes) == as_bytes
        text = chunk.decode() if as_bytes else chunk
        assert text.endswith("\n\n")
        assert json.loads(text[5:]) == {**DELTA, "logprobs": [], "sequence_number": number}


def test_what_is_whole_stays_as_it_is():
    stream = ShapedEvents(Exchange(ALICE))
    for text in (
        'data: {"type":"response.output_text.delta","logprobs":[],"sequence_number":0,"delta":"a"}\n\n',
        'data: {"type":"response.function_call_arguments.delta","delta":"{","sequence_number":1}\n\n',
        "data: [DONE]\n\n",
        ": keep-alive\n\n",
    ):
        assert stream.chunk(text) is text


def test_events_of_one_chunk_are_shaped_each():
    added = {"type": "response.content_part.added", "part": {"type": "output_text", "text": ""}}
    chunk = "".join(f"data: {json.dumps(event)}\n\n" for event in (added, DELTA))
    first, second = (json.loads(line[5:]) for line in ShapedEvents(Exchange(ALICE)).chunk(chunk).split("\n\n")[:2])
    assert first["part"]["logprobs"] == [] and first["sequence_number"] == 0
    assert second["logprobs"] == [] and second["sequence_number"] == 1
