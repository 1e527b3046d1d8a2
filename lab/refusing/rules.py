"""What a rule is: a slug, where it is known from, and a check of one request."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

Walked = TypeVar("Walked")


@dataclass(frozen=True)
class HeldItem:
    """An item that an account of a Responses endpoint holds, and the id of the reasoning item that belongs to it."""

    item: dict
    reasoning: str | None = None


@dataclass(frozen=True)
class Sent:
    """One request, as the provider sees it.

    betas: the header by which Claude's features under test are asked for.
    issued: what this provider gave out and expects back unchanged, each with the text that it stands for: signatures
        of thinking, and encrypted content (with the text "").
    before: of a request for a response, the items that `previous_response_id` stands for; None: nobody knows the id.
    held: of the items that such a request names, those that the account holds, by id.
    """

    body: dict
    model: str = ""
    betas: str = ""
    issued: Container[tuple[str, str]] = frozenset()
    before: Sequence[dict] | None = ()
    held: Mapping[str, HeldItem] = field(default_factory=dict)
    _walks: dict[object, object] = field(default_factory=dict, repr=False, compare=False)

    def once(self, walk: Callable[[Sent], Walked]) -> Walked:
        """What a walk over the request finds, which all rules share."""
        if walk not in self._walks:
            self._walks[walk] = walk(self)
        return cast(Walked, self._walks[walk])


@dataclass(frozen=True)
class Fault:
    """Why a request fails.

    type: as the provider names the kind of error; None: what it has for this status.
    details: what else the provider's error body says, one entry a fault.
    """

    message: str
    param: str | None = None
    code: str | None = None
    type: str | None = None
    status: int = 400
    details: Sequence[dict] = ()


@dataclass(frozen=True)
class Rule:
    """`source`: the URL of a document or a report that shows it. `check`: every fault of a request, in order."""

    slug: str
    source: str
    check: Callable[[Sent], Iterable[Fault]]

    def fault_of(self, sent: Sent) -> Fault | None:
        return next(iter(self.check(sent)), None)


@dataclass(frozen=True)
class Refusal:
    slug: str
    fault: Fault


@dataclass(frozen=True)
class Maker:
    """A provider that is played: its rules in the order in which it looks, and its error body.

    in_answers: fields of its plain answers that LiteLLM's code for it cannot do without.
    """

    name: str
    rules: tuple[Rule, ...]
    error_body: Callable[[Fault], dict]
    in_answers: Mapping[str, object] = field(default_factory=dict)

    def refusal_of(self, sent: Sent, allowed: Collection[str] = ()) -> Refusal | None:
        """By the first rule that finds a fault. `allowed`: slugs of rules that are off."""
        for rule in self.rules:
            if rule.slug not in allowed and (fault := rule.fault_of(sent)):
                return Refusal(rule.slug, fault)
        return None


def dicts_in(value: object) -> list[dict]:
    """The objects of a list; [] of anything else, so that a check need not know what the ones before it found."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def numbered(value: object) -> Iterator[tuple[int, dict]]:
    """The objects of a list, with their place in it."""
    if isinstance(value, list):
        yield from ((index, each) for index, each in enumerate(value) if isinstance(each, dict))


def is_blank(text: object) -> bool:
    """A string of nothing but whitespace."""
    return isinstance(text, str) and (not text or text.isspace())
