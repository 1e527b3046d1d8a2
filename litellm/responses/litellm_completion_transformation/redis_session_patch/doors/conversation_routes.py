"""The routes of conversation objects, which LiteLLM has none of: beside each of its routes for responses."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

from ..api.conversations import OPERATIONS, Asked, Serve
from ..api.stored_responses import BadParameter
from ..redis import runtime as runtimes
from ..redis.defects import safely, safely_await
from ..redis.runtime import Runtime
from ..request.caller import caller_at_route
from ..request.lookup import NOBODYS, log_miss
from ..values.ids import conversation_of
from ..values.refusals import CONVERSATION_BODY, CONVERSATION_LOCKED, RETRY, answer_of, error_of, unavailable_body
from ..values.results import Locked, Miss, NotStored, StoreError
from .routes import json_reply, response_prefixes

_UNLOGGED = "Message logging is off for this request, so no conversation is kept."
_NOBODY = "The proxy's authentication does not say who asks, so no conversation can be kept."
_TAGS = ["conversation objects"]
_FAILED = "The conversation could not be served."
_ENABLING = ("litellm-enable-message-redaction", "x-litellm-enable-message-redaction")


def add_conversation_routes(app: Any) -> None:
    """LiteLLM's authentication sees the path of the responses' route, so a key may do here what it may do there.

    What names another conversation than one of ours goes to another route of the app that takes it, if there is one.
    """
    ours = [
        _route(f"{prefix}{path}", method, serve)
        for prefix in response_prefixes()
        for (method, path), serve in OPERATIONS.items()
    ]
    app.router.routes[:0] = ours


def _route(path: str, method: str, serve: Serve) -> Any:
    from fastapi import Depends, Request
    from fastapi.routing import APIRoute
    from litellm.proxy._types import ProxyException
    from litellm.proxy.auth.user_api_key_auth import user_api_key_auth

    async def read_body(request: Request) -> dict[str, Any]:
        try:
            body = json.loads(await request.body() or b"{}")
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            message = answer_of(CONVERSATION_BODY, "")[2]["error"]["message"]
            raise ProxyException(message, "invalid_request_error", None, 400, openai_code=CONVERSATION_BODY)
        return body

    async def endpoint(
        request: Request,
        body: Annotated[dict[str, Any], Depends(read_body)],  # first: LiteLLM's authentication fails at others
        caller: Annotated[Any, Depends(user_api_key_auth)],
    ) -> Any:
        runtime = runtimes.current()
        if runtime is None:
            return json_reply(404, {"detail": "Not Found"})  # as LiteLLM without us
        reply = await safely_await(_reply, runtime, serve, request, body, caller, otherwise=None)
        return json_reply(500, {"error": error_of(_FAILED, None, None, "server_error")}) if reply is None else reply

    route: Any = APIRoute(path, endpoint, methods=[method], tags=[*_TAGS], response_model=None)
    serve_request = route.app

    async def as_of_responses(scope: Any, receive: Any, send: Any) -> None:
        if (theirs := safely(_others, scope, otherwise=None)) is not None:
            scope.update(theirs[1])
            await theirs[0].handle(scope, receive, send)
        else:
            await serve_request({**scope, "path": as_response_path(scope["path"])}, receive, send)

    route.app = as_of_responses
    return route


def _others(scope: Any) -> tuple[Any, Any] | None:
    """Another route for a conversation that is none of ours, as one that passes requests through to OpenAI."""
    object_id = scope["path_params"].get("conversation_id")
    if object_id is None or conversation_of(object_id) is not None:
        return None
    routes = (route for route in scope["app"].router.routes if getattr(route, "tags", None) != _TAGS)
    matched = ((route, *route.matches(scope)) for route in routes)
    return next(((route, child) for route, match, child in matched if match.name == "FULL"), None)


def as_response_path(path: str) -> str:
    """The path of the responses' route that is most alike."""
    head, _, tail = path.rpartition("/conversations")
    object_id, _, items = tail.removeprefix("/").partition("/")
    return f"{head}/responses" + (f"/{object_id}" if object_id else "") + ("/input_items" if items else "")


async def _reply(runtime: Runtime, serve: Serve, request: Any, body: Mapping[str, Any], user_api_key: Any) -> Any:
    caller, object_id = await caller_at_route(user_api_key, request), request.path_params.get("conversation_id", "")
    name, item_id = conversation_of(object_id) or NOBODYS.conversation, request.path_params.get("item_id", "")
    if not object_id and caller.identity is None:
        return json_reply(403, {"error": error_of(_NOBODY)})
    has_words = bool(body.get("items")) and not runtime.settings.store_unlogged
    if has_words and (body.get("no-log") or safely(_is_unlogged, request, user_api_key, otherwise=True)):
        return json_reply(400, {"error": error_of(_UNLOGGED)})
    result = "found"
    try:
        asked = Asked(caller, name, request.query_params, body, item_id)
        found = await serve(runtime, asked) if caller.identity is not None else Miss.DENIED
    except BadParameter as error:
        reply = json_reply(error.status, {"error": error_of(error.message, error.param, error.code)})
    except Locked:
        status, headers, refusal = answer_of(CONVERSATION_LOCKED, "")
        reply = json_reply(status, refusal, headers)
    except NotStored as error:
        reply = json_reply(400, {"error": error_of(str(error), None, "conversation_not_stored")})
    except StoreError:
        result, reply = "failed", json_reply(503, unavailable_body("conversation"), RETRY)
    else:
        if isinstance(found, Miss):
            result = found.value
            reply = json_reply(404, {"error": error_of(f"Conversation with id '{object_id}' not found.")})
        else:
            reply = json_reply(200, found)
    runtime.metrics.count("requests", result)
    log_miss(runtime, result)
    return reply


def _is_unlogged(request: Any, user_api_key: Any) -> bool:
    """Whether the operator, the key, its team or the request turned message logging off."""
    import litellm

    if litellm.turn_off_message_logging is True or any(request.headers.get(name) for name in _ENABLING):
        return True
    of_key, of_team = ((data or {}) for data in (user_api_key.metadata, user_api_key.team_metadata))
    given = [of_key.get("logging"), of_team.get("logging"), of_team.get("callback_settings")]
    try:
        from litellm.proxy.litellm_pre_call_utils import KeyAndTeamLoggingSettings as Settings
    except ImportError:  # until 1.73.7: there is no such thing, as nothing of them is encrypted.
        pass
    else:
        given.append(Settings.get_key_dynamic_logging_settings(user_api_key))
        given.append(Settings.get_team_dynamic_logging_settings(user_api_key))
    return any(map(_turns_off_logging, given))


def _turns_off_logging(settings: Any) -> bool:
    if isinstance(settings, Mapping):
        is_off = str(settings.get("turn_off_message_logging")).lower() == "true"
        return is_off or any(map(_turns_off_logging, settings.values()))
    return isinstance(settings, list) and any(map(_turns_off_logging, settings))
