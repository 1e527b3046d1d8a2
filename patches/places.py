"""Names of upstream's files, classes and functions that the catalogue builds on."""

from __future__ import annotations

from patches.manifest import FOLDER
from patches.patch import Has

BRIDGE_FOLDER = "litellm/responses/litellm_completion_transformation"
TRANSFORMATION = f"{BRIDGE_FOLDER}/transformation.py"
HANDLER = f"{BRIDGE_FOLDER}/handler.py"
STREAMING = f"{BRIDGE_FOLDER}/streaming_iterator.py"
SESSION = f"{BRIDGE_FOLDER}/session_handler.py"
TOKEN_COUNT = f"{BRIDGE_FOLDER}/count_request.py"
WEBSOCKET = "litellm/responses/streaming_iterator.py"
RESPONSE_CACHE = "litellm/caching/caching_handler.py"
TRANSPORT = "litellm/llms/custom_httpx/aiohttp_transport.py"
PROXY_SERVER = "litellm/proxy/proxy_server.py"
ROUTING = "litellm/proxy/route_llm_request.py"

CONFIG = "LiteLLMCompletionResponsesConfig"
SESSION_STEP = f"{CONFIG}.async_responses_api_session_handler"
HANDLER_CLASS = "LiteLLMCompletionTransformationHandler"
HANDLE = f"{HANDLER_CLASS}.async_response_api_handler"
NEXT_EVENT = "LiteLLMCompletionStreamingIterator.__anext__"
HISTORY = "ResponsesSessionHandler.get_chat_completion_message_history_for_previous_response_id"
STORED_TURNS = "ResponsesSessionHandler.get_stored_turns_for_previous_response_id"
SPEND_LOGS = "ResponsesSessionHandler.get_all_spend_logs_for_previous_response_id"
WEBSOCKET_HANDLER = "ManagedResponsesWebSocketHandler"
CACHE_SUPPORTS = "LLMCachingHandler._is_call_type_supported_by_cache"

RUNTIME = FOLDER.replace("/", ".")
# The module of our runtime that upstream's files call, as it is, and by way of the block in transformation.py.
BRIDGE = f"{RUNTIME}.doors.bridge"
OUTER_DOOR = f"{RUNTIME}.doors.routes"
HELPERS = TRANSFORMATION.removesuffix(".py").replace("/", ".")

# The releases that every fact was tried on: the live matrix' default list, on the day it was last run.
TRIED = ("1.74.15", "1.85.7", "1.99.4", "1.100.5", "1.106.2", "1.109.1", "1.110.2")

# The generations of releases. A condition can go once nothing older than its `since` is served.
FROM_1_75_2 = (Has(SESSION, since="1.75.2"),)
FROM_1_109 = (Has(SESSION, since="1.109.0", function=STORED_TURNS),)
FROM_1_109_COUNT = (Has(TOKEN_COUNT, since="1.109.0"),)


def from_1_82_2(function: str) -> tuple[Has, ...]:
    """That part of the WebSocket handler."""
    return (Has(WEBSOCKET, since="1.82.2", function=f"{WEBSOCKET_HANDLER}.{function}"),)
