"""Claude's messages: what fields they and their blocks have, and how to walk over them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..rules import Sent, dicts_in, numbered

MARK = "cache_control"
SERVER_RESULTS = (
    "bash_code_execution_tool_result",
    "code_execution_tool_result",
    "text_editor_code_execution_tool_result",
    "tool_search_tool_result",
    "web_fetch_tool_result",
    "web_search_tool_result",
)


@dataclass(frozen=True)
class Shape:
    """beta: a block of this kind needs a beta header that begins so."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = (MARK,)
    beta: str | None = None

    def knows(self, field: str) -> bool:
        return field == "type" or field in self.required or field in self.optional


SHAPES = {
    "compaction": Shape((), ("content", "encrypted_content", MARK), beta="compact"),
    "container_upload": Shape(("file_id",)),
    "document": Shape(("source",), ("title", "context", "citations", MARK)),
    "image": Shape(("source",)),
    "mcp_tool_result": Shape(("tool_use_id",), ("content", "is_error", MARK), beta="mcp-client"),
    "mcp_tool_use": Shape(("id", "name", "server_name", "input"), beta="mcp-client"),
    "redacted_thinking": Shape(("data",), ()),
    "search_result": Shape(("source", "title", "content"), ("citations", MARK)),
    "server_tool_use": Shape(("id", "name", "input"), ("caller", MARK)),
    "text": Shape(("text",), ("citations", MARK)),
    "thinking": Shape(("thinking", "signature"), ()),
    "tool_reference": Shape(("tool_name",)),
    "tool_result": Shape(("tool_use_id",), ("content", "is_error", MARK)),
    "tool_use": Shape(("id", "name", "input"), ("caller", "toolset_name", MARK)),
    **{kind: Shape(("tool_use_id", "content"), ("caller", MARK)) for kind in SERVER_RESULTS},
}


def messages_of(sent: Sent) -> Iterator[tuple[int, dict]]:
    return numbered(sent.body.get("messages"))


def blocks_of(message: dict) -> list[dict]:
    content = message.get("content")
    return [{"type": "text", "text": content}] if isinstance(content, str) and content else dicts_in(content)


def blocks_in(sent: Sent) -> list[tuple[str, dict]]:
    """Every block as it was sent, those inside results too, with its path."""
    return sent.once(walk_blocks)


def walk_blocks(sent: Sent) -> list[tuple[str, dict]]:
    blocks: list[tuple[str, dict]] = []
    for number, message in messages_of(sent):
        for index, block in numbered(message.get("content")):
            path = f"messages.{number}.content.{index}"
            blocks.append((path, block))
            if block.get("type") == "tool_result":
                inside = numbered(block.get("content"))
                blocks += [(f"{path}.tool_result.content.{inner}", part) for inner, part in inside]
    return blocks


@dataclass(frozen=True)
class Run:
    """What one role says before the other speaks: the provider joins messages of one role."""

    role: str
    blocks: list[dict]

    def ids_of(self, kind: str, field: str) -> list[str]:
        return [str(block.get(field)) for block in self.blocks if block.get("type") == kind]


def runs_of(sent: Sent) -> list[Run]:
    return sent.once(join_runs)


def join_runs(sent: Sent) -> list[Run]:
    runs: list[Run] = []
    for _, message in messages_of(sent):
        role = str(message.get("role"))
        if runs and runs[-1].role == role:
            runs[-1].blocks.extend(blocks_of(message))
        else:
            runs.append(Run(role, blocks_of(message)))
    return runs
