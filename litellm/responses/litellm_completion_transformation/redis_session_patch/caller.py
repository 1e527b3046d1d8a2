"""Who asks: what the proxy's authentication said at one of the proxy's own routes for responses.

Other parts of LiteLLM call the bridge too: health checks, other APIs, guardrails, programs. Such a request has no
caller, and neither reads nor stores.
"""

import json
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from .connection import proxy_module
from .owner import ANYBODY, Owner, owner_of

# Of the running HTTP request or WebSocket connection. ``None``: it came by another route.
CALLER: ContextVar[Owner | None] = ContextVar("redis_session_patch_caller", default=None)

_OTHER_AUTHENTICATION = ("enable_jwt_auth", "enable_oauth2_auth", "enable_oauth2_proxy_auth")


async def caller_at_route(user_api_key: Any, connection: Any) -> Owner:
    """Who asks. ``user_api_key``: the proxy's ``UserAPIKeyAuth``; ``connection``: Starlette's request or WebSocket."""
    from litellm.proxy.litellm_pre_call_utils import LiteLLMProxyRequestSetup

    owner = owner_of(LiteLLMProxyRequestSetup.get_sanitized_user_information_from_key(user_api_key))
    if owner.user or owner.team or owner.key:
        return owner
    if not _proxy_authenticates():
        return replace(ANYBODY, claimed_end_user=owner.end_user)
    if owner.end_user and await _names_an_end_user(connection):
        return replace(owner, end_user=None, claimed_end_user=owner.end_user)
    return owner


def caller_of(litellm_metadata: Mapping[str, object] | None) -> Owner | None:
    """The caller at the route, if a call of the bridge with this metadata is the caller's; else ``None``.

    A guardrail, say, runs within the caller's request and may call the bridge for purposes of its own.
    """
    caller = CALLER.get()
    if caller is None or not litellm_metadata or "user_api_key_hash" not in litellm_metadata:
        return None
    named = owner_of(litellm_metadata)
    known = replace(caller, key=None) if caller.key == ANYBODY.key else caller
    is_callers = (named.user, named.team, named.key) == (known.user, known.team, known.key)
    return caller if is_callers else None


def _proxy_authenticates() -> bool:
    proxy = proxy_module()
    if proxy is None:
        return True
    settings = getattr(proxy, "general_settings", None) or {}
    return bool(
        getattr(proxy, "master_key", None)
        or getattr(proxy, "user_custom_auth", None)
        or any(settings.get(name) for name in _OTHER_AUTHENTICATION)
    )


async def _names_an_end_user(connection: Any) -> bool:
    """Whether the request itself names an end user, whom LiteLLM then takes for the authenticated one.

    Where both are named nobody can tell which it took, so a failure to find out means yes.
    """
    try:
        from litellm.proxy.auth.auth_utils import get_end_user_id_from_request_body

        body = json.loads(await connection.body() or b"{}") if hasattr(connection, "body") else {}
        return get_end_user_id_from_request_body(body, dict(connection.headers)) is not None
    except Exception:
        return True
