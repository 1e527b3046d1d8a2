"""How long the faults last, and which are tried on which way to Redis: a part in CI, everything with `LONG=1`."""

from __future__ import annotations

from lab.evictions import EVICTIONS
from lab.failovers import FAILOVERS
from lab.faults import OUTAGES, TOPOLOGIES, Fault
from lab.trial import Spans
from tests.e2e.sizes import LONG

SPANS = Spans(before=3, during=8, after=2) if LONG else Spans(before=2, during=4, after=0.5)

# In CI every fault happens on one way; those that once went wrong on one way only happen on these too.
EVERYTHING_ON = "url"
ELSEWHERE = {
    "cache": ("stopped", "reset"),
    "tls-cache": ("killed", "stopped", "closed", "reset", "OOM"),
    "cluster": ("stopped", "reset", "master-killed", "master-hangs", "slots-moved", "master-lost"),
    "sentinel": ("reset", "master-killed", "master-hangs"),
}
FAULTS = {fault.name: fault for fault in (*OUTAGES, *EVICTIONS, *FAILOVERS)}


def faults_on(way: str) -> list[Fault]:
    """Those to try on this way."""
    topology = next((name for name in TOPOLOGIES if way.startswith(name)), None)
    possible = [fault for fault in FAULTS.values() if topology in fault.on]
    if LONG or way == EVERYTHING_ON:
        return possible
    return [fault for fault in possible if fault.name in ELSEWHERE.get(way, ())]
