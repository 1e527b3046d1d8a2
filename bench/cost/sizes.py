"""Bytes in Redis of conversations that the store keeps, synthetic and recorded, without a proxy.

Against the raw JSON of the messages, and against the whole history with each response, as the original workaround has.
"""

from __future__ import annotations

from collections.abc import Sequence

import uvloop
from redis import Redis

from lab.conversations import ChatConversation, recorded
from lab.redis_server import RedisServer

from . import kept, results
from .fork import OpenStore, Place, open_store, turns_of
from .texts import Writer

TURNS = (1, 10, 100, 1000)
ASKED, ANSWERED = 512, 1536  # characters: 2 kB a turn
WHOLE_HISTORIES_TO = 100  # turns: of 1,000 they would take a gigabyte


def a_chain(turns: int) -> ChatConversation:
    writer, messages = Writer(turns), []
    for _ in range(turns):
        messages.append({"role": "user", "content": writer.text(ASKED)})
        messages.append({"role": "assistant", "content": writer.text(ANSWERED)})
    return ChatConversation(f"chain-{turns}", tuple(messages))


async def keep(store: OpenStore, conversation: ChatConversation) -> None:
    """As a proxy does, turn by turn."""
    last: Place | None = None
    for turn in turns_of(conversation):
        chain = [await store.load(last)] if last else []
        last = await store.save(turn, *chain)


async def measure(url: str, redis: Redis, name: str, conversations: Sequence[ChatConversation]) -> dict:
    redis.flushall()
    store = open_store(url)
    for each in conversations:
        await keep(store, each)
    longest = max(len(each.turns) for each in conversations)
    figures = {
        "name": name,
        "conversations": len(conversations),
        "turns": sum(len(each.turns) for each in conversations),
        "raw_json_bytes": sum(map(kept.raw_bytes, conversations)),
        "redis_bytes": kept.bytes_in(redis),
    }
    if longest <= WHOLE_HISTORIES_TO:
        figures["whole_histories_bytes"] = kept.bytes_as_whole_histories(redis, conversations)
    results.progress(f"  {name}: {figures}")
    return figures


def main() -> None:
    sets = [(f"{turns:,} turns of 2 kB", [a_chain(turns)]) for turns in TURNS]
    sets += [("recorded agents", recorded("agent_trajectories")), ("recorded dialogues", recorded("dialogues"))]
    with RedisServer() as server, server.client() as redis:
        rows = [uvloop.run(measure(server.url, redis, name, each)) for name, each in sets if each]
    results.write("sizes", rows=rows)
