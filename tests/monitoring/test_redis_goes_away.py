"""What an operator sees while Redis goes away and comes back, of a proxy with two workers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import dashboard
from lab.monitoring import PREFIX, RATE_SECONDS, Scene, scene
from lab.provider import Provider
from lab.proxy import ProxyOptions
from lab.trees import tree
from litellm.responses.litellm_completion_transformation.redis_session_patch.version import FORK_VERSION

BREAKER = f"max({PREFIX}_breaker_open)"
pytestmark = pytest.mark.xdist_group("monitoring")


def total(name: str, *results: str) -> str:
    return f'sum({PREFIX}_{name}_total{{result=~"{"|".join(results) or ".*"}"}})'


@pytest.fixture(scope="module")
def seen(running_provider: Provider) -> Iterator[Scene]:
    with scene(ProxyOptions(running_provider.url, tree("patched"))) as opened:
        yield opened


def test_counters_breaker_and_alert_follow_redis_away_and_back(seen: Scene) -> None:
    while len([turns for turns in seen.turns_of_workers().values() if turns]) < 2:
        seen.talk(turns=3)
    turns, follow_ups = seen.turns, seen.follow_ups
    seen.wait_for(total("turns"), turns)
    seen.wait_for(total("turns", "stored"), turns)
    seen.wait_for(total("lookups", "found"), follow_ups)
    assert seen.prometheus.value(BREAKER) == 0
    assert not seen.prometheus.firing()

    seen.redis.crash()
    seen.talk_until(BREAKER, 1)
    seen.wait_for_alert("SessionStoreBreakerOpen", firing=True)
    seen.talk()
    seen.wait_for(total("turns", "failed"), seen.turns - turns)
    seen.wait_for(total("lookups", "failed"), seen.follow_ups - follow_ups)
    seen.wait_for(total("turns", "stored"), turns)
    seen.wait_for(total("lookups", "found"), follow_ups)

    seen.redis.start()
    seen.wait_for(BREAKER, 0)
    seen.wait_for_alert("SessionStoreBreakerOpen", firing=False)
    seen.talk()
    seen.wait_for(total("turns"), seen.turns)
    seen.wait_for(total("lookups"), seen.follow_ups)
    assert sum(seen.turns_of_workers().values()) == seen.turns


def test_each_turn_that_is_stored_has_a_size_and_each_operation_a_time(seen: Scene) -> None:
    seen.wait_for(total("turns"), seen.turns)
    counts = {
        "stored": total("turns", "stored"),
        "sizes": f"sum({PREFIX}_turn_bytes_count)",
        "reads": f'sum({PREFIX}_redis_seconds_count{{operation="read"}})',
        "writes": f'sum({PREFIX}_redis_seconds_count{{operation="write"}})',
    }
    before = {name: seen.prometheus.value(query) for name, query in counts.items()}
    seen.talk(conversations=4, turns=3)
    seen.wait_for(total("turns"), seen.turns)
    more = {name: seen.prometheus.value(query) - before[name] for name, query in counts.items()}
    assert more == {"stored": 12, "sizes": 12, "reads": 8, "writes": 12}


def test_the_info_is_one_series_of_two_workers(seen: Scene, release: str) -> None:
    (info,) = seen.prometheus.query(f"{PREFIX}_info")
    said = {name: info["metric"][name] for name in ("fork", "release", "encrypted")}
    assert said == {"fork": FORK_VERSION, "release": release, "encrypted": "false"}
    assert info["value"][1] == "1"


@pytest.mark.parametrize("panel", dashboard.load()["panels"], ids=lambda panel: panel["title"])
def test_every_panel_of_the_dashboard_shows_something(seen: Scene, panel: dict) -> None:
    seen.talk()
    for query in dashboard.queries(panel, RATE_SECONDS):
        seen.wait_for(f"count({query}) > bool 0", 1)
