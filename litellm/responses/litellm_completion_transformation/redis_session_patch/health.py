"""``GET /health/session_store``: what the store does, for administrators."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

PATH = "/health/session_store"


def add_health_route(app: Any, describe: Callable[[], Awaitable[dict[str, Any]]]) -> None:
    """Adds the route to the proxy's ``app``; it answers with what ``describe`` gives, as JSON.

    LiteLLM's own authentication decides who asks. Readiness and liveness know nothing of it: a proxy without its
    Redis still serves.
    """
    from fastapi import Depends, HTTPException
    from litellm.proxy._types import LitellmUserRoles
    from litellm.proxy.auth.user_api_key_auth import user_api_key_auth

    async def session_store_health(caller: Annotated[Any, Depends(user_api_key_auth)]) -> dict[str, Any]:
        if caller.user_role != LitellmUserRoles.PROXY_ADMIN:
            raise HTTPException(403, detail="Only a proxy administrator may see the session store's health.")
        return await describe()

    app.add_api_route(PATH, session_store_health, methods=["GET"], tags=["health"])
