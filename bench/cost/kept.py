"""Bytes that conversations take: in Redis by the fork, as raw JSON, and as the whole history with every response."""

from __future__ import annotations

import json
from collections.abc import Sequence

from redis import Redis

from lab.conversations import ChatConversation

SESSION_ID = "2f1d6c0e-8f4e-4b0c-9d43-5f4f3f0c7a11"
TTL_SECONDS = 86_400


def bytes_in(redis: Redis, pattern: str = "litellm_patch:*") -> int:
    """Redis' own count of keys, values and what it keeps of them."""
    pipeline = redis.pipeline(transaction=False)
    for key in redis.scan_iter(pattern, count=1000):
        pipeline.memory_usage(key, samples=0)
    return sum(pipeline.execute())


def raw_bytes(conversation: ChatConversation) -> int:
    """The messages once, as compact JSON in UTF-8, up to the last answer."""
    last = conversation.turns[-1]
    messages = [*last.history, last.answered]
    return len(json.dumps(messages, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))


def bytes_as_whole_histories(redis: Redis, conversations: Sequence[ChatConversation]) -> int:
    """A JSON record a response with all messages up to it, as the original workaround writes them: written, counted."""
    total = 0
    for number, conversation in enumerate(conversations):
        pipeline = redis.pipeline(transaction=False)
        for turn in range(len(conversation.turns)):
            one = conversation.turns[turn]
            record = {"messages": [*one.history, one.answered], "litellm_session_id": SESSION_ID}
            pipeline.set(f"whole:{number}-{turn}-{SESSION_ID}", json.dumps(record), ex=TTL_SECONDS)
        pipeline.execute()
        total += bytes_in(redis, "whole:*")
        for key in redis.scan_iter("whole:*", count=1000):
            redis.delete(key)
    return total
