"""What a client and a test see of a refusal: the provider's own error, the record, and the switch."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from lab.answers import Answer, ToolCall
from lab.chat_models import CHAT_MODELS, chat_entry
from lab.provider import Provider
from lab.provider_client import ProviderProcess
from lab.refusing import MAKERS, OFF

CONTENTLESS = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant"}, {"role": "user", "content": "b"}]}
UNKNOWN = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "4", "reasoning": "hm"}]}
NO_JSON = {
    "messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "tool_calls": [{"id": "b", "type": "function", "function": {"name": "c"}}]},
        {"role": "tool", "tool_call_id": "b", "content": "d"},
    ]
}
INVALID = "invalid_request_error"
UNKNOWN_NAME = "Invalid JSON payload received. Unknown name \"x\" at 'contents[0].parts[0]': Cannot find field."
CHAT, CLAUDE, GEMINI = "/chat/completions", "/v1/messages", "/v1beta/models/gemini-2.5-flash:generateContent"
NATIVE = "/one/v1/responses"


def post(provider: Any, path: str, body: dict[str, Any], stream: bool = False) -> httpx.Response:
    if stream and "generateContent" in path:
        path = path.replace("generateContent", "streamGenerateContent")
    return httpx.post(provider.url + path, json={**body, **({"stream": True} if stream else {})}, trust_env=False)


def chat_error(text: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": text, "type": INVALID, **fields}}


ERRORS: dict[str, tuple[dict[str, Any], int, dict[str, Any]]] = {
    CHAT: (
        CONTENTLESS,
        400,
        chat_error("Invalid assistant message: content or tool_calls must be set", param=None, code=INVALID),
    ),
    f"/groq/v1{CHAT}": (
        UNKNOWN,
        400,
        chat_error("`messages[1].reasoning`: reasoning is not supported with this model"),
    ),
    f"/mistral/v1{CHAT}": (
        UNKNOWN,
        422,
        {
            "object": "error",
            "message": {
                "detail": [
                    {
                        "type": "extra_forbidden",
                        "loc": ["body", "messages", 1, "assistant", "reasoning"],
                        "msg": "Extra inputs are not permitted",
                        "input": "hm",
                    }
                ]
            },
            "type": INVALID,
            "param": None,
            "code": None,
            "raw_status_code": 422,
        },
    ),
    f"/openai/v1{CHAT}": (
        CONTENTLESS,
        400,
        chat_error(
            "Invalid value for 'content': expected a string, got null.", param="messages.[1].content", code=None
        ),
    ),
    f"/xai/v1{CHAT}": (
        CONTENTLESS,
        400,
        {
            "code": "Client specified an invalid argument",
            "error": "Invalid request content: Each message must have at least one content element.",
        },
    ),
    f"/cerebras/v1{CHAT}": (
        {"messages": [{"role": "user", "content": "a", "x": 1}]},
        400,
        {
            "message": "messages.0.user.x: property 'messages.0.user.x' is unsupported",
            "type": INVALID,
            "param": "validation_error",
            "code": "wrong_api_format",
        },
    ),
    f"/fireworks/v1{CHAT}": (
        UNKNOWN,
        400,
        chat_error(
            "Extra inputs are not permitted, field: 'messages[1].reasoning', value: 'hm'", object="error", code=INVALID
        ),
    ),
    f"/ollama/v1{CHAT}": (NO_JSON, 400, chat_error("invalid tool call arguments", param=None, code=None)),
    NATIVE: (
        {"input": "a", "previous_response_id": "resp_1"},
        400,
        chat_error(
            "Previous response with id 'resp_1' not found.",
            param="previous_response_id",
            code="previous_response_not_found",
        ),
    ),
    CLAUDE: (
        {"messages": []},
        400,
        {
            "type": "error",
            "error": {"type": INVALID, "message": "messages: at least one message is required"},
            "request_id": "req_",
        },
    ),
    GEMINI: (
        {"contents": [{"role": "user", "parts": [{"text": "a", "x": 1}]}]},
        400,
        {
            "error": {
                "code": 400,
                "message": UNKNOWN_NAME,
                "status": "INVALID_ARGUMENT",
                "details": [
                    {
                        "@type": "type.googleapis.com/google.rpc.BadRequest",
                        "fieldViolations": [
                            {
                                "field": "contents[0].parts[0]",
                                "description": 'Invalid JSON payload received. Unknown name "x" at '
                                "'contents[0].parts[0]': Cannot find field.",
                            }
                        ],
                    }
                ],
            }
        },
    ),
}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("path", ERRORS)
def test_a_refusal_is_the_provider_s_own_error_before_any_event(path: str, stream: bool, provider: Provider) -> None:
    body, status, error = ERRORS[path]
    reply = post(provider, path, body, stream)
    got = reply.json()
    if "request_id" in got:
        got["request_id"] = re.sub("^req_[0-9a-f]{24}$", "req_", got["request_id"])
    assert (reply.status_code, got) == (status, error)


def test_every_provider_is_shown_to_refuse() -> None:
    named = {path.split("/")[1] for path in ERRORS} & set(MAKERS)
    assert {*named, "anthropic", "gemini", "deepseek", "responses"} == set(MAKERS)


KINDS = {
    CHAT: {401: "authentication_error", 429: "rate_limit_error", 500: "server_error"},
    CLAUDE: {
        401: "authentication_error",
        404: "not_found_error",
        429: "rate_limit_error",
        500: "api_error",
        529: "overloaded_error",
    },
    NATIVE: {401: "invalid_request_error", 429: "rate_limit_error", 500: "server_error"},
    GEMINI: {401: "UNAUTHENTICATED", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"},
}
HELLO = {
    CHAT: {"messages": [{"role": "user", "content": "hello"}]},
    CLAUDE: {"messages": [{"role": "user", "content": "hello"}]},
    GEMINI: {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]},
    NATIVE: {"input": "hello"},
}


@pytest.mark.parametrize("path", KINDS)
def test_a_failure_is_of_the_kind_that_its_status_has_there(path: str, provider: Provider) -> None:
    for status, kind in KINDS[path].items():
        provider.script(Answer(status=status, error="so it is"))
        reply = post(provider, path, HELLO[path])
        error = reply.json()["error"]
        assert (reply.status_code, error.get("status", error.get("type")), error["message"]) == (
            status,
            kind,
            "so it is",
        )


@pytest.mark.parametrize("path", HELLO)
@pytest.mark.parametrize("content", [b"no JSON", b"[]"])
def test_a_body_that_is_no_object_is_refused_and_not_recorded(path: str, content: bytes, provider: Provider) -> None:
    assert httpx.post(provider.url + path, content=content, trust_env=False).status_code == 400
    assert provider.requests() == []


def test_a_refused_request_is_recorded_and_uses_no_answer_up(provider: Provider) -> None:
    provider.script(Answer("scripted"), tag=7)
    post(provider, CHAT, {**CONTENTLESS, "max_tokens": 7})
    reply = post(provider, CHAT, {**HELLO[CHAT], "max_tokens": 7})
    assert reply.json()["choices"][0]["message"]["content"] == "scripted"
    refused, taken = provider.requests(tag=7)
    assert (refused.refused, refused.asked, taken.refused) == ("deepseek-contentless", "a\nb", None)


def test_a_rule_is_off_inside_and_no_longer(provider: Provider) -> None:
    def statuses() -> list[int]:
        return [post(provider, path, CONTENTLESS).status_code for path in (CHAT, f"/openai{CHAT}")]

    with provider.allow("deepseek-contentless"):
        assert statuses() == [200, 400]
        with provider.allow("deepseek-contentless", "openai-null-content"):
            assert statuses() == [200, 200]
        assert statuses() == [200, 400]
    assert statuses() == [400, 400]


def test_some_rules_are_off_until_they_are_turned_on(provider: Provider) -> None:
    body = {**HELLO[CHAT], "tools": []}
    assert OFF and [post(provider, path, body).status_code for path in (CHAT, f"/openai{CHAT}")] == [200, 200]
    provider.turn_on(*OFF)
    try:
        assert [post(provider, path, body).status_code for path in (CHAT, f"/openai{CHAT}")] == [400, 400]
    finally:
        provider.turn_off(*OFF)


def test_only_a_rule_can_be_turned_off(provider: Provider) -> None:
    with pytest.raises(KeyError, match="deepseek-unknown"), provider.allow("deepseek-unknown"):
        pass


def test_a_stand_in_of_another_process_refuses_and_takes_like_one_of_ours() -> None:
    with ProviderProcess() as process:
        with pytest.raises(KeyError, match="deepseek-unknown"), process.allow("deepseek-unknown"):
            pass
        with process.allow("deepseek-contentless"):
            assert post(process, CHAT, CONTENTLESS).status_code == 200
        assert post(process, CHAT, CONTENTLESS).status_code == 400
        assert [each.refused for each in process.requests()] == [None, "deepseek-contentless"]


def test_groq_s_answers_have_what_litellm_needs_of_them(provider: Provider) -> None:
    assert post(provider, f"/groq/v1{CHAT}", HELLO[CHAT]).json()["service_tier"] == "on_demand"


@pytest.mark.parametrize("maker", CHAT_MODELS)
def test_each_further_chat_model_has_rules(maker: str) -> None:
    entry = chat_entry(maker, "http://a.b")
    assert maker in MAKERS
    assert (entry["model_name"], entry["litellm_params"]["api_base"]) == (f"{maker}-model", f"http://a.b/{maker}/v1")


def claude_says(provider: Provider, answer: Answer) -> list[dict[str, Any]]:
    provider.script(answer)
    content: list[dict[str, Any]] = post(provider, CLAUDE, HELLO[CLAUDE]).json()["content"]
    return content


def status_of(provider: Provider, content: list[dict[str, Any]]) -> int:
    said = {"role": "assistant", "content": content}
    return post(
        provider, CLAUDE, {"messages": [*HELLO[CLAUDE]["messages"], said, *HELLO[CLAUDE]["messages"]]}
    ).status_code


@pytest.mark.parametrize("signature", [None, "c2lnbmVk"])
def test_claude_s_thinking_comes_back_as_it_was_given_out(signature: str | None, provider: Provider) -> None:
    thought, text = claude_says(provider, Answer("4", thinking="Hm.", signature=signature))
    assert thought["signature"] and signature in (None, thought["signature"])
    provider.clear()
    assert status_of(provider, [thought, text]) == 200
    assert status_of(provider, [{**thought, "thinking": "Hm!"}, text]) == 400
    assert status_of(provider, [{**thought, "signature": "b3RoZXI="}, text]) == 400


def test_what_claude_encrypted_comes_back_as_it_was_given_out(provider: Provider) -> None:
    page = {"type": "web_search_result", "url": "https://a.b", "title": "a", "encrypted_content": "sealed"}
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [page]}
    redacted = {"type": "redacted_thinking", "data": "sealed too"}
    content = claude_says(provider, Answer("4", blocks=(redacted, search, found)))
    assert content == [redacted, search, found, {"type": "text", "text": "4"}]
    assert status_of(provider, content) == 200
    assert status_of(provider, [{**redacted, "data": "other"}, *content[1:]]) == 400
    assert (
        status_of(provider, [redacted, search, {**found, "content": [{**page, "encrypted_content": "other"}]}]) == 400
    )


@pytest.mark.parametrize("model, is_signed", [("gemini-2.5-flash", False), ("gemini-3-pro", True)])
def test_gemini_signs_calls_from_its_third_on(model: str, is_signed: bool, provider: Provider) -> None:
    path = GEMINI.replace("gemini-2.5-flash", model)
    provider.script(Answer("", (ToolCall("look_up"),)))
    said = post(provider, path, HELLO[GEMINI]).json()["candidates"][0]["content"]
    assert ("thoughtSignature" in said["parts"][0]) is is_signed
    found = {"role": "user", "parts": [{"functionResponse": {"name": "look_up", "response": {}}}]}
    assert post(provider, path, {"contents": [*HELLO[GEMINI]["contents"], said, found]}).status_code == 200
    other = {"role": "model", "parts": [{**said["parts"][0], "thoughtSignature": "b3RoZXI="}]}
    assert post(provider, path, {"contents": [*HELLO[GEMINI]["contents"], other, found]}).status_code == 400
