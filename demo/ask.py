"""The consecutive requests: tell the model a number, and ask for it at once with `previous_response_id`.

`make ask` does it on a running proxy, with nothing but Python and curl: `BASE_URL` (or `PORT` of this machine, 4000),
`API_KEY`, `MODEL` (without it, the three models of `make serve`). Ends with 0 when every answer knew the number, 1
when one did not.
"""

from __future__ import annotations

import os
import random
import sys
from dataclasses import dataclass

from lab.proxy import MASTER_KEY, MODELS

from .curl import CurlFailed, Said, ask

QUESTION = "What is my favourite number? Answer with the number alone."


@dataclass(frozen=True)
class Outcome:
    """What was said first, what the model answered to it, and what it answered to the question."""

    statement: str
    number: str
    first: Said
    second: Said

    @property
    def is_remembered(self) -> bool:
        return self.number in self.second.text


def ask_twice(base_url: str, key: str, model: str, stream: bool) -> Outcome:
    """Two requests, no delay between them. Raises CurlFailed."""
    number = str(random.randrange(100_000, 1_000_000))
    statement = f"My favourite number is {number}. Say OK."
    first = ask(base_url, key, model, statement, stream)
    second = ask(base_url, key, model, QUESTION, stream, previous=first.id)
    return Outcome(statement, number, first, second)


def main() -> int:
    base_url = os.environ.get("BASE_URL") or f"http://localhost:{os.environ.get('PORT') or 4000}"
    key = os.environ.get("API_KEY") or MASTER_KEY
    models = [os.environ["MODEL"]] if os.environ.get("MODEL") else MODELS
    forgotten = 0
    print(f"asking {base_url}", flush=True)
    for model in models:
        for stream in (False, True):
            outcome = ask_twice(base_url, key, model, stream)
            forgotten += not outcome.is_remembered
            verdict = "remembered" if outcome.is_remembered else "FORGOTTEN "
            kind = "stream" if stream else "plain"
            heard = f"said {outcome.number}, answer: {outcome.second.text!r}"
            print(f"{model:<14} {kind:<7} {verdict}  {heard}", flush=True)
    return 1 if forgotten else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CurlFailed as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
