"""The outer door of HTTP: the proxy's routes for responses, where who asks is known.

Each of ours stands before upstream's own, which serves what Redis does not have: responses of models with a Responses
endpoint of their own (their ids name the provider), and answers that upstream itself polls for.
"""

import contextlib
import functools
import inspect
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from ..api.background_responses import OPERATIONS
from ..api.stored_responses import Asked, BadParameter, Serve
from ..redis import runtime as runtimes
from ..redis.defects import safely, safely_await
from ..redis.runtime import Runtime
from ..request.caller import caller_at_route
from ..request.exchange import CONNECTION, ClientConnection, Exchange, running_exchange
from ..request.lookup import NOBODYS, begin, log_miss
from ..values.ids import decrypted, place_of, provider_of
from ..values.owner import Owner
from ..values.refusals import RETRY, error_of, unavailable_body
from ..values.results import Miss, StoreError
from .background import POLLING, answer_early, job_of
from .leaving import leave, letting_go
from .websockets import WatchedSocket

Endpoint = Callable[..., Awaitable[Any]]

_PATH = re.compile(r".*/responses(?:/input_tokens|/\{response_id\}(?:/input_items|/cancel)?)?")
_FOLLOWED = re.compile(rb'"previous_response_id"\s*:\s*"([^"\\\x80-\xff]+)"')
_MOST_FOLLOWED = 8  # A body may hold others: in a message, say. Each costs a decryption.


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
            ours.append(APIWebSocketRoute(path, _of_socket(route.endpoint), dependencies=route.dependencies))
        if not isinstance(route, APIRoute) or not _PATH.fullmatch(path):
            continue
        for method in route.methods or ():
            if (endpoint := _ours(method, path.rpartition("/")[2], route.endpoint)) is not None:
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


def response_prefixes() -> tuple[str, ...]:
    """What stands before ``/responses`` in upstream's routes."""
    try:
        from litellm.proxy.response_api_endpoints.endpoints import router
    except ImportError:  # a release without them
        return ()
    paths = (getattr(route, "path", "") for route in router.routes if "POST" in (getattr(route, "methods", None) or ()))
    return tuple(path.removesuffix("/responses") for path in paths if path.endswith("/responses"))


def _ours(method: str, last: str, upstreams: Endpoint) -> Endpoint | None:
    if (method, last) in OPERATIONS:
        return _of_stored(upstreams, OPERATIONS[method, last])
    if (method, last) == ("POST", "responses"):
        return _of_new(upstreams)
    # until 1.109.0: the endpoint that counts tokens does not get this, and the fork counts nothing there.
    is_told = "user_api_key_dict" in inspect.signature(upstreams).parameters
    return _of_new(upstreams) if (method, last) == ("POST", "input_tokens") and is_told else None


def _of_new(upstreams: Endpoint) -> Endpoint:
    """For a request that makes a response, or would."""

    @functools.wraps(upstreams)
    async def endpoint(**given: Any) -> Any:
        exchange = await safely_await(_enter, given, otherwise=None)
        if exchange is not None and exchange.job is not None:
            return await answer_early(exchange.job, upstreams, given)
        if exchange is None:
            return await upstreams(**given)
        return await letting_go(exchange, _reply_to(exchange, upstreams, given))

    return endpoint


async def _reply_to(exchange: Exchange, upstreams: Endpoint, given: dict[str, Any]) -> Any:
    reply = await upstreams(**given)
    return await safely_await(leave, exchange, reply, given.get("fastapi_response"), otherwise=reply)


async def _enter(given: dict[str, Any]) -> Exchange | None:
    """Makes known who asks, for the running task. ``None``: there is no store."""
    if runtimes.current() is None:
        return None
    from starlette.requests import ClientDisconnect

    request, body = given["request"], b""
    with contextlib.suppress(RuntimeError, ClientDisconnect):  # A form, which LiteLLM has read; a client that has left.
        body = await request.body()
    followed = tuple(dict.fromkeys(found.decode() for found in _FOLLOWED.findall(body)))[:_MOST_FOLLOWED]
    exchange = Exchange(await caller_at_route(given["user_api_key_dict"], request), len(body), followed)
    exchange.job = safely(job_of, exchange, body, given, otherwise=None)
    CONNECTION.set(ClientConnection(exchange))
    return exchange


def take_client_request(route: Endpoint) -> Endpoint:
    """Decorates LiteLLM's ``route_request``: what the client said is known, and nothing of LiteLLM's is in it yet."""

    @functools.wraps(route)
    async def routed(*args: Any, **options: Any) -> Any:
        exchange = running_exchange()
        if exchange is not None and not exchange.is_taken and options.get("route_type") == "aresponses":
            data = options.get("data", args[0] if args else None)
            await safely_await(begin, exchange, data, otherwise=None)
        return await route(*args, **options)

    return routed


def _of_socket(upstreams: Endpoint) -> Endpoint:
    @functools.wraps(upstreams)
    async def endpoint(**given: Any) -> Any:
        await safely_await(_watch, given, otherwise=None)
        return await upstreams(**given)

    return endpoint


async def _watch(given: dict[str, Any]) -> None:
    if runtimes.current() is not None:
        websocket = given["websocket"]
        given["websocket"] = WatchedSocket(websocket, await caller_at_route(given["user_api_key_dict"], websocket))


def _of_stored(upstreams: Endpoint, serve: Serve) -> Endpoint:
    @functools.wraps(upstreams)
    async def endpoint(**given: Any) -> Any:
        ours = await safely_await(_reply, serve, given, otherwise=None)
        if ours is None:
            return await upstreams(**given)
        if not ours.is_held:
            return ours.reply
        try:
            reply = await upstreams(**given)
        except Exception:  # The provider does not hold it any more, or cannot say.
            return ours.reply
        safely(_name_as_asked, reply, given["response_id"], otherwise=None)
        return reply

    return endpoint


def _name_as_asked(reply: Any, client_id: str) -> None:
    """The id that the client has says more than the provider's."""
    if getattr(reply, "object", None) == "response":
        reply.id = client_id


@dataclass(frozen=True)
class _Ours:
    """Our answer to a request for a stored response. ``is_held``: its provider holds it too, and is asked first."""

    reply: Any
    is_held: bool = False


async def _reply(serve: Serve, given: dict[str, Any]) -> _Ours | None:
    """``None``: upstream is to answer."""
    runtime, client_id, request = runtimes.current(), given["response_id"], given["request"]
    if runtime is None:
        return None
    caller = await caller_at_route(given["user_api_key_dict"], request)
    if client_id.startswith(POLLING):
        return await _of_polling(runtime, client_id, caller)
    response_id = decrypted(client_id)
    asked = Asked(client_id, place_of(response_id) or NOBODYS, request.query_params, caller)
    result = "found"
    try:
        found = await serve(runtime, asked) if caller.identity is not None else Miss.DENIED
    except BadParameter as error:
        reply = json_reply(error.status, {"error": error_of(error.message, error.param, error.code)})
    except StoreError:
        result, reply = "failed", json_reply(503, unavailable_body(), RETRY)
    else:
        if isinstance(found, Miss):
            result, reply = found.value, _not_found(client_id)
        else:
            reply = json_reply(200, found) if isinstance(found, dict) else found
    if result in (Miss.UNKNOWN.value, "failed") and await _is_upstreams(provider_of(response_id), request):
        return None
    runtime.metrics.count("requests", result)
    log_miss(runtime, result)
    is_held = runtime.settings.native and result == "found" and asked.may_be_held
    return _Ours(reply, is_held and await _is_upstreams(provider_of(response_id), request))


async def _of_polling(runtime: Runtime, client_id: str, caller: Owner) -> _Ours | None:
    """Upstream serves its own ids to whom they were given."""
    try:
        owner = await runtime.jobs.owner_of(client_id)
    except StoreError:
        return _Ours(json_reply(503, unavailable_body(), RETRY))
    return None if owner in (None, caller.identity) else _Ours(_not_found(client_id))


def _not_found(client_id: str) -> Any:
    return json_reply(404, {"error": error_of(f"Response with id '{client_id}' not found.")})


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


def json_reply(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
    from starlette.responses import Response

    # In ASCII, so that lone surrogates survive.
    return Response(json.dumps(body), status, headers, "application/json")
