"""What a timer asks Redis while a breaker is open: the commands of reading, or of storing, on nobody's conversation.

Redis may refuse one and not the other: it is full, a replica, or its user lacks a right. So each question runs the
scripts that its operation runs, in as many round trips.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from . import scripts
from .scripts import Script
from .store import Call, conversation_keys, run_script

_LIFE_SECONDS = 10

# A few names, so that questions come to all nodes of a Cluster, and leave little where a user may not EXPIRE.
_NAMES = 16

# As a reservation, which no reader takes for a record.
_RECORD = b"R"

_TURN, _PIECE = "1", b"?"


async def ask_to_read(call: Call, prefix: str) -> None:
    """Raises StoreError while Redis does not let anybody read."""
    name = _any_name()
    # Where nothing can be appended, there is only less to read.
    _, found = await asyncio.gather(
        call(_append(prefix, name)), call(lambda client: client.get(_session_key(prefix, name))), return_exceptions=True
    )
    _check(found)
    # One second more, so that there is a life to renew.
    await call(_run(scripts.READ, conversation_keys(prefix, name), _TURN, 1, len(_PIECE), _LIFE_SECONDS + 1))


async def ask_to_store(call: Call, prefix: str) -> None:
    """Raises StoreError while Redis does not let anybody store."""
    name = _any_name()
    commit = _run(scripts.COMMIT, (_session_key(prefix, name),), b"", _RECORD, _LIFE_SECONDS)
    for reply in await asyncio.gather(call(_append(prefix, name)), call(commit), return_exceptions=True):
        _check(reply)


def _check(reply: Any) -> None:
    if isinstance(reply, BaseException):
        raise reply


def _any_name() -> str:
    return f"question-{secrets.randbelow(_NAMES)}"


def _session_key(prefix: str, name: str) -> str:
    return f"{prefix}session:{name}"


def _append(prefix: str, name: str) -> Callable[[Any], Awaitable[Any]]:
    return _run(scripts.APPEND, conversation_keys(prefix, name), _LIFE_SECONDS, "0", 0, _TURN, _PIECE)


def _run(script: Script, keys: tuple[str, ...], *arguments: Any) -> Callable[[Any], Awaitable[Any]]:
    return lambda client: run_script(client, script, keys, *arguments)
