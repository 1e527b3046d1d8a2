"""What LiteLLM as released does on this database: the measure for what the patch falls back to."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lab.processes import wait_until

from .talks import Talk

# Upstream's writer and its lookup: the rows of a turn, then a follow-up that finds them.
CONTINUES_SECONDS = 60

# By `stream`: whether LiteLLM as released continues a conversation of short messages from the database.
Continues = Callable[[bool], bool]


def continues(talk: Talk) -> bool:
    """Whether `talk` is continued with its whole history once all its rows are written; else with none of it."""
    talk.rows()
    received = talk.say()
    assert received in (talk.said[:-1], talk.said[-2:-1]), received
    return received == talk.said[:-1]


def wait_until_continued(begun: Talk) -> Talk:
    """Follow-ups of the same response until one goes out with the whole history; that one."""
    tries: list[Talk] = []

    def is_continued() -> bool:
        tries.append(begun.fork())
        received = tries[-1].say()
        assert received[-1] == tries[-1].said[-2]
        return received == tries[-1].said[:-1]

    wait_until(is_continued, CONTINUES_SECONDS, "upstream's own way to the history", 0.5)
    return tries[-1]


def is_run_of(received: tuple[str, ...], said: Iterable[str]) -> bool:
    """Whether it is the end of the conversation, from some turn of the client's on: what upstream can leave over."""
    said = tuple(said)
    return len(received) % 2 == 1 and received == said[len(said) - len(received) :]
