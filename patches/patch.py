"""What a patch is: its header, what is wrong upstream without it, its edits, and which releases need each of them."""

from __future__ import annotations

from dataclasses import dataclass

from patches.anchors import Anchor


@dataclass(frozen=True)
class Has:
    """The release has this file, or this function in it.

    `since` is the first release known to have it. An older release without it is skipped; a newer one without it is an
    error, so that a renamed function is never taken for an old release.
    """

    file: str
    since: str
    function: str = ""


@dataclass(frozen=True)
class Returns:
    """A function with a bare `return`: here, one that ends in silence where it could raise.

    `until` is the first release where it raises: what depends on this can go once nothing older is served.
    """

    file: str
    until: str
    function: str


Condition = Has | Returns


@dataclass(frozen=True)
class Edit:
    """One change at one place. All of `when` must hold, else the release needs no such edit.

    `lines` go in there as they are. `helper` (`module:name`) is imported as `_patch_name` for them; a decorator has no
    lines but the helper itself.
    """

    file: str
    anchor: Anchor
    why: str
    lines: tuple[str, ...] = ()
    helper: str = ""
    when: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Fact:
    """Something that is wrong upstream, from release `since` on ("": from the first) until `fixed_in` ("": still).

    `tried`: the releases that a proxy was watched on, oldest first; each one inside that span showed it, and none
    outside. `scene` is the part of the live matrix that shows it.
    """

    text: str
    scene: str
    tried: tuple[str, ...]
    since: str = ""
    fixed_in: str = ""
    fixed_by: str = ""


@dataclass(frozen=True)
class Patch:
    """A named change with a header after DEP-3, the facts that it is for, and its edits in order of writing."""

    slug: str
    description: str
    bug: str
    forwarded: str
    applied_upstream: str
    remove_when: str
    facts: tuple[Fact, ...]
    edits: tuple[Edit, ...]
