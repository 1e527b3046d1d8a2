"""The routes of a stored response: get, delete, list its input, cancel; and the reply to the request that makes one.

The WebSocket and the counting of tokens are here too, for who asks is known here alone (``caller``).

Each stands before upstream's own route, which serves what Redis does not have: responses of models with a Responses
endpoint of their own (their ids name the provider), and answers that upstream itself polls for.
"""

import functools
import inspect
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from . import runtime as runtimes
from .caller import CALLER, caller_at_route
from .conversation import Chain
from .defects import report, safely_await
from .input_items import BadParameter, Query, check_include, items_of, page, page_request
from .lookup import log_miss
from .outgoing import OUTGOING, Outgoing, watch_stream
from .owner import Owner, may_continue
from .refusals import RETRY_AFTER_SECONDS, invalid_request_body, unavailable_body
from .response_id import decrypted, inner_id, provider_of
from .results import Miss, StoreError
from .runtime import Runtime
from .websockets import enter_connection

Endpoint = Callable[..., Awaitable[Any]]

_PATH = re.compile(r".*/responses(?:/input_tokens|/\{response_id\}(?:/input_items|/cancel)?)?")
_POLLING = "litellm_poll_"


@dataclass(frozen=True)
class Asked:
    """``client_id``: the response's id as the client has it. ``query``: the request's parameters."""

    client_id: str
    response_id: str
    query: Query
    caller: Owner

    def may_continue(self, owner: Owner) -> bool:
        return may_continue(self.caller, owner)


Serve = Callable[[Runtime, Asked], Awaitable[dict[str, Any] | Miss]]


async def _load(runtime: Runtime, asked: Asked) -> Chain | Miss:
    """A use of the response, as a follow-up is: its life is renewed."""
    found = await runtime.read(lambda store, budget: store.load(asked.response_id, asked.may_continue, budget))
    return found if isinstance(found, Miss) or found.turns[-1].reply is not None else Miss.INCOMPLETE


async def retrieve(runtime: Runtime, asked: Asked) -> dict[str, Any] | Miss:
    found = await _load(runtime, asked)
    if isinstance(found, Miss):
        return found
    check_include(asked.query)
    for name in ("stream", "starting_after"):
        if (asked.query.get(name) or "false").lower() not in ("false", "0"):
            problem = "This response cannot be streamed because it was not created with background=true."
            raise BadParameter(name, problem)
    return {"id": asked.client_id, **(found.turns[-1].reply or {})}


async def list_input_items(runtime: Runtime, asked: Asked) -> dict[str, Any] | Miss:
    found = await _load(runtime, asked)
    return found if isinstance(found, Miss) else page(items_of(found), page_request(asked.query))


async def delete(runtime: Runtime, asked: Asked) -> dict[str, Any] | Miss:
    found = await runtime.write(lambda store, _: store.delete(asked.response_id, asked.may_continue))
    return found if isinstance(found, Miss) else {"id": asked.client_id, "object": "response", "deleted": True}


async def cancel(runtime: Runtime, asked: Asked) -> dict[str, Any] | Miss:
    found = await _load(runtime, asked)
    if isinstance(found, Miss):
        return found
    raise BadParameter(None, "Cannot cancel a synchronous response.", None)


_SERVED: dict[tuple[str, str], Serve] = {
    ("GET", "{response_id}"): retrieve,
    ("GET", "input_items"): list_input_items,
    ("DELETE", "{response_id}"): delete,
    ("POST", "cancel"): cancel,
}


def add_response_routes(app: Any) -> None:
    """Puts our routes before those of upstream that have the same paths."""
    try:
        from litellm.proxy.response_api_endpoints.endpoints import router
    except ImportError:  # a release without them
        return
    from fastapi.routing import APIRoute, APIWebSocketRoute

    ours: list[Any] = []
    for route in router.routes:
        path = getattr(route, "path", "")
        if isinstance(route, APIWebSocketRoute) and path.endswith("/responses"):
            ours.append(APIWebSocketRoute(path, _entered(route.endpoint), dependencies=route.dependencies))
        if not isinstance(route, APIRoute) or not _PATH.fullmatch(path):
            continue
        for method in route.methods or ():
            last = path.rpartition("/")[2]
            serve = _SERVED.get((method, last))
            if serve is not None:
                endpoint = _stored_or_upstreams(route.endpoint, serve)
            elif (method, last) == ("POST", "responses"):
                endpoint = _watched(route.endpoint)
            elif (method, last) == ("POST", "input_tokens") and _knows_who_asks(route.endpoint):
                endpoint = _entered(route.endpoint)
            else:
                continue
            ours.append(
                APIRoute(
                    path,
                    endpoint,
                    methods=[method],
                    dependencies=route.dependencies,
                    status_code=route.status_code,
                    response_model=route.response_model,
                    response_class=route.response_class,
                    include_in_schema=False,  # upstream's is
                )
            )
    app.router.routes[:0] = ours


def _knows_who_asks(endpoint: Endpoint) -> bool:
    # until 1.109.0: the endpoint that counts tokens does not get this, and the fork counts nothing there.
    return "user_api_key_dict" in inspect.signature(endpoint).parameters


def _stored_or_upstreams(upstreams: Endpoint, serve: Serve) -> Endpoint:
    @functools.wraps(upstreams)
    async def endpoint(**given: Any) -> Any:
        reply = await safely_await(_reply, serve, given, otherwise=None)
        return await upstreams(**given) if reply is None else reply

    return endpoint


async def _reply(serve: Serve, given: dict[str, Any]) -> Any:
    """``None``: upstream is to answer."""
    runtime, client_id, request = runtimes.current(), given["response_id"], given["request"]
    if runtime is None or client_id.startswith(_POLLING):
        return None
    response_id = decrypted(client_id)
    caller = await caller_at_route(given["user_api_key_dict"], request)
    asked = Asked(client_id, inner_id(response_id), request.query_params, caller)
    try:
        found = await serve(runtime, asked)
    except BadParameter as error:
        result, reply = "found", _json(400, invalid_request_body(error.message, error.param, error.code))
    except StoreError:
        result, reply = "failed", _json(503, unavailable_body(), {"Retry-After": str(RETRY_AFTER_SECONDS)})
    else:
        if isinstance(found, Miss):
            not_found = invalid_request_body(f"Response with id '{client_id}' not found.")
            result, reply = found.value, _json(404, not_found)
        else:
            result, reply = "found", _json(200, found)
    if result in (Miss.UNKNOWN.value, "failed") and await _is_upstreams(provider_of(response_id), request):
        return None
    runtime.metrics.count_request(result)
    log_miss(runtime, result)
    return reply


def _watched(upstreams: Endpoint) -> Endpoint:
    @functools.wraps(upstreams)
    async def endpoint(**given: Any) -> Any:
        outgoing = await safely_await(_enter, given, otherwise=None)
        if outgoing is None:
            return await upstreams(**given)
        try:
            reply = await upstreams(**given)
        except Exception:
            await _look(outgoing.end)
            raise
        if hasattr(reply, "body_iterator"):
            look = functools.partial(_look, outgoing.look_at_event)
            end = functools.partial(_look, outgoing.end)
            reply.body_iterator = watch_stream(reply.body_iterator, look, outgoing.is_waiting, end)
        else:
            await _look(outgoing.look_at_reply, reply)
        return reply

    return endpoint


def _entered(upstreams: Endpoint) -> Endpoint:
    """Of the routes whose replies are not stored responses themselves: a WebSocket, and the counting of tokens."""

    @functools.wraps(upstreams)
    async def endpoint(**given: Any) -> Any:
        await safely_await(_enter, given, otherwise=None)
        return await upstreams(**given)

    return endpoint


async def _enter(given: dict[str, Any]) -> Outgoing | None:
    """Sets CALLER for the task of this request or connection; of a request OUTGOING too, which it returns.

    ``None``: a WebSocket, or there is no store.
    """
    if runtimes.current() is None:
        return None
    if "request" not in given:
        enter_connection()
        CALLER.set(await caller_at_route(given["user_api_key_dict"], given["websocket"]))
        return None
    request = given["request"]
    outgoing = Outgoing(lambda client_id: inner_id(decrypted(client_id)), await _body_of(request))
    OUTGOING.set(outgoing)  # first: what is stored must be looked at where it leaves
    CALLER.set(await caller_at_route(given["user_api_key_dict"], request))
    return outgoing


async def _body_of(request: Any) -> bytes:
    from starlette.requests import ClientDisconnect

    try:
        body: bytes = await request.body()
    except (RuntimeError, ClientDisconnect):  # A form, which LiteLLM has read; or a client that has left.
        return b""
    return body


async def _look(look: Callable[..., Awaitable[None]], *leaving: Any) -> None:
    """Nothing that fails here reaches the client."""
    try:
        await look(*leaving)
    except StoreError as error:
        message = f"What is stored of a response is not what its client got. {error}"
        if (runtime := runtimes.current()) is not None:
            runtime.rare_log.warn("not as it left", message)
    except Exception as error:
        report(error)


async def _is_upstreams(provider: str | None, request: Any) -> bool:
    """Whether upstream can serve such a response: of a provider with a Responses endpoint, or one that is named."""
    if provider is None:
        body = await request.body()
        return b'"model"' in body or b'"custom_llm_provider"' in body
    from litellm.utils import ProviderConfigManager

    try:
        config = ProviderConfigManager.get_provider_responses_api_config(model=None, provider=provider)
    except Exception:  # A provider that this release does not know.
        return False
    return config is not None


def _json(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
    from starlette.responses import Response

    # In ASCII, so that lone surrogates survive.
    return Response(json.dumps(body), status, headers, "application/json")
