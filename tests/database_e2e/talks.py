"""A conversation that keeps what was said, and what the provider received for every turn."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from lab.asking import Asker
from lab.client import ResponsesClient
from lab.lines import Manner
from lab.processes import wait_until
from lab.recording import ProviderState

from .rows import Row, wait_for_rows

SERVES_SECONDS = 60  # some questions of the breaker's timer
# Over upstream's MAX_STRING_LENGTH_PROMPT_IN_DB: whole again at once only out of Redis.
CUT_BY_THE_DATABASE = "".join(f"{number} " for number in range(1_000))
PROBE_TAGS = itertools.count(5_000_000)


@dataclass
class Talk:
    """`say` sends the next turn and gives the texts that the provider received for it.

    url: the database in which the turns leave rows. said: all texts of the conversation so far, the client's and the
    provider's in turn. tags: one a turn, by which the turn's row is found.
    """

    client: ResponsesClient
    provider: ProviderState
    numbers: Iterator[int]
    url: str | None = None
    model: str = "chat-model"
    stream: bool = False
    key: str | None = None
    previous: str | None = None
    said: tuple[str, ...] = ()
    tags: tuple[int, ...] = ()

    @property
    def asker(self) -> Asker:
        return Asker(self.client, self.provider, Manner(self.model, self.stream), self.key, self.numbers)

    def say(self, text: str | None = None, as_item: bool = False, **params: object) -> tuple[str, ...]:
        """Fails unless the answer is a 200. Without `text`, a text of its own."""
        text = text or f"What about {next(self.numbers)}?"
        sent = [{"role": "user", "content": text}] if as_item else text
        exchange = self.asker.ask(sent, self.previous, **params)
        reply = exchange.reply
        assert reply.status == 200 and not reply.broken and exchange.request, reply.body
        self.previous = reply.id
        self.said += (text, reply.text)
        self.tags += (exchange.tag,)
        return exchange.received

    def remembers(self, **params: object) -> bool:
        """Whether one more turn goes out with the whole history."""
        received = self.say(**params)
        return received == self.said[:-1]

    def fork(self, **changes: object) -> Talk:
        """The same conversation from here, to be continued by somebody else."""
        return replace(self, **changes)

    def rows(self) -> list[Row]:
        """The row of every turn, in order, once upstream's writer has written them all."""
        return wait_for_rows(self.url, self.tags)


def wait_until_redis_serves(client: ResponsesClient, provider: ProviderState) -> None:
    """Redis may just have come back: the patch asks it again some seconds later."""

    def serves() -> bool:
        probe = Talk(client, provider, PROBE_TAGS)
        probe.say(CUT_BY_THE_DATABASE)
        return probe.say() == probe.said[:-1]

    wait_until(serves, SERVES_SECONDS, "Redis behind the proxy", 0.3)
