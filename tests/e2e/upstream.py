"""What the LiteLLM under test can do, read from its source: importing it takes longer than many tests."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

_LITELLM = Path(find_spec("litellm").origin).parent
_BRIDGE = _LITELLM / "responses" / "litellm_completion_transformation"

# Without them, a custom tool is sent on as it is, and upstream knows nothing of its results.
HAS_CUSTOM_TOOLS = (_BRIDGE / "custom_tools.py").is_file()

# From 1.109 on, a client may search for tools itself.
SEARCHES_TOOLS = (_BRIDGE / "client_tool_search.py").is_file()

# From 1.110 on, upstream's own check of ids knows keys too, and lets nobody follow a response whose owner has no user,
# team or key.
CHECKS_EVERY_KEY = b"has no associated owner" in (_LITELLM / "proxy/hooks/responses_id_security.py").read_bytes()

# Else a chat completion that goes over the bridge, whose completion goes there again, fails in LiteLLM itself.
BRIDGES_BACK = b"_skip_responses_api_bridge" in (_BRIDGE / "handler.py").read_bytes()

# From 1.109 on, LiteLLM has Claude compact its conversations.
COMPACTS_CLAUDE = (_BRIDGE / "compaction_items.py").is_file()

# Else what a client warms up with over a WebSocket is a request as any other.
WARMS_UP = b"resp_warmup_" in (_LITELLM / "responses/streaming_iterator.py").read_bytes()

# The tokens of a request with its history, on a route of their own.
COUNTS_TOKENS = (_BRIDGE / "count_request.py").is_file()

# Else the router goes on with no other model once a stream of a response has begun.
GOES_ON_IN_STREAMS = any(
    file.is_file() and b"class FallbackResponsesStreamWrapper" in file.read_bytes()
    for file in (_LITELLM / "router.py", _LITELLM / "router_rust/invoke/streaming.py")
)

# From 1.90 on: a stream whose client has left is no parallel request of its key any more.
GIVES_BACK_WHAT_A_STREAM_HELD = b"max_parallel_requests_on_disconnect" in (_LITELLM / "proxy/utils.py").read_bytes()
