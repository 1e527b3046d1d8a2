"""``GET /health/session_store``: what the store does, for administrators."""

from datetime import datetime, timezone
from typing import Annotated, Any

from ..redis import defects
from ..redis import runtime as runtimes
from ..redis.guard import Guard
from ..values.settings import SettingError
from ..version import BUILD, FORK_VERSION, litellm_release

PATH = "/health/session_store"


def add_health_route(app: Any) -> None:
    """LiteLLM's own authentication decides who asks.

    Readiness and liveness know nothing of it: a proxy without its Redis still serves.
    """
    from fastapi import Depends, HTTPException
    from litellm.proxy._types import LitellmUserRoles
    from litellm.proxy.auth.user_api_key_auth import user_api_key_auth

    async def session_store_health(caller: Annotated[Any, Depends(user_api_key_auth)]) -> dict[str, Any]:
        if caller.user_role != LitellmUserRoles.PROXY_ADMIN:
            raise HTTPException(403, detail="Only a proxy administrator may see the session store's health.")
        return await describe_store()

    app.add_api_route(PATH, session_store_health, methods=["GET"], tags=["health"])


async def describe_store() -> dict[str, Any]:
    """What runs here, and of an active store what it counts and how its Redis is; nothing of a conversation.

    ``state``: ``active``, ``off`` (the operator's wish) or ``inactive``; ``why`` it is not active.
    """
    about: dict[str, Any] = {"fork": FORK_VERSION, "build": BUILD, "release": litellm_release()}
    runtime = runtimes.current()
    if runtime is None:
        state, why = _without_a_store()
        return {**about, "active": False, "state": state, "why": why}
    guards = {"read": runtime.reads, "write": runtime.writes}
    return {
        **about,
        "active": True,
        "state": "active",
        "why": "",
        "redis": runtime.connection.describe(),
        "redis_memory": await runtime.memory(),
        "redis_problems": list(runtime.problems),
        "breaker_open": {name: guard.is_open for name, guard in guards.items()},
        "breaker_open_since": {name: _open_since(guard) for name, guard in guards.items()},
        "last_error": {name: guard.last_reason or None for name, guard in guards.items()},
        "counts": runtime.metrics.counts(),
        "defects": defects.counted(),
        "ttl_seconds": runtime.settings.ttl_seconds,
        "max_age_seconds": runtime.settings.max_age_seconds,
        "encrypted": bool(runtime.settings.encryption_keys),
        "encryption_required": runtime.settings.encryption_required,
    }


def _without_a_store() -> tuple[str, str]:
    try:
        state, why = runtimes.state_of(*runtimes.configured())
    except SettingError as error:
        return "inactive", str(error)
    return (state, why) if why else ("inactive", "no store was begun")


def _open_since(guard: Guard) -> str | None:
    """In UTC, as ISO 8601 has it."""
    if not guard.is_open:
        return None
    return datetime.fromtimestamp(guard.opened_at, timezone.utc).isoformat(timespec="seconds")
