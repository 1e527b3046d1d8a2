"""What the stand-in provider shall answer: the records, and the script that picks one for a
request.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

FINISHES = ("stop", "tool_calls", "length", "content_filter", "refusal")


@dataclass(frozen=True)
class ToolCall:
    """A function call of the model. `arguments` is text, mostly JSON; of what is not, formats that carry an object have
    an empty one. Without `id` the format makes a unique one; with an empty one it sends none.
    """

    name: str
    arguments: str = "{}"
    id: str | None = None


@dataclass(frozen=True)
class Answer:
    """One answer of the model, independent of the wire format.

    text: None: a chat message's content is null.
    signature: of the thinking (Claude) or the calls (Gemini); the encrypted reasoning of a response, which has it where
        the request asks for it; None: the format makes one where the model would.
    compaction: Claude's summary of what came before; the other formats have none.
    blocks: before the text, what else Claude's content, Gemini's parts or a response's output have, as they are on the
        wire.
    extra: more fields of a chat message, in a stream in one delta; of a response, of the part with the text.
    other_choices: the texts of a chat answer's further choices.
    finish: one of FINISHES, or None for what fits (`tool_calls` with calls, else `stop`).
    id: the completion's id; None makes a unique one in the format's style.
    status: an HTTP status other than 200 answers with the format's error body.
    cut_after: the connection is cut after so many stream events (plain replies: at once, for any
        number).
    cut_gate: the cut waits until `Provider.release(cut_gate)`.
    end_after: the stream ends after so many events, in good order but for what is missing.
    fail_after: the stream of a response ends after so many events with the one that says that it failed.
    gate: the answer waits until `Provider.release(gate)`.
    pieces: text, thinking and arguments are streamed in so many pieces each.
    """

    text: str | None = ""
    tool_calls: tuple[ToolCall, ...] = ()
    thinking: str | None = None
    signature: str | None = None
    compaction: str | None = None
    blocks: tuple[dict, ...] = ()
    extra: Mapping[str, object] = field(default_factory=dict)
    other_choices: tuple[str, ...] = ()
    finish: str | None = None
    id: str | None = None
    status: int = 200
    error: str = "the stand-in was told to fail"
    cut_after: int | None = None
    cut_gate: str | None = None
    end_after: int | None = None
    fail_after: int | None = None
    delay_seconds: float = 0.0
    gate: str | None = None
    pieces: int = 3

    def __post_init__(self) -> None:
        if self.finish is not None and self.finish not in FINISHES:
            raise ValueError(f"finish is {self.finish!r}, expected one of {', '.join(FINISHES)}")

    @property
    def finish_or_default(self) -> str:
        return self.finish or ("tool_calls" if self.tool_calls else "stop")


def answer_from_dict(fields: dict) -> Answer:
    calls = tuple(ToolCall(**call) for call in fields.get("tool_calls") or ())
    lists = {name: tuple(fields.get(name) or ()) for name in ("blocks", "other_choices")}
    return Answer(**{**fields, **lists, "tool_calls": calls})


def as_object(arguments: str) -> object:
    """A call's arguments where the format has no text for them; {} for a text that is no JSON."""
    try:
        return json.loads(arguments)
    except ValueError:
        return {}


def event_json(value: object) -> str:
    """JSON for one event of a stream. U+2028 and its like are escaped: LiteLLM's HTTP client ends
    lines at them. So are lone surrogates, which have no bytes.
    """
    text = json.dumps(value, ensure_ascii=False)
    return re.sub("[\x85\u2028\u2029\ud800-\udfff]", lambda found: f"\\u{ord(found.group()):04x}", text)


def cut_in_pieces(text: str, pieces: int) -> list[str]:
    """`text` as up to `pieces` non-empty pieces that join to it."""
    if not text:
        return []
    size = max(1, -(-len(text) // max(1, pieces)))
    return [text[start : start + size] for start in range(0, len(text), size)]


@dataclass
class Rule:
    """Answers for the requests that match; `once` rules are used up one answer a request, others
    repeat.
    """

    answers: list[Answer]
    once: bool
    pattern: re.Pattern[str] | None = None

    def matches(self, asked: str) -> bool:
        return bool(self.answers) and (self.pattern is None or self.pattern.search(asked) is not None)

    def take(self) -> Answer:
        return self.answers.pop(0) if self.once else self.answers[0]


@dataclass
class Script:
    """Thread-safe. Order: rules for the tag, rules with a pattern, rules for any request; in each,
    `once` rules first.
    """

    tagged: dict[int, list[Rule]] = field(default_factory=dict)
    untagged: list[Rule] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, answers: tuple[Answer, ...], when: str | None, tag: int | None, once: bool) -> None:
        rule = Rule(list(answers), once, re.compile(when) if when else None)
        with self.lock:
            rules = self.untagged if tag is None else self.tagged.setdefault(tag, [])
            rules.append(rule)
            rules.sort(key=lambda each: (each.pattern is None, not each.once))

    def pick(self, asked: str, tag: int | None) -> Answer | None:
        with self.lock:
            for rule in (*self.tagged.get(tag, ()), *self.untagged):
                if rule.matches(asked):
                    return rule.take()
        return None

    def clear(self) -> None:
        with self.lock:
            self.tagged.clear()
            self.untagged.clear()
