"""The rules of OpenAI's responses."""

from __future__ import annotations

from typing import Any

from lab.refusing import HeldItem
from lab.refusing.responses.shapes import KINDS

from .cases import Case

ASKED = {"role": "user", "content": "Look it up."}
SEALED = [("sealed", "")]
NOT_KEPT = (
    "Item with id 'rs_1' not found. Items are not persisted when `store` is set to false. Try again with `store` set "
    "to true, or remove this item from your input."
)
NO_PATTERN = "string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
ODD = "Expected an ID that contains letters, numbers, underscores, or dashes, but this value contained additional"
EMPTY = "empty string. Expected a string with minimum length 1, but got an empty string instead."
TOO_LONG = "string too long. Expected a string with maximum length 64, but got a string with length 65 instead."
ANY_ITEM = ", ".join(f"'{kind}'" for kind in KINDS[:-1]) + f", and '{KINDS[-1]}'"
ROLES = "'assistant', 'system', 'developer', and 'user'"
ANY_PART = (
    "'input_text', 'input_image', 'input_audio', 'output_text', 'refusal', 'input_file', 'computer_screenshot', "
    "'summary_text', and 'encrypted_content'"
)
ASKED_PARTS = "'input_text', 'input_image', 'input_file', 'scoped_content', and 'input_audio'"
PICTURE = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}


def body(*items: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"input": list(items), **fields}


def said(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": list(parts), **fields}


def output(**fields: Any) -> dict[str, Any]:
    return {"type": "output_text", "text": "4", "annotations": [], **fields}


def asked(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts), **fields}


def text(**fields: Any) -> dict[str, Any]:
    return {"type": "input_text", "text": "And?", **fields}


def thought(id: str = "rs_1", **fields: Any) -> dict[str, Any]:
    return {"type": "reasoning", "id": id, "summary": [], "encrypted_content": "sealed", **fields}


def call(**fields: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": "call_1", "name": "look_up", "arguments": "{}", **fields}


def result(**fields: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": "call_1", "output": "found", **fields}


def custom(**fields: Any) -> dict[str, Any]:
    return {"type": "custom_tool_call", "call_id": "call_1", "name": "write", "input": "a line", **fields}


def written(**fields: Any) -> dict[str, Any]:
    return {"type": "custom_tool_call_output", "call_id": "call_1", "output": "done", **fields}


def search(**fields: Any) -> dict[str, Any]:
    action = {"type": "search", "query": "Rome"}
    return {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": action, **fields}


def called(**fields: Any) -> dict[str, Any]:
    """A request that answers this call."""
    return body(ASKED, call(**fields), result(call_id=fields.get("call_id", "call_1")))


def answered(*items: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A request whose user goes on after these."""
    return body(ASKED, *items, ASKED, **fields)


def at(place: str, code: str) -> dict[str, Any]:
    return {"param": place, "code": code}


SCHEMA = [
    Case(
        "responses-item-kind",
        answered({"type": "tool_use", "id": "toolu_1"}),
        f"Invalid value: 'tool_use'. Supported values are: {ANY_ITEM}.",
        answered(search()),
        fault=at("input[1]", "invalid_value"),
    ),
    Case(
        "responses-item-kind",
        body({**ASKED, "type": None}),
        f"Invalid value: ''. Supported values are: {ANY_ITEM}.",
        body({**ASKED, "type": "message"}),
    ),
    Case(
        "responses-role",
        body(ASKED, call(), {"role": "tool", "content": "found"}, result()),
        f"Invalid value: 'tool'. Supported values are: {ROLES}.",
        body(ASKED, {"role": "developer", "content": "Be brief."}),
        fault=at("input[2]", "invalid_value"),
    ),
    Case(
        "responses-role",
        body({}),
        f"Invalid value: ''. Supported values are: {ROLES}.",
        body({"role": "system", "content": ""}),
    ),
    Case(
        "responses-required",
        body(ASKED, {"type": "custom_tool_call", "call_id": "call_1", "name": "write"}, written()),
        "Missing required parameter: 'input[1].input'.",
        body(ASKED, custom(), written()),
        fault=at("input[1].input", "missing_required_parameter"),
    ),
    Case(
        "responses-required",
        answered({"type": "web_search_call", "status": "completed"}),
        "Missing required parameter: 'input[1].id'.",
        answered(search()),
    ),
    Case(
        "responses-required",
        answered({"type": "reasoning", "encrypted_content": "sealed"}, said(output())),
        "Missing required parameter: 'input[1].summary'.",
        answered({"type": "reasoning", "encrypted_content": "sealed", "summary": []}, said(output())),
        issued=SEALED,
    ),
    Case(
        "responses-item-field",
        body(ASKED, {**said(output()), "tool_calls": []}),
        "Unknown parameter: 'input[1].tool_calls'.",
        answered(said(output(), id="msg_1", status="completed", phase="final_answer"), call(), result()),
        fault=at("input[1].tool_calls", "unknown_parameter"),
    ),
    Case(
        "responses-item-field",
        answered(thought(status=None), said(output())),
        "Unknown parameter: 'input[1].status'.",
        answered(thought(), said(output())),
        issued=SEALED,
    ),
    Case(
        "responses-item-field",
        body(asked(text(), phase="commentary")),
        "Unknown parameter: 'input[0].phase'.",
        body(asked(text(), status="completed")),
    ),
    Case(
        "responses-item-field",
        called(async_=None),
        "Unknown parameter: 'input[1].async_'.",
        called(**{"async": False}),
    ),
    Case(
        "responses-null-content",
        body(ASKED, {"role": "assistant", "content": None}),
        "Invalid type for 'input[1].content': expected one of an array of objects or string, but got null instead.",
        body(ASKED, {"role": "assistant", "content": ""}, said()),
        fault=at("input[1].content", "invalid_type"),
    ),
    Case(
        "responses-part-kind",
        body(asked({"type": "text", "text": "And?"})),
        f"Invalid value: 'text'. Supported values are: {ANY_PART}.",
        body(asked(text())),
        fault=at("input[0].content[0].type", "invalid_value"),
    ),
    Case(
        "responses-part-of-other-role",
        answered(said(text())),
        "Invalid value: 'input_text'. Supported values are: 'output_text' and 'refusal'.",
        answered(said(output(), {"type": "refusal", "refusal": "no"})),
        fault=at("input[1].content[0]", "invalid_value"),
    ),
    Case(
        "responses-part-of-other-role",
        answered(said(output(), PICTURE)),
        "Invalid value: 'input_image'. Supported values are: 'output_text' and 'refusal'.",
        body(asked(text(), PICTURE)),
    ),
    Case(
        "responses-part-of-other-role",
        body(asked(output())),
        f"Invalid value: 'output_text'. Supported values are: {ASKED_PARTS}.",
        body(asked(text())),
    ),
    Case(
        "responses-part-of-other-role",
        body(ASKED, call(), result(output=[output()])),
        "Invalid value: 'output_text'. Supported values are: 'input_text', 'input_image', 'input_file', and "
        "'scoped_content'.",
        body(ASKED, call(), result(output=[text(), PICTURE])),
        fault=at("input[2].output[0]", "invalid_value"),
    ),
    Case(
        "responses-part-field",
        body(asked(text(cache_control={"type": "ephemeral"}))),
        "Unknown parameter: 'input[0].content[0].cache_control'.",
        body(asked(text(prompt_cache_breakpoint={"mode": "explicit"}))),
        fault=at("input[0].content[0].cache_control", "unknown_parameter"),
    ),
    Case(
        "responses-image-url",
        body(asked(text(), {"type": "input_image", "image_url": {"url": "https://a.b/c.png"}})),
        "Invalid type for 'input[0].content[1].image_url': expected an image URL, but got an object instead.",
        body(asked(text(), PICTURE)),
        fault=at("input[0].content[1].image_url", "invalid_type"),
    ),
    Case(
        "responses-odd-id",
        answered(said(output(), id="")),
        f"Invalid 'input[1].id': ''. {ODD} characters.",
        answered(said(output(), id="msg_a-B")),
        fault=at("input[1].id", "invalid_value"),
    ),
    Case(
        "responses-odd-id",
        body(ASKED, previous_response_id="@results.id"),
        f"Invalid 'previous_response_id': '@results.id'. {ODD} characters.",
        body(ASKED, previous_response_id="resp_1"),
    ),
    Case(
        "responses-id-prefix",
        answered(said(output(), id="rs_1")),
        "Invalid 'input[1].id': 'rs_1'. Expected an ID that begins with 'msg'.",
        answered(said(output(), id="msg_1")),
        fault=at("input[1].id", "invalid_value"),
    ),
    Case(
        "responses-id-prefix",
        called(id="call_1"),
        "Invalid 'input[1].id': 'call_1'. Expected an ID that begins with 'fc'.",
        called(id="fc_1"),
    ),
    Case(
        "responses-id-prefix",
        body(ASKED, custom(id="fc_1"), written()),
        "Invalid 'input[1].id': 'fc_1'. Expected an ID that begins with 'ctc'.",
        body(ASKED, custom(id="ctc_1"), written()),
    ),
    Case(
        "responses-id-prefix",
        answered(thought("item_1"), said(output())),
        "Invalid 'input[1].id': 'item_1'. Expected an ID that begins with 'rs'.",
        answered(thought("rs_1"), said(output())),
        issued=SEALED,
    ),
    Case(
        "responses-long-id",
        answered(said(output(), id="msg_" + "a" * 61)),
        f"Invalid 'input[1].id': {TOO_LONG}",
        answered(said(output(), id="msg_" + "a" * 60)),
        fault=at("input[1].id", "string_above_max_length"),
    ),
    Case(
        "responses-long-call-id",
        called(call_id="c" * 65),
        f"Invalid 'input[1].call_id': {TOO_LONG}",
        called(call_id="c" * 64),
        fault=at("input[1].call_id", "string_above_max_length"),
    ),
    Case(
        "responses-empty-call-id",
        called(call_id=""),
        f"Invalid 'input[1].call_id': {EMPTY}",
        called(call_id="look_up:0"),
        fault=at("input[1].call_id", "empty_string"),
    ),
    Case(
        "responses-empty-name",
        called(name=""),
        f"Invalid 'input[1].name': {EMPTY}",
        called(name="f"),
        fault=at("input[1].name", "empty_string"),
    ),
    Case(
        "responses-odd-name",
        called(name="functions.look_up"),
        f"Invalid 'input[1].name': {NO_PATTERN}",
        called(name="look_up-2"),
        fault=at("input[1].name", "invalid_value"),
    ),
    Case(
        "responses-arguments",
        called(arguments={"city": "Rome"}),
        "Invalid type for 'input[1].arguments': expected a string, but got an object instead.",
        called(arguments=""),
        fault=at("input[1].arguments", "invalid_type"),
    ),
    Case(
        "responses-arguments",
        called(arguments=None),
        "Invalid type for 'input[1].arguments': expected a string, but got null instead.",
        called(arguments='{"city": "Ro'),
    ),
    Case(
        "responses-reasoning-content",
        answered(thought(content=[{"type": "reasoning_text", "text": "hm"}]), said(output())),
        "Invalid 'input[1].content': array too long. Expected an array with maximum length 0, but got an array with "
        "length 1 instead.",
        answered(thought(content=[], summary=[{"type": "summary_text", "text": "hm"}]), said(output())),
        issued=SEALED,
        fault=at("input[1].content", "array_above_max_length"),
    ),
    Case(
        "responses-search-action",
        answered(search(action={"type": "other"})),
        "Invalid value: 'other'. Supported values are: 'search', 'open_page', and 'find_in_page'.",
        answered(search(action={"type": "open_page", "url": "https://a.b"})),
        fault=at("input[1].action.type", "invalid_value"),
    ),
    Case(
        "responses-tool-name",
        body(ASKED, tools=[{"type": "web_search"}, {"type": "function", "function": {"name": "f"}}]),
        "Missing required parameter: 'tools[1].name'.",
        body(ASKED, tools=[{"type": "web_search"}, {"type": "function", "name": "f"}]),
        fault=at("tools[1].name", "missing_required_parameter"),
    ),
]
STATE = [
    Case(
        "responses-unknown-response",
        body(ASKED, previous_response_id="resp_1"),
        "Previous response with id 'resp_1' not found.",
        body(ASKED),
        fault={**at("previous_response_id", "previous_response_not_found"), "status": 400},
        state={"before": None},
    ),
    Case(
        "responses-unknown-item",
        answered({"id": "msg_1"}),
        "Item with id 'msg_1' not found.",
        answered(said(output(), id="msg_1")),
        fault={"param": "input", "code": None, "status": 404},
    ),
    Case(
        "responses-unknown-item",
        answered(thought(encrypted_content=None), said(output()), store=False),
        NOT_KEPT,
        answered(thought(), said(output()), store=False),
        issued=SEALED,
    ),
    Case(
        "responses-doubled-item",
        answered(said(output(), id="msg_1"), said(output(), id="msg_1")),
        "Duplicate item found with id msg_1. Remove duplicate items from your input and try again.",
        answered(said(output(), id="msg_1"), said(output(), id="msg_2"), said(output())),
        fault={"param": "input", "code": None},
    ),
    Case(
        "responses-doubled-item",
        answered(said(output(), id="msg_1")),
        "Duplicate item found with id msg_1. Remove duplicate items from your input and try again.",
        body(ASKED),
        state={"before": [said(output(), id="msg_1")]},
    ),
    Case(
        "responses-encrypted-content",
        answered(thought(encrypted_content="other"), said(output())),
        "The encrypted content for item rs_1 could not be verified. Reason: Encrypted content could not be decrypted "
        "or parsed.",
        answered(thought(), said(output())),
        issued=SEALED,
        fault={"param": None, "code": "invalid_encrypted_content"},
    ),
    Case(
        "responses-encrypted-content",
        answered({"type": "reasoning", "summary": [], "encrypted_content": "gAAAAABotherDQ=="}, said(output())),
        "The encrypted content gAAA...DQ== could not be verified. Reason: Encrypted content could not be decrypted or "
        "parsed.",
        answered({"type": "reasoning", "summary": [], "encrypted_content": "sealed"}, said(output())),
        issued=SEALED,
    ),
    Case(
        "responses-reasoning-model",
        answered(thought(), said(output())),
        "Reasoning input items can only be provided to a reasoning or computer use model. Remove reasoning items from "
        "your input and try again.",
        answered(said(output())),
        model="gpt-4.1",
        issued=SEALED,
    ),
    Case(
        "responses-reasoning-model",
        body(ASKED),
        "Reasoning input items can only be provided to a reasoning or computer use model. Remove reasoning items from "
        "your input and try again.",
        body(ASKED),
        model="gpt-4o-mini",
        state={"before": [thought(), said(output())]},
    ),
]
HELD = {"held": {"fc_1": HeldItem(call(id="fc_1"), "rs_1"), "rs_1": HeldItem(thought())}}
PAIRING = [
    Case(
        "responses-unanswered-call",
        answered(call()),
        "No tool output found for function call call_1.",
        body(ASKED, call(), ASKED, result()),
        fault={"param": "input", "code": None},
    ),
    Case(
        "responses-unanswered-call",
        body(ASKED),
        "No tool output found for function call call_1.",
        called(),
        state={"before": [call(id="fc_1")]},
    ),
    Case(
        "responses-unanswered-call",
        body(ASKED, custom()),
        "No tool output found for custom tool call call_1.",
        body(ASKED, custom(), written()),
    ),
    Case(
        "responses-orphan-result",
        body(ASKED, result()),
        "No tool call found for function call output with call_id call_1.",
        body(ASKED, {"type": "function_call_output", "output": "found"}),
        fault={"param": "input", "code": None},
    ),
    Case(
        "responses-orphan-result",
        body(ASKED, custom(), written(), result()),
        "No tool call found for function call output with call_id call_1.",
        body(ASKED, custom(), written(), call(call_id="call_2"), result(call_id="call_2")),
    ),
    Case(
        "responses-lonely-reasoning",
        answered(thought()),
        "Item 'rs_1' of type 'reasoning' was provided without its required following item.",
        answered(thought(), thought("rs_2"), search()),
        issued=SEALED,
        fault={"param": "input", "code": None},
    ),
    Case(
        "responses-lonely-reasoning",
        body(ASKED, call(), thought(), result()),
        "Item 'rs_1' of type 'reasoning' was provided without its required following item.",
        body(ASKED, thought(), call(), result()),
        issued=SEALED,
    ),
    Case(
        "responses-missing-reasoning",
        called(id="fc_1"),
        "Item 'fc_1' of type 'function_call' was provided without its required 'reasoning' item: 'rs_1'.",
        called(),
        fault={"param": "input", "code": None},
        state=HELD,
    ),
    Case(
        "responses-missing-reasoning",
        body(ASKED, {"type": "item_reference", "id": "fc_1"}, result()),
        "Item 'fc_1' of type 'function_call' was provided without its required 'reasoning' item: 'rs_1'.",
        body(ASKED, thought(), call(id="fc_1"), result()),
        issued=SEALED,
        state=HELD,
    ),
]
CASES = [*SCHEMA, *STATE, *PAIRING]
