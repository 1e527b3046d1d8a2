"""What stands in Redis, looked at from outside of the store."""

from __future__ import annotations

from typing import Any

from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.store import KEY_PREFIX


def turns_in_all(client: Any) -> int:
    """How many turns Redis holds, of all conversations; hash and tree of each must agree."""
    counts = []
    for key in client.keys(f"{KEY_PREFIX}*:turns"):
        fields = [name for name in client.hkeys(key) if name.isdigit()]
        assert len(fields) == client.zcard(key.replace(b":turns", b":tree"))
        counts.append(len(fields))
    return sum(counts)
