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
from typing import Any

from ..api.background_responses import OPERATIONS
from ..api.stored_responses import Asked, BadParameter, Serve
from ..redis import runtime as runtimes
from ..redis.defects import safely, safely_await
from ..redis.runtime import Runtime
from ..request.call import Call
from ..request.caller import caller_at_route
from ..request.exchange import CONNECTION, ClientConnection, Exchange, running_exchange
from ..request.lookup import NOBODYS, begin, log_miss
from ..values.ids import decrypted, inner_id, place_of, provider_of
from ..values.owner import Owner
from ..values.refusals import COMPACTION, RETRY, error_of, refuse, unavailable_body
from ..values.results import Miss, StoreError
from ..values.turns import from_json
from .background import POLLING, answer_early, job_of
from .compaction import compact_if_large, compact_route
from .leaving import CONTEXT_LENGTH_EXCEEDED, TOO_LONG, leave, letting_go
from .websockets import WatchedSocket

Endpoint = Callable[..., Awaitable[Any]]

_PATH = re.compile(r".*/responses(?:/input_tokens|/compact|/\{response_id\}(?:/input_items|/cancel)?)?")
_FOLLOWED = re.compile(rb'"previous_response_id"\s*:\s*"([^"\\\x80-\xff]+)"')
_MOST_FOLLOWED = 8  # A body may hold others: in a message, say. Each costs a decryption.
_UNAVAILABLE = 503


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
        return _of_stored(upstreams, OPERATIONS[method, last], deletes=method == "DELETE")
    if (method, last) == ("POST", "responses"):
        return _of_new(upstreams)
    if (method, last) == ("POST", "compact"):
        return compact_route(upstreams)
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
    try:
        reply = await upstreams(**given)
    except Exception as error:
        if (answer := safely(_too_long, exchange, error, otherwise=None)) is None:
            raise
        return answer
    return await safely_await(leave, exchange, reply, given.get("fastapi_response"), otherwise=reply)


def _too_long(exchange: Exchange, error: Exception) -> Any:
    """OpenAI's refusal of a conversation that is larger than the model's window; ``None``: it is another one."""
    message = str(getattr(error, "message", error))
    if TOO_LONG not in message or not any(isinstance(call, Call) for call in exchange.calls):
        return None
    return json_reply(400, {"error": error_of(message, "input", CONTEXT_LENGTH_EXCEEDED)})


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
    exchange.connection = request
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
            await safely_await(_begin, exchange, data, otherwise=None)
        return await route(*args, **options)

    return routed


async def _begin(exchange: Exchange, data: dict[str, Any]) -> None:
    await begin(exchange, data)
    if exchange.context_management is not None:
        params = from_json(await exchange.connection.body())
        await compact_if_large(exchange, data, params if isinstance(params, dict) else None)
    if exchange.refused == COMPACTION:  # A native model's door may be closed.
        refuse(COMPACTION, str(data.get("model")), None)


def _of_socket(upstreams: Endpoint) -> Endpoint:
    @functools.wraps(upstreams)
    async def endpoint(**given: Any) -> Any:
        await safely_await(_watch, given, otherwise=None)
        try:
            return await upstreams(**given)
        finally:
            if isinstance(socket := given["websocket"], WatchedSocket):
                await safely_await(socket.let_go, otherwise=None)

    return endpoint


async def _watch(given: dict[str, Any]) -> None:
    if runtimes.current() is not None:
        websocket = given["websocket"]
        given["websocket"] = WatchedSocket(websocket, await caller_at_route(given["user_api_key_dict"], websocket))


def _of_stored(upstreams: Endpoint, serve: Serve, *, deletes: bool) -> Endpoint:
    @functools.wraps(upstreams)
    async def endpoint(**given: Any) -> Any:
        theirs = None
        if await safely_await(_is_held, given, otherwise=False):
            try:
                theirs = await upstreams(**given)
            except Exception as error:  # The provider does not hold it any more, or cannot say.
                if deletes and not _is_not_there(error, given["response_id"]):
                    raise
            else:
                safely(_name_as_asked, theirs, given["response_id"], otherwise=None)
                if not deletes:
                    return theirs
        ours = await safely_await(_reply, serve, given, deletes, otherwise=None)
        if theirs is not None and (ours is None or ours.status_code != _UNAVAILABLE):
            return theirs
        return ours if ours is not None else await upstreams(**given)

    return endpoint


def _is_not_there(error: Exception, client_id: str) -> bool:
    """Whether the provider says so. Older releases (1.85) make a failure of their own of a 404, with its text."""
    status, text = getattr(error, "status_code", getattr(error, "code", None)), str(getattr(error, "message", error))
    return str(status) == "404" or ("not found" in text and inner_id(decrypted(client_id)) in text)


def _name_as_asked(reply: Any, client_id: str) -> None:
    """The id that the client has says more than the provider's."""
    if getattr(reply, "object", None) == "response":
        reply.id = client_id


async def _is_held(given: dict[str, Any]) -> bool:
    """Whether the provider holds the response, too, and is to be asked first: of the caller's alone."""
    runtime, client_id, request = runtimes.current(), given["response_id"], given["request"]
    response_id = decrypted(client_id) if runtime is not None else ""
    place = place_of(response_id)
    if runtime is None or place is None or not await _is_upstreams(provider_of(response_id), request):
        return False
    caller = await caller_at_route(given["user_api_key_dict"], request)
    try:
        found = await runtime.store.read(place, caller) if caller.identity is not None else Miss.DENIED
    except StoreError:
        return False
    # After a fallback in a stream the client has the id of the model that failed.
    return not isinstance(found, Miss) and found.turns[-1].held_id == inner_id(response_id)


async def _reply(serve: Serve, given: dict[str, Any], deletes: bool) -> Any | None:
    """Our answer to a request for a stored response. ``None``: upstream is to answer."""
    runtime, client_id, request = runtimes.current(), given["response_id"], given["request"]
    if runtime is None:
        return None
    caller = await caller_at_route(given["user_api_key_dict"], request)
    if client_id.startswith(POLLING):
        return await _of_polling(runtime, client_id, caller)
    response_id = decrypted(client_id)
    place = place_of(response_id)
    asked = Asked(client_id, place or NOBODYS, request.query_params, caller)
    result = "found"
    try:
        found = await serve(runtime, asked) if caller.identity is not None else Miss.DENIED
    except BadParameter as error:
        reply = json_reply(error.status, {"error": error_of(error.message, error.param, error.code)})
    except StoreError:
        result, reply = "failed", json_reply(_UNAVAILABLE, unavailable_body(), RETRY)
    else:
        if isinstance(found, Miss):
            result, reply = found.value, _not_found(client_id)
        else:
            reply = json_reply(200, found) if isinstance(found, dict) else found
    # What is stored here is not deleted by its provider alone.
    may_be_upstreams = result == Miss.UNKNOWN.value or (result == "failed" and not (deletes and place is not None))
    if may_be_upstreams and await _is_upstreams(provider_of(response_id), request):
        return None
    runtime.metrics.count("requests", result)
    log_miss(runtime, result)
    return reply


async def _of_polling(runtime: Runtime, client_id: str, caller: Owner) -> Any | None:
    """Upstream serves its own ids to whom they were given, and to anybody where that is not known."""
    try:
        owner = await runtime.jobs.owner_of(client_id)
    except StoreError:
        return json_reply(_UNAVAILABLE, unavailable_body(), RETRY)
    return None if owner in (None, caller.identity) else _not_found(client_id)


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
