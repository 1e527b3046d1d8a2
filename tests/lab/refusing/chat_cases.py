"""The rules of providers of chat completions."""

from __future__ import annotations

from typing import Any

from .cases import Case

ASKED = {"role": "user", "content": "Look it up."}
NOTHING = {"role": "assistant", "content": None}
TOOLS = [{"type": "function", "function": {"name": "look_up"}}]
DESERIALIZE = "Failed to deserialize the JSON body into the target type: "
IMAGE = {"type": "image_url", "image_url": {"url": "https://a.b/c.png"}}


def said(content: Any = "4", **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **fields}


def call(id: str = "call12345", name: str = "look_up", arguments: Any = "{}", **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}, **fields}


def calling(*calls: dict[str, Any], content: Any = None, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(calls or (call(),)), **fields}


def result(id: str = "call12345", content: Any = "found", **fields: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": content, **fields}


def body(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"messages": list(messages), **fields}


def called(*calls: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A request with these calls and their results."""
    return body(ASKED, calling(*calls, **fields), *[result(each.get("id", "")) for each in calls or (call(),)])


def empty(place: str) -> str:
    return f"Invalid '{place}': empty array. Expected an array with minimum length 1, but got an empty array instead."


INSUFFICIENT = (
    "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
    "(insufficient tool messages following tool_calls message)"
)
WITHOUT_CALL = "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'"
MUST_REASON = "The `reasoning_content` in the thinking mode must be passed back to the API."
DEEPSEEK = [
    Case(
        "deepseek-role",
        body({"role": "developer", "content": "a"}, ASKED),
        f"{DESERIALIZE}messages[0].role: unknown variant `developer`, expected one of `system`, `user`, `assistant`, "
        "`tool`, `latest_reminder` at line 1 column 1",
        body({"role": "system", "content": "a"}, ASKED, said(unknown="is ignored"), ASKED),
    ),
    Case(
        "deepseek-tool-kind",
        body(ASKED, tools=[{"type": "custom", "function": {"name": "a"}}]),
        f"{DESERIALIZE}tools[0]: unknown variant `custom`, expected `function` at line 1 column 1",
        body(ASKED, tools=TOOLS),
    ),
    Case(
        "deepseek-missing-content",
        body({"role": "user"}),
        f"{DESERIALIZE}messages[0]: missing field `content` at line 1 column 1",
        called(),
    ),
    Case(
        "deepseek-content-type",
        body({"role": "user", "content": None}),
        f"{DESERIALIZE}messages[0]: data did not match any variant of untagged enum ChatCompletionRequestContent at "
        "line 1 column 1",
        body({"role": "user", "content": [IMAGE]}),
        model="deepseek-v4-flash",
    ),
    Case(
        "deepseek-image",
        body({"role": "user", "content": [{"type": "text", "text": "a"}, IMAGE]}),
        f"{DESERIALIZE}messages[0]: unknown variant `image_url`, expected `text` at line 1 column 1",
        body({"role": "user", "content": [{"type": "text", "text": "a"}]}),
        model="deepseek-chat",
    ),
    Case(
        "deepseek-missing-id",
        body(
            ASKED,
            calling({key: value for key, value in call().items() if key != "id"}),
            {**result(), "tool_call_id": None},
        ),
        f"{DESERIALIZE}messages[1]: missing field `id` at line 1 column 1",
        called(),
    ),
    Case("deepseek-no-tools", body(ASKED, tools=[]), empty("tools"), body(ASKED, tools=TOOLS)),
    Case(
        "deepseek-tool-name",
        body(ASKED, tools=[{"type": "function", "function": {"name": "look.up"}}]),
        "Invalid 'tools[0].function.name': string does not match pattern. Expected a string that matches the pattern "
        "'^[a-zA-Z0-9_-]+$'.",
        body(ASKED, tools=TOOLS),
    ),
    Case(
        "deepseek-contentless",
        body(ASKED, said(None, reasoning_content="hm"), ASKED),
        "Invalid assistant message: content or tool_calls must be set",
        body(ASKED, said("", reasoning_content="hm"), ASKED),
    ),
    Case("deepseek-orphan-result", body(ASKED, result()), WITHOUT_CALL, called()),
    Case("deepseek-orphan-result", body(ASKED, calling(), result(), result("other")), WITHOUT_CALL, called()),
    Case(
        "deepseek-unanswered-call",
        body(ASKED, calling(call("a"), call("b")), result("a")),
        INSUFFICIENT,
        called(call("a"), call("b")),
    ),
    Case(
        "deepseek-doubled-result",
        body(ASKED, calling(), result(), said(), ASKED, calling(), result()),
        "Duplicate value for 'tool_call_id' of in message[6]",
        body(ASKED, calling(), result(), said(), ASKED, calling(call("other")), result("other")),
    ),
    Case("deepseek-missing-reasoning", called(), MUST_REASON, called(reasoning_content=""), model="deepseek-v4-pro"),
    Case(
        "deepseek-missing-reasoning",
        {**called(), "thinking": {"type": "enabled"}},
        MUST_REASON,
        called(),
        model="deepseek-chat",
    ),
]


def on_role(number: int, role: str, what: str) -> str:
    return f"'messages.{number}' : for 'role:{role}' the following must be satisfied[{what}]"


GROQ = [
    Case("groq-no-messages", body(), "'messages' : minimum number of items is 1", body(ASKED)),
    Case(
        "groq-field",
        body(ASKED, said(annotations=[]), ASKED),
        on_role(1, "assistant", "('messages.1' : property 'annotations' is unsupported)"),
        body(ASKED, said(name="a"), NOTHING, ASKED),
    ),
    Case(
        "groq-missing-call-id",
        body(ASKED, calling(), {"role": "tool", "content": "found"}),
        on_role(2, "tool", "('messages.2.tool_call_id' : property 'tool_call_id' is missing)"),
        body(ASKED, result()),
    ),
    Case(
        "groq-empty-list",
        body(ASKED, calling(), result(content=[])),
        "'messages.2.content' : one of the following must be satisfied[('messages.2.content' : value must be a string) "
        "OR ('messages.2.content' : minimum number of items is 1)]",
        called(),
    ),
    Case(
        "groq-reasoning",
        body(ASKED, said(reasoning="hm"), ASKED),
        "`messages[1].reasoning`: reasoning is not supported with this model",
        body(ASKED, said(), ASKED),
        model="llama-3.3-70b-versatile",
    ),
]
ORDER = {"type": "invalid_request_message_order", "code": "3230"}
CALL = {"type": "invalid_function_call", "code": "3280"}
EXTRA = "Extra inputs are not permitted"


def forbidden(input: Any, *path: str | int) -> dict[str, Any]:
    return {"type": "extra_forbidden", "loc": ["body", "messages", *path], "msg": EXTRA, "input": input}


MISTRAL = [
    Case(
        "mistral-field",
        body(ASKED, calling(call(extra_content={}), annotations=[]), result()),
        EXTRA,
        called(call(index=0)),
        fault={
            "status": 422,
            "details": [
                forbidden([], 1, "assistant", "annotations"),
                forbidden({}, 1, "assistant", "tool_calls", 0, "extra_content"),
            ],
        },
    ),
    Case(
        "mistral-contentless",
        body(ASKED, said(""), ASKED),
        "Assistant message must have either content or tool_calls, but not none.",
        called(content=""),
        fault={"type": "invalid_request_assistant_message", "code": "3240"},
    ),
    Case(
        "mistral-call-id",
        called(call("turn1_0")),
        "Tool call id was turn1_0 but must be a-z, A-Z, 0-9, with a length of 9.",
        called(call("turn1of10")),
        fault=CALL,
    ),
    Case(
        "mistral-call-name",
        called(call(name="look.up")),
        "Function name was look.up but must be a-z, A-Z, 0-9, or contain underscores and dashes, with a maximum length "
        "of 64.",
        called(),
        fault=CALL,
    ),
    Case(
        "mistral-order",
        body(ASKED, calling(), result(), ASKED),
        "Unexpected role 'user' after role 'tool'",
        body(ASKED, calling(), result(), said(), ASKED, ASKED),
        fault=ORDER,
    ),
    Case(
        "mistral-numbers",
        body(ASKED, calling(), said(), ASKED),
        "Not the same number of function calls and responses",
        body(ASKED, calling(), result(), said(), ASKED),
        fault=ORDER,
    ),
    Case(
        "mistral-result-id",
        body(ASKED, calling(), result("other1234")),
        "Unexpected tool call id other1234 in tool results",
        called(),
        fault=ORDER,
    ),
    Case(
        "mistral-last-role",
        body(ASKED, said()),
        "Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant",
        body(ASKED, said(prefix=True)),
        fault={"type": "invalid_request_error", "code": None},
    ),
]
LONG = "call_" + "x" * 36
OPENAI = [
    Case(
        "openai-empty-array",
        body(ASKED, said(tool_calls=[]), ASKED),
        empty("messages[1].tool_calls"),
        body(ASKED, said(""), ASKED),
        fault={"param": "messages[1].tool_calls", "code": "empty_array"},
    ),
    Case(
        "openai-empty-array",
        body(ASKED, said([]), ASKED),
        empty("messages[1].content"),
        body(ASKED, said([{"type": "text", "text": "4"}]), ASKED),
        fault={"param": "messages[1].content", "code": "empty_array"},
    ),
    Case(
        "openai-no-tools",
        body(ASKED, tools=[]),
        empty("tools"),
        body(ASKED, tools=TOOLS),
        fault={"param": "tools", "code": "empty_array"},
    ),
    Case(
        "openai-empty-name",
        called(call(name="")),
        "Invalid 'messages[1].tool_calls[0].function.name': empty string. Expected a string with minimum length 1, but "
        "got an empty string instead.",
        called(),
    ),
    Case(
        "openai-arguments",
        called(call(arguments={})),
        "Invalid type for 'messages[1].tool_calls[0].function.arguments': expected a string, but got an object "
        "instead.",
        called(call(arguments="no JSON")),
        fault={"param": "messages[1].tool_calls[0].function.arguments", "code": "invalid_type"},
    ),
    Case(
        "openai-long-id",
        called(call(LONG)),
        "Invalid 'messages[1].tool_calls[0].id': string too long. Expected a string with maximum length 40, but got a "
        "string with length 41 instead.",
        called(call(LONG[:-1])),
        fault={"param": "messages[1].tool_calls[0].id", "code": "string_above_max_length"},
    ),
    Case(
        "openai-null-content",
        body(ASKED, NOTHING, ASKED),
        "Invalid value for 'content': expected a string, got null.",
        body(ASKED, {**NOTHING, "refusal": "I can not."}, ASKED),
        fault={"param": "messages.[1].content", "code": None},
    ),
    Case(
        "openai-unanswered-call",
        body(ASKED, calling(call("a"), call("b")), result("a"), ASKED),
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        "The following tool_call_ids did not have response messages: b",
        called(call("a"), call("b")),
        fault={"param": "messages.[1].role", "code": None},
    ),
    Case(
        "openai-orphan-result",
        body(ASKED, result()),
        "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
        called(),
        fault={"param": "messages.[1].role"},
    ),
    Case(
        "openai-other-result",
        body(ASKED, calling(), result(), result("other")),
        "Invalid parameter: 'tool_call_id' of 'other' not found in 'tool_calls' of previous message.",
        called(),
        fault={"param": "messages.[3].tool_call_id"},
    ),
    Case(
        "openai-doubled-result",
        body(ASKED, calling(), result(), result()),
        "Invalid parameter: Duplicate value for 'tool_call_id' of 'call12345', in messages[2] and messages[3].",
        body(ASKED, calling(), result(), said(), ASKED, calling(), result()),
        fault={"param": "messages.[3].tool_call_id"},
    ),
]
NO_JSON = "The arguments to a tool_call with ID 'call12345' are not a valid JSON string. Parsing error: "
OTHERS = [
    Case(
        "xai-empty-content",
        body(ASKED, said(""), ASKED),
        "Invalid request content: Each message must have at least one content element.",
        body(result(), calling(), ASKED),
    ),
    Case(
        "xai-arguments",
        called(call(arguments="")),
        f'{NO_JSON}Error("EOF while parsing a value", line: 1, column: 0)',
        called(call(arguments="[]")),
    ),
    Case(
        "cerebras-field",
        body(ASKED, said(reasoning_content="hm", annotations=[]), ASKED),
        "messages.1.assistant.reasoning_content: property 'messages.1.assistant.reasoning_content' is unsupported\n"
        "messages.1.assistant.annotations: property 'messages.1.assistant.annotations' is unsupported",
        body(ASKED, said(reasoning="hm"), ASKED),
        fault={"param": "validation_error", "code": "wrong_api_format"},
    ),
    Case(
        "fireworks-field",
        body(ASKED, said(reasoning="hm"), ASKED),
        "Extra inputs are not permitted, field: 'messages[1].reasoning', value: 'hm'",
        body(ASKED, said(reasoning_content="hm"), ASKED),
    ),
    Case(
        "fireworks-field",
        called(call(extra_content="a")),
        "Extra inputs are not permitted, field: 'messages[1].tool_calls[0].extra_content', value: 'a'",
        called(call(index=0)),
    ),
    Case("ollama-no-messages", body(), "[] is too short - 'messages'", body(ASKED)),
    Case("ollama-contentless", body(ASKED, NOTHING, ASKED), "invalid message content type: <nil>", called()),
    Case("ollama-arguments", called(call(arguments="[]")), "invalid tool call arguments", called()),
]
CASES = [*DEEPSEEK, *GROQ, *MISTRAL, *OPENAI, *OTHERS]
