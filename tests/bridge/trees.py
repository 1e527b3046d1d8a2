"""Random conversations for the equivalence property: what is said, by whom, and what it follows."""

from __future__ import annotations

import base64
import json
import uuid
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from lab.answers import Answer, ToolCall

from .driver import FORMATS

TOOLS = [
    {"type": "function", "name": name, "parameters": {"type": "object", "properties": {"x": {"type": "string"}}}}
    for name in ("look_up", "add")
]
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
    "AAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@dataclass(frozen=True)
class Step:
    """One request: it follows step ``parent`` (``None``: it begins a conversation) and gets ``answer``.

    ``said``: a string or a list of message items. ``results``: texts that answer open tool calls, as many as there
    are of either; they stand before what is said.
    """

    parent: int | None
    format: str
    stream: bool
    said: Any
    results: tuple[str, ...]
    instructions: str | None
    answer: Answer


# Every script, emoji and control character; no surrogates here, since HTTP bodies of the official clients have none.
texts = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=40).filter(lambda text: text.strip())
# Upstream strips the reasoning that a client sends back.
thoughts = texts.map(str.strip)
long_texts = st.builds(lambda text, times: text * times, texts, st.sampled_from([1, 1, 1, 400]))

parts = st.one_of(
    st.builds(lambda text: {"type": "input_text", "text": text}, long_texts),
    st.just({"type": "input_image", "image_url": PIXEL, "detail": "auto"}),
)
messages = st.one_of(
    st.builds(lambda text: {"role": "user", "content": text}, long_texts),
    st.builds(
        lambda blocks: {"type": "message", "role": "user", "content": blocks}, st.lists(parts, min_size=1, max_size=3)
    ),
)
said = st.one_of(long_texts, st.lists(messages, min_size=1, max_size=3))

calls = st.lists(
    st.builds(
        lambda name, text: (name, text), st.sampled_from([tool["name"] for tool in TOOLS]), st.text("abc ", max_size=8)
    ),
    max_size=3,
)


@st.composite
def answers(draw: st.DrawFn, *, thinking: bool) -> Answer:
    tool_calls = tuple(
        ToolCall(name, json.dumps({"x": text}), f"call_{uuid.uuid4().hex}") for name, text in draw(calls)
    )
    # Providers refuse an answer that says nothing; what a follow-up to one is sent has tests of its own.
    text = draw(st.one_of(st.just(""), long_texts) if tool_calls else long_texts)
    finish = None if tool_calls else draw(st.sampled_from(["stop", "stop", "length"]))
    thought = draw(st.one_of(st.none(), thoughts)) if thinking else None
    signature = base64.b64encode(uuid.uuid4().bytes).decode() if thought else None
    return Answer(text=text, tool_calls=tool_calls, finish=finish, thinking=thought, signature=signature)


@st.composite
def conversation_trees(draw: st.DrawFn, *, thinking: bool, max_steps: int = 6) -> list[Step]:
    """Steps in the order in which they are asked; any step may follow any earlier one, so trees branch.

    ``thinking``: some answers hold thoughts with a signature.
    """
    one_format = draw(st.one_of(st.sampled_from(FORMATS), st.none()))
    steps: list[Step] = []
    for number in range(draw(st.integers(2, max_steps))):
        # Mostly straight on, sometimes a late follow-up, sometimes something new.
        parents = [None] if not steps else [number - 1] * 4 + list(range(number)) + [None]
        steps.append(
            Step(
                parent=draw(st.sampled_from(parents)),
                format=one_format or draw(st.sampled_from(FORMATS)),
                stream=draw(st.booleans()),
                said=draw(said),
                results=tuple(draw(st.lists(texts, max_size=3))),
                instructions=draw(st.one_of(st.none(), st.just(""), texts)),
                answer=draw(answers(thinking=thinking)),
            )
        )
    return steps
