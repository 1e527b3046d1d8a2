"""What the stand-in provider keeps: the requests it got, the answers it shall give, and the gates
they wait behind.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from .answers import Answer, Script
from .formats import FORMATS
from .wire import Conversation, asked_of, tidy

KEPT_HEADERS = (
    "authorization",
    "x-api-key",
    "x-goog-api-key",
    "anthropic-version",
    "anthropic-beta",
    "user-agent",
)
QUESTION = re.compile(r"what is my favou?rite number\?", re.IGNORECASE)
STATEMENT = re.compile(r"my favou?rite number is (\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Recorded:
    """One model request as it came in. `format` is chat, anthropic or gemini."""

    sequence: int
    path: str
    format: str
    stream: bool
    headers: dict[str, str]
    body: dict

    @property
    def tag(self) -> int | None:
        return FORMATS[self.format].tag_of(self.body)

    @cached_property
    def conversation(self) -> Conversation:
        return self.conversation_as()

    def conversation_as(self, merge: bool = True, thinking: bool = False) -> Conversation:
        """The normal form of `lab.wire`."""
        parsed = FORMATS[self.format].parse(self.body)
        return tidy(parsed, merge=merge, thinking=thinking, ids=self.format != "gemini")

    @property
    def asked(self) -> str:
        return asked_of(self.conversation)

    def to_dict(self) -> dict:
        names = ("sequence", "path", "format", "stream", "headers", "body")
        return {name: getattr(self, name) for name in names}


def default_answer(request: Recorded) -> Answer:
    """A function of the request alone: the favourite number out of the history, or a digest of all
    that was sent.
    """
    if QUESTION.search(request.asked):
        said = [text for message in request.conversation if message.role == "user" for text in message.texts]
        numbers = [number for text in said for number in STATEMENT.findall(text)]
        return Answer(text=f"Your favourite number is {numbers[-1]}." if numbers else "I do not know.")
    digest = hashlib.sha256(repr(request.conversation).encode()).hexdigest()[:16]
    return Answer(text=f"answer-{digest}")


class ProviderState:
    """The script and the record; thread-safe. `responder`, when set, is asked before the script."""

    def __init__(self) -> None:
        self._script = Script()
        self._sequence = itertools.count(1)
        self._recorded: list[Recorded] = []
        self._recorded_by_tag: dict[int | None, list[Recorded]] = {}
        self._gates: dict[str, threading.Event] = {}
        self._lock = threading.Lock()
        self.responder: Callable[[Recorded], Answer | None] | None = None

    def script(self, *answers: Answer, when: str | None = None, tag: int | None = None) -> None:
        """Give each answer once, in order, to requests that match (regex over what is asked; tag;
        else any).
        """
        self._script.add(answers, when, tag, once=True)

    def always(self, answer: Answer, when: str | None = None, tag: int | None = None) -> None:
        self._script.add((answer,), when, tag, once=False)

    def requests(self, when: str | None = None, tag: int | None = None, since: int = 0) -> list[Recorded]:
        """Recorded requests in order of arrival; `since` is a sequence number that is left out
        itself.
        """
        with self._lock:
            among = self._recorded if tag is None else self._recorded_by_tag.get(tag, [])
            kept = [each for each in among if each.sequence > since]
        return [each for each in kept if re.search(when, each.asked)] if when else kept

    def last_sequence(self) -> int:
        """Of the newest request that is kept; 0 when there is none."""
        with self._lock:
            return self._recorded[-1].sequence if self._recorded else 0

    def take(self, tag: int) -> list[Recorded]:
        """The requests with this tag, which are not kept any longer: for a load that would fill the memory."""
        with self._lock:
            taken = self._recorded_by_tag.pop(tag, [])
            for each in taken:
                self._recorded.remove(each)
        return taken

    def clear(self) -> None:
        """Forget answers and requests, and open all gates. Sequence numbers go on."""
        self._script.clear()
        self.responder = None
        with self._lock:
            self._recorded.clear()
            self._recorded_by_tag.clear()
            gates, self._gates = self._gates, {}
        for gate in gates.values():
            gate.set()

    def release(self, gate: str) -> None:
        """Let the answers behind this gate go, now and from now on."""
        self._gate(gate).set()

    def _gate(self, name: str) -> threading.Event:
        with self._lock:
            return self._gates.setdefault(name, threading.Event())

    def record(self, path: str, headers: Mapping[str, str], body: dict, format: str, stream: bool) -> Recorded:
        kept = {name: headers[name] for name in KEPT_HEADERS if name in headers}
        streamed = stream or bool(body.get("stream"))
        with self._lock:
            recorded = Recorded(next(self._sequence), path, format, streamed, kept, body)
            self._recorded.append(recorded)
            self._recorded_by_tag.setdefault(recorded.tag, []).append(recorded)
        return recorded

    def choose(self, recorded: Recorded) -> Answer:
        answer = self.responder(recorded) if self.responder else None
        return answer or self._script.pick(recorded.asked, recorded.tag) or default_answer(recorded)

    async def wait_for(self, answer: Answer) -> None:
        if answer.delay_seconds:
            await asyncio.sleep(answer.delay_seconds)
        await self.pass_gate(answer.gate)

    async def pass_gate(self, name: str | None) -> None:
        gate = self._gate(name) if name else None
        while gate and not gate.is_set():
            await asyncio.sleep(0.01)
