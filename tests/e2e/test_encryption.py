"""With `REDIS_SESSION_PATCH_ENCRYPTION_KEY`: unreadable in Redis, rotated without a loss, a wrong key is a miss."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest
from redis import Redis

from tests.support.provider import Provider
from tests.support.proxies import ProxyPool
from tests.support.proxy import ProxyOptions
from tests.support.replay import Setting

from .asking import Asker, asking, check_remembers, marker, patch_values, redis_holds

OLD, NEW, WRONG = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2, 3))


@pytest.fixture
def keyed(
    setting: Setting, proxies: ProxyPool, plain_options: ProxyOptions, provider: Provider
) -> Iterator[dict[str, Asker]]:
    """Proxies on one Redis: the key of before, the new one beside the old one, and one that knows neither."""
    keys = {"old": OLD, "rotated": f"{NEW},{OLD}", "wrong": WRONG}
    options = [
        replace(plain_options, environment={**plain_options.environment, "REDIS_SESSION_PATCH_ENCRYPTION_KEY": each})
        for each in keys.values()
    ]
    with ExitStack() as stack:
        running = zip(keys, proxies.get_all(options), strict=True)
        yield {name: stack.enter_context(asking(proxy, provider, setting)) for name, proxy in running}


def test_values_are_unreadable_in_redis(keyed: dict[str, Asker], redis: Redis) -> None:
    secret = marker()
    before = set(patch_values(redis))
    first = keyed["old"].ask(secret, instructions=f"be {secret}")
    second = check_remembers(keyed["old"], first, [f"be {secret}", secret])
    written = set(patch_values(redis)) - before
    assert len(written) == 4, "two records and two turns"
    assert not redis_holds(redis, secret)
    readable = [first.reply.text, second.reply.text, "And then?", "default_user_id", "content", "user"]
    assert not [text for text in readable for value in written if text.encode() in value]


def test_after_a_rotation_old_conversations_go_on_and_new_turns_have_the_new_key(keyed: dict[str, Asker]) -> None:
    first = keyed["old"].ask("one")
    second = check_remembers(keyed["rotated"], first, ["one"])
    assert keyed["rotated"].ask("three", second).said == [*second.said, second.reply.text, "three"]
    assert keyed["old"].ask("three", second).said == ["three"]
    check_remembers(keyed["old"], first, ["one"])


def test_a_wrong_key_is_a_miss_and_no_error(keyed: dict[str, Asker]) -> None:
    first = keyed["old"].ask("one")
    got = keyed["wrong"].ask("two", first)
    assert (got.status, got.said) == (200, ["two"])
    check_remembers(keyed["old"], first, ["one"])
    check_remembers(keyed["wrong"], keyed["wrong"].ask("three"), ["three"])


def test_without_a_key_values_that_are_encrypted_are_a_miss(keyed: dict[str, Asker], asker: Asker) -> None:
    first = keyed["old"].ask("one")
    got = asker.ask("two", first)
    assert (got.status, got.said) == (200, ["two"])
