"""The outer door of HTTP: what is stored as said is what came in where LiteLLM routes it."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from litellm.proxy._types import UserAPIKeyAuth
from starlette.requests import ClientDisconnect

from litellm.responses.litellm_completion_transformation.redis_session_patch.doors import routes
from litellm.responses.litellm_completion_transformation.redis_session_patch.doors.bridge import (
    keep_answer,
    remember_request,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.doors.routes import take_client_request
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import defects
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.exchange import (
    Exchange,
    running_exchange,
)

from .support.bridge import ALICE, OF_ALICE, completion_of, entered, inputs_at, message_item, stored, using, wrapped
from .support.runtimes import counted, pretend_a_proxy_runs

pytestmark = pytest.mark.usefixtures("used_runtime")


@take_client_request
async def route_request(data: dict[str, Any], *args: Any, **options: Any) -> Any:
    return data, args, options


async def routed(exchange: Exchange | None, *args: Any, **options: Any) -> Any:
    with entered(exchange):
        return await route_request(*args, **options)


@pytest.mark.parametrize("way", ["by position", "by keyword"])
async def test_what_litellm_routes_is_what_the_client_said(way):
    exchange, data = Exchange(ALICE), {"input": "hello", "instructions": "be kind", "store": False}
    if way == "by position":
        assert await routed(exchange, data, 1, route_type="aresponses") == (data, (1,), {"route_type": "aresponses"})
    else:
        await routed(exchange, data=data, llm_router=1, route_type="aresponses")
    assert (exchange.said.text, exchange.instructions, exchange.is_to_be_stored) == ('"hello"', "be kind", False)


async def test_what_the_request_follows_is_found_in_redis_before_litellm_has_it(runtime):
    exchange = Exchange(ALICE)
    with entered(exchange):
        await route_request({"input": "b", "previous_response_id": await stored(runtime, "a")}, route_type="aresponses")
    assert [turn.items for turn in exchange.history.chain.turns] == ["a"] and counted(runtime) == {}


@pytest.mark.parametrize("previous", [None, wrapped("chatcmpl-1")])
async def test_redis_is_not_asked_for_an_id_without_a_place_until_upstream_looks_it_up(runtime, previous):
    runtime.store.read = None
    exchange = Exchange(ALICE)
    await routed(exchange, {"input": "b", "previous_response_id": previous}, route_type="aresponses")
    assert (exchange.looked_up, exchange.history) == (None, None) and defects.counted() == 0


async def test_what_is_routed_once_more_is_no_word_of_the_client_s():
    exchange = Exchange(ALICE)
    for text in ("hello", "of a guardrail"):
        await routed(exchange, {"input": text}, route_type="aresponses")
    assert exchange.said.text == '"hello"'


@pytest.mark.parametrize("route_type", ["acompletion", "aget_responses", None])
async def test_another_kind_of_request_is_none_of_ours(route_type):
    exchange = Exchange(ALICE)
    await routed(exchange, {"input": "hello"}, **({"route_type": route_type} if route_type else {}))
    assert exchange.said is None


async def test_without_a_caller_litellm_routes_alone():
    assert (await routed(None, {"input": "a"}, route_type="aresponses"))[0] == {"input": "a"}
    assert defects.counted() == 0


async def test_what_cannot_be_taken_is_routed_all_the_same():
    @take_client_request
    async def of_tomorrow(request: Any, **options: Any) -> Any:
        return request

    with entered(Exchange(ALICE)):
        assert await of_tomorrow(request=7, route_type="aresponses") == 7
        assert await of_tomorrow(7, route_type="aresponses") == 7
    assert defects.counted() == 2


async def test_after_a_defect_in_looking_up_a_request_is_routed_all_the_same(runtime):
    data, exchange = {"input": "b", "previous_response_id": await stored(runtime, "a")}, Exchange(ALICE)
    runtime.store.read = None
    assert (await routed(exchange, data, route_type="aresponses"))[0] is data
    assert (exchange.looked_up, exchange.history) == (None, None) and defects.counted() == 1


async def test_an_error_of_the_routing_is_litellm_s():
    @take_client_request
    async def broken(data: Any, **options: Any) -> Any:
        raise ZeroDivisionError

    with entered(Exchange(ALICE)), pytest.raises(ZeroDivisionError):
        await broken({"input": "a"}, route_type="aresponses")
    assert defects.counted() == 0


class Reply(SimpleNamespace):
    def model_dump(self, mode: str) -> dict[str, Any]:
        return dict(vars(self))


@pytest.fixture
def authenticated(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_a_proxy_runs(monkeypatch, master_key="sk-master", user_custom_auth=None, general_settings={})


def given_of(body: bytes, **key: str) -> dict[str, Any]:
    """What FastAPI gives to LiteLLM's endpoint."""

    async def read() -> bytes:
        return body

    return {
        "request": SimpleNamespace(body=read, headers={}),
        "user_api_key_dict": UserAPIKeyAuth(**{"user_id": "alice", "team_id": "red", "api_key": "k1", **key}),
        "fastapi_response": SimpleNamespace(headers={}),
    }


@pytest.mark.usefixtures("authenticated")
async def test_from_the_route_to_the_client_what_was_said_is_stored_and_not_what_became_of_it(runtime):
    """A guardrail before the routing masks; a prompt template after it adds; a guardrail after the model masks."""

    @remember_request
    async def bridge(**kwargs: Any) -> Reply:
        reply = Reply(id="chatcmpl-1", output=[])
        keep_answer(reply, completion_of("My number is 123."))
        return reply

    @routes._of_new
    async def endpoint(**given: Any) -> Reply:
        data = {**json.loads(await given["request"].body()), "input": "call ***"}
        await route_request(data, route_type="aresponses")
        reply = await bridge(
            request_input=[{"role": "user", "content": "of a template"}, {"role": "user", "content": "call ***"}],
            responses_api_request={},
            litellm_completion_request={"model": "m", "custom_llm_provider": "groq"},
            litellm_metadata=OF_ALICE,
        )
        return Reply(id=wrapped(reply.id), output=[message_item("My number is ***.")])

    given = given_of(b'{"input": "call 123"}')
    reply = await endpoint(**given)
    assert await inputs_at(runtime, reply.id) == ["call ***"]
    (turn,) = (await runtime.store.read(routes.place_of(reply.id), ALICE)).turns
    assert turn.answer[0]["content"] == "My number is ***."
    assert given["fastapi_response"].headers == {"x-litellm-session-history": "none"}


@pytest.mark.usefixtures("authenticated")
async def test_the_route_knows_who_asks_and_what_the_body_follows():
    @routes._of_new
    async def endpoint(**given: Any) -> Exchange | None:
        return running_exchange()

    body = b'{"metadata": {"previous_response_id": "y"}, "previous_response_id" : "resp_x", "input": "\\"previous"}'
    exchange = await endpoint(**given_of(body))
    assert (exchange.caller.user, exchange.caller.team) == (ALICE.user, ALICE.team)
    assert (exchange.followed, exchange.size_bytes) == (("y", "resp_x"), len(body))


@pytest.mark.usefixtures("authenticated")
async def test_a_body_full_of_ids_is_not_looked_through():
    """Each would cost a decryption while everybody waits."""

    @routes._of_new
    async def endpoint(**given: Any) -> Exchange | None:
        return running_exchange()

    ids = [b'"previous_response_id": "resp_%d"' % (number // 2) for number in range(10_000)]
    exchange = await endpoint(**given_of(b"{%b}" % b",".join(ids)))
    assert exchange.followed == tuple(f"resp_{number}" for number in range(8))


@pytest.mark.parametrize(
    "body", [b'{"input": "\\"previous_response_id\\": \\"x\\""}', b'{"previous_response_id": "\xc3\xa9"}', b"", b"{"]
)
@pytest.mark.usefixtures("authenticated")
async def test_what_a_body_only_says_is_not_followed(body):
    @routes._of_new
    async def endpoint(**given: Any) -> Exchange | None:
        return running_exchange()

    assert (await endpoint(**given_of(body))).followed == ()


@pytest.mark.usefixtures("authenticated")
@pytest.mark.parametrize("error", [RuntimeError("Stream consumed"), ClientDisconnect()])
async def test_a_body_that_cannot_be_read_any_more_is_litellm_s(error):
    async def read() -> bytes:
        raise error

    @routes._of_new
    async def endpoint(**given: Any) -> Exchange | None:
        return running_exchange()

    given = given_of(b"")
    given["request"].body = read
    assert (await endpoint(**given)).followed == () and defects.counted() == 0


@pytest.mark.usefixtures("authenticated")
async def test_a_route_without_what_we_read_of_it_answers_alone():
    @routes._of_new
    async def endpoint(**given: Any) -> Any:
        return running_exchange(), given

    given = {"request_of_tomorrow": 1}
    assert await endpoint(**given) == (None, given) and defects.counted() == 1


async def test_without_redis_a_route_answers_alone():
    @routes._of_new
    async def endpoint(**given: Any) -> Any:
        return running_exchange()

    with using(None):
        assert await endpoint(**given_of(b"{}")) is None
    assert defects.counted() == 0
