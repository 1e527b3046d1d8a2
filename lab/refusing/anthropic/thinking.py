"""Claude's thinking, which comes back as it was given out, and where it may stand."""

from __future__ import annotations

from collections.abc import Iterator

from ..rules import Fault, Rule, Sent, dicts_in
from .shapes import Run, blocks_of, messages_of, runs_of

THINKING = ("thinking", "redacted_thinking")


def thinking_of(sent: Sent) -> str:
    asked = sent.body.get("thinking")
    return str(asked.get("type")) if isinstance(asked, dict) else "disabled"


def placed_blocks(sent: Sent, kind: str) -> Iterator[tuple[str, dict]]:
    """Blocks of a kind, with their path as the provider counts: after messages of one role are joined."""
    for number, run in enumerate(runs_of(sent)):
        for index, block in enumerate(run.blocks):
            if block.get("type") == kind:
                yield f"messages.{number}.content.{index}", block


def empty_thinking(sent: Sent) -> Iterator[Fault]:
    for path, block in placed_blocks(sent, "thinking"):
        if not block.get("thinking") and not block.get("signature"):
            yield Fault(f"{path}.thinking: each thinking block must contain thinking")


def signatures(sent: Sent) -> Iterator[Fault]:
    for path, block in placed_blocks(sent, "thinking"):
        if (block.get("signature"), block.get("thinking")) not in sent.issued:
            yield Fault(f"{path}: Invalid `signature` in `thinking` block")


def redacted_data(sent: Sent) -> Iterator[Fault]:
    for path, block in placed_blocks(sent, "redacted_thinking"):
        if (block.get("data"), "") not in sent.issued:
            yield Fault(f"{path}: Invalid `data` in `redacted_thinking` block")


def encrypted_content(sent: Sent) -> Iterator[Fault]:
    for path, block in placed_blocks(sent, "web_search_tool_result"):
        for result in dicts_in(block.get("content")):
            if (result.get("encrypted_content"), "") not in sent.issued:
                yield Fault(f"{path}: Invalid `encrypted_content` in `search_result` block")


def thinking_before_calls(sent: Sent) -> Iterator[Fault]:
    """While calls are answered, and with a budget for thinking, the answer that calls begins with its thinking."""
    runs = runs_of(sent)
    if thinking_of(sent) != "enabled" or len(runs) < 2 or not is_of_results(runs[-1]):
        return
    kind = next((block.get("type") for block in runs[-2].blocks), None)
    if kind not in THINKING:
        yield Fault(
            f"messages.{len(runs) - 2}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{kind}`. "
            "When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the "
            "lastmost set of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks from "
            "previous turns. To avoid this requirement, disable `thinking`. Please consult our documentation at "
            "https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
        )


def is_of_results(run: Run) -> bool:
    return run.role == "user" and "tool_result" in [block.get("type") for block in run.blocks]


def thinking_first(sent: Sent) -> Iterator[Fault]:
    """Message by message: of thinking between calls nothing is known, nor of a summary that stands before it."""
    if thinking_of(sent) != "enabled" or "interleaved-thinking" in sent.betas:
        return
    for number, message in messages_of(sent):
        kinds = [kind for block in blocks_of(message) if (kind := block.get("type")) != "compaction"]
        if set(kinds) & set(THINKING) and kinds[0] not in THINKING:
            yield Fault(
                f"messages.{number}.content.0: If an assistant message contains any thinking blocks, the first block "
                f"must be `thinking` or `redacted_thinking`. Found `{kinds[0]}`."
            )


def thinking_last(sent: Sent) -> Iterator[Fault]:
    for number, run in enumerate(runs_of(sent)):
        if run.blocks and run.blocks[-1].get("type") in THINKING:
            yield Fault(f"messages.{number}: The final block in an assistant message cannot be `thinking`.")


def thinking_in_prefill(sent: Sent) -> Iterator[Fault]:
    runs = runs_of(sent)
    if thinking_of(sent) != "disabled" or not runs or runs[-1].role != "assistant":
        return
    if any(block.get("type") in THINKING for block in runs[-1].blocks):
        yield Fault(
            f"messages.{len(runs) - 1}.content.0: When thinking is disabled, an `assistant` message in the final "
            "position cannot contain `thinking`. To use thinking blocks, enable `thinking` in your request."
        )


GITHUB = "https://github.com"

RULES = (
    Rule(
        "anthropic-empty-thinking",
        f"{GITHUB}/BerriAI/litellm/blob/main/litellm/llms/anthropic/common_utils.py",
        empty_thinking,
    ),
    Rule("anthropic-signature", f"{GITHUB}/anthropics/anthropic-sdk-python/issues/1598", signatures),
    Rule("anthropic-redacted-data", f"{GITHUB}/microsoft/vscode/pull/320196", redacted_data),
    Rule("anthropic-encrypted-content", f"{GITHUB}/code-yeongyu/senpi/pull/150", encrypted_content),
    Rule(
        "anthropic-thinking-before-calls",
        f"{GITHUB}/UKGovernmentBEIS/inspect_ai/issues/3025",
        thinking_before_calls,
    ),
    Rule("anthropic-thinking-first", f"{GITHUB}/lbjlaq/Antigravity-Manager/issues/690", thinking_first),
    Rule("anthropic-thinking-last", f"{GITHUB}/anthropics/claude-code/issues/11514", thinking_last),
    Rule("anthropic-thinking-in-prefill", f"{GITHUB}/tailcallhq/forgecode/issues/1853", thinking_in_prefill),
)
