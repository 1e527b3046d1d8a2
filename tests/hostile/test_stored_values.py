"""Whatever stands under our keys: the request goes on, with the whole history or with none, and nobody else notices."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from redis import Redis

from lab.answers import Answer, ToolCall
from lab.asking import Asker
from lab.client import ResponsesClient
from lab.exchange import Exchange
from lab.memory import resident_bytes
from lab.provider import Provider
from lab.proxy import Proxy, ProxyOptions
from lab.redis_server import RedisServer
from lab.trees import tree
from lab.trial import our_lines
from lab.wire import Conversation
from tests.e2e.sizes import LONG, some_of

from .changes import changes_of
from .stored import SESSION, Stored, dump, pack, take_up

pytestmark = pytest.mark.xdist_group("hostile")

LOOK_UP = {"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {}}}
MEGABYTE = 1_000_000
RANDOM_VALUES = 1_000 if LONG else 100


@pytest.fixture(scope="module")
def victim() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def proxy(running_provider: Provider, victim: RedisServer) -> Iterator[Proxy]:
    options = ProxyOptions(running_provider.url, tree("patched"), {"REDIS_SESSION_PATCH_URL": victim.url})
    with Proxy(options) as proxy:
        yield proxy


@pytest.fixture
def redis(victim: RedisServer) -> Iterator[Redis]:
    with Redis.from_url(victim.url) as client:
        client.flushall()
        yield client


@dataclass(frozen=True)
class Target:
    """A stored conversation with tools, and what its follow-up must bring."""

    asker: Asker
    last: Exchange
    whole: Conversation
    stored: Stored

    def problem(self, may_differ: bool) -> str | None:
        """What is wrong with the follow-up: it must go out once, with all or with nothing.

        `may_differ`: or with what stands there now.
        """
        after = self.asker.ask("And?", self.last)
        if after.status != 200 or after.request is None:
            return f"status {after.status}, {after.reply.body}"
        if may_differ or after.conversation in (self.whole, self.whole[-1:]):
            return None
        return f"the provider got {after.conversation}"

    def check_all(self, cases: list[tuple[str, Callable[[], object], bool]]) -> None:
        """Each case is put in the place of what is stored, asked for, and taken back."""
        problems: list[str] = []
        for what, put, may_differ in cases:
            put()
            if problem := self.problem(may_differ):
                problems.append(f"{what}: {problem[:300]}")
            self.stored.put_back()
        assert not problems, f"{len(problems)} of {len(cases)}:\n" + "\n".join(problems)
        assert self.asker.ask("And?", self.last).conversation == self.whole


@pytest.fixture
def target(proxy: Proxy, provider: Provider, redis: Redis) -> Iterator[Target]:
    """Afterwards the store is open for everybody, and nothing was a defect."""
    logged = len(our_lines(proxy))
    with ResponsesClient(proxy.url, proxy.key) as client:
        asker = Asker(client, provider)
        first = asker.ask("Hello.", instructions="Be brief.")
        message = [{"role": "user", "content": [{"type": "input_text", "text": "Look it up."}]}]
        call = Answer("One moment.", (ToolCall("look_up", '{"n": 1}', "call_1"),))
        second = asker.ask(message, first, call, tools=[LOOK_UP])
        result = [{"type": "function_call_output", "call_id": "call_1", "output": "found"}]
        before = set(redis.scan_iter(SESSION + b"*"))
        third = asker.ask(result, second, tools=[LOOK_UP])
        (new,) = set(redis.scan_iter(SESSION + b"*")) - before
        whole = asker.ask("And?", third).conversation
        stored = take_up(redis, new.removeprefix(SESSION).decode())
        assert len(stored.turns) == 3
        yield Target(asker, third, whole, stored)
        other = asker.ask("Somebody else.")
        assert asker.ask("And?", other).said == ["Somebody else.", other.reply.text, "And?"]
    bad = [line for line in our_lines(proxy)[logged:] if "fails at" in line or "defect" in line]
    assert bad == []


def test_every_field_of_a_record_may_be_anything(target: Target) -> None:
    stored = target.stored
    changes = list(changes_of(stored.head))
    target.check_all([(c.name, lambda c=c: stored.put_record(c.text), False) for c in changes])


@pytest.mark.parametrize("number", range(3))
def test_every_field_of_a_turn_may_be_anything(number: int, target: Target) -> None:
    stored = target.stored
    changes = some_of(list(changes_of(stored.turns[number])), 3)
    target.check_all([(c.name, lambda c=c: stored.put_turn(number, c.text), c.is_plausible) for c in changes])


def test_of_a_turn_in_an_odd_form_every_field_may_be_anything(target: Target) -> None:
    """It is read as it was sent, so the history is what stands there, or none."""
    stored = target.stored
    changes = some_of(list(changes_of({**stored.turns[2], "odd": True})), 3)
    target.check_all([(c.name, lambda c=c: stored.put_turn(2, c.text), True) for c in changes])


def test_a_value_may_end_at_any_byte(target: Target) -> None:
    stored = target.stored
    record, text = stored.redis.get(stored.session_key), dump(stored.turns[1])
    piece = pack(text.encode())
    puts: list[tuple[str, Callable[[], object], bool]] = []
    for n in some_of(range(len(record)), 3):
        puts.append((f"record to {n}", lambda n=n: stored.redis.set(stored.session_key, record[:n]), False))
    for n in some_of(range(len(text)), 5):
        puts.append((f"text to {n}", lambda n=n: stored.put_turn(1, text[:n]), False))
    for n in some_of(range(len(piece)), 3):
        puts.append((f"piece to {n}", lambda n=n: stored.put_piece(1, piece[:n]), False))
    target.check_all(puts)


def test_values_may_be_random_bytes(target: Target) -> None:
    stored, chance = target.stored, random.Random(1)
    cases: list[tuple[str, Callable[[], object], bool]] = []
    for number in range(RANDOM_VALUES):
        value = chance.randbytes(chance.randint(0, 400))
        cases.append((f"record {number}", lambda v=value: stored.redis.set(stored.session_key, v), False))
        cases.append((f"head {number}", lambda v=value: stored.put_record(v), False))
        cases.append((f"piece {number}", lambda v=value: stored.put_piece(2, v), False))
    target.check_all(cases)


TYPES: dict[str, Callable[[Redis, str], object]] = {
    "string": lambda redis, key: redis.set(key, "x"),
    "list": lambda redis, key: redis.rpush(key, "x"),
    "set": lambda redis, key: redis.sadd(key, "x"),
    "hash": lambda redis, key: redis.hset(key, "x", "x"),
    "sorted set": lambda redis, key: redis.zadd(key, {"x": 1}),
    "stream": lambda redis, key: redis.xadd(key, {"x": "x"}),
}


def test_a_key_may_hold_another_type_of_value_or_be_gone(target: Target) -> None:
    stored = target.stored
    keys = {"record": stored.session_key.decode(), **{name: stored.key(name) for name in ("turns", "tree", "lives")}}

    def put(key: str, make: Callable[[Redis, str], object] | None) -> None:
        stored.redis.delete(key)
        if make is not None:
            make(stored.redis, key)

    kinds = {**TYPES, "gone": None}
    target.check_all(
        [
            (f"{name} is a {kind}", lambda key=key, make=make: put(key, make), False)
            for name, key in keys.items()
            for kind, make in kinds.items()
        ]
    )


def test_a_record_may_lead_anywhere(target: Target) -> None:
    stored = target.stored
    head, (first, second, third) = stored.head, stored.path
    elsewhere = {
        "to no conversation": {"c": "nobody"},
        "out of our keys": {"c": "x}:turns\nother:{y"},
        "to a turn before": {"t": first},
        "to a turn that is not there": {"t": "77"},
        "to fewer turns": {"n": 2},
        "to more turns": {"n": 4},
        "to the most turns": {"n": 2_000},
        "to millions of turns": {"n": 5_000_000},
        "to fewer bytes": {"b": head["b"] - 1},
        "to terabytes": {"b": 2**40},
        "to a shorter text": {"s": head["s"] - 1},
        "to a text of terabytes": {"s": 2**40},
        "to another text": {"k": head["k"] ^ 1},
        "to another format": {"v": head["v"] + 1},
        "to the format before": {"v": head["v"] - 1},
    }
    cases = [(name, lambda c=c: stored.put_record(dump({**head, **c})), False) for name, c in elsewhere.items()]
    trees = {
        "a turn after itself": {third: third},
        "a circle": {first: third},
        "a turn after nothing known": {first: 99},
        "half a turn": {second: 0.5},
        "a turn before none": {second: -1},
        "endless": {second: float("inf")},
    }

    def bend(scores: dict) -> None:
        stored.redis.zadd(stored.key("tree"), scores)

    cases += [(name, lambda s=scores: bend(s), False) for name, scores in trees.items()]
    bent = {"n": 1_000, "b": 1_000 * stored.redis.hstrlen(stored.key("turns"), third)}

    def run_in_a_circle() -> None:
        bend({third: third})
        stored.put_record(dump({**head, **bent}))

    cases.append(("a thousand times around", run_in_a_circle, False))
    target.check_all(cases)


def test_values_of_the_first_edition_are_a_miss(target: Target) -> None:
    stored = target.stored
    record = {"v": 1, "path": [["abcdef", 0, 1]], "owner": [None, None, "x", None], "ttl": 86_400, "session": None}

    def put() -> None:
        stored.redis.set(stored.session_key, json.dumps(record))
        stored.redis.rpush("litellm_patch:turns:abcdef", json.dumps({"v": 1, "input": "x", "answer": []}))

    target.check_all([("the first edition", put, False)])


def test_what_unpacks_to_much_does_not(target: Target, proxy: Proxy) -> None:
    stored, held = target.stored, resident_bytes(proxy.pid)
    piece = pack(b" " * 1_000 * MEGABYTE)
    sizes = {"as before": stored.head["s"], "at the limit": 64 * 1024 * 1024, "of all": 1_000 * MEGABYTE}

    def put(size: int) -> None:
        stored.put_piece(1, piece)
        head = json.loads(stored.redis.get(stored.session_key).partition(b"\n")[0])
        stored.put_record(dump({**head, "s": size}))

    target.check_all([(f"a gigabyte, size {name}", lambda n=n: put(n), False) for name, n in sizes.items()])
    grown = (resident_bytes(proxy.pid) - held) // MEGABYTE
    assert grown < 200, f"{grown} MB more than before"
