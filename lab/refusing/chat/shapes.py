"""Chat messages, and how to walk over them."""

from __future__ import annotations

from collections.abc import Iterator

from ..rules import Sent, dicts_in, numbered


def messages_of(sent: Sent) -> Iterator[tuple[int, dict]]:
    return numbered(sent.body.get("messages"))


def calls_of(message: dict) -> list[dict]:
    return dicts_in(message.get("tool_calls"))


def calls_in(sent: Sent) -> Iterator[tuple[int, int, dict]]:
    """Every call, with the number of its message and its own."""
    for number, message in messages_of(sent):
        for index, call in enumerate(calls_of(message)):
            yield number, index, call


def function_of(call: dict) -> dict:
    function = call.get("function")
    return function if isinstance(function, dict) else {}


def is_call_of(message: dict) -> bool:
    return message.get("role") == "assistant" and bool(calls_of(message))


def results_after(messages: list[dict], number: int) -> list[object]:
    """The ids of the results right behind a message."""
    answered = []
    for message in messages[number + 1 :]:
        if message.get("role") != "tool":
            break
        answered.append(message.get("tool_call_id"))
    return answered


def unanswered(sent: Sent) -> Iterator[tuple[int, list[str]]]:
    """Each message with calls that have no result right behind them, and their ids."""
    messages = [message for _, message in messages_of(sent)]
    for number, message in enumerate(messages):
        if is_call_of(message):
            answered = results_after(messages, number)
            missing = [str(call.get("id")) for call in calls_of(message) if call.get("id") not in answered]
            if missing:
                yield number, missing


def results_with_calls(sent: Sent) -> Iterator[tuple[int, dict, list[object] | None]]:
    """Each result, and the ids of the calls right before it and its neighbours; None: there are no calls."""
    called: list[object] | None = None
    for number, message in messages_of(sent):
        if message.get("role") == "tool":
            yield number, message, called
        else:
            called = [call.get("id") for call in calls_of(message)] if is_call_of(message) else None


def unknown_fields(
    sent: Sent, in_role: dict[str, tuple[str, ...]], in_call: tuple[str, ...] | None = None
) -> Iterator[tuple[int, str, tuple[str | int, ...], object]]:
    """What is in a message but not in the schema: the message's number and role, the path to the field, its value.

    in_role: the fields of each role's message; of roles that are not there nothing is known. in_call: those of a call;
    None: nothing is known of them.
    """
    for number, message in messages_of(sent):
        role = str(message.get("role"))
        known = in_role.get(role)
        for field in message if known else ():
            if field not in known:
                yield number, role, (field,), message[field]
        for index, call in enumerate(calls_of(message) if in_call else ()):
            for field in call:
                if field not in in_call:
                    yield number, role, ("tool_calls", index, field), call[field]
