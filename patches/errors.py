"""What can go wrong, one sentence each, and the command to type next."""

from __future__ import annotations

from typing import Any

REFUSED, WRONG_USAGE, UNEXPECTED, HALF_WAY, UNTRIED = 1, 2, 3, 4, 5  # exit codes; 0 is done, or nothing to do


class PatchError(Exception):
    """What was asked for cannot be done; nothing was written unless the sentence says so.

    `more`: further sentences of the same kind, so that all misfits are told at once.
    """

    def __init__(
        self, sentence: str, next_step: str = "", more: tuple[str, ...] = (), exit_code: int = REFUSED
    ) -> None:
        super().__init__("; ".join((sentence, *more)))
        self.sentence = sentence
        self.next_step = next_step
        self.more = more
        self.exit_code = exit_code
        self.body: dict[str, Any] = {}  # what else the command has to say in JSON


class AnchorError(PatchError):
    """A place that the catalogue describes was not found exactly once."""

    def __init__(self, file: str, scope: str, expected: str, found: str) -> None:
        super().__init__(
            f"{file}: in {scope}: expected {expected}; found {found}",
            "mend patches/catalogue.txt or needs.txt for this release, then run `python -m patches check` again",
        )


def all_in_one(errors: tuple[PatchError, ...]) -> PatchError:
    """One error that tells all of them, without what is said twice."""
    first, *others = dict.fromkeys(error.sentence for error in errors)
    return PatchError(first, errors[0].next_step, tuple(others))
