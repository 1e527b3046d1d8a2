"""What the installer's RECORDs vouch for: the pristine one, kept beside, and the present one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from patches.record import Entry, matches, parse_record
from patches.tree import Tree


@dataclass(frozen=True)
class Evidence:
    """Entries of the pristine RECORD and of the present one; empty where there is none.

    `has_saved`: the pristine one was kept. `lists_fork`: the present one lists the fork, so a run
    got that far.
    """

    before: Mapping[str, Entry]
    now: Mapping[str, Entry]
    has_saved: bool
    lists_fork: bool

    @classmethod
    def of(cls, tree: Tree) -> Evidence:
        if tree.record is None or tree.saved_record is None:
            return cls({}, {}, False, False)
        now = parse_record(tree.files[tree.record])
        saved = tree.files.get(tree.saved_record)
        lists_fork = tree.saved_record in now
        if saved is not None:
            return cls(parse_record(saved), now, True, lists_fork)
        return cls({} if lists_fork else now, now, False, lists_fork)

    def disproves(self, path: str, current: bytes, pristine: bytes, wanted: bytes | None) -> bool:
        """Whether a RECORD says that something other than our blocks is in the file."""
        if path in self.before or path not in self.now:
            return matches(self.before.get(path), pristine) is False
        # The pristine RECORD is lost: the present one vouches for the patched text, be it
        # written already or not.
        candidates = [text for text in (current, wanted) if text is not None]
        return all(matches(self.now[path], text) is False for text in candidates)

    def lists(self, path: str, current: bytes | None) -> bool:
        """Whether the file is what the present RECORD says, so as the last whole run left it."""
        if current is None or path not in self.now:
            return current is None and path not in self.now
        return matches(self.now[path], current) is True
