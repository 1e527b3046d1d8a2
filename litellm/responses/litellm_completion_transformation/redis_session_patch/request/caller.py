"""Who asks: what the proxy's authentication said at one of the proxy's own routes for responses.

Other parts of LiteLLM call the bridge too: health checks, other APIs, guardrails, programs. Such a request has no
caller, and neither reads nor stores.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeGuard

from ..redis.connection import proxy_authenticates, proxy_module
from ..values.owner import ANYBODY, Owner, digest_of, owner_of


async def caller_at_route(user_api_key: Any, connection: Any) -> Owner:
    """Who asks. ``user_api_key``: the proxy's ``UserAPIKeyAuth``; ``connection``: Starlette's request or WebSocket."""
    from litellm.proxy.litellm_pre_call_utils import LiteLLMProxyRequestSetup as Setup

    settings = getattr(proxy_module(), "general_settings", None) or {}
    # LiteLLM itself follows this setting only later; releases that do not know it have no such function.
    follow = getattr(Setup, "add_internal_user_from_user_mapping", None)
    if follow is not None and settings.get("user_header_mappings"):
        user_api_key = follow(settings, user_api_key.model_copy(), dict(connection.headers))
    owner = owner_of(Setup.get_sanitized_user_information_from_key(user_api_key))
    if owner.user or owner.team or owner.key:
        return owner
    if not proxy_authenticates():
        return replace(ANYBODY, claimed_end_user=owner.end_user)
    if owner.end_user and await _names_end_user(connection, owner.end_user):
        return replace(owner, end_user=None, claimed_end_user=owner.end_user)
    return owner


def is_of(caller: Owner, litellm_metadata: object) -> bool:
    """Whether a call of the bridge with this metadata is the caller's.

    A guardrail, say, runs within the caller's request and may call the bridge for purposes of its own.
    """
    if not names_a_caller(litellm_metadata):
        return False
    named = owner_of(litellm_metadata)
    # The key of ANYBODY is a word of ours, which no metadata has.
    known = replace(caller, key=None) if caller.key == ANYBODY.key else caller
    return (named.user, named.team, named.key) == (known.user, known.team, known.key)


def names_a_caller(litellm_metadata: object) -> TypeGuard[Mapping[str, object]]:
    """Whether the proxy has put a caller's identity into a call of the bridge with this metadata."""
    return isinstance(litellm_metadata, Mapping) and "user_api_key_hash" in litellm_metadata


async def _names_end_user(connection: Any, end_user: str) -> bool:
    """Whether the request itself names this end user: LiteLLM then may have taken its word.

    ``end_user``: a digest. A failure to find out means yes.
    """
    try:
        from litellm.proxy.auth.auth_utils import get_end_user_id_from_request_body

        body = json.loads(await connection.body() or b"{}") if hasattr(connection, "body") else {}
        return digest_of(get_end_user_id_from_request_body(body, dict(connection.headers))) == end_user
    except Exception:
        return True
