"""The WebSocket form of ``/v1/responses``, where upstream keeps the history of a connection in its memory.

That history begins with the connection. A turn that continues a response from before it is therefore left to the
store, and so are the turns after it: upstream would continue them with the part it knows.
"""

import json
import sys
from typing import Any

from . import runtime as runtimes
from .misses import CODE, error_body

_ATTRIBUTE = "redis_session_patch_call"


def note_websocket_call(handler: Any, call: dict[str, Any]) -> None:
    """Before upstream puts a history into ``call``: where it has none, it leaves ``previous_response_id`` there."""
    setattr(handler, _ATTRIBUTE, call)


def websocket_history_is_elsewhere(handler: Any) -> bool:
    """Whether the turn that just ended began before the connection, so that upstream must not keep it as a whole."""
    call = getattr(handler, _ATTRIBUTE, None) or {}
    return runtimes.current() is not None and bool(call.get("previous_response_id"))


async def refused_over_websocket(websocket: Any) -> bool:
    """Sends OpenAI's error event if the exception being handled is our refusal of an unknown response."""
    error = sys.exc_info()[1]
    if getattr(error, "code", None) != CODE:
        return False
    await websocket.send_text(json.dumps({"type": "error", "status": 400, **error_body(str(error.message))}))
    return True
