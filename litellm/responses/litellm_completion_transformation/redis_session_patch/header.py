"""The response header that says where a reply's history came from.

The proxy sends what stands in ``_hidden_params["additional_headers"]`` of the object that the bridge's handler
returned: the response of a plain reply; of a stream its iterator, read before the first event.

On the way LiteLLM makes that dictionary anew, by ``_hidden_params.update``. Releases that know headers of their own
(1.106.2, 1.110.2) keep names that begin with ``x-litellm-``; older ones (1.74.15, 1.85.7) take every header for the
provider's and put ``llm_provider-`` before its name.
"""

from functools import lru_cache
from typing import Any

HISTORY_HEADER = "x-litellm-session-history"

_AS_THE_PROVIDERS = f"llm_provider-{HISTORY_HEADER}"


class _HiddenParams(dict[str, Any]):
    """Hidden params with our header in them, whatever LiteLLM makes of their ``additional_headers``."""

    def __init__(self, params: Any, history: str):
        super().__init__(params)
        self.history = history
        self._put_header()

    def update(self, *args: Any, **more: Any) -> None:
        super().update(*args, **more)
        self._put_header()

    def _put_header(self) -> None:
        # A dictionary of our own: the one at hand may be the chat completion's as well.
        headers = {**(self.get("additional_headers") or {}), HISTORY_HEADER: self.history}
        headers.pop(_AS_THE_PROVIDERS, None)
        self["additional_headers"] = headers


def set_history_header(reply: Any, history: str, logging: Any = None) -> None:
    """Gives ``reply``, a response or the iterator of a stream fresh from the handler, the header.

    ``history``: ``redis``, ``database``, ``none`` or ``unavailable``. ``logging``: LiteLLM's logging object.
    """
    params = _HiddenParams(getattr(reply, "_hidden_params", None) or {}, history)
    if hasattr(reply, "_hidden_params") or not hasattr(logging, "response_timing_metrics"):
        reply._hidden_params = params
    else:
        iterator: Any = type(reply)
        reply.__class__ = _with_late_params(iterator)
        reply._redis_session_patch_late_params = (logging, params)


@lru_cache(maxsize=8)
def _with_late_params(iterator: Any) -> Any:
    """The class of a bridged stream, with hidden params once LiteLLM has noted the reply's times.

    LiteLLM notes them in ``logging`` if the reply has no hidden params. With hidden params it calculates what the reply
    costs too, which takes longer than all else that the fork adds to a stream, and a stream has no costs yet.
    """

    def get(stream: Any) -> Any:
        logging, params = stream._redis_session_patch_late_params
        if not logging.response_timing_metrics:
            raise AttributeError("_hidden_params")
        return params

    def put(stream: Any, params: Any) -> None:
        stream._redis_session_patch_late_params = (stream._redis_session_patch_late_params[0], params)

    names = {"__module__": iterator.__module__, "__qualname__": iterator.__qualname__}
    return type(iterator.__name__, (iterator,), {**names, "_hidden_params": property(get, put)})
