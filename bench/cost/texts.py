"""Text that compresses about as natural language does, and response ids; the same in every run."""

from __future__ import annotations

import random
import string
import uuid
from collections.abc import Iterator

_WORDS = 3_000
_LETTERS = string.ascii_lowercase + "eeeeeetttttaaaaaooooiiiinnnnsssshhhrrrddlluu"


class Writer:
    """Draws words of an invented language, frequent ones more often (Zipf)."""

    def __init__(self, seed: int = 1) -> None:
        self._chance = random.Random(seed)
        made = random.Random(0)
        self._words = ["".join(made.choices(_LETTERS, k=made.randint(2, 11))) for _ in range(_WORDS)]
        self._heights = [1 / (rank + 3) for rank in range(_WORDS)]
        total = 0.0
        for rank, height in enumerate(self._heights):
            total += height
            self._heights[rank] = total

    def text(self, characters: int) -> str:
        """Just so many."""
        count = characters // 4 + 2
        return " ".join(self._chance.choices(self._words, cum_weights=self._heights, k=count))[:characters]

    def ids(self) -> Iterator[str]:
        """Ids as a provider gives them."""
        while True:
            yield f"chatcmpl-{uuid.UUID(int=self._chance.getrandbits(128), version=4)}"
