"""Which releases there are, in what order, and which of them a run looks at. No I/O.

Versions are texts as the registry spells them: `1.75.5.post2`, `1.107.0rc2`, `1.106.0.dev3`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from patches.releases import FINAL, FIRST_SUPPORTED, WITHDRAWN, version_number

# The releases that the project's notes on upstream name: each one showed something. Besides these,
# the default is the newest of each minor version.
NAMED = (
    *("1.68.2", "1.74.15", "1.75.0", "1.75.8", "1.85.7", "1.99.4", "1.100.0", "1.100.5", "1.101.6"),
    *("1.102.4", "1.103.11", "1.104.0", "1.105.0", "1.105.5", "1.106.0", "1.106.1", "1.106.2"),
    *("1.106.3", "1.108.7", "1.109.0", "1.109.1"),
)
LIVE_NAMED = ("1.74.15", "1.85.7", "1.99.4", "1.100.5", "1.106.2", "1.108.7", "1.109.1")

_VERSION = re.compile(r"\d+\.\d+\.\d+(?:\.?(?:dev|rc|post)\d+)?")


@dataclass(frozen=True)
class Selection:
    """`wanted` go through the trial, `withdrawn` are listed as refused, `unknown` are not on the
    registry. Sorted, oldest first."""

    wanted: tuple[str, ...]
    withdrawn: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def sort_key(version: str) -> tuple[int, ...]:
    """The tool's order. Raises ValueError for a spelling that LiteLLM does not use."""
    if not _VERSION.fullmatch(version):
        raise ValueError(f"{version!r} is no LiteLLM version, such as 1.106.2")
    return version_number(version)


def is_final(version: str) -> bool:
    """Post releases are final; `.dev` and `rc` are not."""
    return sort_key(version)[3] >= FINAL


def supported(available: Iterable[str]) -> tuple[str, ...]:
    """Those from the first supported release on, oldest first; unreadable spellings are left out."""
    readable = [version for version in available if _VERSION.fullmatch(version)]
    first = sort_key(FIRST_SUPPORTED)[:3]  # an early build counts as the release that it is on the way to
    return tuple(sorted((version for version in readable if sort_key(version)[:3] >= first), key=sort_key))


def select(available: Iterable[str], asked: str, early: bool = False) -> Selection:
    """`asked` is `default`, `all`, or a list (commas or spaces) of versions and of minor versions
    (`1.103`: all of it). With `early`, `default` and `all` are about pre-releases alone: the newest
    of each minor version, or every one. Raises ValueError for what is no version, and for a minor
    version without releases."""
    known = [version for version in supported(available) if version not in WITHDRAWN]
    if asked in ("default", "all"):
        pool = [version for version in known if is_final(version) is not early]
        if early:
            return Selection(tuple(pool if asked == "all" else _newest_of_each_minor(pool)))
        named = () if asked == "all" else (version for version in NAMED if version in pool)
        chosen = pool if asked == "all" else {*_newest_of_each_minor(pool), *named}
        return Selection(_sorted(chosen), _sorted(WITHDRAWN))
    return _select_listed(known, asked.replace(",", " ").split())


def live_default(available: Iterable[str]) -> tuple[str, ...]:
    """The named ones, and what the registry has as the newest final release today."""
    return _sorted({*LIVE_NAMED, *_finals(available)[-1:]})


def older_finals(release: str, available: Iterable[str]) -> list[str]:
    """The final releases before this one, newest first."""
    return [each for each in reversed(_finals(available)) if sort_key(each) < sort_key(release)]


def _finals(available: Iterable[str]) -> list[str]:
    return [each for each in supported(available) if is_final(each) and each not in WITHDRAWN]


def _select_listed(known: list[str], asked: list[str]) -> Selection:
    wanted: set[str] = set()
    withdrawn: set[str] = set()
    unknown: list[str] = []
    for item in asked:
        if re.fullmatch(r"\d+\.\d+", item):
            found = [version for version in known if version.startswith(f"{item}.") and is_final(version)]
            if not found:
                raise ValueError(f"the registry has no release {item}.x")
            wanted.update(found)
        elif item in WITHDRAWN:
            withdrawn.add(item)
        elif item in known:
            wanted.add(item)
        else:
            sort_key(item)
            unknown.append(item)
    return Selection(_sorted(wanted), _sorted(withdrawn), _sorted(unknown))


def _newest_of_each_minor(versions: Iterable[str]) -> list[str]:
    newest: dict[tuple[int, ...], str] = {}
    for version in sorted(versions, key=sort_key):
        newest[sort_key(version)[:2]] = version
    return list(newest.values())


def _sorted(versions: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(versions, key=sort_key))
