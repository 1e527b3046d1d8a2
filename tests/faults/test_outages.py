"""Whatever happens to Redis under load: no request fails, no history is wrong, and all is remembered again.

What is asserted are counts. How long requests waited is measured by `make faults`, on an idle machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from lab.faults import Fault
from lab.player import FAILED, LOST, WRONG
from lab.provider import Provider
from lab.proxy import Proxy
from lab.trial import try_fault
from lab.ways import WAYS, Way

from .sizes import SPANS, faults_on

HANDFUL = 8


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    pairs = [(name, fault) for name in WAYS for fault in faults_on(name)]
    marked = [
        pytest.param(name, fault, marks=pytest.mark.xdist_group(f"way {name}"), id=f"{name}-{fault.name}")
        for name, fault in pairs
    ]
    metafunc.parametrize("way, fault", marked, indirect=["way"], scope="session")


def test_no_request_fails_and_no_history_is_wrong(
    way: Way, fault: Fault, way_proxy: Proxy, provider: Provider, next_tag: Iterator[int]
) -> None:
    trial = asyncio.run(try_fault(way_proxy, provider, next_tag, fault, way, SPANS))
    print(fault.name, trial.figures(), *trial.log_lines, sep="\n")
    assert not trial.of(FAILED)
    assert not trial.of(WRONG)
    assert not [each for each in trial.before if each.verdict == LOST]
    assert len(trial.log_lines) <= HANDFUL
    if fault.keeps:
        assert not trial.of(LOST)
