"""A reply is looked at where it leaves: one that was changed is stored anew, one that was refused is taken out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch import outgoing as module
from litellm.responses.litellm_completion_transformation.redis_session_patch.outgoing import Outgoing, watch_stream

REPLY = {"status": "completed", "output": [{"type": "message"}], "model": "m", "metadata": {}}
CHANGED = {**REPLY, "output": []}


@dataclass
class Turn:
    """A stored turn, and what came of it."""

    again: list[dict[str, Any]] = field(default_factory=list)
    times_taken_out: int = 0

    async def store_again(self, reply: dict[str, Any]) -> None:
        self.again.append(reply)

    async def take_out(self) -> None:
        self.times_taken_out += 1


UNTOUCHED, TAKEN_OUT = Turn(), Turn(times_taken_out=1)


@pytest.fixture(autouse=True)
def nothing_seen_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_is_renamed", {False: False, True: False})


def outgoing_with(*response_ids: str) -> tuple[Outgoing, dict[str, Turn]]:
    """And the turns that are stored, by id."""
    outgoing = Outgoing(lambda client_id: client_id.removeprefix("wrapped-"))
    turns = {response_id: Turn() for response_id in response_ids}
    for response_id, turn in turns.items():
        outgoing.keep(response_id, dict(REPLY), turn)
    return outgoing, turns


async def test_a_reply_that_leaves_as_it_was_stored_costs_nothing():
    outgoing, turns = outgoing_with("x")
    await outgoing.look_at({"id": "wrapped-x", **REPLY})
    assert turns == {"x": UNTOUCHED}


async def test_a_reply_that_was_changed_is_stored_again_once():
    outgoing, turns = outgoing_with("x")
    for _ in range(2):
        await outgoing.look_at({"id": "wrapped-x", **CHANGED})
    assert turns == {"x": Turn([CHANGED])}


async def test_of_several_responses_the_one_that_leaves_is_looked_at():
    outgoing, turns = outgoing_with("x", "y")
    await outgoing.look_at({"id": "x", **CHANGED})
    assert turns == {"x": Turn([CHANGED]), "y": UNTOUCHED}


async def test_a_reply_of_which_nothing_is_stored_is_none_of_ours():
    outgoing, turns = outgoing_with("y")
    await outgoing.look_at({"id": "x", **CHANGED})
    await outgoing.look_at({})
    assert turns == {"y": UNTOUCHED} and outgoing.is_waiting()
    outgoing, _ = outgoing_with()
    await outgoing.look_at_reply({"id": "x", **CHANGED})
    await outgoing.look_at_reply("a text")


async def test_a_reply_without_a_form_that_could_be_stored_is_not_stored_as_it_leaves():
    outgoing, turn = Outgoing(lambda client_id: client_id), Turn()
    outgoing.keep("x", None, turn)
    await outgoing.look_at_reply({"id": "x", **CHANGED})
    assert turn == UNTOUCHED


class Model(SimpleNamespace):
    def model_dump(self, mode: str) -> dict[str, Any]:
        return dict(vars(self))


def starlettes(body: dict[str, Any]) -> Any:
    return SimpleNamespace(body=json.dumps(body).encode())


@pytest.mark.parametrize("form", [dict, lambda body: Model(**body), starlettes], ids=["dict", "model", "Starlette"])
async def test_a_plain_reply_is_looked_at_in_whatever_form_it_leaves(form):
    outgoing, turns = outgoing_with("x")
    await outgoing.look_at_reply(form({"id": "wrapped-x", **CHANGED}))
    assert turns == {"x": Turn([CHANGED])}


LEAVES_NOT = [{"error": {"message": "refused"}}, {"id": "another", **REPLY}, "a text", None, SimpleNamespace(body=b"{")]


@pytest.mark.parametrize("reply", LEAVES_NOT, ids=str)
async def test_what_is_stored_is_taken_out_where_another_reply_leaves(reply):
    outgoing, turns = outgoing_with("x", "y")
    await outgoing.look_at_reply(reply)
    assert turns == {"x": TAKEN_OUT, "y": TAKEN_OUT}


async def test_of_several_responses_the_others_stay_where_one_leaves():
    """An MCP round trip makes several, and the client follows the last."""
    outgoing, turns = outgoing_with("x", "y")
    await outgoing.look_at_reply({"id": "y", **REPLY})
    assert turns == {"x": UNTOUCHED, "y": UNTOUCHED}


async def test_an_error_in_the_place_of_a_reply_takes_out_what_is_stored():
    outgoing, turns = outgoing_with("x")
    assert not outgoing.is_over
    await outgoing.end()
    assert turns == {"x": TAKEN_OUT} and outgoing.is_over


async def test_of_several_rounds_those_before_the_one_that_leaves_stay_and_those_after_it_do_not():
    outgoing, turns = outgoing_with("first", "second", "third")
    await outgoing.look_at({"id": "second", **REPLY})
    await outgoing.end()
    assert turns == {"first": UNTOUCHED, "second": UNTOUCHED, "third": TAKEN_OUT}


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


def watched(outgoing: Outgoing, chunks: list[Any], look: Any = None) -> AsyncIterator[Any]:
    """The chunks on their way out. A chunk that is a function is called instead, one that is an error is raised."""

    async def stream() -> AsyncIterator[Any]:
        for chunk in chunks:
            if isinstance(chunk, BaseException):
                raise chunk
            if callable(chunk):
                chunk()
            else:
                yield chunk

    return watch_stream(stream(), look or outgoing.look_at_event, outgoing.is_waiting, outgoing.end)


@pytest.mark.parametrize("kind", ["response.completed", "response.incomplete"])
@pytest.mark.parametrize("encode", [str, str.encode], ids=["text", "bytes"])
async def test_of_a_stream_the_terminal_event_is_looked_at_before_it_leaves(kind, encode):
    changed = {"id": "x", **CHANGED}
    chunks = [encode(event("response.created", changed)), encode(event(kind, changed)), encode("data: [DONE]\n\n")]
    seen = []
    outgoing, turns = outgoing_with("x")
    async for chunk in watched(outgoing, chunks):
        seen.append((chunk, len(turns["x"].again)))
    assert seen == list(zip(chunks, [0, 1, 1], strict=True)) and turns == {"x": Turn([CHANGED])}


async def test_a_text_that_names_a_terminal_event_is_none():
    outgoing, turns = outgoing_with("x")
    delta = {"type": "response.output_text.delta", "delta": '"response.completed"', "response": REPLY}
    await outgoing.look_at_event(f"data: {json.dumps(delta)}\n\n")
    await outgoing.look_at_event('data: not JSON "response.completed"\n\n')
    assert outgoing.is_waiting()
    await outgoing.look_at({"id": "x", **CHANGED})
    assert turns == {"x": Turn([CHANGED])}


async def test_a_reply_that_cannot_be_looked_at_stays_stored():
    """Nobody knows that its client did not get it."""

    def broken(client_id: str) -> str:
        raise ValueError(client_id)

    outgoing, turn = Outgoing(broken), Turn()
    outgoing.keep("x", dict(REPLY), turn)
    with pytest.raises(ValueError):
        await outgoing.look_at_event(event("response.completed", {"id": "x", **REPLY}))
    await outgoing.end()
    assert turn == UNTOUCHED


CREATED, COMPLETED = (event(kind, {"id": "x", **REPLY}) for kind in ("response.created", "response.completed"))
FAILED = event("response.failed", {"id": "x", "status": "failed"})
DONE = "data: [DONE]\n\n"


async def test_nothing_is_looked_at_before_a_reply_is_stored_or_after_it_has_left():
    outgoing, looked, turn = Outgoing(lambda response_id: response_id), [], Turn()

    async def look(chunk):
        looked.append(chunk)
        await outgoing.look_at_event(chunk)

    chunks = [CREATED, lambda: outgoing.keep("x", REPLY, turn), COMPLETED, DONE]
    assert [chunk async for chunk in watched(outgoing, chunks, look)] == [CREATED, COMPLETED, DONE]
    assert looked == [COMPLETED] and turn == UNTOUCHED


@pytest.mark.parametrize("end", [[], [DONE], [FAILED, DONE], ['data: {"error": {"code": 400}}\n\n']], ids=str)
async def test_a_stream_whose_terminal_event_was_refused_takes_out_what_is_stored(end):
    outgoing, turn = Outgoing(lambda response_id: response_id), Turn()
    chunks = [CREATED, lambda: outgoing.keep("x", REPLY, turn), *end]
    assert [chunk async for chunk in watched(outgoing, chunks)] == [CREATED, *end]
    assert turn == TAKEN_OUT


async def test_a_stream_that_ends_with_an_error_takes_out_what_is_stored_and_the_error_goes_on():
    outgoing, turn = Outgoing(lambda response_id: response_id), Turn()
    error = RuntimeError("refused by a guardrail")
    seen = []
    with pytest.raises(RuntimeError) as caught:
        async for chunk in watched(outgoing, [CREATED, lambda: outgoing.keep("x", REPLY, turn), error]):
            seen.append(chunk)
    assert caught.value is error and seen == [CREATED] and turn == TAKEN_OUT


async def test_an_error_after_the_terminal_event_takes_nothing_out():
    outgoing, turns = outgoing_with("x")
    with pytest.raises(RuntimeError):
        async for _ in watched(outgoing, [CREATED, COMPLETED, RuntimeError()]):
            pass
    assert turns == {"x": UNTOUCHED}


@pytest.mark.parametrize("way", ["its generator is closed", "its task is cancelled"])
async def test_what_a_client_that_leaves_could_have_got_stays(way):
    """It may ask for its response: nobody refused that."""
    outgoing, turns = outgoing_with("x")
    chunks = watched(outgoing, [CREATED, asyncio.CancelledError(), COMPLETED])
    assert await anext(chunks) == CREATED
    if way == "its generator is closed":
        await chunks.aclose()
    else:
        with pytest.raises(asyncio.CancelledError):
            await anext(chunks)
    assert turns == {"x": UNTOUCHED}


async def test_a_stream_that_is_left_is_closed():
    ended = []

    async def stream():
        try:
            yield "one"
            yield "two"
        finally:
            ended.append(True)

    outgoing, _ = outgoing_with()
    left = watch_stream(stream(), outgoing.look_at_event, outgoing.is_waiting, outgoing.end)
    assert await anext(left) == "one"
    await left.aclose()
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
