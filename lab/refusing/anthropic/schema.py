"""The schema of Claude's messages, which is closed: types, names and fields."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..rules import Fault, Rule, Sent, dicts_in, numbered
from .shapes import MARK, SHAPES, Shape, blocks_in, messages_of

EXTRA = "Extra inputs are not permitted"
ID_PATTERN = "^[a-zA-Z0-9_-]+$"
SERVER_ID_PATTERN = "^srvtoolu_[a-zA-Z0-9_]+$"
ID_FIELDS = (("tool_use", "id"), ("tool_result", "tool_use_id"))
NAME_CHARACTERS = 200
IN_MESSAGE = ("role", "content")
IN_SYSTEM_MESSAGE = (*IN_MESSAGE, "clear_at", "output_config")
IN_MARK = ("type", "ttl")


def no_messages(sent: Sent) -> Iterator[Fault]:
    if not sent.body.get("messages"):
        yield Fault("messages: at least one message is required")


def content_type(sent: Sent) -> Iterator[Fault]:
    for number, message in messages_of(sent):
        if not isinstance(message.get("content"), (str, list)):
            yield Fault(f"messages.{number}.content: Input should be a valid list")


def message_fields(sent: Sent) -> Iterator[Fault]:
    for number, message in messages_of(sent):
        known = IN_SYSTEM_MESSAGE if message.get("role") == "system" else IN_MESSAGE
        for field in message:
            if field not in known:
                yield Fault(f"messages.{number}.{field}: {EXTRA}")


def block_kinds(sent: Sent) -> Iterator[Fault]:
    known = [kind for kind, shape in SHAPES.items() if is_offered(shape, sent)]
    expected = ", ".join(f"'{kind}'" for kind in sorted(known))
    for path, block in blocks_in(sent):
        kind = block.get("type")
        if kind not in known:
            yield Fault(
                f"{path}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {expected}"
            )


def is_offered(shape: Shape, sent: Sent) -> bool:
    return shape.beta is None or any(each.strip().startswith(shape.beta) for each in sent.betas.split(","))


def shaped_blocks(sent: Sent) -> Iterator[tuple[str, dict, Shape]]:
    """Blocks of known kinds, with the path that their fields have."""
    for path, block in blocks_in(sent):
        kind = block.get("type")
        if kind in SHAPES:
            yield f"{path}.{kind}", block, SHAPES[kind]


def block_fields(sent: Sent) -> Iterator[Fault]:
    for path, block, shape in shaped_blocks(sent):
        for field in block:
            if not shape.knows(field):
                yield Fault(f"{path}.{field}: {EXTRA}")


def required_fields(sent: Sent) -> Iterator[Fault]:
    for path, block, shape in shaped_blocks(sent):
        for field in shape.required:
            if field not in block:
                yield Fault(f"{path}.{field}: Field required")


def cache_mark_fields(sent: Sent) -> Iterator[Fault]:
    in_system = ((f"system.{index}", block) for index, block in numbered(sent.body.get("system")))
    in_messages = ((path, block) for path, block, _ in shaped_blocks(sent))
    for path, block in (*in_system, *in_messages):
        for mark in dicts_in([block.get(MARK)]):
            for field in mark:
                if field not in IN_MARK:
                    yield Fault(f"{path}.{MARK}.{mark.get('type')}.{field}: {EXTRA}")


def call_ids(sent: Sent) -> Iterator[Fault]:
    for path, block in blocks_in(sent):
        for kind, field in ID_FIELDS:
            if block.get("type") == kind and not re.fullmatch(ID_PATTERN, str(block.get(field))):
                yield Fault(f"{path}.{kind}.{field}: String should match pattern '{ID_PATTERN}'")


def server_call_ids(sent: Sent) -> Iterator[Fault]:
    for path, block in blocks_in(sent):
        if block.get("type") == "server_tool_use" and not re.fullmatch(SERVER_ID_PATTERN, str(block.get("id"))):
            yield Fault(f"{path}.server_tool_use.id: String should match pattern '{SERVER_ID_PATTERN}'")


def call_names(sent: Sent) -> Iterator[Fault]:
    for path, block in blocks_in(sent):
        if block.get("type") == "tool_use":
            length = len(str(block.get("name")))
            if not length:
                yield Fault(f"{path}.tool_use.name: String should have at least 1 character")
            elif length > NAME_CHARACTERS:
                yield Fault(f"{path}.tool_use.name: String should have at most {NAME_CHARACTERS} characters")


def call_inputs(sent: Sent) -> Iterator[Fault]:
    for path, block in blocks_in(sent):
        if block.get("type") == "tool_use" and not isinstance(block.get("input"), dict):
            yield Fault(f"{path}.tool_use.input: Input should be a valid dictionary")


DOCS = "https://platform.claude.com/docs/en"
GITHUB = "https://github.com"

RULES = (
    Rule(
        "anthropic-no-messages",
        f"{GITHUB}/anthropics/skills/blob/main/skills/claude-api/shared/error-codes.md",
        no_messages,
    ),
    Rule("anthropic-content-type", f"{DOCS}/api/messages", content_type),
    Rule("anthropic-message-field", f"{GITHUB}/anthropics/claude-code/issues/14135", message_fields),
    Rule("anthropic-block-kind", f"{DOCS}/build-with-claude/compaction-on-demand", block_kinds),
    Rule("anthropic-block-field", f"{GITHUB}/langchain-ai/langchain/issues/31208", block_fields),
    Rule("anthropic-required-field", f"{GITHUB}/lbjlaq/Antigravity-Manager/issues/1650", required_fields),
    Rule("anthropic-cache-mark-field", f"{GITHUB}/caozhiyuan/copilot-api/issues/145", cache_mark_fields),
    Rule("anthropic-call-id", f"{GITHUB}/BlockRunAI/ClawRouter/issues/17", call_ids),
    Rule("anthropic-server-call-id", f"{GITHUB}/ding113/claude-code-hub/issues/470", server_call_ids),
    Rule("anthropic-call-name", f"{GITHUB}/sipeed/picoclaw/issues/1658", call_names),
    Rule("anthropic-call-input", f"{GITHUB}/anthropics/claude-code/issues/6695", call_inputs),
)
