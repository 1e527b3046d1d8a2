"""What is said about releases, and the order they come in."""

from __future__ import annotations

import pytest

from patches import PATCHES, describe_release
from patches.upstream import FIXED, STILL, version_number, why_unsupported


def test_versions_sort_as_releases_do() -> None:
    versions = ["1.68.0", "1.74.15", "1.75.5.post2", "1.80.11rc1", "1.80.11", "1.100.0.dev2", "1.100.0"]
    numbers = [version_number(version) for version in versions]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) == len(numbers)
    assert version_number("1.72.6-stable") == version_number("1.72.6")
    assert version_number(None) > version_number("99.0.0")


@pytest.mark.parametrize(
    ("version", "fixed", "still"),
    [
        ("1.74.15", False, "without the litellm_enterprise package"),
        ("1.85.7", False, "streams hand out ids that the database never finds"),
        ("1.99.4", False, "up to 10 s late"),
        ("1.100.0", True, "without a database there is no memory"),
        ("1.109.1", True, "branches mix"),
    ],
)
def test_a_release_says_what_it_has_fixed_and_what_the_fork_adds(version: str, fixed: bool, still: str) -> None:
    release = describe_release(version)
    assert bool(release.fixed) is fixed
    assert ("PR #37956" in release.fixed_line) is fixed
    assert still in release.adds_line
    assert release.worth_having


def test_what_was_fixed_is_no_longer_said_to_be_missing() -> None:
    assert "up to 10 s late" not in describe_release("1.106.2").adds_line
    assert "never finds" not in describe_release("1.74.15").adds_line
    assert "list-shaped" not in describe_release("1.100.0").adds_line


def test_every_fact_is_about_a_patch_that_exists_and_every_patch_has_one() -> None:
    slugs = {slug for fact in (*FIXED, *STILL) for slug in fact.slugs}
    assert slugs == {patch.slug for patch in PATCHES}


def test_only_withdrawn_and_too_old_versions_are_refused() -> None:
    assert why_unsupported("1.107.0") and why_unsupported("1.67.9")
    assert not why_unsupported("1.68.0") and not why_unsupported("1.82.6")
    assert not why_unsupported("2.0.0") and not why_unsupported(None)
