"""How much the long tests play, and which tests share their proxies.

A part of the conversations in `make test`, everything with `LONG=1` (`make test-long`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

import pytest

from lab.lines import Manner
from lab.proxy import MODELS

T = TypeVar("T")

LONG = os.environ.get("LONG") == "1"

# Every wire format, plain and as a stream.
MANNERS = tuple(Manner(model, stream) for model in MODELS for stream in (False, True))

# Of two workers, one has the plain proxies and the other those with identities (`tests/conftest.py`).
IDENTITIES = pytest.mark.xdist_group("identities")


def some_of(everything: Sequence[T], part: int) -> list[T]:
    """All of it in a long run, else each ``part``-th."""
    return list(everything) if LONG else list(everything)[::part]
