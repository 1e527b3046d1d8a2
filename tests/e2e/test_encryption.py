"""With `REDIS_SESSION_PATCH_ENCRYPTION_KEY`: unreadable in Redis, rotated without a loss, a wrong key is a miss."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from redis import Redis

from lab.asking import Asker, asking
from lab.lines import Manner
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import ProxyOptions
from lab.stored import stored_texts

from .checks import check_remembers, marker, redis_holds
from .sizes import IDENTITIES

pytestmark = IDENTITIES


@pytest.fixture
def keyed(
    manner: Manner,
    proxies: ProxyPool,
    old_key_options: ProxyOptions,
    strict_options: ProxyOptions,
    identity_options: ProxyOptions,
    provider: Provider,
) -> Iterator[dict[str, Asker]]:
    """Proxies on one Redis: with the key of before, with a new one beside it, and with none."""
    options = {"old": old_key_options, "rotated": strict_options, "none": identity_options}
    with ExitStack() as stack:
        running = zip(options, proxies.get_all(options.values()), strict=True)
        yield {name: stack.enter_context(asking(proxy, provider, manner)) for name, proxy in running}


def test_values_are_unreadable_in_redis(keyed: dict[str, Asker], redis: Redis) -> None:
    secret = marker()
    before = set(stored_texts(redis))
    first = keyed["old"].ask(secret, instructions=f"be {secret}")
    second = check_remembers(keyed["old"], first, [f"be {secret}", secret])
    written = set(stored_texts(redis)) - before
    assert len(written) == 2
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
    first = keyed["rotated"].ask("one")
    got = keyed["old"].ask("two", first)
    assert (got.status, got.said) == (200, ["two"])
    check_remembers(keyed["rotated"], first, ["one"])
    check_remembers(keyed["old"], got, ["two"])


def test_without_a_key_values_that_are_encrypted_are_a_miss(keyed: dict[str, Asker]) -> None:
    first = keyed["old"].ask("one")
    got = keyed["none"].ask("two", first)
    assert (got.status, got.said) == (200, ["two"])


def test_values_from_before_encryption_stay_readable(keyed: dict[str, Asker]) -> None:
    first = keyed["none"].ask("one")
    check_remembers(keyed["old"], first, ["one"])


def test_a_rotation_in_the_documented_order_loses_nothing_while_both_kinds_of_proxy_run(
    manner: Manner,
    proxies: ProxyPool,
    old_key_options: ProxyOptions,
    prepared_options: ProxyOptions,
    strict_options: ProxyOptions,
    provider: Provider,
) -> None:
    before, prepared, rotated = proxies.get_all([old_key_options, prepared_options, strict_options])
    with ExitStack() as stack:
        ask = {proxy: stack.enter_context(asking(proxy, provider, manner)) for proxy in (before, prepared, rotated)}
        last = ask[before].ask("one")
        said = ["one", last.reply.text]
        for proxy in (prepared, before, prepared, rotated, prepared, rotated):
            last = ask[proxy].ask("And?", last)
            assert last.said == [*said, "And?"]
            said += ["And?", last.reply.text]
