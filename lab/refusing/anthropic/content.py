"""What Claude's messages may not be: empty, with too many cache marks, or of a role in a wrong place."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..rules import Fault, Rule, Sent, dicts_in, is_blank, numbered
from .shapes import MARK, blocks_in, blocks_of, messages_of, runs_of

MARKS = 4
# By reports: Opus and Sonnet from 4.6 on, and all of 5.
NO_PREFILL = re.compile(r"claude-(opus|sonnet)-4-[6-9]|claude-[a-z]+-[5-9]")
SYSTEM_MESSAGES = re.compile(r"claude-opus-4-8|claude-(opus|fable)-5")


def empty_messages(sent: Sent) -> Iterator[Fault]:
    messages = list(messages_of(sent))
    for number, message in messages:
        is_prefill = message.get("role") == "assistant" and number == messages[-1][0]
        if message.get("content") in ("", []) and not is_prefill:
            yield Fault(
                f"messages.{number}: all messages must have non-empty content except for the optional final assistant "
                "message"
            )


def marks_on_empty_text(sent: Sent) -> Iterator[Fault]:
    in_system = ((f"system.{index}", block) for index, block in numbered(sent.body.get("system")))
    in_messages = ((f"{path}.text", block) for path, block in blocks_in(sent))
    for path, block in (*in_system, *in_messages):
        if block.get("type") == "text" and block.get(MARK) and is_blank(block.get("text")):
            yield Fault(f"{path}: cache_control cannot be set for empty text blocks")


def texts(sent: Sent) -> Iterator[object]:
    for _, message in messages_of(sent):
        yield from (block.get("text") for block in blocks_of(message) if block.get("type") == "text")


def empty_texts(sent: Sent) -> Iterator[Fault]:
    if "" in texts(sent):
        yield Fault("messages: text content blocks must be non-empty")


def blank_texts(sent: Sent) -> Iterator[Fault]:
    if any(text and is_blank(text) for text in texts(sent)):
        yield Fault("messages: text content blocks must contain non-whitespace text")


def last_whitespace(sent: Sent) -> Iterator[Fault]:
    run = (runs_of(sent) or [None])[-1]
    if run and run.role == "assistant" and run.blocks:
        text = run.blocks[-1].get("text")
        if isinstance(text, str) and text[-1:].isspace():
            yield Fault("messages: final assistant content cannot end with trailing whitespace")


def too_many_marks(sent: Sent) -> Iterator[Fault]:
    in_messages = (block for _, block in blocks_in(sent))
    marked = (sent.body, *dicts_in(sent.body.get("tools")), *dicts_in(sent.body.get("system")), *in_messages)
    count = sum(1 for each in marked if each.get(MARK))
    if count > MARKS:
        yield Fault(f"A maximum of {MARKS} blocks with cache_control may be provided. Found {count}.")


def roles(sent: Sent) -> Iterator[Fault]:
    for _, message in messages_of(sent):
        if message.get("role") not in ("user", "assistant", "system"):
            role = message.get("role")
            yield Fault(f'messages: Unexpected role "{role}". Allowed roles are "user" or "assistant".')


def system_messages(sent: Sent) -> Iterator[Fault]:
    for number, message in messages_of(sent):
        if message.get("role") == "system" and not SYSTEM_MESSAGES.search(sent.model):
            yield Fault("role 'system' is not supported on this model")
        elif message.get("role") == "system" and not number:
            yield Fault("messages.0: use the top-level 'system' parameter for the initial system prompt")


def first_role(sent: Sent) -> Iterator[Fault]:
    if next(messages_of(sent), (0, {}))[1].get("role") == "assistant":
        yield Fault('messages: first message must use the "user" role')


def prefill(sent: Sent) -> Iterator[Fault]:
    run = (runs_of(sent) or [None])[-1]
    blocks = run.blocks if run else ()
    called = {block.get("id") for block in blocks if block.get("type") == "server_tool_use"}
    is_paused = bool(called - {block.get("tool_use_id") for block in blocks})
    if run and run.role == "assistant" and not is_paused and NO_PREFILL.search(sent.model):
        yield Fault(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )


def blocks_of_other_roles(sent: Sent) -> Iterator[Fault]:
    for number, run in enumerate(runs_of(sent)):
        for kind, role in (("tool_result", "user"), ("tool_use", "assistant")):
            if run.role != role and kind in [block.get("type") for block in run.blocks]:
                yield Fault(f"messages.{number}: `{kind}` blocks can only be in `{role}` messages")


DOCS = "https://platform.claude.com/docs/en"
GITHUB = "https://github.com"

RULES = (
    Rule("anthropic-empty-message", f"{GITHUB}/anthropics/claude-code/issues/6774", empty_messages),
    Rule("anthropic-mark-on-empty-text", f"{GITHUB}/anthropics/claude-code/issues/54039", marks_on_empty_text),
    Rule("anthropic-empty-text", f"{GITHUB}/anthropics/claude-code/issues/59812", empty_texts),
    Rule("anthropic-blank-text", f"{GITHUB}/anthropics/claude-code/issues/23440", blank_texts),
    Rule("anthropic-last-whitespace", f"{GITHUB}/tailcallhq/forgecode/issues/1872", last_whitespace),
    Rule("anthropic-cache-marks", f"{DOCS}/build-with-claude/prompt-caching", too_many_marks),
    Rule("anthropic-role", f"{DOCS}/api/messages", roles),
    Rule(
        "anthropic-system-message",
        f"{DOCS}/build-with-claude/mid-conversation-system-messages",
        system_messages,
    ),
    Rule("anthropic-first-role", f"{GITHUB}/lobehub/lobehub/issues/1601", first_role),
    Rule("anthropic-prefill", f"{GITHUB}/ericc-ch/copilot-api/pull/261", prefill),
    Rule("anthropic-block-of-other-role", f"{GITHUB}/tghamm/Anthropic.SDK/issues/128", blocks_of_other_roles),
)
