"""A request with the conversation before it, made by the transformations of the LiteLLM that is installed."""

from __future__ import annotations

import copy
import inspect
from importlib.util import find_spec
from typing import Any

import pytest
from litellm.responses.litellm_completion_transformation.transformation import LiteLLMCompletionResponsesConfig

from litellm.responses.litellm_completion_transformation.redis_session_patch.request import conversation
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.conversation import (
    carried_tools,
    completion_after,
    input_to_messages,
    said_before,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.exchange import History, Source
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.fitting import NO_RESULT
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import Chain, Turn

from .support.bridge import call_in, call_item, completion_of, exchange_of, result_item
from .support.lookups import contents
from .support.messages import assistant, result, system, turn, user

TAKES_ADDITIONAL_TOOLS = find_spec("litellm.responses.additional_tools") is not None  # from 1.106
HAS_CLIENT_SEARCHES = (
    find_spec("litellm.responses.litellm_completion_transformation.client_tool_search") is not None  # from 1.110
)
TRANSFORM = "transform_responses_api_input_to_messages"
REPLAYS_REASONING = (  # since about 1.90
    "replay_reasoning" in inspect.signature(getattr(LiteLLMCompletionResponsesConfig, TRANSFORM)).parameters
)


def asked(*turns: Turn, said: Any = "now", sent: Any = None, provider: str = "groq", **request: Any) -> Any:
    """A call of the bridge after ``turns``. ``sent``: the input that LiteLLM has made of what was ``said``."""
    its_input = said if sent is None else sent
    completion = LiteLLMCompletionResponsesConfig.transform_responses_api_request_to_chat_completion_request(
        model="m", input=its_input, responses_api_request=request, custom_llm_provider=provider
    )
    history, instructions = History(Source.REDIS, Chain(turns)), request.get("instructions")
    call = call_in(exchange_of(said, history=history, instructions=instructions), its_input, **completion)
    call.kwargs = {"responses_api_request": request}
    return call


def changed_in(call: Any) -> dict[str, Any]:
    changed, _ = completion_after(call, said_before(call))
    return changed


def names_of(tools: Any) -> list[str]:
    return [tool["function"]["name"] for tool in tools]


def function(name: str, description: str = "") -> dict[str, Any]:
    return {"type": "function", "name": name, "description": description, "parameters": {"type": "object"}}


def giving(*tools: dict[str, Any]) -> dict[str, Any]:
    return {"type": "additional_tools", "role": "developer", "tools": list(tools)}


def test_what_was_said_before_is_each_turn_s_input_by_its_number_and_its_answer():
    call = asked(turn("a", assistant("A.")), turn([user("b"), user("c")], assistant("B.")))
    assert said_before(call) == [
        (user("a"), 0),
        (assistant("A."), None),
        (user("b"), 1),
        (user("c"), 1),
        (assistant("B."), None),
    ]


def test_the_rounds_of_mcp_tools_before_this_one_were_said_behind_the_stored_turns():
    first = asked(turn("a", assistant("A.")), said=[user("look")])
    first.take_answer(completion_of(None, "c1"))
    second = call_in(first.exchange, [user("look"), call_item("c1"), result_item("c1")])
    assert [origin for _, origin in said_before(second)] == [0, None, 1, None]
    assert said_before(second)[2:] == [(user("look"), 1), (assistant(None, "c1"), None)]


@pytest.mark.parametrize("provider, reasons", [("deepseek", True), ("groq", False)])
def test_an_answer_was_said_by_what_of_it_the_asked_model_takes(provider, reasons):
    call = asked(turn("a", assistant("A.", reasoning_content="hm"), maker="deepseek"), provider=provider)
    assert ("reasoning_content" in said_before(call)[1][0]) is reasons


def test_what_upstream_cannot_transform_raises_upstream_s_error():
    with pytest.raises(ValueError, match="Invalid content type"):
        said_before(asked(turn([{"role": "user", "content": 7}])))


def test_it_is_sent_what_was_said_before_and_then_what_is_new():
    call = asked(turn("a", assistant("A.")), turn("b", assistant("B.")), said=[user("c"), user("d")])
    assert changed_in(call)["messages"] == [
        user("a"),
        assistant("A."),
        user("b"),
        assistant("B."),
        user("c"),
        user("d"),
    ]


def test_history_and_what_is_new_are_made_one_conversation():
    """A call of the history that the new input says again, and leaves without its result."""
    call = asked(turn("look", assistant(None, "c1")), said=[call_item("c1"), user("now")])
    assert changed_in(call)["messages"] == [user("look"), assistant(None, "c1"), result("c1", NO_RESULT), user("now")]


def test_a_call_and_its_result_that_the_new_input_says_again_are_sent_once():
    again = [call_item("c1"), result_item("c1")]
    call = asked(turn([user("look"), *again], assistant("A.")), said=[*again, user("now")])
    sent = changed_in(call)["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "assistant", "user"]


def test_the_request_itself_is_changed_by_nobody_yet():
    call = asked(turn("a", assistant("A."), instructions="be kind"), tools=[function("f")])
    before = copy.deepcopy(call.completion)
    assert changed_in(call).keys() == {"messages", "litellm_trace_id"}
    assert call.completion == before


@pytest.mark.parametrize("own", [None, ""])
def test_without_instructions_of_its_own_the_newest_of_the_conversation_stand_first(own):
    turns = turn("a", instructions="be careful"), turn("b", instructions="be kind"), turn("c")
    call = asked(*turns, instructions=own)
    assert contents(changed_in(call)) == [("system", "be kind"), *(("user", text) for text in ("a", "b", "c", "now"))]


def test_its_own_instructions_stand_first_alone():
    call = asked(turn("a", instructions="be kind"), instructions="be brief")
    assert contents(changed_in(call)) == [("system", "be brief"), ("user", "a"), ("user", "now")]


def test_where_nobody_gave_instructions_the_conversation_begins_with_what_was_said():
    call = asked(turn([system("of the client's input"), user("a")]), said=[system("of the new input"), user("b")])
    assert contents(changed_in(call)) == [
        ("system", "of the client's input"),
        ("user", "a"),
        ("system", "of the new input"),
        ("user", "b"),
    ]


TEMPLATE = [system("of a template"), user("of a template, too")]


@pytest.mark.parametrize("instructions", [None, "be brief"])
def test_a_prompt_template_stands_once_before_the_history_and_behind_the_instructions(instructions):
    call = asked(turn("a", assistant("A.")), said="b", sent=[*TEMPLATE, user("b")], instructions=instructions)
    leading = [system(instructions)] if instructions else []
    assert changed_in(call)["messages"] == [*leading, *TEMPLATE, user("a"), assistant("A."), user("b")]


def test_of_a_further_round_of_mcp_tools_only_its_results_are_new():
    first = asked(turn("a", assistant("A.")), said=[user("look")], sent=[*TEMPLATE, user("look")], instructions="i")
    first.take_answer(completion_of(None, "c1"))
    again = [*TEMPLATE, user("look"), call_item("c1"), result_item("c1")]
    second = call_in(first.exchange, again, messages=[system("i"), *TEMPLATE, user("look"), user("restated")])
    assert changed_in(second)["messages"] == [
        system("i"),
        *TEMPLATE,
        user("a"),
        assistant("A."),
        user("look"),
        assistant(None, "c1"),
        result("c1", "42"),
    ]


def tools_after(*turns: Turn, **request: Any) -> list[Any]:
    """What the model may call."""
    call = asked(*turns, **request)
    return (call.completion | changed_in(call)).get("tools") or []


def test_tools_that_an_earlier_input_gave_come_behind_the_request_s_own():
    """Releases that take none of them at all take none in a follow-up."""
    turns = turn([giving(function("f"), function("g")), user("a")], assistant("A.")), turn([giving(function("h"))])
    assert names_of(tools_after(*turns)) == (["f", "g", "h"] if TAKES_ADDITIONAL_TOOLS else [])
    own = [function("own")]
    assert names_of(tools_after(*turns, tools=own)) == ["own", *(["f", "g", "h"] if TAKES_ADDITIONAL_TOOLS else [])]


def test_of_earlier_tools_with_one_name_the_newest_is_given():
    turns = [turn([giving(function("f", f"in turn {number}"))]) for number in (1, 2, 3)]
    told = [tool["function"]["description"] for tool in tools_after(*turns)]
    assert told == (["in turn 3"] if TAKES_ADDITIONAL_TOOLS else [])


def test_a_tool_of_the_request_s_own_wins_over_an_earlier_one_of_its_name():
    given = turn([giving(function("f", "earlier"), function("g", "earlier"))])
    told = {
        tool["function"]["name"]: tool["function"]["description"]
        for tool in tools_after(given, tools=[function("f", "its own")])
    }
    assert told == {"f": "its own", **({"g": "earlier"} if TAKES_ADDITIONAL_TOOLS else {})}


def test_tools_that_the_request_itself_gave_are_there_in_its_further_rounds_of_mcp_tools():
    first = asked(said=[giving(function("f")), user("look")])
    first.take_answer(completion_of(None, "c1"))
    second = call_in(first.exchange, [user("look"), call_item("c1"), result_item("c1")])
    assert names_of(changed_in(second).get("tools", [])) == (["f"] if TAKES_ADDITIONAL_TOOLS else [])


@pytest.mark.parametrize("item", [{"type": "additional_tools"}, {"type": "additional_tools", "tools": None}, giving()])
def test_where_no_earlier_input_gave_a_tool_the_request_s_own_are_left_as_they_are(item):
    changed = changed_in(asked(turn("a"), turn([item, user("b")]), tools=[function("own")]))
    assert "tools" not in changed


APPLY_PATCH = {"type": "custom", "name": "apply_patch", "format": {"type": "text"}}
NAMESPACE = {"type": "namespace", "name": "ns", "description": "", "tools": [function("f")]}


@pytest.mark.parametrize("tool", [APPLY_PATCH, NAMESPACE], ids=["custom", "namespace"])
def test_upstream_knows_earlier_tools_as_the_client_gave_them(tool):
    """By them it makes an item of a call."""
    call = asked(turn([giving(tool), user("a")], assistant("A.")), tools=[function("own")])
    assert carried_tools(call) == ([tool] if TAKES_ADDITIONAL_TOOLS else [])


def test_a_prompt_template_stands_first_where_the_input_gives_tools_too():
    """Upstream has taken them out by then."""
    said = [giving(function("f")), user("b")]
    call = asked(turn("a", assistant("A.")), said=said, sent=[*TEMPLATE, user("b")])
    assert changed_in(call)["messages"] == [*TEMPLATE, user("a"), assistant("A."), user("b")]


@pytest.mark.skipif(not TAKES_ADDITIONAL_TOOLS, reason="this release takes no additional_tools")
def test_cache_marks_on_earlier_tools_count():
    mark = {"cache_control": {"type": "ephemeral"}}
    gives = giving(*({**function(f"f{number}"), **mark} for number in range(3)))
    call = asked(turn([gives, user("a")], assistant("A.")), provider="anthropic")
    call.completion |= {
        "model": "claude-4",
        "messages": [user([{"type": "text", "text": each, **mark} for each in "bcde"])],
    }
    assert str(changed_in(call)).count("'cache_control'") == 4


@pytest.mark.parametrize("tools", [[5], "f", [function("f"), None]])
def test_what_is_no_list_of_tools_gives_none_as_in_a_first_turn(tools):
    call = asked(turn([{"type": "additional_tools", "tools": tools}, user("a")], assistant("A.")))
    assert "tools" not in changed_in(call)


def test_an_earlier_web_search_goes_on_too():
    call = asked(
        turn([giving(function("f"), {"type": "web_search"}), user("a")], assistant("A.")), provider="anthropic"
    )
    assert ("web_search_options" in changed_in(call)) is TAKES_ADDITIONAL_TOOLS


def test_where_the_input_has_a_summary_only_instructions_and_open_calls_of_the_history_are_sent():
    turns = turn([system("be brief"), user("a")], assistant("A.")), turn("b", assistant(None, "c1"))
    call = asked(*turns, said=[user("in short"), result_item("c1")])
    call.summarizes = True
    assert changed_in(call)["messages"] == [
        system("be brief"),
        assistant(None, "c1"),
        result("c1", "42"),
        user("in short"),
    ]
    settled = asked(turns[0], said=[user("in short")])
    settled.summarizes = True
    assert changed_in(settled)["messages"] == [system("be brief"), user("in short")]


@pytest.mark.parametrize("sessions, newest", [((None, None), None), (("s", None), "s"), (("s", "t"), "t")])
def test_the_spend_logs_session_of_the_newest_turn_that_has_one_goes_on(sessions, newest):
    call = asked(*(Turn("a", session_id=each) for each in sessions))
    assert changed_in(call)["litellm_trace_id"] == newest


def test_reasoning_of_the_client_s_input_is_reasoning_again_where_the_release_can_say_so():
    reasoning = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}
    first, *others = input_to_messages([reasoning, {"role": "assistant", "content": "A."}])
    if REPLAYS_REASONING:
        assert (first["content"], first["reasoning_content"], others) == ("A.", "hm", [])
    else:
        assert "reasoning_content" not in first and others[0]["content"] == "A."


def test_a_client_s_search_for_tools_is_a_call_and_its_result_where_the_release_has_them():
    search = {"type": "tool_search_call", "execution": "client", "call_id": "t1", "arguments": {"query": "f"}}
    found = {"type": "tool_search_output", "execution": "client", "call_id": "t1", "tools": [function("f")]}
    call = asked(turn([search, found, user("a")]))
    roles = [message["role"] for message in changed_in(call)["messages"]]
    assert roles == [*(["assistant", "tool"] if HAS_CLIENT_SEARCHES else []), "user", "user"]


def test_upstream_s_transformation_is_asked_for_nothing_that_it_does_not_know(monkeypatch):
    """``only_since_compaction`` and the others came one by one."""

    def transform(
        input: Any, responses_api_request: Any, only_since_compaction: bool = False, other: Any = None
    ) -> Any:
        return [input, responses_api_request, only_since_compaction, other]

    monkeypatch.setattr(LiteLLMCompletionResponsesConfig, TRANSFORM, staticmethod(transform))
    monkeypatch.setattr(conversation, "_tool_search", lambda: None)
    assert input_to_messages("a") == ["a", {}, True, None]
