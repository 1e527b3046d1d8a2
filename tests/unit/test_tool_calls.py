"""LiteLLM's in-process cache of tool calls: each caller finds its own calls in it, and nobody another's."""

from __future__ import annotations

from typing import Any

import pytest
from litellm.caching import InMemoryCache

from litellm.responses.litellm_completion_transformation.redis_session_patch.doors import bridge
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.exchange import History, Source
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import NOBODY, Owner

from .support.bridge import ALICE, BOB, asked_by, entered, exchange_of

CALL = {"id": "functions.look_up:0", "function": {"name": "look_up", "arguments": '{"what": "a secret"}'}}
ID = CALL["id"]
BY_KEYWORD: tuple[Any, Any] = ((), {"key": ID})
BY_POSITION: tuple[Any, Any] = ((ID,), {})
OTHERS = {
    "another user": BOB,
    "a key": Owner(key="k"),
    "an end user": Owner(end_user="e"),
    "nobody": NOBODY,
    "no route": None,
}


@pytest.fixture
def upstreams() -> InMemoryCache:
    return InMemoryCache()


@pytest.fixture
def cache(upstreams: InMemoryCache) -> Any:
    return bridge.without_known_calls(upstreams)


def put(cache: Any, caller: Owner | None, way: tuple[Any, Any] = BY_KEYWORD) -> None:
    args, options = way
    with asked_by(caller):
        cache.set_cache(*args, **options, value=CALL)


def found(cache: Any, caller: Owner | None, way: tuple[Any, Any] = BY_KEYWORD) -> Any:
    args, options = way
    with asked_by(caller):
        return cache.get_cache(*args, **options)


WAYS = [BY_KEYWORD, BY_POSITION]
ways_to_put = pytest.mark.parametrize("put_way", WAYS, ids=["put by keyword", "put by position"])
ways_to_ask = pytest.mark.parametrize("way", WAYS, ids=["asked by keyword", "asked by position"])


@ways_to_put
@ways_to_ask
@pytest.mark.parametrize("caller", [ALICE, Owner(key="k"), Owner(end_user="e", organization="o"), None], ids=str)
def test_a_caller_finds_its_own_call(cache, caller, put_way, way):
    put(cache, caller, put_way)
    assert found(cache, caller, way) == CALL


def test_the_same_owner_by_another_key_finds_it_too(cache):
    put(cache, ALICE)
    assert found(cache, Owner(ALICE.user, ALICE.team, "another key")) == CALL


@ways_to_put
@ways_to_ask
@pytest.mark.parametrize("other", OTHERS)
def test_nobody_else_finds_it(cache, other, put_way, way):
    put(cache, ALICE, put_way)
    assert found(cache, OTHERS[other], way) is None


@pytest.mark.parametrize("other", OTHERS)
def test_nobody_else_replaces_it(cache, other):
    put(cache, ALICE)
    with asked_by(OTHERS[other]):
        cache.set_cache(key=ID, value="another's")
    assert found(cache, ALICE) == CALL


@ways_to_put
def test_of_one_of_whom_nothing_is_known_nothing_is_kept(cache, upstreams, put_way):
    put(cache, NOBODY, put_way)
    assert upstreams.cache_dict == {} and found(cache, NOBODY) is None


@pytest.mark.parametrize("caller", [ALICE, NOBODY, None], ids=["a caller", "nobody", "no route"])
def test_a_request_that_came_by_no_route_of_ours_has_litellm_s_cache(cache, upstreams, caller):
    upstreams.set_cache(key=ID, value=CALL)
    assert found(cache, caller) == (CALL if caller is None else None)
    put(cache, None)
    assert list(upstreams.cache_dict) == [ID]


@pytest.mark.parametrize("source", Source)
def test_wherever_a_history_came_from_a_caller_finds_its_own_call(cache, source):
    """A call that the history has already is sent once: that is the pass's."""
    put(cache, ALICE)
    with entered(exchange_of(history=History(source))):
        for args, options in WAYS:
            assert cache.get_cache(*args, **options) == CALL


def test_what_the_cache_can_besides_it_still_can(cache, upstreams):
    put(cache, ALICE)
    assert cache.cache_dict is upstreams.cache_dict
    cache.flush_cache()
    assert found(cache, ALICE) is None


def test_options_go_through(cache, upstreams):
    with asked_by(ALICE):
        cache.set_cache(ID, CALL, ttl=-1)
    assert found(cache, ALICE) is None


def test_a_cache_that_is_asked_in_a_way_of_tomorrow_gives_nothing_away(cache):
    put(cache, ALICE)
    with asked_by(BOB):
        assert cache.get_cache(name=ID) is None
        assert cache.get_cache() is None
