"""The forms of a client's input and of chat messages, as far as upstream relies on them.

A shape is a function that says whether a value has it. Fields that are not named here are let through.
"""

from collections.abc import Callable, Mapping
from typing import Any

Shape = Callable[[Any], bool]


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_role(value: Any) -> bool:
    return value in ("assistant", "user", "system", "developer", "tool", "function")


def _either(*shapes: Shape) -> Shape:
    return lambda value: any(shape(value) for shape in shapes)


def _list_of(shape: Shape) -> Shape:
    return lambda value: isinstance(value, list) and all(map(shape, value))


def _fields(needed: Mapping[str, Shape], **others: Shape) -> Shape:
    """An object with what is needed; of the others, each may be missing or null."""

    def has_shape(value: Any) -> bool:
        return (
            isinstance(value, dict)
            and all(shape(value.get(name)) for name, shape in needed.items())
            and all((found := value.get(name)) is None or shape(found) for name, shape in others.items())
        )

    return has_shape


_CONTENTS = ("text", "image_url", "file_data", "file_id", "file_url", "file", "input_audio", "refusal", "thinking")
_KNOWN_PART = _fields(
    {"type": _is_name},
    image_url=_either(is_text, _fields({"url": is_text})),
    **dict.fromkeys(("text", "file_data", "file_id", "file_url", "filename", "refusal"), is_text),
)


def _is_part(value: Any) -> bool:
    return _KNOWN_PART(value) and any(value.get(name) is not None for name in _CONTENTS)


_SAID = _either(is_text, _list_of(_is_part))

_RESULT = _fields({"call_id": _is_name, "output": _SAID})
_ITEMS: Mapping[str, Shape] = {
    "message": _fields({"role": _is_role, "content": _SAID}),
    "function_call": _fields({"call_id": _is_name, "name": _is_name, "arguments": is_text}),
    "custom_tool_call": _fields({"call_id": _is_name, "name": _is_name, "input": is_text}),
    **dict.fromkeys(
        ("function_call_output", "custom_tool_call_output", "computer_call_output", "tool_result"), _RESULT
    ),
}
_OTHER_ITEM = _fields({"type": _is_name}, role=_is_role, content=_SAID, summary=_SAID, encrypted_content=is_text)

_FUNCTION = _fields({"name": _is_name, "arguments": is_text}, provider_specific_fields=_is_object)
_TOOL_CALL = _fields({"id": is_text, "function": _FUNCTION}, type=is_text, provider_specific_fields=_is_object)
_THOUGHT = _fields({}, type=is_text, thinking=is_text, signature=is_text, data=is_text)

is_message = _fields(
    {"role": _is_role},
    content=_SAID,
    tool_calls=_list_of(_TOOL_CALL),
    tool_call_id=is_text,
    function_call=_FUNCTION,
    reasoning_content=is_text,
    thinking_blocks=_list_of(_THOUGHT),
    provider_specific_fields=_is_object,
)


def is_input(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(map(_is_item, value)))


def _is_item(item: Any) -> bool:
    kind = item.get("type", "message") if isinstance(item, dict) else None
    return isinstance(kind, str) and _ITEMS.get(kind, _OTHER_ITEM)(item)
