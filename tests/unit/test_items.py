"""A conversation as items, for a provider with a Responses endpoint of its own that does not hold it."""

from __future__ import annotations

from typing import Any

import pytest

from litellm.responses.litellm_completion_transformation.redis_session_patch.request.items import fit_items
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import Turn

ONE, TWO = "account-one", "account-two"
REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "secret", "status": "completed"}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}}


def call(call_id: str = "call_1", **fields: Any) -> dict[str, Any]:
    return {"type": "function_call", "id": "fc_1", "call_id": call_id, "name": "look_up", "arguments": "{}", **fields}


def result(call_id: str = "call_1", output: Any = "blue") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def said(text: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [{"url": "u"}], "logprobs": []}
    return {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [part]}


def turn(client_input: Any, *output: dict[str, Any], account: str | None = None) -> Turn:
    return Turn(client_input, reply={"output": list(output)}, account=account)


def fitted(*turns: Turn, new: Any = (), account: str | None = ONE, start: int = 0) -> list[dict[str, Any]]:
    return fit_items(turns, new, account, start)


def kinds(items: list[dict[str, Any]]) -> list[str]:
    return [item["type"] for item in items]


def test_texts_have_the_kind_of_who_says_them_and_no_ids() -> None:
    assert fitted(turn("hello", said("hi"))) == [
        {"type": "message", "role": "user", "content": "hello"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "hi", "annotations": []}],
        },
    ]


def test_a_chat_messages_parts_become_the_apis() -> None:
    parts = [
        {"type": "text", "text": "look", "cache_control": {"type": "ephemeral"}},
        {"type": "image_url", "image_url": {"url": "data:x", "detail": "low"}},
    ]
    (message,) = fitted(turn([{"role": "user", "content": parts}]))
    assert message["content"] == [
        {"type": "input_text", "text": "look"},
        {"type": "input_image", "image_url": "data:x", "detail": "low"},
    ]


def test_a_history_that_the_database_gave_goes_along() -> None:
    called = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    messages = (
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "hi", "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "call_1", "content": "blue"},
    )
    items = fitted(Turn([], messages))
    assert kinds(items) == ["message", "message", "function_call", "function_call_output"]
    assert [item.get("role") for item in items[:2]] == ["user", "assistant"]


@pytest.mark.parametrize(("account", "kept"), [(ONE, True), (TWO, False), (None, False)])
def test_reasoning_goes_to_the_account_that_it_is_from(account: str | None, kept: bool) -> None:
    items = fitted(turn("q", REASONING, said("a"), account=ONE), account=account)
    assert ("reasoning" in kinds(items)) is kept
    if kept:
        assert items[1] == {"type": "reasoning", "summary": [], "encrypted_content": "secret"}


@pytest.mark.parametrize(
    "output",
    [[REASONING], [REASONING, SEARCH], [{**REASONING, "encrypted_content": None}, said("a")]],
    ids=["alone", "before a search", "not encrypted"],
)
def test_reasoning_that_would_be_refused_is_left_out(output: list[dict[str, Any]]) -> None:
    assert "reasoning" not in kinds(fitted(turn("q", *output, account=ONE)))


@pytest.mark.parametrize(
    "item",
    [{"type": "reasoning", "id": "rs_1", "summary": []}, {"type": "item_reference", "id": "rs_1"}, {"id": "rs_1"}],
    ids=["bare reasoning", "reference", "short reference"],
)
def test_what_only_a_response_that_is_gone_can_resolve_is_left_out(item: dict[str, Any]) -> None:
    asked = turn([item, {"role": "user", "content": "q"}], said("a"), account=ONE)
    assert [each.get("role") for each in fitted(asked)] == ["user", "assistant"]
    assert fitted(new=[item]) == [item], "what is new the client may refer to"


def test_a_client_s_reasoning_goes_without_its_id() -> None:
    items = fitted(turn([{"role": "user", "content": "q"}, REASONING, said("a")], account=ONE))
    assert items[1] == {"type": "reasoning", "summary": [], "encrypted_content": "secret"}


@pytest.mark.parametrize(
    ("called", "answered"),
    [
        ({"type": "shell_call", "id": "sh_1", "call_id": "call_s"}, {"type": "shell_call_output", "call_id": "call_s"}),
        ({"type": "computer_call", "id": "cu_1", "call_id": "c"}, {"type": "computer_call_output", "call_id": "c"}),
        (
            {"type": "mcp_approval_request", "id": "mcpr_1"},
            {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True},
        ),
    ],
    ids=["shell", "computer", "approval"],
)
def test_a_call_that_the_client_answers_goes_along_with_its_result(called: Any, answered: Any) -> None:
    first = turn("q", REASONING, called, account=ONE)
    assert kinds(fitted(first, new=[answered]))[2:] == [called["type"], answered["type"]]
    assert kinds(fitted(first, turn([answered], said("a")), account=TWO)) == [
        "message",
        called["type"],
        answered["type"],
        "message",
    ]
    assert kinds(fitted(first, new=[{"role": "user", "content": "never mind"}])) == ["message", "message"]


def test_traces_of_a_providers_tools_are_left_out() -> None:
    assert kinds(fitted(turn("q", SEARCH, said("a"), account=ONE))) == ["message", "message"]


def test_a_call_without_a_result_gets_one_and_a_result_without_a_call_is_a_text() -> None:
    items = fitted(turn("q", call()), new=[result("call_9"), {"role": "user", "content": "so?"}])
    assert kinds(items) == ["message", "function_call", "function_call_output", "message", "message"]
    assert items[2]["output"] == "This call has no result."
    assert items[3]["role"] == "user" and "call_9" in items[3]["content"] and items[3]["content"].endswith("blue")


def test_an_orphan_keeps_its_pictures() -> None:
    picture = {"type": "input_image", "image_url": "data:x"}
    (message,) = fitted(new=[result("call_9", [picture])])
    assert message["content"][1] == picture


def test_what_the_client_says_again_stands_once() -> None:
    items = fitted(turn("q", call()), new=[call(), result(), result()])
    assert kinds(items) == ["message", "function_call", "function_call_output"]


def test_calls_numbered_anew_are_told_apart() -> None:
    first, second = turn("q", call("call_0", arguments='{"a": 1}')), turn([result("call_0")], call("call_0"))
    items = fitted(first, second, new=[result("call_0", "red")])
    calls = [item["call_id"] for item in items if item["type"] == "function_call"]
    assert calls == ["call_0", "call_0_2"]
    results = [(item["call_id"], item["output"]) for item in items if item["type"] == "function_call_output"]
    assert results == [("call_0", "blue"), ("call_0_2", "red")]


def test_an_id_is_one_that_the_api_takes_in_the_call_and_in_its_result() -> None:
    signed, long = "call_1__thought__" + "x" * 200, "y" * 70
    items = fitted(turn("q", call(signed), call(long)), new=[result(signed), result(long)])
    ids = [item["call_id"] for item in items[1:]]
    assert ids[0] == ids[2] == "call_1"
    assert ids[1] == ids[3] and len(ids[1]) <= 64


def test_only_what_the_provider_does_not_hold_is_sent() -> None:
    turns = (turn("one", call(), account=ONE), turn([result()], said("two")))
    items = fitted(*turns, new=[{"role": "user", "content": "three"}], start=1)
    assert kinds(items) == ["function_call_output", "message", "message"]
    assert fitted(*turns, new=[result()], start=2) == []  # said again


def test_a_call_that_the_provider_waits_for_gets_a_result() -> None:
    asked, others = turn("one", call("a"), call("b"), account=ONE), turn([result("a")], said("never mind"))
    items = fitted(asked, others, new=[{"role": "user", "content": "go on"}], start=1)
    assert items[0] == {"type": "function_call_output", "call_id": "b", "output": "This call has no result."}
    assert kinds(items[1:]) == ["function_call_output", "message", "message"]


def test_a_call_that_was_made_up_for_before_gets_no_second_result() -> None:
    turns = turn("one", call("a")), turn("never mind", said("well"), account=ONE), turn("and?", said("yes"))
    assert kinds(fitted(*turns, new=[{"role": "user", "content": "go on"}], start=2)) == ["message"] * 3


def test_what_the_api_asks_to_be_sent_again_is() -> None:
    phased = {**said("a"), "phase": "final_answer"}
    _, message, called, _ = fitted(turn("q", phased, call(namespace="crm")))
    assert (message["phase"], called["namespace"]) == ("final_answer", "crm")


def test_the_beginning_does_not_change() -> None:
    turns = [turn("one", call("c")), turn([result("c")], said("two")), turn("three", call("c")), turn([result("c")])]
    whole = fitted(*turns)
    for count in range(1, len(turns)):
        part = fitted(*turns[:count])
        if part[-1].get("output") != "This call has no result.":
            assert whole[: len(part)] == part


@pytest.mark.parametrize("item", [{"type": 7, "role": "user", "content": 7}, {"role": ["x"], "content": [None, 3]}, {}])
def test_what_makes_no_sense_is_no_failure(item: dict[str, Any]) -> None:
    assert kinds(fitted(turn([item, "x"], {}), new=[item])) == ["message", "message"]
