"""The response header that says where a reply's history came from.

The proxy sends what stands in ``_hidden_params["additional_headers"]`` of the object that the bridge's handler
returned: the response of a plain reply; of a stream its iterator, read before the first event.

On the way LiteLLM makes that dictionary anew, by ``_hidden_params.update``. Releases that know headers of their own
(1.106.2, 1.110.2) keep names that begin with ``x-litellm-``; older ones (1.74.15, 1.85.7) take every header for the
provider's and put ``llm_provider-`` before its name. The iterator of a bridged stream has no hidden params of its own;
with them, LiteLLM fills them as it does a native stream's, so the address of the model's server becomes a header too,
as it is of every plain reply.
"""

from collections.abc import Callable
from typing import Any

HISTORY_HEADER = "x-litellm-session-history"

_TIMING = ("_response_ms", "litellm_overhead_time_ms")
_AS_THE_PROVIDERS = f"llm_provider-{HISTORY_HEADER}"


class _HiddenParams(dict[str, Any]):
    """Hidden params with our header in them, whatever LiteLLM makes of their ``additional_headers``.

    ``keep_timing``: takes the times that LiteLLM measures, for a reply that would have no hidden params without us.
    """

    def __init__(self, params: Any, history: str, keep_timing: Callable[[dict[str, Any]], None] | None):
        super().__init__(params)
        self.history = history
        self._keep_timing = keep_timing
        self._put_header()

    def update(self, *args: Any, **more: Any) -> None:
        super().update(*args, **more)
        self._put_header()
        if self._keep_timing is not None and (timing := {name: self[name] for name in _TIMING if name in self}):
            self._keep_timing(timing)

    def _put_header(self) -> None:
        # A dictionary of our own: the one at hand may be the chat completion's as well.
        headers = {**(self.get("additional_headers") or {}), HISTORY_HEADER: self.history}
        headers.pop(_AS_THE_PROVIDERS, None)
        self["additional_headers"] = headers


def set_history_header(reply: Any, history: str, logging: Any = None) -> None:
    """Gives ``reply``, a response or the iterator of a stream fresh from the handler, the header.

    ``history``: ``redis``, ``database``, ``none`` or ``unavailable``. ``logging``: LiteLLM's logging object, which
    keeps the times of replies without hidden params for the spend logs.
    """
    keep_timing = None if hasattr(reply, "_hidden_params") else getattr(logging, "set_response_timing_metrics", None)
    reply._hidden_params = _HiddenParams(getattr(reply, "_hidden_params", None) or {}, history, keep_timing)
