"""What operators see of the store: metrics for Prometheus, and plain counts for the health route.

Names and labels say nothing of users, keys, models or conversations. Where ``prometheus_client`` is missing, or will
not take our names, nothing is exported and nothing fails.
"""

import logging
from functools import lru_cache, partial
from typing import Any

logger = logging.getLogger("litellm.redis_session_patch")

_MISSES = ("unknown", "deleted", "denied", "unfinished", "incomplete", "unreadable", "too_large")
LOOKUP_RESULTS = ("found", "carried", "held", "database", *_MISSES, "failed")
TURN_RESULTS = ("stored", "failed", "skipped", "store_false", "unlogged", "stream_cut", "unidentified")
JOB_RESULTS = ("completed", "incomplete", "failed", "cancelled", "deleted", "stopped", "lost", "refused")
COMPACTION_RESULTS = ("made", "failed")
OPERATIONS = ("read", "write")

_RESULTS = {
    "lookups": LOOKUP_RESULTS,
    "requests": LOOKUP_RESULTS,
    "turns": TURN_RESULTS,
    "jobs": JOB_RESULTS,
    "compactions": COMPACTION_RESULTS,
}
# What is done with a value, by the kind of its metric; a gauge has ``inc`` too.
_VERBS = ("set", "observe", "inc")
_PREFIX = "litellm_responses_session"
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_JOB_SECONDS = (1.0, 5.0, 15.0, 60.0, 180.0, 600.0, 1_800.0, 3_600.0)
_OF = ("before", "summary")
_TOKENS = tuple(250.0 * 4**power for power in range(7))  # to a million
_BYTES = tuple(1024 * 4**power for power in range(8))  # 1 kB to 16 MB


class Metrics:
    """One process's. Make it no earlier than the proxy starts to serve: until then LiteLLM may still set the folder
    in which workers share their figures, which ``prometheus_client`` looks for once."""

    def __init__(self) -> None:
        self._counts = {kind: dict.fromkeys(results, 0) for kind, results in _RESULTS.items()}
        self._exported = _exported()

    def count(self, kind: str, result: str) -> None:
        """``lookups`` or ``requests`` (for a stored response itself), by LOOKUP_RESULTS; ``turns``, by TURN_RESULTS;
        ``jobs`` (responses in the background), by JOB_RESULTS.
        """
        self._counts[kind][result] += 1
        self.record(kind, 1, result)

    def record(self, name: str, value: float, *labels: str) -> None:
        """Adds ``value`` to a counter, makes it a gauge's, or puts it into a histogram; seconds or bytes."""
        if self._exported:
            metric = self._exported[name].labels(*labels) if labels else self._exported[name]
            next(getattr(metric, verb) for verb in _VERBS if hasattr(metric, verb))(value)

    def counts(self) -> dict[str, dict[str, int]]:
        """What this process has counted."""
        return {kind: dict(counted) for kind, counted in self._counts.items()}


@lru_cache(maxsize=1)  # A registry takes a name once.
def _exported() -> dict[str, Any] | None:
    try:
        return _registered()
    except ImportError:
        return None
    except Exception as error:  # A name that is taken, a folder that cannot be written.
        logger.warning("The session store's metrics are not exported (%s).", type(error).__name__)
        return None


def _registered() -> dict[str, Any]:
    """The metrics in the registry that LiteLLM's ``/metrics`` serves.

    Every label is there from the start, so that a first event is an increase. Of several workers a gauge is the
    highest value that a living one has.
    """
    from prometheus_client import Counter, Gauge, Histogram

    metrics: dict[str, Any] = {}
    gauge = partial(Gauge, multiprocess_mode="livemax")

    def add(kind: Any, name: str, text: str, labels: str = "", values: tuple[str, ...] = (), **more: Any) -> None:
        metrics[name] = kind(f"{_PREFIX}_{name}", text, labels.split(), **more)
        for value in values:
            metrics[name].labels(value)

    add(Counter, "lookups", "Lookups of a previous response, by result.", "result", LOOKUP_RESULTS)
    add(Counter, "requests", "Requests for a stored response itself, by result.", "result", LOOKUP_RESULTS)
    add(Counter, "turns", "Answered turns, by what became of them.", "result", TURN_RESULTS)
    add(Counter, "jobs", "Background responses, by how they ended.", "result", JOB_RESULTS)
    add(Counter, "compactions", "Conversations that were to be compacted.", "result", COMPACTION_RESULTS)
    add(Histogram, "compaction_tokens", "Tokens before a compaction, and of its summary.", "of", _OF, buckets=_TOKENS)
    add(Gauge, "jobs_running", "Background responses that run now.", multiprocess_mode="livesum")
    add(Histogram, "job_seconds", "Seconds of a background response.", buckets=_JOB_SECONDS)
    add(Counter, "defects", "Failures of the fork itself; LiteLLM went on without it.")
    add(Histogram, "redis_seconds", "Seconds of a Redis operation.", "operation", OPERATIONS, buckets=_SECONDS)
    add(Histogram, "turn_bytes", "Bytes of a stored turn.", buckets=_BYTES)
    add(gauge, "breaker_open", "1 while Redis is left alone.", "operation", OPERATIONS)
    add(gauge, "info", "1; what runs here.", "fork release encrypted")
    return metrics
