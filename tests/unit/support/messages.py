"""Chat messages and turns, as small as a test needs them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from litellm.responses.litellm_completion_transformation.redis_session_patch.request.fitting import Said, fit
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.sendable import answer_for
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.target import Target
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import Turn

Message = dict[str, Any]

CLAUDE, GEMINI, MISTRAL, DEEPSEEK = (
    Target("claude", "anthropic"),
    Target("gemini", "vertex_ai"),
    Target("mistral", "mistral"),
    Target("deepseek", "deepseek"),
)
OPENAI, GROQ = Target("openai", "openai"), Target("groq", "groq")

# Providers with a chat format of their own, which refuse what they do not know.
STRICT = ("azure", "cerebras", "groq", "mistral", "ollama", "ollama_chat", "openai", "together_ai", "xai")
ALL_TARGETS = [CLAUDE, GEMINI, MISTRAL, DEEPSEEK, OPENAI, GROQ]


def user(content: Any) -> Message:
    return {"role": "user", "content": content}


def system(text: str) -> Message:
    return {"role": "system", "content": text}


def assistant(text: Any = None, *ids: str, **fields: Any) -> Message:
    """``ids``: of the calls in it."""
    calls = {"tool_calls": [call(each) for each in ids]} if ids else {}
    return {"role": "assistant", "content": text, **calls, **fields}


def calling(*calls: Message, **fields: Any) -> Message:
    return {"role": "assistant", "content": None, "tool_calls": list(calls), **fields}


def call(call_id: str, arguments: Any = "{}", name: str = "f", **fields: Any) -> Message:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}, **fields}


def result(call_id: str, content: Any = "done") -> Message:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def turn(text: Any, *answer: Message, instructions: str | None = None, **fields: Any) -> Turn:
    return Turn(text, answer, instructions, **fields)


def said(*turns: Iterable[Message]) -> list[Said]:
    """Each turn's messages: an assistant's are the model's answer, all others the client's input."""
    return [
        (message, None if message["role"] == "assistant" else number)
        for number, messages in enumerate(turns)
        for message in messages
    ]


def fitted(conversation: Iterable[Said], target: Target, made_by: str | None = None) -> list[Message]:
    """What is sent of a conversation whose answers are those of the target's own maker, or of ``made_by``'s."""
    return fit(
        [
            (sent, origin)
            for message, origin in conversation
            for sent in (answer_for([message], made_by or target.maker, target) if origin is None else [message])
        ],
        target,
    )


def by_client(number: int, *messages: Message) -> list[Said]:
    """All of them, the assistant's too, are the client's ``number``-th input."""
    return [(message, number) for message in messages]


def ids_of(messages: Iterable[Message]) -> list[str]:
    """Of calls and of results, in order."""
    return [
        each
        for message in messages
        for each in (
            [message["tool_call_id"]]
            if message["role"] == "tool"
            else [each["id"] for each in message.get("tool_calls") or ()]
        )
    ]
