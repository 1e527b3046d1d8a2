"""`prisma.types.<anything>`: the generated TypedDicts, which at run time are plain dicts."""

from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return dict
