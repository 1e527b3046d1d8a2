"""Whatever stands under our keys: the request goes on, with the whole history or with none, and nobody else notices."""

from __future__ import annotations

import random
import time
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
from lab.proxy import Proxy
from lab.stored import TURNS
from lab.trial import our_lines
from lab.wire import Conversation
from tests.e2e.sizes import LONG, some_of

from .changes import changes_of
from .stored import KEYS, Stored, pack, take_up

pytestmark = pytest.mark.xdist_group("hostile")

LOOK_UP = {"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {}}}
HISTORY = "x-litellm-session-history"
MEGABYTE = 1_000_000
RANDOM_VALUES = 1_000 if LONG else 100


@dataclass(frozen=True)
class Target:
    """A stored conversation with tools, the ids of its responses, and what its follow-up must bring."""

    asker: Asker
    ids: tuple[str, ...]
    last: Exchange
    whole: Conversation
    stored: Stored

    def problem(self) -> str | None:
        """What is wrong with the follow-up: it must go out once, with all or with nothing."""
        after = self.asker.ask("And?", self.last)
        if after.status != 200 or after.request is None:
            return f"status {after.status}, {after.reply.body}"
        if after.reply.headers.get(HISTORY) == "unavailable":
            return "it is held against Redis, which then is left alone by everybody"
        if after.conversation in (self.whole, self.whole[-1:]):
            return None
        return f"the provider got {after.conversation}"

    def check_all(self, cases: list[tuple[str, Callable[[], object]]]) -> None:
        """Each case is put in the place of what is stored, asked for, and taken back."""
        problems: list[str] = []
        for what, put in cases:
            put()
            if problem := self.problem():
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
        third = asker.ask(result, second, tools=[LOOK_UP])
        (turns_key,) = redis.scan_iter(TURNS)
        stored = take_up(redis, turns_key)
        whole = asker.ask("And?", third).conversation
        assert len(stored.turns) == 3
        yield Target(asker, (first.id, second.id, third.id), third, whole, stored)
        other = asker.ask("Somebody else.")
        assert asker.ask("And?", other).said == ["Somebody else.", other.reply.text, "And?"]
    bad = [line for line in our_lines(proxy)[logged:] if "fails at" in line or "defect" in line]
    assert bad == []


NUMBERS = ["", " ", "x", "-1", "0", "1", "2", "4", "1.5", "1e3", "0x3", "NaN", "inf", "\ud800", "\x00", "٣"]
NUMBERS += [str(2**31), str(2**53), str(2**63), "9" * 400, "9" * 5_000]


@pytest.mark.parametrize("number", range(3))
def test_every_number_of_a_header_may_be_anything(number: int, target: Target) -> None:
    stored = target.stored
    numbers = stored.value(number).partition(b"\n")[0].decode().split(" ")
    headers = [
        " ".join([*numbers[:place], other, *numbers[place + 1 :]]) for place in range(len(numbers)) for other in NUMBERS
    ]
    headers += ["", " ", "\n", " ".join(numbers[:3]), " ".join([*numbers, "1"]), "  ".join(numbers)]
    target.check_all([(repr(h[:60]), lambda h=h: stored.put_header(number, h)) for h in some_of(headers, 2)])


@pytest.mark.parametrize("name", ["about", "by"])
def test_what_a_conversation_says_of_itself_may_be_anything(name: str, target: Target) -> None:
    stored = target.stored
    about = stored.redis.hget(stored.key("turns"), name).decode()
    owner, _, began = about.rpartition(" ")
    texts = ["", " ", "x", "x y", "\x00", "\ud800", "%s", "x" * 100_000, owner, f"{about} {about}", about[:-1]]
    texts += [f"{owner} {number}" for number in NUMBERS] + [f"{other} {began}" for other in ("", "x", "user:.", "key:")]
    target.check_all([(repr(text[:60]), lambda text=text: stored.put_field(name, text)) for text in texts])


@pytest.mark.parametrize("number", range(3))
def test_every_field_of_a_turn_may_be_changed_by_others(number: int, target: Target) -> None:
    """Its sum does not fit then."""
    stored = target.stored
    reply = stored.texts[number].split(b"\n")[1]
    changes = some_of(list(changes_of(stored.turns[number])), 3)
    pieces = {c.name: pack(c.text.encode("utf-8", "surrogatepass") + b"\n" + reply + b"\n") for c in changes}
    target.check_all([(name, lambda p=piece: stored.put_piece(number, p)) for name, piece in pieces.items()])


@pytest.mark.parametrize("number", range(3))
def test_every_field_of_a_stored_reply_may_be_anything(number: int, target: Target) -> None:
    """It is shown as it stands there, or it is not found; the history does not need it."""
    stored, client = target.stored, target.asker.client
    headers = {"authorization": f"Bearer {client.key}"}
    problems = []
    for change in some_of(list(changes_of(stored.replies[number])), 3):
        stored.put_reply(number, change.text)
        for path in ("", "/input_items"):
            shown = client.http.get(f"/v1/responses/{target.ids[number]}{path}", headers=headers)
            if shown.status_code not in (200, 404):
                problems.append(f"{change.name}: {path} {shown.status_code}")
        if problem := target.problem():
            problems.append(f"{change.name}: {problem[:300]}")
        stored.put_back()
    assert problems == []


def test_a_value_may_end_at_any_byte(target: Target) -> None:
    stored = target.stored
    value, piece = stored.value(2), pack(stored.texts[1])
    text = stored.texts[1].split(b"\n")[0].decode()
    puts: list[tuple[str, Callable[[], object]]] = []
    for n in some_of(range(len(value)), 3):
        puts.append((f"value to {n}", lambda n=n: stored.put_value(2, value[:n])))
    for n in some_of(range(len(text)), 5):
        puts.append((f"text to {n}", lambda n=n: stored.put_turn(1, text[:n])))
    for n in some_of(range(len(piece)), 3):
        puts.append((f"piece to {n}", lambda n=n: stored.put_piece(1, piece[:n])))
    target.check_all(puts)


def test_values_may_be_random_bytes(target: Target) -> None:
    stored, chance = target.stored, random.Random(1)
    cases: list[tuple[str, Callable[[], object]]] = []
    for number in range(RANDOM_VALUES):
        value = chance.randbytes(chance.randint(0, 400))
        cases.append((f"value {number}", lambda v=value: stored.put_value(2, v)))
        cases.append((f"header {number}", lambda v=value: stored.put_header(2, v)))
        cases.append((f"about {number}", lambda v=value: stored.put_field("about", v)))
        cases.append((f"piece {number}", lambda v=value: stored.put_piece(2, v)))
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
    keys = {name: stored.key(name) for name in KEYS}

    def put(key: str, make: Callable[[Redis, str], object] | None) -> None:
        stored.redis.delete(key)
        if make is not None:
            make(stored.redis, key)

    kinds = {**TYPES, "gone": None}
    target.check_all(
        [
            (f"{name} is a {kind}", lambda key=key, make=make: put(key, make))
            for name, key in keys.items()
            for kind, make in kinds.items()
        ]
    )


def test_a_tree_may_lead_anywhere(target: Target) -> None:
    stored = target.stored
    first, second, third = stored.path
    trees = {
        "a turn after itself": {third: third},
        "a circle": {first: third},
        "a turn after nothing known": {first: 99},
        "a turn before the others": {third: 0},
        "half a turn": {second: 0.5},
        "a turn before none": {second: -1},
        "endless": {second: float("inf")},
        "a turn that is no number": {"x": third, "nan": third},
    }

    def bend(scores: dict) -> None:
        stored.redis.zadd(stored.key("tree"), scores)

    cases = [(name, lambda s=scores: bend(s)) for name, scores in trees.items()]
    numbers = stored.value(2).partition(b"\n")[0].decode().split(" ", 1)

    def run_in_a_circle() -> None:
        bend({third: third})
        stored.put_header(2, f"2000 {numbers[1]}")

    target.check_all([*cases, ("two thousand times around", run_in_a_circle)])


def test_lives_may_be_anybody_s(target: Target) -> None:
    stored = target.stored
    lives = {
        "of no number": {"x": 1},
        "of not a number": {"nan": 1},
        "of no turn": {"0": 1},
        "of half a turn": {"0.5": 1},
        "of a turn that is not there": {"99": 1},
        "of NUL": {"\x00": 1},
        "before all time": {"x": float("-inf")},
        "for ever": {stored.path[0]: float("inf"), stored.path[2]: float("inf")},
        "of very many": {f"x{number}": 1 for number in range(10_000)},
    }

    def put(scores: dict) -> None:
        # As if the last use were long ago, so that this one renews it, and collects.
        stored.redis.zadd(stored.key("lives"), {stored.path[2]: time.time() + 100, **scores})

    target.check_all([(name, lambda s=scores: put(s)) for name, scores in lives.items()])


def test_what_unpacks_to_much_does_not(target: Target, proxy: Proxy) -> None:
    stored, held = target.stored, resident_bytes(proxy.pid)
    piece = pack(b" " * 1_000 * MEGABYTE)
    sizes = {"as before": None, "at the limit": 64 * 1024 * 1024, "of all": 1_000 * MEGABYTE}
    target.check_all(
        [(f"a gigabyte, size {name}", lambda n=n: stored.put_piece(1, piece, n)) for name, n in sizes.items()]
    )
    grown = (resident_bytes(proxy.pid) - held) // MEGABYTE
    assert grown < 200, f"{grown} MB more than before"
