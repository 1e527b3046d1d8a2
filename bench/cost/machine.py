"""What a measurement ran on and with: absolute figures mean nothing without it."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from lab.trees import installed_release

CPU_INFO, MEMORY_INFO = Path("/proc/cpuinfo"), Path("/proc/meminfo")


def machine() -> dict:
    kinds = (line.partition(":")[2].strip() for line in CPU_INFO.read_text().splitlines() if "model name" in line)
    (memory,) = (int(line.split()[1]) for line in MEMORY_INFO.read_text().splitlines() if "MemTotal" in line)
    return {
        "cores": os.cpu_count(),
        "processor": next(kinds, platform.machine()),
        "memory_gib": round(memory / 2**20),
        "python": platform.python_version(),
        "release": installed_release(),
    }


def described(machine: dict) -> str:
    names = ("cores", "processor", "memory_gib", "python", "release")
    return "{} cores ({}), {} GiB, Python {}, LiteLLM {}".format(*(machine[name] for name in names))
