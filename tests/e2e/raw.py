"""OpenAI's own client, and the headers of what it got."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import openai

from lab.lines import Manner
from lab.proxy import Proxy

HISTORY = "x-litellm-session-history"


@dataclass(frozen=True)
class Raw:
    id: str
    headers: dict[str, str]

    @property
    def history(self) -> str | None:
        """What the header says, which is there once and under no other name."""
        assert [name for name in self.headers if HISTORY in name] in ([], [HISTORY])
        return self.headers.get(HISTORY)


@contextmanager
def openai_client(proxy: Proxy, key: str | None = None) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{proxy.url}/v1", api_key=key or proxy.key, max_retries=0) as client:
        yield client


def ask(client: openai.OpenAI, manner: Manner, said: str = "Hello.", after: Raw | str | None = None) -> Raw:
    previous: dict[str, Any] = {"previous_response_id": after.id if isinstance(after, Raw) else after} if after else {}
    raw = client.responses.with_raw_response.create(model=manner.model, input=said, stream=manner.stream, **previous)
    reply = raw.parse()
    if manner.stream:
        *_, last = reply
        reply = last.response
    return Raw(reply.id, dict(raw.headers))
