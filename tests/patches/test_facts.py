"""What `status` says of releases: what was seen there, and nothing of those that nobody tried."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from patches import PATCHES, describe_release, describe_status, facts_of
from patches.facts import verdict_on
from patches.patch import Fact
from patches.releases import version_number
from tests.patches.trees import make_tree, survey

REPOSITORY = Path(__file__).resolve().parents[2]
TRIED = ("1.74.15", "1.85.7", "1.106.2")
STILL_WRONG = Fact("it forgets", "a scene", TRIED)
ONCE_WRONG = Fact("it forgot", "another", TRIED, since="1.80.0", fixed_in="1.100.0", fixed_by="PR #1")


@pytest.mark.parametrize(
    ("version", "verdict"),
    [
        ("1.74.15", "not yet"),
        ("1.80.0", "holds"),
        ("1.99.4", "holds"),
        ("1.100.0", "fixed"),
        ("1.106.2", "fixed"),
        ("1.106.3", "not tried"),
        ("99.0.0", "not tried"),
        ("1.68.0", "not tried"),
        (None, "not tried"),
    ],
)
def test_a_fact_is_said_of_what_lies_between_tried_releases_alone(version: str | None, verdict: str) -> None:
    assert verdict_on(ONCE_WRONG, version) == verdict
    assert (verdict_on(STILL_WRONG, version) == "holds") is (verdict != "not tried")


def test_a_release_newer_than_all_that_were_tried_is_said_to_be_untried() -> None:
    told = describe_release("1.111.0", [STILL_WRONG, ONCE_WRONG])
    assert told.untried_line == "not tried on 1.111.0 (but on some from 1.74.15 to 1.106.2)"
    assert (told.adds_line, told.worth_having) == ("not known to be needed", None)
    assert told.still == told.fixed == ()
    assert "not tried on 1.68.0 (but on some from 1.74.15 to " in describe_release("1.68.0", [STILL_WRONG]).untried_line


def test_what_was_fixed_says_where_and_by_what() -> None:
    told = describe_release("1.106.2", [STILL_WRONG, ONCE_WRONG])
    assert told.fixed_line == "it forgot (in 1.100.0, PR #1)"
    assert told.adds_line == "worth having, because here it forgets"


def test_no_longer_needed_can_appear() -> None:
    told = describe_release("1.106.2", [ONCE_WRONG])
    assert (told.adds_line, told.worth_having, told.untried_line) == ("no longer needed", False, "")
    assert describe_release("1.85.7", [ONCE_WRONG]).worth_having


@pytest.mark.parametrize("version", ["1.999.0", "99.0.0", None])
def test_nothing_is_stated_of_a_release_that_nobody_tried(tmp_path: Path, version: str | None) -> None:
    target = make_tree(tmp_path, version=version or "1.106.2")
    if version is None:
        for path in (tmp_path / "litellm-1.106.2.dist-info").iterdir():
            path.unlink()
        (tmp_path / "litellm-1.106.2.dist-info").rmdir()
    done = subprocess.run(
        [sys.executable, "-m", "patches", "status", "--target", str(target.root)],
        cwd=REPOSITORY, capture_output=True, text=True,
    )  # fmt: skip
    (fork,) = [line for line in done.stdout.splitlines() if line.startswith("the fork ")]
    assert fork == "the fork  not known to be needed"
    assert f"not tried on {version or 'an unknown release'} (but on some from " in done.stdout
    for fact in facts_of(PATCHES):
        assert fact.text not in done.stdout


def test_keys_without_a_user_are_apart_from_1_110_on() -> None:
    (fact,) = [fact for fact in facts_of(PATCHES) if fact.text.startswith("keys without a user")]
    assert fact.fixed_in == "1.110.0"


def test_every_header_is_the_patchs_own() -> None:
    """No value comes from a default: each patch spells out each of them."""
    for field in ("bug", "forwarded", "applied_upstream", "remove_when", "description"):
        assert all(getattr(patch, field) for patch in PATCHES)
    said_of_all = [patch for patch in PATCHES if "37956" in patch.applied_upstream]
    assert {patch.slug for patch in said_of_all} == {
        "redis-session-lookup",
        "redis-session-store",
        "redis-session-store-stream",
    }


def test_the_tried_releases_are_in_order() -> None:
    for fact in facts_of(PATCHES):
        assert list(fact.tried) == sorted(fact.tried, key=version_number)


def test_status_gives_each_patch_its_own_facts(tmp_path: Path) -> None:
    told = describe_status(survey(make_tree(tmp_path)))
    by_slug = {patch["slug"]: {fact["text"] for fact in patch["facts"]} for patch in told["patches"]}
    assert by_slug == {patch.slug: {fact.text for fact in patch.facts} for patch in PATCHES}
    json.dumps(told)
