"""Claude's calls and their results: each has the other, once, and in its place."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, takewhile

from ..rules import Fault, Rule, Sent
from .shapes import SERVER_RESULTS, Run, runs_of

RESULT_OF = {
    "tool_search_tool_bm25": "tool_search_tool_result",
    "tool_search_tool_regex": "tool_search_tool_result",
}


def unanswered_calls(sent: Sent) -> Iterator[Fault]:
    runs = runs_of(sent)
    for number, run in enumerate(runs):
        after = runs[number + 1].blocks if number + 1 < len(runs) else []
        leading = takewhile(lambda block: block.get("type") == "tool_result", after)
        answered = [block.get("tool_use_id") for block in leading]
        called = run.ids_of("tool_use", "id") if run.role == "assistant" else []
        if missing := [each for each in called if each not in answered]:
            yield Fault(
                f"messages.{number}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the "
                "next message."
            )


def orphan_results(sent: Sent) -> Iterator[Fault]:
    runs = [Run("", []), *runs_of(sent)]
    for number, (before, run) in enumerate(pairwise(runs)):
        called = before.ids_of("tool_use", "id")
        for index, block in enumerate(run.blocks):
            if block.get("type") == "tool_result" and block.get("tool_use_id") not in called:
                yield Fault(
                    f"messages.{number}.content.{index}: unexpected `tool_use_id` found in `tool_result` blocks: "
                    f"{block.get('tool_use_id')}. Each `tool_result` block must have a corresponding `tool_use` block "
                    "in the previous message."
                )


def doubled_calls(sent: Sent) -> Iterator[Fault]:
    for number, run in enumerate(runs_of(sent)):
        for index in doubled(run, "tool_use", "id"):
            yield Fault(f"messages.{number}.content.{index}: `tool_use` ids must be unique")


def doubled_results(sent: Sent) -> Iterator[Fault]:
    for number, run in enumerate(runs_of(sent)):
        for index in doubled(run, "tool_result", "tool_use_id"):
            yield Fault(
                f"messages.{number}.content.{index}: each tool_use must have a single result. Found multiple "
                f"`tool_result` blocks with id: {run.blocks[index].get('tool_use_id')}"
            )


def doubled(run: Run, kind: str, field: str) -> Iterator[int]:
    """Where a block of this kind has an id that one before it had."""
    seen: set[object] = set()
    for index, block in enumerate(run.blocks):
        if block.get("type") == kind:
            if block.get(field) in seen:
                yield index
            seen.add(block.get(field))


def calls_without_tools(sent: Sent) -> Iterator[Fault]:
    kinds = {block.get("type") for run in runs_of(sent) for block in run.blocks}
    if kinds & {"tool_use", "tool_result"} and not sent.body.get("tools"):
        yield Fault("Requests which include `tool_use` or `tool_result` blocks must define tools.")


def unanswered_server_calls(sent: Sent) -> Iterator[Fault]:
    runs = runs_of(sent)
    for number, run in enumerate(runs):
        answered, is_over = rest_of_turn(runs[number:])
        for block in run.blocks:
            if block.get("type") == "server_tool_use" and is_over and block.get("id") not in answered:
                name = str(block.get("name"))
                result = RESULT_OF.get(name, f"{name}_tool_result")
                yield Fault(
                    f"messages.{number}: `{name}` tool use with id `{block.get('id')}` was found without a "
                    f"corresponding `{result}` block"
                )


def rest_of_turn(runs: list[Run]) -> tuple[list[object], bool]:
    """The server calls that this turn answers, and whether it is over: the user has said more than results."""
    answered: list[object] = []
    for run in runs:
        if run.role == "user" and any(block.get("type") != "tool_result" for block in run.blocks):
            return answered, True
        answered += [block.get("tool_use_id") for block in run.blocks if block.get("type") in SERVER_RESULTS]
    return answered, False


def orphan_server_results(sent: Sent) -> Iterator[Fault]:
    called: set[object] = set()
    for number, run in enumerate(runs_of(sent)):
        for index, block in enumerate(run.blocks):
            kind, id = block.get("type"), block.get("tool_use_id")
            if kind == "server_tool_use":
                called.add(block.get("id"))
            elif kind in SERVER_RESULTS and id not in called:
                yield Fault(
                    f"messages.{number}.content.{index}: unexpected `tool_use_id` found in `{kind}` blocks: {id}. Each "
                    f"`{kind}` block must have a corresponding `server_tool_use` block before it."
                )


DOCS = "https://platform.claude.com/docs/en/agents-and-tools/tool-use"
GITHUB = "https://github.com"

RULES = (
    Rule("anthropic-unanswered-call", f"{DOCS}/handle-tool-calls", unanswered_calls),
    Rule("anthropic-orphan-result", f"{GITHUB}/anthropics/claude-code/issues/13460", orphan_results),
    Rule("anthropic-doubled-result", f"{GITHUB}/vectorize-io/hindsight/pull/4250", doubled_results),
    Rule("anthropic-doubled-call", f"{GITHUB}/anthropics/claude-code/issues/20885", doubled_calls),
    Rule("anthropic-calls-without-tools", f"{GITHUB}/anthropics/anthropic-sdk-python/issues/494", calls_without_tools),
    Rule("anthropic-unanswered-server-call", f"{DOCS}/server-tools", unanswered_server_calls),
    Rule("anthropic-orphan-server-result", f"{GITHUB}/anthropics/claude-code/issues/64383", orphan_server_results),
)
