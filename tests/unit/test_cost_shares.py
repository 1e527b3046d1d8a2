"""Whose code a sample of the proxy was in."""

from __future__ import annotations

from collections import Counter

import pytest

from bench.cost.shares import owner_of, samples_of, shares

FORK = "/x/litellm/responses/litellm_completion_transformation/redis_session_patch"
UPSTREAMS = "handle (/x/litellm/proxy/endpoints.py:5)"
OURS = f"run_script ({FORK}/redis/store.py:7)"
REDIS_PY = "read (/x/site-packages/redis/connection.py:3)"
THREAD = "_worker (/usr/lib/python3.11/concurrent/futures/thread.py:9)"


@pytest.mark.parametrize(
    "stack, owner",
    [
        ([UPSTREAMS, OURS], "store.run_script"),
        ([THREAD, OURS, REDIS_PY], "store.run_script"),
        ([OURS, UPSTREAMS, "dumps (/usr/lib/python3.11/json/__init__.py:1)"], "litellm"),
        ([THREAD], "other"),
        (["<module> (proxy)"], "other"),
    ],
)
def test_a_sample_belongs_to_the_innermost_of_the_two(stack: list[str], owner: str) -> None:
    assert owner_of(stack) == owner


def test_shares_are_parts_of_all_samples() -> None:
    found = samples_of(f"{UPSTREAMS};{OURS} 1\n{UPSTREAMS} 2\n{THREAD} 1\n")
    assert found == Counter({"store.run_script": 1, "litellm": 2, "other": 1})
    wanted = {"samples": 4, "fork": 0.25, "functions": {"store.run_script": 0.25}}
    assert shares(found) == wanted
