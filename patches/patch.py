"""What a patch is: its header, its edits, and the releases that need each of them."""

from __future__ import annotations

from dataclasses import dataclass

from patches.anchors import Anchor


@dataclass(frozen=True)
class Has:
    """The release has this file, or this function in it.

    `since` is the first release known to have it. An older release without it is skipped; a newer
    one without it is an error, so that a renamed function is never taken for an old release.
    """

    file: str
    since: str
    function: str = ""


@dataclass(frozen=True)
class Lacks:
    """The release has no such file, or no such function in it. Its counterpart `Has` guards against
    renames."""

    file: str
    function: str = ""


@dataclass(frozen=True)
class Returns:
    """A function with a bare `return`: here, one that ends in silence where it could raise."""

    file: str
    function: str


Condition = Has | Lacks | Returns


@dataclass(frozen=True)
class Edit:
    """One marked block: these lines at that place. All of `when` must hold, else the release needs
    no such edit."""

    file: str
    anchor: Anchor
    why: str
    lines: tuple[str, ...]
    when: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Patch:
    """A named change with a header after DEP-3, and its edits in order of writing."""

    slug: str
    description: str
    remove_when: str
    edits: tuple[Edit, ...]
    bug: str = "https://github.com/BerriAI/litellm/issues/12364"
    forwarded: str = "https://github.com/BerriAI/litellm/pull/13339 (closed, not merged)"
    applied_upstream: str = "in part, from 1.100.0: https://github.com/BerriAI/litellm/pull/37956"
