"""A reply is looked at where it leaves: stored anew where it is another one by then, and left alone where it is not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch import outgoing as module
from litellm.responses.litellm_completion_transformation.redis_session_patch.outgoing import Outgoing, watch_stream

REPLY = {"status": "completed", "output": [{"type": "message"}], "model": "m", "metadata": {}}
CHANGED = {**REPLY, "output": []}


class StoredAgain(dict[str, list[dict[str, Any]]]):
    """Replies by the id under which they were stored again."""

    def under(self, response_id: str) -> Any:
        async def store_again(reply: dict[str, Any]) -> None:
            self.setdefault(response_id, []).append(reply)

        return store_again


@pytest.fixture(autouse=True)
def nothing_seen_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_is_renamed", {False: False, True: False})


def outgoing_with(*response_ids: str) -> tuple[Outgoing, StoredAgain]:
    outgoing, again = Outgoing(lambda client_id: client_id.removeprefix("wrapped-")), StoredAgain()
    for response_id in response_ids:
        outgoing.keep(response_id, dict(REPLY), again.under(response_id))
    return outgoing, again


async def test_a_reply_that_leaves_as_it_was_stored_costs_nothing():
    outgoing, again = outgoing_with("x")
    await outgoing.look_at({"id": "wrapped-x", **REPLY})
    assert again == {}


async def test_a_reply_that_was_changed_is_stored_again_once():
    outgoing, again = outgoing_with("x")
    for _ in range(2):
        await outgoing.look_at({"id": "wrapped-x", **CHANGED})
    assert again == {"x": [CHANGED]}


async def test_of_several_responses_the_one_that_leaves_is_looked_at():
    outgoing, again = outgoing_with("x", "y")
    await outgoing.look_at({"id": "x", **CHANGED})
    assert again == {"x": [CHANGED]}


async def test_a_reply_of_which_nothing_is_stored_is_none_of_ours():
    outgoing, again = outgoing_with("y")
    await outgoing.look_at({"id": "x", **CHANGED})
    await outgoing.look_at_reply("a text")
    await outgoing.look_at({})
    assert again == {}


@pytest.mark.parametrize("is_stream", [False, True])
async def test_the_name_that_the_proxy_gives_the_model_is_expected_from_then_on(is_stream):
    outgoing, _ = outgoing_with("x")
    assert outgoing.expected(REPLY, "alias", is_stream) == REPLY
    await outgoing.look_at({"id": "x", **REPLY, "model": "alias"})
    assert outgoing.expected(REPLY, "alias", is_stream)["model"] == "alias"
    assert outgoing.expected(REPLY, "alias", not is_stream)["model"] == "m"
    assert outgoing.expected(REPLY, None, is_stream)["model"] == "m"


def event(kind: str, response: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, 'response': response})}\n\n"


@pytest.mark.parametrize("kind", ["response.completed", "response.incomplete"])
@pytest.mark.parametrize("encode", [str, str.encode], ids=["text", "bytes"])
async def test_of_a_stream_the_terminal_event_is_looked_at_before_it_leaves(kind, encode):
    changed = {"id": "x", **CHANGED}
    chunks = [encode(event("response.created", changed)), encode(event(kind, changed)), encode("data: [DONE]\n\n")]
    seen = []
    outgoing, again = outgoing_with("x")

    async def stream():
        for chunk in chunks:
            yield chunk

    async for chunk in watch_stream(stream(), outgoing.look_at_event, outgoing.is_waiting):
        seen.append((chunk, len(again)))
    assert seen == list(zip(chunks, [0, 1, 1], strict=True))


async def test_a_text_that_names_a_terminal_event_is_none():
    outgoing, again = outgoing_with("x")
    delta = {"type": "response.output_text.delta", "delta": '"response.completed"', "response": REPLY}
    await outgoing.look_at_event(f"data: {json.dumps(delta)}\n\n")
    await outgoing.look_at_event('data: not JSON "response.completed"\n\n')
    await outgoing.look_at({"id": "x", **CHANGED})
    assert again == {"x": [CHANGED]}


async def test_nothing_is_looked_at_before_a_reply_is_stored_or_after_it_has_left():
    outgoing, looked = Outgoing(lambda response_id: response_id), []

    async def store_again(reply):
        raise AssertionError("The reply is what was stored.")

    async def stream():
        yield event("response.created", {"id": "x", **REPLY})
        outgoing.keep("x", REPLY, store_again)
        yield event("response.completed", {"id": "x", **REPLY})
        yield "data: [DONE]\n\n"

    async def look(chunk):
        looked.append(chunk)
        await outgoing.look_at_event(chunk)

    chunks = [chunk async for chunk in watch_stream(stream(), look, outgoing.is_waiting)]
    assert len(chunks) == 3 and looked == chunks[1:2]


async def test_a_stream_that_is_left_is_closed():
    ended = []

    async def stream():
        try:
            yield "one"
            yield "two"
        finally:
            ended.append(True)

    async def look(chunk):
        pass

    watched = watch_stream(stream(), look)
    assert await anext(watched) == "one"
    await watched.aclose()
    assert ended == [True]


@pytest.mark.parametrize(
    "body, followed",
    [
        (b'{"previous_response_id": "wrapped-x"}', "wrapped-x"),
        (b'{"metadata":{"previous_response_id":"y"},"previous_response_id":"wrapped-x"}', "wrapped-x"),
        (b'{"input": "\\"previous_response_id\\": \\"wrapped-x\\""}', "x"),  # said, not followed
        (b'{"previous_response_id": "x"}', "x"),
        (b'{"previous_response_id": "wrapped-y"}', "x"),
        (b'{"previous_response_id": "\xc3\xa9"}', "x"),
        (b"", "x"),
    ],
)
def test_the_response_that_is_followed_is_named_as_the_client_named_it(body: bytes, followed: str) -> None:
    assert Outgoing(lambda client_id: client_id.removeprefix("wrapped-"), body).as_sent("x") == followed
