"""``truncation: auto``: the oldest turns are left out until a request fits the model's window; and how large it is."""

from collections.abc import Iterator, Sequence
from typing import Any

from ..values.turns import Turn
from .call import Call
from .compacting import HEAD

_UNKNOWN_WINDOW = 128_000  # tokens
_IMAGE_TOKENS = 1_000  # about


def window_of(model: str, provider: str | None = None) -> int:
    """How many tokens a model takes, as LiteLLM knows it by the name at its provider."""
    import litellm

    try:
        return int(litellm.get_model_info(model, custom_llm_provider=provider)["max_input_tokens"] or _UNKNOWN_WINDOW)
    except Exception:  # LiteLLM knows no such model.
        return _UNKNOWN_WINDOW


def text_tokens(model: str, turns: Sequence[Turn]) -> int:
    """Tokens of all that was said in ``turns``, as LiteLLM counts text."""
    import litellm

    texts = [text for turn in turns for value in (turn.items, turn.answer) for text in _texts_in(value)]
    images = sum(text.startswith("data:") for text in texts)
    said = "\n".join(text for text in texts if not text.startswith("data:"))
    return int(litellm.token_counter(model, text=said)) + images * _IMAGE_TOKENS


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts_in(each)


def truncate(call: Call) -> None:
    """A newest turn that does not fit by itself is the provider's to refuse."""
    model_info = (call.kwargs.get("litellm_metadata") or {}).get("model_info") or {}
    model, provider = str(call.completion.get("model")), call.provider
    answer = call.completion.get("max_completion_tokens") or call.completion.get("max_tokens") or 0
    leading, turns = turns_in(call.completion.get("messages") or ())
    left = int(model_info.get("max_input_tokens") or window_of(model, provider)) - int(answer)
    left -= tokens_of(model, leading, call.completion.get("tools"))
    count = len(turns)
    while count and (left := left - tokens_of(model, turns[count - 1])) >= 0:
        count -= 1
    count = min(count, len(turns) - 1)
    if count > 0:
        call.completion["messages"] = [*leading, *(message for turn in turns[count:] for message in turn)]


def _is_summary(message: Any) -> bool:
    return any(text.startswith(HEAD) for text in _texts_in(message.get("content")))


def tokens_of(model: str, messages: Sequence[Any], tools: Any = None) -> int:
    import litellm

    return int(litellm.token_counter(model, messages=list(messages), tools=tools))


def turns_in(messages: Sequence[Any]) -> tuple[list[Any], list[list[Any]]]:
    """What an operator says first, and a summary; and the rest by turns: each begins with what a user says after an
    answer.
    """
    leading: list[Any] = []
    turns: list[list[Any]] = []
    for message in messages:
        role = message.get("role")
        if not turns and (role in ("system", "developer") or _is_summary(message)):
            leading.append(message)
        elif not turns or (role == "user" and turns[-1][-1].get("role") != "user"):
            turns.append([message])
        else:
            turns[-1].append(message)
    return leading, turns
