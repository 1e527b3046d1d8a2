"""The steps of ROLLBACK.md and UPGRADE.md on running proxies, one after the other, under traffic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from redis import Redis

from lab.provider import Provider
from lab.proxy import Proxy, ProxyOptions
from lab.redis_server import RedisServer
from lab.stored import TURNS
from lab.trees import (
    BUILD,
    ROOT,
    files_that_differ_from_record,
    installed_release,
    is_patched,
    link_tree,
    run_patches,
    tree,
)
from tests.deploy.traffic import Fleet, Traffic, answer_slowly
from tests.deploy.versions import ALSO_TESTED
from tests.docs.blocks import blocks_of
from tests.docs.operators import run_shell, shell_environment

ROLLING_REQUESTS = 200
SOME = 40
OTHER_VENV = BUILD / ALSO_TESTED / "venv"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def slow_provider() -> Iterator[Provider]:
    with Provider() as provider:
        provider.responder = answer_slowly
        yield provider


@pytest.fixture(scope="module")
def conversations() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def test_in_place_in_and_out_under_traffic(slow_provider: Provider, conversations: RedisServer, tmp_path: Path) -> None:
    target = tmp_path / "site-packages"
    link_tree(tree("pristine"), installed_release(), target)
    options = ProxyOptions(slow_provider.url, target, {"REDIS_SESSION_PATCH_URL": conversations.url})
    without = replace(options, environment={**options.environment, "REDIS_SESSION_PATCH_ENABLED": "false"})
    on, off = partial(Proxy, options), partial(Proxy, without)
    with Redis.from_url(conversations.url) as redis, Fleet(on) as fleet, Traffic(fleet, slow_provider) as traffic:
        with traffic.phase("upstream", SOME):
            pass
        assert traffic.forgotten("upstream")
        with traffic.phase("in"):
            done = run_patches("apply", "--target", str(target))
            assert not done.returncode, done.stderr
            running = fleet.roll(on)
        assert all("active, Redis redis://" in proxy.log_text() for proxy in running)

        with traffic.phase("settled", SOME):
            pass
        with traffic.phase("rolling", ROLLING_REQUESTS):
            fleet.roll(on)
        rolling = traffic.asked("rolling")
        assert {each.manner.stream for each in rolling} == {False, True}
        assert not traffic.failures("rolling"), fleet.tracebacks()
        # What was said before the fork was in everywhere is nowhere.
        assert not traffic.forgotten("rolling", "start", "upstream", "after upstream", "in")

        with traffic.phase("switched off"):
            running = fleet.roll(off)
        assert all("Redis session patch: off" in proxy.log_text() for proxy in running)
        held = len(list(redis.scan_iter(TURNS)))
        with traffic.phase("off", SOME):
            pass
        assert len(list(redis.scan_iter(TURNS))) == held > 0, "nothing new is stored"
        assert traffic.forgotten("off"), "upstream's behaviour, without a database"

        with traffic.phase("taken out"):
            done = run_patches("revert", "--target", str(target))
            assert not done.returncode, done.stderr
            fleet.roll(on)
        assert not is_patched(target)
        assert files_that_differ_from_record(target, installed_release()) == []
        with traffic.phase("out", SOME):
            pass
        for phase in ("upstream", "in", "settled", "switched off", "off", "taken out", "out"):
            assert not traffic.failures(phase), f"{phase}\n{fleet.tracebacks()}"
        purge = next(block for block in blocks_of(ROOT / "ROLLBACK.md") if block.text.startswith("redis-cli -u"))
        done = run_shell(purge.text, shell_environment(tmp_path, conversations.url))
        assert not done.returncode, done.stdout
        assert redis.dbsize() == 0

        with traffic.phase("abrupt"):
            fleet.roll(on, takes_out_first=False)
        assert traffic.failures("abrupt"), "without the wait before SIGTERM this test sees requests fail"


class OtherRelease(Proxy):
    """On the environment of another release."""

    def command(self) -> list[str]:
        return [str(OTHER_VENV / "bin/litellm"), *super().command()[1:]]


def test_litellm_from_one_release_to_another_under_traffic(slow_provider: Provider, conversations: RedisServer) -> None:
    """UPGRADE.md: while both run, a conversation goes from one to the other and back."""
    (packages,) = OTHER_VENV.glob("lib/python*/site-packages")
    environment = {"REDIS_SESSION_PATCH_URL": conversations.url}
    old = partial(OtherRelease, ProxyOptions(slow_provider.url, tree("patched", packages), environment), ALSO_TESTED)
    new = partial(Proxy, ProxyOptions(slow_provider.url, tree("patched"), environment))
    with Fleet(old) as fleet, Traffic(fleet, slow_provider) as traffic:
        with traffic.phase("settled", SOME):
            pass
        with traffic.phase("both", ROLLING_REQUESTS):
            fleet.roll(new)
        with traffic.phase("new", SOME):
            pass
        for phase in ("settled", "both", "new"):
            assert not traffic.failures(phase), f"{phase}\n{fleet.tracebacks()}"
            assert not traffic.forgotten(phase), phase
