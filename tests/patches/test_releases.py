"""What is said about releases, and the order they come in."""

from __future__ import annotations

from compatibility.releases import sort_key
from patches.releases import version_number, why_refused


def test_versions_sort_as_releases_do() -> None:
    versions = ["1.68.0", "1.74.15", "1.75.5", "1.75.5.post1", "1.75.5.post2", "1.80.11.dev3", "1.80.11rc1"]
    versions += ["1.80.11rc2", "1.80.11", "1.80.11.post1", "1.100.0-nightly", "1.100.0.dev2", "1.100.0"]
    numbers = [version_number(version) for version in versions]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) == len(numbers)
    assert version_number("1.72.6-stable") == version_number("1.72.6")
    assert version_number(None) > version_number("99.0.0")


def test_the_matrix_has_the_same_order() -> None:
    versions = ["1.75.5", "1.75.5.post1", "1.80.11.dev3", "1.80.11rc2", "1.80.11", "1.100.0"]
    assert [sort_key(version) for version in versions] == [version_number(version) for version in versions]


def test_only_withdrawn_and_too_old_versions_are_refused() -> None:
    assert why_refused("1.107.0") and why_refused("1.67.9")
    assert not why_refused("1.68.0") and not why_refused("1.82.6")
    assert not why_refused("2.0.0") and not why_refused(None)
