"""A case of a rule: what it refuses, in which words, and what is near it and taken."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """`refused`, `taken`: request bodies. `text`: the error's whole message. The rest: of both requests, see `Sent`.

    fault: further fields of the fault, by name. state: `before` and `held` of the refused request, see `Sent`.
    """

    slug: str
    refused: dict[str, Any]
    text: str
    taken: dict[str, Any]
    model: str = ""
    betas: str = ""
    issued: Collection[tuple[str, str]] = ()
    fault: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
