"""A client's WebSocket: what is said and what leaves in its frames, and who keeps the history of the connection."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import litellm
from litellm.responses.litellm_completion_transformation.redis_session_patch.doors import bridge, leaving
from litellm.responses.litellm_completion_transformation.redis_session_patch.doors.websockets import (
    WatchedSocket,
    leave_history_to_redis,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import defects
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.exchange import (
    CONNECTION,
    Exchange,
    Source,
    running_exchange,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import (
    Place,
    new_conversation,
    place_of,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import Owner
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.refusals import refuse

from .support.bridge import (
    ALICE,
    BOB,
    OF_ALICE,
    OF_BOB,
    answered,
    client_id,
    inputs_at,
    miss_at,
    no_redis,
    reply_of,
    stored,
    using,
    wrapped,
)
from .support.lookups import MEMORY
from .support.runtimes import runtime_on


class Socket:
    """Starlette's WebSocket of a client that sends these frames."""

    def __init__(self, *frames: Any):
        self.sent: list[str] = []
        self.path = "/v1/responses"
        self.query_params: dict[str, str] = {}
        self._frames = iter(frames)

    async def receive_text(self) -> str:
        frame = next(self._frames)
        return frame if isinstance(frame, str) else json.dumps(frame)

    async def send_text(self, data: str) -> None:
        self.sent.append(data)


@pytest.fixture(autouse=True)
def is_used(runtime, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(litellm, "turn_off_message_logging", False)
    before = CONNECTION.get()
    with using(runtime):
        yield
    CONNECTION.set(before)


def create(text: Any = "hello", **fields: Any) -> dict[str, Any]:
    return {"type": "response.create", "input": text, **fields}


async def running_turn(frame: Any = None) -> tuple[WatchedSocket, Socket, Exchange]:
    """A socket whose client has sent a frame, and the turn that it began."""
    own = Socket(frame or create())
    socket = WatchedSocket(own, ALICE)
    await socket.receive_text()
    exchange = running_exchange()
    assert exchange is not None
    return socket, own, exchange


@pytest.mark.parametrize("is_nested", [False, True])
async def test_a_frame_is_a_request_of_the_connection_s_caller(is_nested):
    params = {"input": "hello", "instructions": "be kind", "store": False, "previous_response_id": "resp_x"}
    frame = {"type": "response.create", **({"response": params} if is_nested else params)}
    _, _, exchange = await running_turn(frame)
    assert exchange.caller is ALICE and exchange.said.text == '"hello"'
    assert (exchange.instructions, exchange.is_to_be_stored) == ("be kind", False)
    assert (exchange.previous_id, exchange.previous_as_sent) == ("resp_x", "resp_x")


async def test_each_frame_is_a_request_of_its_own():
    socket = WatchedSocket(Socket(create("a"), create("b")), ALICE)
    said = []
    for _ in range(2):
        await socket.receive_text()
        said.append(running_exchange().said.text)
    assert said == ['"a"', '"b"']


FRAMES = [{"type": "response.cancel"}, {}, "{", "7", "[]", "null", '"response.create"', "[" * 100_000]


@pytest.mark.parametrize("frame", FRAMES, ids=range(len(FRAMES)))
async def test_any_other_frame_is_litellm_s_and_begins_nothing(frame):
    socket = WatchedSocket(Socket(create(), frame), ALICE)
    await socket.receive_text()
    text = await socket.receive_text()
    assert text == frame if isinstance(frame, str) else json.loads(text) == frame
    assert running_exchange() is None and defects.counted() == 0


async def test_what_the_socket_can_besides_it_still_can():
    assert WatchedSocket(Socket(), ALICE).path == "/v1/responses"


def terminal(exchange: Exchange, kind: str = "response.completed") -> str:
    return json.dumps({"type": kind, "response": reply_of(exchange)})


@pytest.mark.parametrize("kind", ["response.completed", "response.incomplete"])
async def test_a_turn_is_stored_before_its_terminal_event_is_sent(runtime, kind):
    socket, own, exchange = await running_turn(create("a"))
    answered(exchange)
    found = []

    async def send_text(data: str) -> None:
        found.append(await inputs_at(runtime, client_id(exchange.place)))

    own.send_text = send_text
    await socket.send_text(terminal(exchange, kind))
    assert found == [["a"]]


async def test_other_events_are_sent_as_they_are_and_store_nothing(redis_client):
    socket, own, exchange = await running_turn()
    answered(exchange)
    events = [
        json.dumps({"type": "response.created", "response": reply_of(exchange)}),
        json.dumps({"type": "response.output_text.delta", "delta": '"response.completed"'}),
        json.dumps({"type": "response.failed", "response": reply_of(exchange)}),
        "no JSON",
    ]
    for each in events:
        await socket.send_text(each)
    assert own.sent == events and redis_client.keys("*") == [] and defects.counted() == 0


async def test_between_two_turns_events_are_sent_as_they_are():
    own = Socket()
    await WatchedSocket(own, ALICE).send_text('{"type": "session.created"}')
    assert own.sent == ['{"type": "session.created"}'] and defects.counted() == 0


async def test_a_turn_that_no_bridged_model_answered_is_not_stored(redis_client):
    socket, own, exchange = await running_turn()
    await socket.send_text(terminal(exchange))
    assert len(own.sent) == 1 and redis_client.keys("*") == []


async def test_a_defect_in_storing_sends_the_event_all_the_same(runtime, monkeypatch):
    async def broken(*_: Any) -> None:
        raise ZeroDivisionError

    socket, own, exchange = await running_turn()
    answered(exchange)
    monkeypatch.setattr(leaving, "store_reply", broken)
    await socket.send_text(terminal(exchange))
    assert own.sent == [terminal(exchange)] and defects.counted() == 1
    assert await miss_at(runtime, client_id(exchange.place)) == "unknown"


def refusal(code: str) -> Any:
    with pytest.raises(litellm.BadRequestError) as caught:
        refuse(code, "m", "groq")
    return caught.value


ERROR = json.dumps({"type": "error", "error": {"message": "upstream's words", "code": None}})


@pytest.mark.parametrize(
    "status, code, kind",
    [
        (400, "previous_response_not_found", "invalid_request_error"),
        (503, "previous_response_unavailable", "server_error"),
    ],
)
async def test_a_refusal_is_sent_as_openai_s_error_event(status, code, kind):
    socket, own, exchange = await running_turn()
    exchange.refusal = refusal(code)
    await socket.send_text(ERROR)
    (event,) = map(json.loads, own.sent)
    assert (event["type"], event["status"]) == ("error", status)
    assert (event["error"]["code"], event["error"]["type"]) == (code, kind)
    assert event["error"]["param"] == "previous_response_id" and event["error"]["message"]


async def test_beside_a_refusal_events_of_another_type_are_sent_as_they_are():
    socket, own, exchange = await running_turn()
    exchange.refusal = refusal("previous_response_not_found")
    event = json.dumps({"type": "response.created", "response": reply_of(exchange)})
    await socket.send_text(event)
    assert own.sent == [event] and defects.counted() == 0


@pytest.mark.parametrize("error", [None, ZeroDivisionError(), litellm.BadRequestError("no", "m", "groq")])
async def test_any_other_error_is_sent_as_upstream_says_it(error):
    socket, own, exchange = await running_turn()
    exchange.refusal = error
    await socket.send_text(ERROR)
    assert own.sent == [ERROR] and defects.counted() == 0


async def turn_after(last: str, caller: Owner = ALICE) -> Exchange:
    """A turn over a new connection of the caller's."""
    await WatchedSocket(Socket(create(previous_response_id=last)), caller).receive_text()
    exchange = running_exchange()
    assert exchange is not None
    return exchange


async def test_what_a_frame_follows_is_found_in_redis_before_litellm_has_it(runtime):
    exchange = await turn_after(await stored(runtime, "a"))
    assert exchange.history.source is Source.REDIS and [turn.items for turn in exchange.history.chain.turns] == ["a"]


ANSWERS = {"found": ALICE, "deleted": ALICE, "denied": BOB}


@pytest.mark.parametrize("answer", ANSWERS)
async def test_where_redis_has_an_answer_the_turn_goes_as_over_http(runtime, answer):
    last = await stored(runtime, "a")
    if answer == "deleted":
        await runtime.store.delete(place_of(last), ALICE)
    exchange = await turn_after(last, ANSWERS[answer])
    call: dict[str, Any] = {"input": "now"}
    assert leave_history_to_redis(call, "x", [*MEMORY])
    assert call == {"input": "now", "previous_response_id": "x"} and exchange.looked_up == answer
    assert exchange.history is None or exchange.history.source is Source.REDIS


@pytest.mark.parametrize("answer", ["unknown", "failed", None], ids=["unknown", "failed", "not asked"])
async def test_where_redis_has_no_answer_upstream_s_memory_is_the_history(runtime, answer):
    last = wrapped("chatcmpl-1") if answer is None else client_id(Place(new_conversation(), "1"))
    with using(runtime_on(no_redis()) if answer == "failed" else runtime):
        exchange = await turn_after(last)
        assert upstream_keeps_everything()
    assert exchange.looked_up == answer and exchange.history.source is Source.CONNECTION
    assert [turn.items for turn in exchange.history.chain.turns] == [list(MEMORY)]


@pytest.mark.parametrize("previous, remembered", [(None, MEMORY), ("", MEMORY), ("x", ()), ("x", [])])
async def test_a_first_turn_and_one_that_the_connection_does_not_know_are_left_to_upstream(
    runtime, previous, remembered
):
    exchange = await turn_after(await stored(runtime, "a"))
    call: dict[str, Any] = {"input": "now"}
    assert not leave_history_to_redis(call, previous, remembered)
    assert call == {"input": "now"} and exchange.history.source is Source.REDIS


def upstream_keeps_everything() -> bool:
    call: dict[str, Any] = {}
    return not leave_history_to_redis(call, "x", MEMORY) and call == {}


async def test_without_redis_upstream_keeps_everything(runtime):
    await turn_after(await stored(runtime, "a"))
    with using(None):
        assert upstream_keeps_everything()


def test_of_a_connection_that_came_by_no_route_of_ours_upstream_keeps_everything():
    CONNECTION.set(None)
    assert upstream_keeps_everything() and defects.counted() == 0


async def test_a_call_that_takes_no_id_keeps_its_memory_with_upstream(runtime):
    await turn_after(await stored(runtime, "a"))
    assert not leave_history_to_redis(None, "x", MEMORY)
    assert defects.counted() == 1


async def test_after_a_defect_in_looking_up_upstream_keeps_everything_and_nothing_is_known_of_the_turn(runtime):
    last, runtime.store.read = await stored(runtime, "a"), None
    await WatchedSocket(Socket(create(previous_response_id=last)), ALICE).receive_text()
    assert running_exchange() is None and defects.counted() == 1
    assert upstream_keeps_everything()


async def handled(**kwargs: Any) -> None:
    """A call of the bridge within the running turn."""

    @bridge.remember_request
    async def handler(**kwargs: Any) -> None: ...

    await handler(**kwargs)


NOT_UNDERSTOOD = {"with a parameter of another name": OF_ALICE, "of another caller": OF_BOB}


@pytest.mark.parametrize("which", NOT_UNDERSTOOD)
async def test_after_a_call_that_was_not_understood_a_connection_gives_its_history_itself(runtime, which):
    """What failed may fail again, and then only the connection knows its history."""
    last = await stored(runtime, "a")
    await turn_after(last)
    await handled(request_input_renamed="now", litellm_metadata=NOT_UNDERSTOOD[which])
    assert upstream_keeps_everything()
    assert defects.counted() == (which != "of another caller")
    await turn_after(last)  # over another connection
    assert not upstream_keeps_everything()


async def test_what_a_guardrail_asks_for_in_a_turn_changes_nothing(runtime):
    await turn_after(await stored(runtime, "a"))
    await handled(request_input="judge")
    assert not upstream_keeps_everything()
