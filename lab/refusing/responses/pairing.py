"""Calls and their results, reasoning and what it led to: each has the other."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from ..rules import Fault, Rule, Sent, dicts_in
from .shapes import RESULTS, seen_by

# What a model does after it thought.
AFTER_REASONING_NEVER = ("function_call_output", "custom_tool_call_output")


def ids_of(items: tuple[dict, ...], kind: str) -> list[object]:
    """Of calls, or of their results: a result may name none."""
    return [item["call_id"] for item in items if item.get("type") == kind and item.get("call_id") is not None]


def unanswered_calls(sent: Sent) -> Iterator[Fault]:
    """Wherever the result stands."""
    items = seen_by(sent)
    for kind, (result, called) in RESULTS.items():
        answered = ids_of(items, result)
        for id in ids_of(items, kind):
            if id not in answered:
                yield Fault(f"No tool output found for {called} {id}.", param="input")


def orphan_results(sent: Sent) -> Iterator[Fault]:
    items = seen_by(sent)
    for kind, (result, called) in RESULTS.items():
        made = ids_of(items, kind)
        for id in ids_of(items, result):
            if id not in made:
                yield Fault(f"No tool call found for {called} output with call_id {id}.", param="input")


def lonely_reasoning(sent: Sent) -> Iterator[Fault]:
    for item, following in pairwise((*seen_by(sent), {})):
        if item.get("type") == "reasoning" and item.get("id") and not is_of_model(following):
            yield Fault(
                f"Item '{item['id']}' of type 'reasoning' was provided without its required following item.",
                param="input",
            )


def is_of_model(item: dict) -> bool:
    if item.get("role"):
        return item["role"] == "assistant"
    return bool(item) and item.get("type") not in AFTER_REASONING_NEVER


def missing_reasoning(sent: Sent) -> Iterator[Fault]:
    """Of items that the account holds, by whose id it knows that reasoning belongs to them."""
    seen = {item.get("id") for item in seen_by(sent)}
    for item in dicts_in(sent.body.get("input")):
        id = item.get("id")
        held = sent.held.get(id) if isinstance(id, str) else None
        if held and held.reasoning and held.reasoning not in seen:
            yield Fault(
                f"Item '{id}' of type '{held.item['type']}' was provided without its required 'reasoning' item: "
                f"'{held.reasoning}'.",
                param="input",
            )


GITHUB = "https://github.com"

RULES = (
    Rule("responses-unanswered-call", f"{GITHUB}/router-for-me/CLIProxyAPI/issues/2368", unanswered_calls),
    Rule("responses-orphan-result", f"{GITHUB}/microsoft/vscode/issues/320060", orphan_results),
    Rule("responses-lonely-reasoning", f"{GITHUB}/continuedev/continue/issues/8933", lonely_reasoning),
    Rule("responses-missing-reasoning", f"{GITHUB}/cline/cline/issues/12242", missing_reasoning),
)
