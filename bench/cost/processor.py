"""Processor time of another process, and which cores a process may use."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path


def processor_seconds(pid: int) -> float:
    """User and system time of all threads of a process, those that have ended included.

    The process's own clock (`clock_getcpuclockid(3)`), in nanoseconds where `/proc/<pid>/stat` counts hundredths.
    """
    return time.clock_gettime((~pid) << 3 | 2)


def split_cores() -> tuple[frozenset[int], frozenset[int]]:
    """One core for the proxies, the others for all that stands around them; where there is one core, they share it."""
    first, *others = sorted(os.sched_getaffinity(0))
    return frozenset((first,)), frozenset(others or (first,))


def keep_on(pid: int, cores: frozenset[int]) -> None:
    """Every thread that the process has now; later ones inherit it."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), cores)
