"""What the fork inserts into LiteLLM, where, and why: data only.

The order of the patches is the order of writing: definitions before their users, so that a run that
is killed half-way leaves a package that still imports. Inserted lines are ASCII.
"""

from __future__ import annotations

from patches.anchors import AfterImport, BeforeReturn, DecoratorOn, EndOfFile, TopOfBody
from patches.patch import Edit, Has, Lacks, Patch, Returns

BRIDGE_FOLDER = "litellm/responses/litellm_completion_transformation"
TRANSFORMATION = f"{BRIDGE_FOLDER}/transformation.py"
HANDLER = f"{BRIDGE_FOLDER}/handler.py"
STREAMING = f"{BRIDGE_FOLDER}/streaming_iterator.py"
SESSION = f"{BRIDGE_FOLDER}/session_handler.py"
WEBSOCKET = "litellm/responses/streaming_iterator.py"
RESPONSE_CACHE = "litellm/caching/caching_handler.py"
TRANSPORT = "litellm/llms/custom_httpx/aiohttp_transport.py"
TOKEN_COUNT = f"{BRIDGE_FOLDER}/count_request.py"
ENDPOINTS = "litellm/proxy/response_api_endpoints/endpoints.py"
PROXY_SERVER = "litellm/proxy/proxy_server.py"

_RUNTIME = f"{BRIDGE_FOLDER}/redis_session_patch".replace("/", ".")
_HELPERS = TRANSFORMATION.removesuffix(".py").replace("/", ".")
_CONFIG = "LiteLLMCompletionResponsesConfig"
_HANDLER_CLASS = "LiteLLMCompletionTransformationHandler"
_HANDLER_FUNCTION = f"{_HANDLER_CLASS}.async_response_api_handler"
_OUTER_HANDLER_FUNCTION = f"{_HANDLER_CLASS}.response_api_handler"
_EARLY_LOOKUP = f"{_HANDLER_CLASS}._async_response_api_handler_after_earlier_searches"
_MEND_TOOL_CALLS = f"{_CONFIG}._ensure_tool_results_have_corresponding_tool_calls"
_STORED_TURNS = "ResponsesSessionHandler.get_stored_turns_for_previous_response_id"
_WEBSOCKET_HANDLER = "ManagedResponsesWebSocketHandler"
_CACHE_SUPPORTS = "LLMCachingHandler._is_call_type_supported_by_cache"
_HISTORY = "ResponsesSessionHandler.get_chat_completion_message_history_for_previous_response_id"


def _import(module: str, *names: str) -> tuple[str, ...]:
    return (f"from {module} import (", *(f"    {name}," for name in names), ")")


def _websocket(function: str) -> Has:
    return Has(WEBSOCKET, since="1.82.2", function=f"{_WEBSOCKET_HANDLER}.{function}")


_HAS_SESSION_FILE = Has(SESSION, since="1.75.2")
_HAS_EARLY_LOOKUP = Has(HANDLER, since="1.109.0", function=_EARLY_LOOKUP)
_HAS_TOKEN_COUNT = Has(TOKEN_COUNT, since="1.109.0")
_HAS_STORED_TURNS = Has(SESSION, since="1.109.0", function=_STORED_TURNS)

PATCHES: tuple[Patch, ...] = (
    Patch(
        slug="redis-session-helpers",
        description="The fork's helpers, and no second copy of the tool calls that Redis returns.",
        remove_when="all other patches are gone",
        edits=(
            Edit(
                TRANSFORMATION,
                EndOfFile(needs=("TOOL_CALLS_CACHE",)),
                "the fork's helpers, and no second copy of tool calls that Redis returns",
                (
                    *_import(
                        f"{_RUNTIME}.bridge",
                        "history_is_whole as _patch_history_is_whole",
                        "remember_request as _patch_remember_request",
                        "store_session_in_redis as _patch_store_session_in_redis",
                        "store_stream_in_redis as _patch_store_stream_in_redis",
                        "without_known_calls as _patch_without_known_calls",
                    ),
                    "",
                    "TOOL_CALLS_CACHE = _patch_without_known_calls(TOOL_CALLS_CACHE)",
                ),
            ),
            Edit(
                TRANSFORMATION,
                TopOfBody(_MEND_TOOL_CALLS, needs=("messages",)),
                "a history from Redis holds its tool calls already",
                ("if _patch_history_is_whole():", "    return list(messages)"),
                when=(Has(TRANSFORMATION, since="1.80.11", function=_MEND_TOOL_CALLS),),
            ),
        ),
    ),
    Patch(
        slug="redis-session-lookup",
        description="A follow-up reads Redis first; unknown ids go on to upstream's lookup.",
        remove_when="upstream's lookup returns a conversation at once, whole, per branch, and only to its owner",
        edits=(
            Edit(
                SESSION,
                AfterImport("ResponsesAPIRequestUtils"),
                "helper of the lookup",
                _import(f"{_RUNTIME}.bridge", "get_session_from_redis as _patch_get_session_from_redis"),
                when=(_HAS_SESSION_FILE, Lacks(SESSION, function=_STORED_TURNS)),
            ),
            Edit(
                SESSION,
                DecoratorOn(_HISTORY),
                "read Redis before the database",
                ("@_patch_get_session_from_redis",),
                when=(_HAS_SESSION_FILE, Lacks(SESSION, function=_STORED_TURNS)),
            ),
            Edit(
                SESSION,
                AfterImport("ResponsesAPIRequestUtils"),
                "helper of the lookup",
                _import(
                    f"{_RUNTIME}.bridge",
                    "get_stored_turns_from_redis as _patch_get_stored_turns_from_redis",
                ),
                when=(_HAS_STORED_TURNS,),
            ),
            Edit(
                SESSION,
                DecoratorOn(_STORED_TURNS),
                "read Redis before the database",
                ("@_patch_get_stored_turns_from_redis",),
                when=(_HAS_STORED_TURNS,),
            ),
            Edit(
                HANDLER,
                AfterImport(_CONFIG),
                "helper of the lookup",
                _import(f"{_RUNTIME}.bridge", "remember_client_request as _patch_remember_client_request"),
                when=(_HAS_EARLY_LOOKUP,),
            ),
            Edit(
                HANDLER,
                DecoratorOn(_OUTER_HANDLER_FUNCTION, only_async=False),
                "a lookup before the inner handler's call must know who asks, and the store what the client sent",
                ("@_patch_remember_client_request",),
                when=(_HAS_EARLY_LOOKUP,),
            ),
            Edit(
                TOKEN_COUNT,
                AfterImport(_CONFIG),
                "helper of the lookup",
                _import(f"{_RUNTIME}.bridge", "count_with_redis as _patch_count_with_redis"),
                when=(_HAS_TOKEN_COUNT,),
            ),
            Edit(
                TOKEN_COUNT,
                DecoratorOn("chat_count_request"),
                "count the history that Redis has",
                ("@_patch_count_with_redis",),
                when=(_HAS_TOKEN_COUNT,),
            ),
            Edit(
                ENDPOINTS,
                TopOfBody("responses_input_tokens", needs=("user_api_key_dict",), only_async=True),
                "who asks must be known to the lookup for counting",
                (
                    f"from {_RUNTIME}.bridge import remember_caller as _patch_remember_caller",
                    "",
                    "_patch_remember_caller(user_api_key_dict)",
                ),
                when=(_HAS_TOKEN_COUNT,),
            ),
            Edit(
                TRANSFORMATION,
                AfterImport("InMemoryCache"),
                "helper of the lookup",
                _import(f"{_RUNTIME}.bridge", "get_request_from_redis as _patch_get_request_from_redis"),
                when=(Lacks(SESSION),),
            ),
            Edit(
                TRANSFORMATION,
                DecoratorOn(f"{_CONFIG}.async_responses_api_session_handler"),
                "read Redis before the database",
                ("@_patch_get_request_from_redis",),
                when=(Lacks(SESSION),),
            ),
        ),
    ),
    Patch(
        slug="redis-session-store",
        description="A plain reply is stored in Redis before it leaves, so that its id works at once.",
        remove_when="upstream commits a turn, whole, before it answers",
        edits=(
            Edit(
                HANDLER,
                AfterImport(_CONFIG),
                "helpers of the store",
                _import(_HELPERS, "_patch_remember_request", "_patch_store_session_in_redis"),
            ),
            Edit(
                HANDLER,
                DecoratorOn(_HANDLER_FUNCTION),
                "keep what the client sent until its answer is stored",
                ("@_patch_remember_request",),
            ),
            Edit(
                HANDLER,
                AfterImport(_CONFIG),
                "helper of the lookup",
                _import(f"{_RUNTIME}.bridge", "with_one_trace_id as _patch_with_one_trace_id"),
                when=(Lacks(SESSION),),
            ),
            Edit(
                HANDLER,
                DecoratorOn(_HANDLER_FUNCTION),
                "a follow-up must not fail because it has two trace ids",
                ("@_patch_with_one_trace_id",),
                when=(Lacks(SESSION),),
            ),
            Edit(
                HANDLER,
                BeforeReturn(
                    _HANDLER_FUNCTION,
                    "responses_api_response",
                    needs=("litellm_completion_response",),
                ),
                "store the turn before the reply",
                ("await _patch_store_session_in_redis(responses_api_response, litellm_completion_response)",),
            ),
        ),
    ),
    Patch(
        slug="redis-session-store-stream",
        description="A streamed reply is stored in Redis before its terminal event leaves.",
        remove_when="upstream commits a streamed turn, whole, under the id it hands out, before its terminal event",
        edits=(
            Edit(
                STREAMING,
                AfterImport(_CONFIG),
                "helper of the store",
                _import(_HELPERS, "_patch_store_stream_in_redis"),
            ),
            Edit(
                STREAMING,
                DecoratorOn("LiteLLMCompletionStreamingIterator.__anext__"),
                "store the turn before the terminal event",
                ("@_patch_store_stream_in_redis",),
            ),
            Edit(
                TRANSPORT,
                TopOfBody("AiohttpResponseStream.__init__", needs=("aiohttp_response",)),
                "half an answer must not be stored as a whole one",
                (
                    f"from {_RUNTIME}.bridge import note_provider_reply as _patch_note_provider_reply",
                    "",
                    "_patch_note_provider_reply(aiohttp_response)",
                ),
                when=(Returns(TRANSPORT, "AiohttpResponseStream.__aiter__"),),
            ),
        ),
    ),
    Patch(
        slug="redis-session-websocket",
        description="A turn over a WebSocket is looked up and stored as over HTTP: once, and beyond its connection.",
        remove_when="upstream's WebSocket handler looks up the history that its connection does not have, every time",
        edits=(
            Edit(
                WEBSOCKET,
                TopOfBody(
                    f"{_WEBSOCKET_HANDLER}._apply_history",
                    needs=("call_kwargs", "previous_response_id", "prior_history"),
                ),
                "each turn is looked up and stored as over HTTP; the connection's memory is for when Redis fails",
                (
                    f"from {_RUNTIME}.bridge import leave_history_to_redis as _patch_leave_history_to_redis",
                    "",
                    "if _patch_leave_history_to_redis(call_kwargs, previous_response_id, prior_history):",
                    "    return",
                ),
                when=(_websocket("_apply_history"),),
            ),
            Edit(
                WEBSOCKET,
                TopOfBody(f"{_WEBSOCKET_HANDLER}._send_error", only_async=True),
                "an unknown response has OpenAI's error event",
                (
                    f"from {_RUNTIME}.bridge import refused_over_websocket as _patch_refused_over_websocket",
                    "",
                    "if await _patch_refused_over_websocket(self.websocket):",
                    "    return",
                ),
                when=(_websocket("_send_error"),),
            ),
        ),
    ),
    Patch(
        slug="redis-session-response-cache",
        description="LiteLLM's response cache does not hand one caller's response id to another.",
        remove_when="upstream gives every cached answer a response id of its own",
        edits=(
            Edit(
                RESPONSE_CACHE,
                TopOfBody(_CACHE_SUPPORTS, needs=("original_function",)),
                "bridged answers are cached as chat completions only",
                (
                    f"from {_RUNTIME}.bridge import is_cached_as_chat as _patch_is_cached_as_chat",
                    "",
                    "if _patch_is_cached_as_chat(original_function, self.request_kwargs):",
                    "    return False",
                ),
            ),
        ),
    ),
    Patch(
        slug="redis-session-start",
        description="The proxy checks the fork's settings at start and says what is active.",
        remove_when="all other patches are gone",
        edits=(
            Edit(
                PROXY_SERVER,
                EndOfFile(needs=("app",)),
                "check the settings at start and say what is active",
                (
                    *_import(f"{_RUNTIME}.startup", "announce_at_startup as _patch_announce_at_startup"),
                    "",
                    "_patch_announce_at_startup(app)",
                ),
            ),
        ),
    ),
)


def upstream_files() -> tuple[str, ...]:
    """Every upstream file that any release may have patched, in order of writing."""
    return tuple(dict.fromkeys(edit.file for patch in PATCHES for edit in patch.edits))
