"""How much memory a process and its children hold (Linux)."""

from __future__ import annotations

import os
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes(group: int) -> int:
    """Of all processes in a group, which `lab.processes.Child` has one of its own of."""
    return sum(resident_of(folder) for folder in Path("/proc").glob("[0-9]*") if group_of(folder) == group)


def group_of(folder: Path) -> int | None:
    try:
        return int((folder / "stat").read_text().rpartition(")")[2].split()[2])
    except (OSError, ValueError):
        return None  # it has ended


def resident_of(folder: Path) -> int:
    try:
        return int((folder / "statm").read_text().split()[1]) * PAGE_BYTES
    except OSError:
        return 0
