"""The router's count of a deployment's requests and tokens."""

from collections.abc import Mapping
from typing import Any


def mark_as_counted(call: Mapping[str, Any], response: Any) -> None:
    """Marks a plain request as counted, as the router does once it has the reply.

    From 1.103 on the mark keeps the success callback of the bridged completion from counting the request once more.
    That callback runs as soon as something waits, which storing does and upstream does not.
    """
    try:
        from litellm.constants import ROUTER_USAGE_COUNTED_TOKENS_METADATA_KEY
        from litellm.router_utils.router_callbacks.track_deployment_metrics import find_deployment_metadata
    except ImportError:
        return
    metadata = find_deployment_metadata(call)
    if metadata is not None:
        tokens = getattr(getattr(response, "usage", None), "total_tokens", None)
        metadata[ROUTER_USAGE_COUNTED_TOKENS_METADATA_KEY] = int(tokens or 0)
