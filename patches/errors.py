"""What can go wrong with a tree, one sentence each, and the command to type next."""

from __future__ import annotations


class PatchError(Exception):
    """The tree is not in a state for what was asked; nothing was written unless the sentence says
    so."""

    def __init__(self, sentence: str, next_step: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.next_step = next_step


class AnchorError(PatchError):
    """A place that the catalogue describes was not found exactly once.

    `function` is the dotted name of the function the anchor stands on ("" when it stands on none),
    so that a caller can look for it in other files.
    """

    def __init__(self, file: str, scope: str, expected: str, found: str, function: str = "") -> None:
        super().__init__(
            f"{file}: in {scope}: expected {expected}; found {found}",
            "this release needs a new anchor in patches/catalogue.py: add it, then run `python -m patches check` again",
        )
        self.file = file
        self.scope = scope
        self.expected = expected
        self.found = found
        self.function = function

    def with_hint(self, hint: str) -> AnchorError:
        """The same error, with where the function was seen instead."""
        return AnchorError(self.file, self.scope, self.expected, f"{self.found} ({hint})", self.function)
