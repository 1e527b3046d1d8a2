"""What is known about LiteLLM's releases: which are withdrawn, what each has fixed, what is still
wrong.

Facts were measured on running proxies or read in the released wheels. `since` is the first release
a fact holds for, `before` the first one it does not; an unknown version counts as the newest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

FIRST_SUPPORTED = "1.68.0"
WITHDRAWN = frozenset({"1.82.7", "1.82.8", "1.107.0"})
_NEWEST = (10**6,)


@dataclass(frozen=True)
class Fact:
    """One sentence part, the patches it concerns, and the releases it holds for."""

    text: str
    slugs: tuple[str, ...]
    since: str = ""
    before: str = ""

    def holds_for(self, version: str | None) -> bool:
        number = version_number(version)
        return not (self.since and number < version_number(self.since)) and not (
            self.before and number >= version_number(self.before)
        )


_STORE, _STREAM, _LOOKUP = (
    "redis-session-store",
    "redis-session-store-stream",
    "redis-session-lookup",
)
_HELPERS, _START = "redis-session-helpers", "redis-session-start"
_WEBSOCKET, _CACHE = "redis-session-websocket", "redis-session-response-cache"

FIXED = (
    Fact(
        "rows are written as soon as a bridged call ends (PR #37956)",
        (_STORE, _STREAM),
        since="1.100.0",
    ),
    Fact("a follow-up waits for its row, 3 x 0.2 s (PR #37956)", (_LOOKUP,), since="1.100.0"),
    Fact("all events of a stream carry one id, which the database finds", (_STREAM,), since="1.100.0"),
)

STILL = (
    Fact(
        "rows are written up to 10 s late, so a quick follow-up has no memory",
        (_STORE, _STREAM),
        before="1.100.0",
    ),
    Fact(
        "streams hand out ids that the database never finds",
        (_STREAM,),
        since="1.78.0",
        before="1.100.0",
    ),
    Fact("a stream whose connection broke passes for a whole answer", (_STREAM,), since="1.71.2", before="1.94.0"),
    Fact("no lookup at all without the litellm_enterprise package", (_LOOKUP,), before="1.75.2"),
    Fact(
        "list-shaped input loses its user messages on replay",
        (_LOOKUP,),
        since="1.75.2",
        before="1.100.0",
    ),
    Fact("without a database there is no memory", (_STORE, _STREAM, _LOOKUP)),
    Fact("long messages are cut (at 2,048 characters; at 1,000 in 1.76)", (_STORE, _STREAM)),
    Fact("branches mix: a follow-up sees every row of the session", (_LOOKUP,)),
    Fact("tool calls reach the provider twice, or not at all on another worker", (_HELPERS,)),
    Fact("`store: false` is remembered", (_STORE, _STREAM)),
    Fact("keys without a user read each other's history", (_LOOKUP,)),
    Fact("an unknown id is answered without a history and without an error", (_LOOKUP,)),
    Fact(
        "a WebSocket continues a conversation from before it without that beginning",
        (_WEBSOCKET,),
        since="1.82.2",
    ),
    Fact("the response cache hands one caller's response id to another", (_CACHE,)),
    Fact("nothing says at start whether follow-ups will work", (_START,)),
)


@dataclass(frozen=True)
class ReleaseReport:
    """What a release has fixed, and what is still wrong there, so what the fork adds."""

    fixed: tuple[str, ...]
    still: tuple[str, ...]

    @property
    def worth_having(self) -> bool:
        return bool(self.still)

    @property
    def fixed_line(self) -> str:
        return "; ".join(self.fixed) or "nothing of this"

    @property
    def adds_line(self) -> str:
        return ("worth having, because here " + "; ".join(self.still)) if self.still else "no longer needed"


def describe_release(version: str | None, slug: str | None = None) -> ReleaseReport:
    """For one patch, or for all of them. `version` None means unknown."""

    def texts(facts: tuple[Fact, ...]) -> tuple[str, ...]:
        return tuple(fact.text for fact in facts if fact.holds_for(version) and (slug is None or slug in fact.slugs))

    return ReleaseReport(texts(FIXED), texts(STILL))


def why_unsupported(version: str | None) -> str | None:
    """One sentence, or None when the version is no reason to refuse."""
    if version is None:
        return None
    if version in WITHDRAWN:
        return f"LiteLLM {version} was withdrawn from the registry as compromised"
    if version_number(version) < version_number(FIRST_SUPPORTED):
        return f"LiteLLM {version} is older than {FIRST_SUPPORTED}, the first supported release"
    return None


def version_number(version: str | None) -> tuple[int, ...]:
    """Sortable: (major, minor, patch, 0), or -1 at the end for a release candidate, dev or nightly
    build."""
    match = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?(.*)", version or "")
    if not match:
        return _NEWEST
    rest = match[4].partition("+")[0]
    is_early = bool(re.search(r"a|b|rc|dev|nightly", rest)) and "stable" not in rest
    return int(match[1]), int(match[2]), int(match[3] or 0), -1 if is_early else 0
