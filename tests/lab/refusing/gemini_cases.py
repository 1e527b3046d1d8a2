"""Gemini's rules."""

from __future__ import annotations

from typing import Any

from .cases import Case

FLASH, THREE = "gemini-2.5-flash", "gemini-3-pro"
ASKED = {"role": "user", "parts": [{"text": "Look it up."}]}
SAID = {"role": "model", "parts": [{"text": "4"}]}
BAD_BASE64 = "Invalid value at 'contents[1].parts[0].thought_signature' (TYPE_BYTES), Base64 decoding failed for "


def call(**fields: Any) -> dict[str, Any]:
    return {"functionCall": {"name": "look_up", "args": {}, **fields}}


def response(**fields: Any) -> dict[str, Any]:
    return {"function_response": {"name": "look_up", "response": {"content": "found"}, **fields}}


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "parts": list(parts)}


def model(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


def body(*contents: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"contents": list(contents), **fields}


def called(*parts: dict[str, Any]) -> dict[str, Any]:
    """A request that answers these calls."""
    return body(ASKED, model(*parts), user(*[response() for _ in parts]))


def unknown(name: str, place: str) -> str:
    return f"Invalid JSON payload received. Unknown name \"{name}\" at '{place}': Cannot find field."


def violated(place: str, text: str) -> dict[str, Any]:
    return {"details": [{"field": place, "description": text}]}


STRUCT = "(type.googleapis.com/google.protobuf.Struct)"
NO_OBJECT = f"Invalid value at 'contents[1].parts[0].function_call.args' {STRUCT}, \"a\""
A_LIST = (
    "Invalid JSON payload received. Unknown name \"args\" at 'contents[1].parts[0].function_call': Proto field is not "
    "repeating, cannot start list."
)
SCHEMA = [
    Case(
        "gemini-unknown-name",
        body(ASKED, {**SAID, "refusal": "no"}, model({"text": "5", "cacheControl": {}}), ASKED),
        f"{unknown('refusal', 'contents[1]')}\n{unknown('cache_control', 'contents[2].parts[0]')}",
        body(ASKED, SAID, model({"text": "5", "thought": True}), ASKED),
        model=FLASH,
    ),
    Case(
        "gemini-unknown-name",
        called(call(id="call_1")),
        unknown("id", "contents[1].parts[0].function_call"),
        called(call()),
        model=FLASH,
        fault=violated("contents[1].parts[0].function_call", unknown("id", "contents[1].parts[0].function_call")),
    ),
    Case(
        "gemini-object",
        called(call(args="a")),
        NO_OBJECT,
        called(call(args={"x": "a"})),
        fault=violated("contents[1].parts[0].function_call.args", NO_OBJECT),
    ),
    Case("gemini-object", called(call(args=[1])), A_LIST, called(call(args={"x": [1]}))),
    Case(
        "gemini-signature-encoding",
        called({**call(), "thoughtSignature": "no base64!"}),
        f'{BAD_BASE64}"no base64!"',
        called({**call(), "thoughtSignature": "c2lnbmVk"}),
        issued=[("c2lnbmVk", ""), ("no base64!", "")],
    ),
    Case(
        "gemini-no-contents",
        {"contents": []},
        "* GenerateContentRequest.contents: contents is not specified\n",
        body(ASKED),
    ),
    Case(
        "gemini-no-parts",
        body(ASKED, {"role": "model", "parts": []}, ASKED),
        "* GenerateContentRequest.contents[1].parts: contents.parts must not be empty.\n",
        body(ASKED, model({"text": ""}), ASKED),
    ),
    Case(
        "gemini-no-data",
        body(ASKED, model({"thought": True}, {}), ASKED),
        "* GenerateContentRequest.contents[1].parts[0].data: required oneof field 'data' must have one initialized "
        "field\n* GenerateContentRequest.contents[1].parts[1].data: required oneof field 'data' must have one "
        "initialized field\n",
        body(ASKED, model({"thought": True, "text": "Hm."}, {"text": "4"}), ASKED),
    ),
    Case(
        "gemini-no-name",
        body(ASKED, model(call()), user(response(name=""))),
        "* GenerateContentRequest.contents[2].parts[0].function_response.name: Name cannot be empty.\n",
        called(call()),
    ),
    Case(
        "gemini-role",
        body(ASKED, {"role": "assistant", "parts": [{"text": "4"}]}, ASKED),
        "Please use a valid role: user, model.",
        body({"parts": [{"text": "a"}]}, SAID, ASKED),
    ),
    Case(
        "gemini-mixed-parts",
        body(ASKED, model(call(), response()), user(response())),
        "Please ensure that function call turn contains at least one function_call part which can not be mixed with "
        "function_response parts.",
        called(call()),
    ),
]
COUNT = (
    "Please ensure that the number of function response parts is equal to the number of function call parts of the "
    "function call turn."
)
MISSING = (
    "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly, "
    "and missing thought_signature may lead to degraded model performance. Additional data, function call "
    "`default_api:look_up` , position 2. Please refer to https://ai.google.dev/gemini-api/docs/thought-signatures for "
    "more details."
)
DUMMY = {"thoughtSignature": "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="}
TURNS = [
    Case(
        "gemini-single-turn",
        body(SAID),
        "Please ensure that single turn requests end with a user role or the role field is empty.",
        body(ASKED, SAID),
    ),
    Case(
        "gemini-call-place",
        body(ASKED, SAID, model(call()), user(response())),
        "Please ensure that function call turn comes immediately after a user turn or after a function response turn.",
        body(ASKED, model({"text": "4"}, call()), user(response())),
    ),
    Case(
        "gemini-call-place",
        body(model(call()), user(response())),
        "Please ensure that function call turn comes immediately after a user turn or after a function response turn.",
        body(ASKED, model(call()), user(response()), model(call()), user(response())),
    ),
    Case(
        "gemini-response-place",
        body(ASKED, user(response())),
        "Please ensure that function response turn comes immediately after a function call turn.",
        body(ASKED, model(call()), user(response()), ASKED),
    ),
    Case("gemini-response-count", body(ASKED, model(call()), ASKED), COUNT, called(call())),
    Case(
        "gemini-response-count",
        body(ASKED, model(call(), call()), user(response())),
        COUNT,
        called(call(), call()),
    ),
    Case("gemini-missing-signature", called(call()), MISSING, called({**call(), **DUMMY}, call()), model=THREE),
    Case(
        "gemini-missing-signature",
        called(call()),
        MISSING,
        body(ASKED, model(call()), user(response()), ASKED),  # an earlier turn's
        model=THREE,
    ),
    Case(
        "gemini-signature",
        called({**call(), "thoughtSignature": "b3RoZXI="}),
        "Corrupted thought signature.",
        called({**call(), "thought_signature": "c2lnbmVk"}),
        issued=[("c2lnbmVk", "")],
    ),
    Case(
        "gemini-signature",
        called({**call(), "thoughtSignature": "b3RoZXI="}),
        "Corrupted thought signature.",
        called({**call(), "thoughtSignature": "skip_thought_signature_validator"}),
    ),
]
CASES = [*SCHEMA, *TURNS]
