"""What the LiteLLM under test can do, read from its source: importing it takes longer than many tests."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path

_LITELLM = Path(find_spec("litellm").origin).parent
_BRIDGE = _LITELLM / "responses" / "litellm_completion_transformation"


def _fields_of(file: Path, name: str) -> set[str]:
    """The annotated fields of a class at the top of ``file``."""
    (found,) = (
        node for node in ast.parse(file.read_text()).body if isinstance(node, ast.ClassDef) and node.name == name
    )
    return {node.target.id for node in found.body if isinstance(node, ast.AnnAssign)}


# Without them, a custom tool is sent on as it is, and upstream knows nothing of its results.
HAS_CUSTOM_TOOLS = (_BRIDGE / "custom_tools.py").is_file()

# A request without instructions has the last ones of its conversation; else each turn's own stand before its input.
CARRIES_INSTRUCTIONS = "instructions" in _fields_of(_BRIDGE / "transformation.py", "ChatCompletionSession")

# From 1.110 on, upstream's own check of ids knows keys too, and lets nobody follow a response whose owner has no user,
# team or key.
CHECKS_EVERY_KEY = b"has no associated owner" in (_LITELLM / "proxy/hooks/responses_id_security.py").read_bytes()

# Else a chat completion that goes over the bridge, whose completion goes there again, fails in LiteLLM itself.
BRIDGES_BACK = b"_skip_responses_api_bridge" in (_BRIDGE / "handler.py").read_bytes()

# From 1.109 on a step before the bridge's handler has the client's input, and asks for stored turns, by position.
STEPS_BEFORE_THE_HANDLER = b"_after_earlier_searches" in (_BRIDGE / "handler.py").read_bytes()

# The tokens of a request with its history, on a route of their own.
COUNTS_TOKENS = (_BRIDGE / "count_request.py").is_file()

# Else the router goes on with no other model once a stream of a response has begun.
GOES_ON_IN_STREAMS = any(
    file.is_file() and b"class FallbackResponsesStreamWrapper" in file.read_bytes()
    for file in (_LITELLM / "router.py", _LITELLM / "router_rust/invoke/streaming.py")
)
