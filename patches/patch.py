"""What a patch is: its header, what is wrong upstream without it, and its edits; catalogue.txt explains the fields."""

from __future__ import annotations

from dataclasses import dataclass

from patches.anchors import Anchor


@dataclass(frozen=True)
class Edit:
    """One change at one place, in releases from `since` on and before `until` ("": in all of them)."""

    file: str
    anchor: Anchor
    why: str
    lines: tuple[str, ...] = ()
    helper: str = ""
    since: str = ""
    until: str = ""

    @property
    def title(self) -> str:
        return f"{self.file}: {self.anchor.text}: {self.why}"


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
