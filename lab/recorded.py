"""One request as the stand-in provider got it, and the answer that it has without a script."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property

from .answers import Answer
from .formats import FORMATS
from .holding import Holder, holder_of
from .refusing import Maker, maker_of
from .wire import Conversation, asked_of, tidy

QUESTION = re.compile(r"what is my favou?rite number\?", re.IGNORECASE)
MODEL_IN_PATH = re.compile(r"/models/([^/:]+):")
STATEMENT = re.compile(r"my favou?rite number is (\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Recorded:
    """One model request as it came in.

    format: chat, anthropic, gemini or responses.
    refused: the slug of the rule by which it was refused; None: it was taken.
    held: of a request for a response, the items that `previous_response_id` stands for: before its own.
    items: of such a request, all that the model sees: those, and its own, with references resolved.
    """

    sequence: int
    path: str
    format: str
    stream: bool
    headers: dict[str, str]
    body: dict
    refused: str | None = None
    held: tuple[dict, ...] = ()
    items: tuple[dict, ...] = ()

    @property
    def holder(self) -> Holder:
        """Of a request for a response, whose state it is about."""
        return holder_of(self.path, self.headers)

    @property
    def issuer(self) -> object:
        """Who knows again what was given out: the maker; of native responses the account."""
        return self.holder if self.format == "responses" else self.format

    @property
    def maker(self) -> Maker:
        return maker_of(self.path, self.format)

    @property
    def model(self) -> str:
        """As the provider is asked for it."""
        in_path = MODEL_IN_PATH.search(self.path)
        return in_path.group(1) if in_path else str(self.body.get("model", ""))

    @property
    def tag(self) -> int | None:
        return FORMATS[self.format].tag_of(self.body)

    @cached_property
    def conversation(self) -> Conversation:
        return self.conversation_as()

    def conversation_as(self, merge: bool = True, thinking: bool = False) -> Conversation:
        """The normal form of `lab.wire`."""
        seen = {**self.body, "input": list(self.items)} if self.format == "responses" else self.body
        parsed = FORMATS[self.format].parse(seen)
        return tidy(parsed, merge=merge, thinking=thinking, ids=self.format != "gemini")

    @property
    def asked(self) -> str:
        return asked_of(self.conversation)

    def to_dict(self) -> dict:
        names = ("sequence", "path", "format", "stream", "headers", "body", "refused", "held", "items")
        return {name: getattr(self, name) for name in names}


def from_dict(fields: dict) -> Recorded:
    return Recorded(**{**fields, "held": tuple(fields["held"]), "items": tuple(fields["items"])})


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
