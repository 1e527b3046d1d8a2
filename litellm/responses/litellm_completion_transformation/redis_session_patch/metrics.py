"""What operators see of the store: counters for Prometheus, and plain ones for the health route.

Names and labels say nothing of users, keys, models or conversations. Where ``prometheus_client`` is missing, or will
not take our names, nothing is exported and nothing fails.
"""

import logging
from collections import Counter
from functools import lru_cache
from typing import Any

logger = logging.getLogger("litellm.redis_session_patch")

LOOKUP_RESULTS = (
    "found",
    "database",
    "unknown",
    "deleted",
    "denied",
    "incomplete",
    "unreadable",
    "too_large",
    "failed",
)
TURN_RESULTS = ("stored", "failed", "skipped", "store_false", "unlogged", "stream_cut", "unidentified", "refused")
OPERATIONS = ("read", "write")

_PREFIX = "litellm_responses_session"
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_BYTES = tuple(1024 * 4**power for power in range(8))  # 1 kB to 16 MB


class Metrics:
    """One process's. Make it no earlier than the proxy starts to serve: until then LiteLLM may still set the folder
    in which workers share their figures, which ``prometheus_client`` looks for once."""

    def __init__(self) -> None:
        self._lookups = Counter(dict.fromkeys(LOOKUP_RESULTS, 0))
        self._requests = Counter(dict.fromkeys(LOOKUP_RESULTS, 0))
        self._turns = Counter(dict.fromkeys(TURN_RESULTS, 0))
        self._exported = _exported()

    def count_lookup(self, result: str) -> None:
        """``result``: one of LOOKUP_RESULTS."""
        self._lookups[result] += 1
        if self._exported:
            self._exported.lookups[result].inc()

    def count_request(self, result: str) -> None:
        """``result``: one of LOOKUP_RESULTS."""
        self._requests[result] += 1
        if self._exported:
            self._exported.requests[result].inc()

    def count_turn(self, result: str) -> None:
        """``result``: one of TURN_RESULTS."""
        self._turns[result] += 1
        if self._exported:
            self._exported.turns[result].inc()

    def count_defect(self) -> None:
        """The fork itself failed."""
        if self._exported:
            self._exported.defects.inc()

    def observe_redis(self, operation: str, seconds: float) -> None:
        """How long one operation took, all of its round trips together. ``operation``: one of OPERATIONS."""
        if self._exported:
            self._exported.redis_seconds[operation].observe(seconds)

    def observe_turn_bytes(self, size_bytes: int) -> None:
        """The size of a turn as stored."""
        if self._exported:
            self._exported.turn_bytes.observe(size_bytes)

    def set_breaker_open(self, operation: str, is_open: bool) -> None:
        if self._exported:
            self._exported.breaker_open[operation].set(is_open)

    def set_info(self, fork: str, release: str, encrypted: bool) -> None:
        if self._exported:
            self._exported.info.labels(fork, release, str(encrypted).lower()).set(1)

    def counts(self) -> dict[str, dict[str, int]]:
        """What this process has counted."""
        return {"lookups": dict(self._lookups), "requests": dict(self._requests), "turns": dict(self._turns)}


class _Exported:
    """The metrics in the registry that LiteLLM's ``/metrics`` serves.

    Every label is there from the start, so that a first event is an increase. Of several workers a gauge is the
    highest value that a living one has.
    """

    def __init__(self, client: Any):
        def of_each(metric: Any, values: tuple[str, ...]) -> dict[str, Any]:
            return {value: metric.labels(value) for value in values}

        self.lookups = of_each(
            client.Counter(f"{_PREFIX}_lookups", "Lookups of a previous response, by result.", ["result"]),
            LOOKUP_RESULTS,
        )
        self.requests = of_each(
            client.Counter(f"{_PREFIX}_requests", "Requests for a stored response itself, by result.", ["result"]),
            LOOKUP_RESULTS,
        )
        self.turns = of_each(
            client.Counter(f"{_PREFIX}_turns", "Answered turns, by what became of them.", ["result"]), TURN_RESULTS
        )
        self.defects = client.Counter(f"{_PREFIX}_defects", "Failures of the fork itself; LiteLLM went on without it.")
        self.redis_seconds = of_each(
            client.Histogram(
                f"{_PREFIX}_redis_seconds", "Seconds of a Redis operation.", ["operation"], buckets=_SECONDS
            ),
            OPERATIONS,
        )
        self.turn_bytes = client.Histogram(f"{_PREFIX}_turn_bytes", "Bytes of a stored turn.", buckets=_BYTES)
        self.breaker_open = of_each(
            client.Gauge(
                f"{_PREFIX}_breaker_open", "1 while Redis is left alone.", ["operation"], multiprocess_mode="livemax"
            ),
            OPERATIONS,
        )
        self.info = client.Gauge(
            f"{_PREFIX}_info",
            "1; what runs here.",
            ["fork", "release", "encrypted"],
            multiprocess_mode="livemax",
        )


@lru_cache(maxsize=1)  # A registry takes a name once.
def _exported() -> _Exported | None:
    try:
        import prometheus_client

        return _Exported(prometheus_client)
    except ImportError:
        return None
    except Exception as error:  # A name that is taken, a folder that cannot be written.
        logger.warning("The session store's metrics are not exported (%s).", type(error).__name__)
        return None
