"""Compactions as a request has them: what stands for the turns before it goes in.

All is one thing: a request whose input begins with a compaction of ours has the turns in that as its history. A
response that is a compaction is followed as if its client had sent that; a stored turn whose input has one, likewise.
"""

import json
import math
from collections.abc import MutableMapping, Sequence
from dataclasses import replace
from typing import Any

from ..redis.runtime import Runtime
from ..redis.store import off_the_loop, text_size
from ..values.compactions import KIND, is_asked_for, newest, sealed_text
from ..values.owner import Owner
from ..values.refusals import COMPACTION
from ..values.results import Unreadable
from ..values.turns import Chain, Turn
from .deployments import among_deployments, is_native
from .exchange import Exchange, History, Source
from .history import ADDITIONAL_TOOLS, latest
from .items import fit_items, input_items

_INSTRUCTING = ("system", "developer")
# What of the newest turns stays as it is, at most.
KEPT_CHARACTERS = 32_000
# How many times as large a sealed text may be, opened.
_INFLATED = 100
HEAD = "The conversation so far was compacted. This summary stands for it:\n\n"

Item = dict[str, Any]


async def begin_compacted(runtime: Runtime, exchange: Exchange, data: MutableMapping[str, Any]) -> None:
    """Finds what stands for turns before: in the request's own input, in the response that it follows, and in the turns
    before it. ``data``: the request's parameters, from whose input that goes.
    """
    given: Any = data.get("input")
    chain, where, item = exchange.chain, newest(given), None
    exchange.is_compacting = is_asked_for(given)
    if where is not None:
        item = given[where]
        data["input"] = [*filter(_is_instructing, given[:where]), *given[where + 1 :]]
    elif chain.turns and not chain.deleted:
        item = _made_by(chain.turns[-1])
    try:
        if item is not None:
            turns = _without_said_again(await _opened(runtime, exchange.caller, item), input_items(data.get("input")))
            if not runtime.settings.native and True in among_deployments(str(data.get("model")), is_native):
                # As if its client had them: nobody puts a history before what that model gets.
                data["input"] = fit_items(turns, input_items(data.get("input")), None, 0)
                return
            exchange.compaction = {name: value for name, value in item.items() if name != "id"}
            # It may be older than any erasure.
            exchange.history = History(Source.COMPACTION, Chain((), asked_at=-math.inf), turns)
            exchange.people |= {tag for turn in turns for tag in turn.by}
            await exchange.take_input(data.get("input"))
        elif (turns := await _sent_of(runtime, exchange.caller, chain)) is not chain.turns:
            exchange.history = replace(exchange.history or History(Source.REDIS, chain), sent=turns)
    except Unreadable:
        exchange.refused = COMPACTION


def _made_by(turn: Turn) -> Item | None:
    """The compaction that a response is."""
    if not (isinstance(turn.reply, str) and f'"{KIND}"' in turn.reply and is_asked_for(turn.items)):
        return None
    output = (turn.shown or {}).get("output") or []
    return output[0] if len(output) == 1 and sealed_text(output[0]) is not None else None


async def _sent_of(runtime: Runtime, owner: Owner, chain: Chain) -> tuple[Turn, ...]:
    """What is sent of a chain. Raises Unreadable.

    Where an item was deleted after a compaction that may hold it, that stands for nothing any more.
    """
    turns = chain.turns
    for number in reversed(range(0 if chain.deleted else len(turns))):
        turn, after = turns[number], turns[number + 1 :]
        if turn.gone:
            break
        try:
            if (item := _made_by(turn)) is not None:
                return (*await _opened(runtime, owner, item), *after)
            items = turn.items
            if (where := newest(items)) is not None:
                rest = [*filter(_is_instructing, items[:where]), *items[where + 1 :]]
                opened = _without_said_again(await _opened(runtime, owner, items[where]), rest)
                return (*opened, replace(turn, input=rest), *after)
        except Unreadable:
            if number == 0:
                raise
            break  # The installation's secret is another one since; the turns before it are there.
    return _as_they_are(turns)


def _as_they_are(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """Without compactions. ``turns`` itself, where it has none."""
    if not any(newest(turn.items) is not None or _made_by(turn) is not None for turn in turns):
        return turns
    said = ([item for item in input_items(turn.items) if sealed_text(item) is None] for turn in turns)
    pairs = zip(turns, said, strict=True)
    return tuple(replace(turn, input=items) for turn, items in pairs if _made_by(turn) is None)


async def _opened(runtime: Runtime, owner: Owner, item: Item) -> tuple[Turn, ...]:
    text = sealed_text(item) or ""
    turns: tuple[Turn, ...] = await off_the_loop(_INFLATED * len(text), runtime.seal.open, text, owner)
    return turns


async def is_readable(runtime: Runtime, owner: Owner, text: str) -> bool:
    try:
        await _opened(runtime, owner, {"type": KIND, "encrypted_content": text})
    except Unreadable:  # The installation's secret is another one since.
        return False
    return True


def _without_said_again(turns: tuple[Turn, ...], items: Sequence[Item]) -> tuple[Turn, ...]:
    """Without what the client instructs again behind the compaction, as Codex does."""
    again = [_plain(item) for item in items if _is_instructing(item)]
    if not again:
        return turns
    said = [input_items(turn.items) for turn in turns]
    kept = [[item for item in each if not _is_instructing(item) or _plain(item) not in again] for each in said]
    fewer = zip(turns, said, kept, strict=True)
    return tuple(turn if len(rest) == len(all_of_it) else replace(turn, input=rest) for turn, all_of_it, rest in fewer)


def _plain(item: Item) -> Item:
    return {name: value for name, value in item.items() if name not in ("id", "status")}


def _is_instructing(item: Any) -> bool:
    # What stays in force wherever the conversation is cut.
    return isinstance(item, dict) and (item.get("role") in _INSTRUCTING or item.get("type") == ADDITIONAL_TOOLS)


def turns_of_items(items: Sequence[Item], by: tuple[str, ...]) -> list[Turn]:
    """A client's own input as turns: each begins with what a user says after something else, or with what a model does
    after results of its tools.
    """
    groups: list[list[Item]] = []
    for item in items:
        before = groups[-1][-1] if groups else None
        is_users = item.get("role") not in (None, "assistant", *_INSTRUCTING)
        is_begun = before is None or (is_users and before.get("role") != item.get("role"))
        if is_begun or (_is_result(before or {}) and not _is_result(item)):
            groups.append([])
        groups[-1].append(item)
    return [Turn(group, by=by) for group in groups]


def _is_result(item: Item) -> bool:
    return str(item.get("type")).endswith(("_output", "_response"))


def parted(turns: Sequence[Turn], most_characters: int) -> int:
    """How many of ``turns`` a summary is to stand for: not the newest, within bounds, nor one of the last two with
    calls that still wait for a result.
    """
    called: dict[str, int] = {}
    for number, turn in enumerate(turns[-2:], max(0, len(turns) - 2)):
        for item in _items_of(turn):
            call_id = item.get("approval_request_id") or item.get("call_id") or item.get("id")
            if _is_result(item):
                called.pop(str(call_id), None)
            elif item.get("call_id") or item.get("type") == "mcp_approval_request":
                called.setdefault(str(call_id), number)
    most = min(called.values(), default=len(turns))
    left, start = most_characters, len(turns)
    while start > 1 and (left := left - text_size(turns[start - 1 : start])) >= 0:
        start -= 1
    return min(start, most)


def _items_of(turn: Turn) -> list[Item]:
    calls = [call for message in turn.answer for call in message.get("tool_calls") or ()]
    answered = [{"type": "function_call", "call_id": call.get("id")} for call in calls if isinstance(call, dict)]
    if turn.account is not None:
        answered = list((turn.shown or {}).get("output") or ())
    return [*input_items(turn.items), *answered]


def summed_up(turns: Sequence[Turn], summary: str, most_characters: int) -> list[Turn]:
    """A turn that says the ``summary`` of the older ``turns``, and the newest."""
    count = parted(turns, most_characters)
    older, kept = turns[:count], turns[count:]
    instructing = (item for turn in older for item in input_items(turn.items) if _is_instructing(item))
    items = list({json.dumps(_plain(item), sort_keys=True): item for item in instructing}.values())
    by = tuple(sorted({tag for turn in older for tag in turn.by}))
    said = [*items, {"type": "message", "role": "user", "content": HEAD + summary}]
    instructions, session_id = latest(older, "instructions"), latest(older, "session_id")
    return [Turn(said, instructions=instructions, session_id=session_id, by=by), *kept]
