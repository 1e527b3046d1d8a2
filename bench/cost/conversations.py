"""Whole conversations through real proxies: bytes in Redis and in PostgreSQL, rows, commits, and what a lookup takes.

Two proxies, each on a PostgreSQL database of its own: upstream's with its own way to remember (prompts in the spend
logs), and the fork with Redis and, by LiteLLM's default, no prompts in the spend logs.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from redis import Redis

from lab.answers import Answer
from lab.client import AsyncResponsesClient
from lab.conversations import ChatConversation, recorded, tags
from lab.database.postgres import postgres
from lab.database.proxy_env import with_database
from lab.database.queries import fetch, run_statement
from lab.database.spend_logs import wait_for_spend_logs
from lab.lines import Manner
from lab.provider import Provider
from lab.proxy import Proxy, ProxyOptions
from lab.redis_server import RedisServer
from lab.replay import play_all
from lab.trees import tree

from . import kept, results
from .texts import Writer

MODEL = "chat-model"
TURNS = (1, 10, 100)
ASKED, ANSWERED = 512, 1536  # characters: 2 kB a turn
AT_ONCE = 16
LOOKUPS, FOLLOW_UPS = 15, 40
LOG_TABLE = '"LiteLLM_SpendLogs"'


@dataclass(frozen=True)
class Remembering:
    """A proxy, and the database that is its own."""

    name: str
    proxy: Proxy
    database: str


def a_chain(turns: int, seed: int) -> ChatConversation:
    writer, messages = Writer(seed), []
    for _ in range(turns):
        messages.append({"role": "user", "content": writer.text(ASKED)})
        messages.append({"role": "assistant", "content": writer.text(ANSWERED)})
    return ChatConversation(f"chain-{turns}-{seed}", tuple(messages))


async def play(side: Remembering, provider: Provider, conversations: Sequence[ChatConversation]) -> dict:
    """All turns through the proxy; what they left in PostgreSQL, and how many were exact."""
    run_statement(side.database, f"TRUNCATE {LOG_TABLE}")
    before = commits(side.database)
    turns = sum(len(each.turns) for each in conversations)
    played = await play_all(side.proxy.url, side.proxy.key, provider, conversations, [Manner(MODEL)], tags(), AT_ONCE)
    await asyncio.to_thread(wait_for_spend_logs, side.database, lambda rows: len(rows) >= turns, 120.0)
    return {
        "turns": turns,
        "exact": sum(each.is_whole for each in played),
        "rows": fetch(side.database, f"SELECT count(*) FROM {LOG_TABLE}")[0]["count"],
        "commits": commits(side.database) - before,
        "bytes": table_bytes(side.database),
    }


def commits(database: str) -> int:
    """All that PostgreSQL has counted in this database; each of our own questions is one more."""
    query = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
    return fetch(database, query)[0]["xact_commit"]


def table_bytes(database: str) -> int:
    run_statement(database, f"VACUUM FULL {LOG_TABLE}")
    return fetch(database, f"SELECT pg_total_relation_size('{LOG_TABLE}') AS bytes")[0]["bytes"]


async def bytes_of(
    name: str, conversations: Sequence[ChatConversation], sides: Sequence[Remembering], provider: Provider, redis: Redis
) -> dict:
    """What each way of keeping takes for the same conversations."""
    redis.flushall()
    left = {side.name: await play(side, provider, conversations) for side in sides}
    figures = {
        "conversations": len(conversations),
        "turns": left["upstream"]["turns"],
        "raw_json_bytes": sum(map(kept.raw_bytes, conversations)),
        "redis_bytes": kept.bytes_in(redis),
        "whole_histories_bytes": kept.bytes_as_whole_histories(redis, conversations),
        "postgresql": left,
    }
    results.progress(f"  {name}: {figures}")
    return {"name": name, **figures}


async def chains_and_lookups(sides: Sequence[Remembering], provider: Provider) -> list[dict]:
    """The seconds that a follow-up takes after 1, 10, 100 turns: by its id, and with all of it sent by the client."""
    rows = []
    for side in sides:
        async with AsyncResponsesClient(side.proxy.url, side.proxy.key) as client:
            chain, ids = a_chain(max(TURNS), seed=7), []
            for turn in chain.turns:
                provider.script(Answer(text=turn.answered["content"]))
                reply = await client.responses(
                    MODEL, turn.sent[0]["content"], previous_response_id=ids[-1] if ids else None
                )
                ids.append(reply.id)
            for turns in TURNS:
                by_id, sent = [], []
                for _ in range(LOOKUPS):
                    started = time.perf_counter()
                    await client.responses(MODEL, "And now?", previous_response_id=ids[turns - 1])
                    between = time.perf_counter()
                    history = [dict(each) for each in chain.messages[: 2 * turns]]
                    await client.responses(MODEL, [*history, {"role": "user", "content": "And now?"}])
                    by_id.append(between - started)
                    sent.append(time.perf_counter() - between)
                rows.append(
                    {
                        "side": side.name,
                        "turns": turns,
                        "by_id_ms": milliseconds(by_id),
                        "all_sent_ms": milliseconds(sent),
                        "lookup_ms": milliseconds([a - b for a, b in zip(by_id, sent, strict=True)]),
                    }
                )
                results.progress(f"  a follow-up: {rows[-1]}")
    return rows


async def context_at_once(sides: Sequence[Remembering], provider: Provider) -> list[dict]:
    """A follow-up at once: how many had their context, and the seconds it took longer than the first turn."""
    rows = []
    for side in sides:
        waited, whole, numbers = [], 0, tags(500_000)
        async with AsyncResponsesClient(side.proxy.url, side.proxy.key) as client:
            for number in range(FOLLOW_UPS):
                tag = next(numbers)
                started = time.perf_counter()
                first = await client.responses(MODEL, f"My favourite number is {number}7.")
                between = time.perf_counter()
                await client.responses(MODEL, "What is it?", tag=tag, previous_response_id=first.id)
                waited.append(time.perf_counter() - between - (between - started))
                whole += len(provider.requests(tag=tag)[-1].conversation) == 3
        rows.append({"side": side.name, "share": whole / FOLLOW_UPS, "longer_ms": milliseconds(waited)})
        results.progress(f"  a follow-up at once: {rows[-1]}")
    return rows


def milliseconds(seconds: Sequence[float]) -> list[float]:
    return [round(1000 * each, 2) for each in statistics.quantiles(seconds, n=4, method="inclusive")]


async def measure(sides: Sequence[Remembering], provider: Provider, redis: Redis, share: float) -> dict:
    agents, dialogues = (part_of(recorded(name), share) for name in ("agent_trajectories", "dialogues"))
    sets = [(f"{turns} turns of 2 kB", [a_chain(turns, seed=turns)]) for turns in TURNS]
    sets += [("agent conversations", agents), ("dialogues", dialogues)]
    kept_bytes = [await bytes_of(name, each, sides, provider, redis) for name, each in sets if each]
    return {"bytes": kept_bytes, **await follow_ups(sides, provider)}


async def follow_ups(sides: Sequence[Remembering], provider: Provider) -> dict:
    return {
        "at_once": await context_at_once(sides, provider),
        "lookups": await chains_and_lookups(sides, provider),
    }


def part_of(conversations: list[ChatConversation], share: float) -> list[ChatConversation]:
    return conversations[: round(len(conversations) * share)]


def main(factor: int = 1) -> None:
    provider, redis = Provider(), RedisServer()
    with provider, redis, postgres() as databases, databases.fresh() as one, databases.fresh() as other:
        options = ProxyOptions(provider.url, tree("pristine"))
        on_redis = {"REDIS_SESSION_PATCH_URL": redis.url}
        no_prompts = {"store_prompts_in_spend_logs": False}
        fork = ProxyOptions(provider.url, tree("patched"), on_redis, general_settings=no_prompts)
        with Proxy(with_database(options, one)) as upstream, Proxy(with_database(fork, other)) as forked:
            sides = [Remembering("upstream", upstream, one), Remembering("fork", forked, other)]
            with redis.client() as client:
                figures = asyncio.run(measure(sides, provider, client, 1.0 if factor > 1 else 0.3))
    results.write("conversations", **figures)
