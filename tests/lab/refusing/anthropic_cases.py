"""Claude's rules."""

from __future__ import annotations

from typing import Any

from .cases import Case

SONNET = "claude-sonnet-4-5"
TOOLS = [{"name": "look_up", "input_schema": {"type": "object"}}]
ASKED = {"role": "user", "content": "Look it up."}
ENABLED = {"type": "enabled", "budget_tokens": 1024}
ONE_MARK = {"cache_control": {"type": "ephemeral"}}
KINDS = (
    "'bash_code_execution_tool_result', 'code_execution_tool_result', 'container_upload', 'document', 'image', "
    "'redacted_thinking', 'search_result', 'server_tool_use', 'text', 'text_editor_code_execution_tool_result', "
    "'thinking', 'tool_reference', 'tool_result', 'tool_search_tool_result', 'tool_use', 'web_fetch_tool_result', "
    "'web_search_tool_result'"
)


def text(said: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": said, **fields}


def call(id: str = "toolu_1", **fields: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": "look_up", "input": {}, **fields}


def result(id: str = "toolu_1", **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id, "content": "found", **fields}


def thought(said: str = "Hm.", signature: str = "signed") -> dict[str, Any]:
    return {"type": "thinking", "thinking": said, "signature": signature}


def search(id: str = "srvtoolu_1") -> dict[str, Any]:
    return {"type": "server_tool_use", "id": id, "name": "web_search", "input": {"query": "4711"}}


def found(id: str = "srvtoolu_1", encrypted: str = "sealed") -> dict[str, Any]:
    page = {"type": "web_search_result", "url": "https://a.b", "title": "a", "encrypted_content": encrypted}
    return {"type": "web_search_tool_result", "tool_use_id": id, "content": [page]}


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def model(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def body(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"messages": list(messages), "tools": TOOLS, **fields}


def answered(*blocks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A request whose user goes on after the model said these."""
    return body(ASKED, model(*blocks), user(text("And?")), **fields)


def looping(*blocks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return body(ASKED, model(*blocks), user(result()), **fields)


def marked(count: int) -> dict[str, Any]:
    return body(user(*[text(f"part {number}", **ONE_MARK) for number in range(count)]))


SCHEMA = [
    Case("anthropic-no-messages", {"messages": []}, "messages: at least one message is required", body(ASKED)),
    Case(
        "anthropic-content-type",
        body({"role": "user", "content": None}),
        "messages.0.content: Input should be a valid list",
        body(user(text("a"))),
    ),
    Case(
        "anthropic-message-field",
        body(ASKED, {**model(text("4")), "reasoning_content": "hm"}, ASKED),
        "messages.1.reasoning_content: Extra inputs are not permitted",
        answered(text("4")),
    ),
    Case(
        "anthropic-block-kind",
        answered({"type": "compaction", "content": "in short"}, text("4")),
        "messages.1.content.0: Input tag 'compaction' found using 'type' does not match any of the expected tags: "
        + KINDS,
        answered({"type": "image", "source": {"type": "url", "url": "https://a.b/c.png"}}),
    ),
    Case(
        "anthropic-block-field",
        looping(call(index=0)),
        "messages.1.content.0.tool_use.index: Extra inputs are not permitted",
        looping(call(caller={"type": "direct"})),
    ),
    Case(
        "anthropic-block-field",
        answered({**thought(), **ONE_MARK}, text("4")),
        "messages.1.content.0.thinking.cache_control: Extra inputs are not permitted",
        answered(thought(), text("4", citations=[], **ONE_MARK)),
        issued=[("signed", "Hm.")],
    ),
    Case(
        "anthropic-block-field",
        body(ASKED, model(call()), user(result(content=[text("a", index=0)]))),
        "messages.2.content.0.tool_result.content.0.text.index: Extra inputs are not permitted",
        body(ASKED, model(call()), user(result(content=[text("a")]))),
    ),
    Case(
        "anthropic-required-field",
        answered({"type": "thinking", "thinking": "Hm."}, text("4")),
        "messages.1.content.0.thinking.signature: Field required",
        answered(thought(), text("4")),
        issued=[("signed", "Hm."), (None, "Hm.")],  # type: ignore[list-item]
    ),
    Case(
        "anthropic-cache-mark-field",
        body(ASKED, system=[text("a"), text("b", cache_control={"type": "ephemeral", "scope": "global"})]),
        "system.1.cache_control.ephemeral.scope: Extra inputs are not permitted",
        body(ASKED, system=[text("b", cache_control={"type": "ephemeral", "ttl": "1h"})]),
    ),
    Case(
        "anthropic-call-id",
        body(ASKED, model(call("look_up:0")), user(result("look_up:0"))),
        "messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'",
        body(ASKED, model(call("look_up_0")), user(result("look_up_0"))),
    ),
    Case(
        "anthropic-server-call-id",
        answered(search("call_1"), found("call_1"), text("4")),
        "messages.1.content.0.server_tool_use.id: String should match pattern '^srvtoolu_[a-zA-Z0-9_]+$'",
        answered(search(), found(), text("4")),
        issued=[("sealed", "")],
    ),
    Case(
        "anthropic-call-name",
        looping(call(name="")),
        "messages.1.content.0.tool_use.name: String should have at least 1 character",
        looping(call(name="f" * 200)),
    ),
    Case(
        "anthropic-call-name",
        looping(call(name="f" * 201)),
        "messages.1.content.0.tool_use.name: String should have at most 200 characters",
        looping(call(name="f")),
    ),
    Case(
        "anthropic-call-input",
        looping(call(input=[1])),
        "messages.1.content.0.tool_use.input: Input should be a valid dictionary",
        looping(call(input={"x": [1]})),
    ),
]
NOT_EMPTY = "all messages must have non-empty content except for the optional final assistant message"
CONTENT = [
    Case("anthropic-empty-message", answered(), f"messages.1: {NOT_EMPTY}", body(ASKED, model())),
    Case(
        "anthropic-mark-on-empty-text",
        body(ASKED, system=[text("", **ONE_MARK)]),
        "system.0: cache_control cannot be set for empty text blocks",
        body(ASKED, system=[text("a", **ONE_MARK)]),
    ),
    Case(
        "anthropic-mark-on-empty-text",
        body(ASKED, model(call()), user(result(content=[text(" ", **ONE_MARK)]))),
        "messages.2.content.0.tool_result.content.0.text: cache_control cannot be set for empty text blocks",
        body(ASKED, model(call()), user(result(content=[text("a", **ONE_MARK)]))),
    ),
    Case(
        "anthropic-empty-text",
        looping(text(""), call()),
        "messages: text content blocks must be non-empty",
        body(ASKED, model(call()), user(result(content=[text("")]))),
    ),
    Case(
        "anthropic-blank-text",
        answered(text(" \n")),
        "messages: text content blocks must contain non-whitespace text",
        answered(text(" 4 ")),
    ),
    Case(
        "anthropic-last-whitespace",
        body(ASKED, model(text("It is "))),
        "messages: final assistant content cannot end with trailing whitespace",
        body(ASKED, model(text("It is"))),
    ),
    Case(
        "anthropic-cache-marks",
        marked(5),
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
        marked(4),
    ),
    Case(
        "anthropic-role",
        body(ASKED, {"role": "tool", "content": "found"}),
        'messages: Unexpected role "tool". Allowed roles are "user" or "assistant".',
        body(ASKED, ASKED),
    ),
    Case(
        "anthropic-system-message",
        body(ASKED, {"role": "system", "content": "Be brief."}),
        "role 'system' is not supported on this model",
        body(ASKED, system="Be brief."),
        model=SONNET,
    ),
    Case(
        "anthropic-system-message",
        body({"role": "system", "content": "Be brief."}, ASKED),
        "messages.0: use the top-level 'system' parameter for the initial system prompt",
        body(ASKED, {"role": "system", "content": "Be brief."}),
        model="claude-opus-5",
    ),
    Case(
        "anthropic-first-role",
        body(model(text("4")), ASKED),
        'messages: first message must use the "user" role',
        body(ASKED, model(text("4"))),
    ),
    Case(
        "anthropic-prefill",
        body(ASKED, model(text("It is"))),
        "This model does not support assistant message prefill. The conversation must end with a user message.",
        answered(text("It is")),
        model="claude-sonnet-5",
    ),
    Case(
        "anthropic-prefill",
        body(ASKED, model(search(), found())),
        "This model does not support assistant message prefill. The conversation must end with a user message.",
        answered(search(), found()),
        model="claude-sonnet-5",
        issued=[("sealed", "")],
    ),
    Case(
        "anthropic-block-of-other-role",
        body(ASKED, model(text("4")), user(call())),
        "messages.2: `tool_use` blocks can only be in `assistant` messages",
        looping(call()),
    ),
]
UNANSWERED = "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: "
NEEDS_RESULT = ". Each `tool_use` block must have a corresponding `tool_result` block in the next message."
ORPHAN = "messages.2.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_1. "
PAIRING = [
    Case(
        "anthropic-unanswered-call",
        answered(call(), call("toolu_2")),
        f"{UNANSWERED}toolu_1, toolu_2{NEEDS_RESULT}",
        body(ASKED, model(call(), call("toolu_2")), user(result("toolu_2"), result())),
    ),
    Case(
        "anthropic-unanswered-call",
        body(ASKED, model(call()), user(text("Well?"), result())),
        f"{UNANSWERED}toolu_1{NEEDS_RESULT}",
        body(ASKED, model(call()), user(result(), text("Well?"))),
    ),
    Case(
        "anthropic-unanswered-call", body(ASKED, model(call())), f"{UNANSWERED}toolu_1{NEEDS_RESULT}", looping(call())
    ),
    Case(
        "anthropic-orphan-result",
        body(ASKED, model(text("4")), user(result())),
        f"{ORPHAN}Each `tool_result` block must have a corresponding `tool_use` block in the previous message.",
        looping(text("4"), call()),
    ),
    Case(
        "anthropic-doubled-result",
        body(ASKED, model(call()), user(result(), result())),
        "messages.2.content.1: each tool_use must have a single result. Found multiple `tool_result` blocks with id: "
        "toolu_1",
        looping(call()),
    ),
    Case(
        "anthropic-doubled-call",
        body(ASKED, model(call()), model(call()), user(result())),
        "messages.1.content.1: `tool_use` ids must be unique",
        body(ASKED, model(call()), user(result()), model(call()), user(result())),
    ),
    Case(
        "anthropic-calls-without-tools",
        looping(call(), tools=None),
        "Requests which include `tool_use` or `tool_result` blocks must define tools.",
        answered(text("4"), tools=None),
    ),
    Case(
        "anthropic-unanswered-server-call",
        answered(search(), text("4")),
        "messages.1: `web_search` tool use with id `srvtoolu_1` was found without a corresponding "
        "`web_search_tool_result` block",
        looping(search(), call()),
    ),
    Case(
        "anthropic-orphan-server-result",
        answered(found(), text("4")),
        "messages.1.content.0: unexpected `tool_use_id` found in `web_search_tool_result` blocks: srvtoolu_1. Each "
        "`web_search_tool_result` block must have a corresponding `server_tool_use` block before it.",
        answered(search(), found(), text("4")),
        issued=[("sealed", "")],
    ),
]
STARTS_WITH_THINKING = (
    "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`. When `thinking` is "
    "enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` "
    "and `tool_result` blocks). We recommend you include thinking blocks from previous turns. To avoid this "
    "requirement, disable `thinking`. Please consult our documentation at "
    "https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
)
SIGNED = [("signed", "Hm.")]
THINKING = [
    Case(
        "anthropic-empty-thinking",
        answered(thought("", ""), text("4")),
        "messages.1.content.0.thinking: each thinking block must contain thinking",
        answered(thought("", "signed"), text("4")),
        issued=[("signed", ""), ("", "")],
    ),
    Case(
        "anthropic-signature",
        answered(thought("Hm!"), text("4")),
        "messages.1.content.0: Invalid `signature` in `thinking` block",
        answered(thought(), text("4")),
        issued=SIGNED,
    ),
    Case(
        "anthropic-redacted-data",
        answered({"type": "redacted_thinking", "data": "other"}, text("4")),
        "messages.1.content.0: Invalid `data` in `redacted_thinking` block",
        answered({"type": "redacted_thinking", "data": "sealed"}, text("4")),
        issued=[("sealed", "")],
    ),
    Case(
        "anthropic-encrypted-content",
        answered(search(), found(encrypted=""), text("4")),
        "messages.1.content.1: Invalid `encrypted_content` in `search_result` block",
        answered(search(), found(), text("4")),
        issued=[("sealed", "")],
    ),
    Case(
        "anthropic-thinking-before-calls",
        looping(call(), thinking=ENABLED),
        STARTS_WITH_THINKING,
        looping(call(), thinking={"type": "adaptive"}),
    ),
    Case(
        "anthropic-thinking-first",
        answered(text("4"), thought(), text("5"), thinking=ENABLED),
        "messages.1.content.0: If an assistant message contains any thinking blocks, the first block must be "
        "`thinking` or `redacted_thinking`. Found `text`.",
        answered(thought(), text("5"), thinking=ENABLED),
        issued=SIGNED,
    ),
    Case(
        "anthropic-thinking-last",
        answered(thought()),
        "messages.1: The final block in an assistant message cannot be `thinking`.",
        body(ASKED, model(thought()), model(text("4")), ASKED),
        issued=SIGNED,
    ),
    Case(
        "anthropic-thinking-in-prefill",
        body(ASKED, model(thought(), text("It is"))),
        "messages.1.content.0: When thinking is disabled, an `assistant` message in the final position cannot contain "
        "`thinking`. To use thinking blocks, enable `thinking` in your request.",
        answered(thought(), text("It is")),
        issued=SIGNED,
    ),
]
CASES = [*SCHEMA, *CONTENT, *PAIRING, *THINKING]
