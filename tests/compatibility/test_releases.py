"""Which releases a run looks at."""

from __future__ import annotations

import random

import pytest

from compatibility.releases import LIVE_NAMED, NAMED, is_final, live_default, select, sort_key, supported

AVAILABLE = (
    *("1.108.10", "1.108.9", "1.107.0", "1.107.0rc1", "1.106.2", "1.106.0.dev3", "1.82.7", "1.82.6", "1.75.5.post2"),
    *("1.75.5.post1", "1.75.0", "1.74.15", "1.68.1.dev1", "1.68.0", "1.68.0rc1", "1.67.9", "0.1.2", "1.10.dev11"),
)


def test_versions_come_in_the_order_of_their_making() -> None:
    versions = ["1.68.0", "1.75.5.post1", "1.75.5.post2", "1.99.9", "1.100.0.dev2", "1.100.0rc1", "1.100.0", "1.100.10"]
    assert sorted(random.Random(1).sample(versions, len(versions)), key=sort_key) == versions
    assert [is_final(version) for version in versions] == [True, True, True, True, False, False, True, True]


def test_what_is_too_old_or_spelled_in_another_way_is_left_out() -> None:
    assert supported(AVAILABLE)[:3] == ("1.68.0rc1", "1.68.0", "1.68.1.dev1")


def test_the_default_is_the_newest_of_each_minor_version_and_the_named_ones() -> None:
    selection = select(AVAILABLE, "default")
    assert selection.wanted == ("1.68.0", "1.74.15", "1.75.0", "1.75.5.post2", "1.82.6", "1.106.2", "1.108.10")
    assert "1.75.0" in NAMED


def test_all_is_every_final_release_post_releases_too() -> None:
    wanted = select(AVAILABLE, "all").wanted
    assert {"1.75.5.post1", "1.75.5.post2", "1.108.9", "1.108.10"} <= set(wanted)
    assert all(map(is_final, wanted))


@pytest.mark.parametrize("asked", ["default", "all"])
def test_withdrawn_releases_are_listed_and_never_fetched(asked: str) -> None:
    selection = select(AVAILABLE, asked)
    assert selection.withdrawn == ("1.82.7", "1.82.8", "1.107.0")
    assert not set(selection.wanted) & set(selection.withdrawn)


def test_early_builds_are_a_run_of_their_own() -> None:
    assert select(AVAILABLE, "all", early=True).wanted == (*("1.68.0rc1", "1.68.1.dev1", "1.106.0.dev3", "1.107.0rc1"),)
    assert select(AVAILABLE, "default", early=True).wanted == ("1.68.1.dev1", "1.106.0.dev3", "1.107.0rc1")


def test_a_list_holds_versions_and_minor_versions_and_tells_what_is_unknown() -> None:
    selection = select(AVAILABLE, "1.108 1.106.0.dev3,1.107.0, 1.200.0")
    assert selection.wanted == ("1.106.0.dev3", "1.108.9", "1.108.10")
    assert selection.withdrawn == ("1.107.0",)
    assert selection.unknown == ("1.200.0",)


def test_a_minor_version_does_not_take_those_that_begin_with_its_digits() -> None:
    assert select(("1.10.0", "1.100.0", "1.101.0"), "1.100").wanted == ("1.100.0",)


def test_what_is_no_version_is_an_error() -> None:
    with pytest.raises(ValueError, match="'newest' is no LiteLLM version"):
        select(AVAILABLE, "newest")


def test_a_minor_version_without_releases_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"no release 1\.201\.x"):
        select(AVAILABLE, "1.201")


def test_the_releases_that_ci_runs_are_named_ones() -> None:
    assert set(LIVE_NAMED) <= set(NAMED)


def test_the_default_lists_end_with_the_newest_final_release_of_the_day() -> None:
    newest = (*AVAILABLE, "2.0.0rc1", "1.200.3", "1.200.10")
    assert live_default(newest)[-1] == "1.200.10"
    assert set(LIVE_NAMED) < set(live_default(newest))
    assert select(newest, "default").wanted[-1] == "1.200.10"
