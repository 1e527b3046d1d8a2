"""The WebSocket form of ``/v1/responses``, where upstream keeps the history of a connection in its memory.

Each turn is looked up and stored as over HTTP; the connection's memory is what helps where Redis does not have it.
"""

import json
import sys
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from . import runtime as runtimes
from .defects import safely, safely_await
from .refusals import error_body, is_refusal, status_of

_REMEMBERED: ContextVar[tuple[Any, ...]] = ContextVar("redis_session_patch_connection", default=())
_FOLLOWED: ContextVar[str | None] = ContextVar("redis_session_patch_followed", default=None)


def leave_history_to_redis(call: dict[str, Any], previous_response_id: str | None, remembered: Sequence[Any]) -> bool:
    """Whether the turn's ``call`` keeps its input and names the response before it, as over HTTP.

    ``remembered``: what upstream would put before the input. Where it has nothing, it leaves the id there itself.
    """
    _FOLLOWED.set(previous_response_id)
    _REMEMBERED.set(())
    return safely(_leave_to_redis, call, previous_response_id, remembered, otherwise=False)


def _leave_to_redis(call: dict[str, Any], previous_response_id: str | None, remembered: Sequence[Any]) -> bool:
    connection = _CONNECTION.get()
    if runtimes.current() is None or connection is None or connection.is_on_its_own:
        return False
    if not previous_response_id or not remembered:
        return False
    _REMEMBERED.set(tuple(remembered))
    call["previous_response_id"] = previous_response_id
    return True


@dataclass
class _Connection:
    """``is_on_its_own``: a request of it was not understood, or was not its caller's; the next may be so, too."""

    is_on_its_own: bool = False


_CONNECTION: ContextVar[_Connection | None] = ContextVar("redis_session_patch_connection_state", default=None)


def enter_connection() -> None:
    """A WebSocket begins, in the running task."""
    _CONNECTION.set(_Connection())


def leave_history_to_the_connection() -> None:
    """From now on the running connection, if any, gives the history of its turns itself, as without the fork."""
    if (connection := _CONNECTION.get()) is not None:
        connection.is_on_its_own = True


def remembered_by_the_connection() -> tuple[Any, ...]:
    """What the running turn's connection knows of its conversation, as Responses items."""
    return _REMEMBERED.get()


def followed_in_the_connection() -> str | None:
    """The previous response that the running turn names, as its client sent it; ``None`` over HTTP."""
    return _FOLLOWED.get()


async def refused_over_websocket(handler: Any) -> bool:
    """Sends OpenAI's error event if the exception being handled is one of our refusals.

    ``handler``: LiteLLM's ``ManagedResponsesWebSocketHandler``.
    """
    return await safely_await(_send_refusal, handler, sys.exc_info()[1], otherwise=False)


async def _send_refusal(handler: Any, error: Any) -> bool:
    code = getattr(error, "code", None)
    if not is_refusal(code):
        return False
    event = {"type": "error", "status": status_of(code), **error_body(code, str(error.message))}
    await handler.websocket.send_text(json.dumps(event))
    return True
