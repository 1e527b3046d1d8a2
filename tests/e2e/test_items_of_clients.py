"""Items of every kind that a client may send: listed as they were sent, and to the model what LiteLLM makes of them.

What that is stands in a table in docs/what-a-model-gets.md.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from lab.answers import Answer, ToolCall
from lab.asking import Asker
from lab.exchange import Exchange
from lab.proxy import Proxy
from lab.wire import Thinking

from .raw import openai_client
from .test_inputs import PIXEL, user
from .test_what_a_model_gets import LOOK_UP, STREAMS, TOOLS, calls_sent, taken
from .upstream import HAS_CUSTOM_TOOLS, SEARCHES_TOOLS

Item = dict[str, Any]

MODELS = pytest.mark.parametrize("model", ["claude-model", "gemini-model", "chat-model"])

# What LiteLLM makes of these items came with a release each.
BRIDGE = Path(find_spec("litellm").origin).parent / "responses" / "litellm_completion_transformation"
SOURCE = (BRIDGE / "transformation.py").read_text()
REPLAYS_REASONING = "replay_reasoning" in SOURCE
TELLS_OF_SEARCHES = "Hosted web search: " in SOURCE
READS_SUMMARIES = "only_since_compaction" in SOURCE
SHOWS_SCREENSHOTS = "computer_screenshot" in SOURCE
HOISTS_TOOLS = find_spec("litellm.responses.additional_tools") is not None


@dataclass(frozen=True)
class Case:
    """Items, and what the model gets of them: texts, those of results among them, and calls with their results.

    starts: what came before is not sent. tools: names of tools that it gets. refused: LiteLLM makes something of them
    that providers refuse, and in a request without a history nobody mends it.
    """

    items: Sequence[Item]
    texts: Sequence[str] = ()
    calls: Sequence[tuple[str, str]] = ()
    starts: bool = False
    tools: Sequence[str] = ()
    refused: bool = False


def called(kind: str, id: str, **fields: Any) -> Item:
    return {"type": kind, "id": id, "call_id": "call_1", "status": "completed", **fields}


def output(kind: str, value: Any, **fields: Any) -> Item:
    return {"type": f"{kind}_output", "call_id": "call_1", "output": value, **fields}


SEARCH = {"id": "ws_1", "action": {"type": "search", "query": "q"}, "status": "completed", "type": "web_search_call"}
SCREENSHOT = {"type": "computer_screenshot", "image_url": f"data:image/png;base64,{PIXEL}"}
ORPHAN = "Result of a tool call that is not in this conversation (call_1): "
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": []}
FOUND_FILE = {"file_id": "file_1", "filename": "a.txt", "score": 0.5, "text": "found"}
FOUND_TOOL = {**LOOK_UP, "name": "found"}
ENDED = {"stdout": "a.txt", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}
APPROVAL = {"server_label": "s", "name": "t", "arguments": "{}"}
SUMMARY = json.dumps({"type": "compaction", "content": "in short"})

CASES = {
    "function_call": Case(
        [called("function_call", "fc_1", name="look_up", arguments='{"a": 1}'), output("function_call", "42")],
        ["42"],
        [('{"a": 1}', "42")],
    ),
    "custom_tool_call": Case(
        [called("custom_tool_call", "ctc_1", name="run", input="print(1)"), output("custom_tool_call", "42")],
        ["42"] if HAS_CUSTOM_TOOLS else (),
        [('{"content": "print(1)"}', "42")] if HAS_CUSTOM_TOOLS else (),
    ),
    "reasoning": Case(
        [{**THOUGHT, "content": [{"type": "reasoning_text", "text": "hm"}]}],
        () if REPLAYS_REASONING else ["hm"],
        refused=True,
    ),
    "a summary of reasoning": Case([{**THOUGHT, "summary": [{"type": "summary_text", "text": "hm"}]}], refused=True),
    "encrypted reasoning": Case([{**THOUGHT, "encrypted_content": "gAAAAA"}]),
    "web_search_call": Case(
        [SEARCH],
        [f"Hosted web search: {json.dumps(SEARCH, separators=(',', ':'))}"] if TELLS_OF_SEARCHES else (),
    ),
    "computer_call": Case(
        [called("computer_call", "cu_1", action={"type": "screenshot"}, pending_safety_checks=[])],
    ),
    "computer_call_output": Case(
        [
            called("computer_call", "cu_1", action={"type": "screenshot"}, pending_safety_checks=[]),
            output("computer_call", SCREENSHOT),
        ],
        [ORPHAN if SHOWS_SCREENSHOTS else f"{ORPHAN}{json.dumps(SCREENSHOT)}"],
        refused=True,
    ),
    "file_search_call": Case(
        [{"type": "file_search_call", "id": "fs_1", "status": "completed", "queries": ["q"], "results": [FOUND_FILE]}]
    ),
    "code_interpreter_call": Case(
        [
            {
                "type": "code_interpreter_call",
                "id": "ci_1",
                "status": "completed",
                "container_id": "cntr_1",
                "code": "1",
                "outputs": [{"type": "logs", "logs": "1"}],
            }
        ]
    ),
    "image_generation_call": Case(
        [{"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": PIXEL}]
    ),
    "mcp_list_tools": Case([{"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "s", "tools": [LOOK_UP]}]),
    "mcp_call": Case([{"type": "mcp_call", "id": "mcp_1", **APPROVAL, "output": "found"}]),
    "mcp_approval_request": Case([{"type": "mcp_approval_request", "id": "mcpr_1", **APPROVAL}]),
    "mcp_approval_response": Case(
        [
            {"type": "mcp_approval_request", "id": "mcpr_1", **APPROVAL},
            {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True},
        ]
    ),
    "local_shell_call": Case(
        [
            called("local_shell_call", "lsh_1", action={"type": "exec", "command": ["ls"], "env": {}}),
            output("local_shell_call", "a.txt", id="lsh_2"),
        ]
    ),
    "shell_call": Case(
        [
            called("shell_call", "sh_1", action={"commands": ["ls"], "timeout_ms": 1000, "max_output_length": 100}),
            output("shell_call", [ENDED], max_output_length=100),
        ]
    ),
    "apply_patch_call": Case(
        [
            called("apply_patch_call", "apc_1", operation={"type": "create_file", "path": "a", "diff": "+a"}),
            output("apply_patch_call", "Done", status="completed"),
        ]
    ),
    "tool_search_call": Case(
        [
            called("tool_search_call", "tsc_1", execution="client", arguments={"query": "f"}),
            {"type": "tool_search_output", "call_id": "call_1", "execution": "client", "tools": [FOUND_TOOL]},
        ],
        ["Loaded these tools, which are now callable: found"] if SEARCHES_TOOLS else (),
        [('{"query": "f"}', "Loaded these tools, which are now callable: found")] if SEARCHES_TOOLS else (),
    ),
    "compaction": Case(
        [{"type": "compaction", "id": "cmp_1", "encrypted_content": SUMMARY}],
        ["in short"] if READS_SUMMARIES else (),
        starts=READS_SUMMARIES,
    ),
    "compaction of another maker": Case([{"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAAAA"}]),
    "additional_tools": Case(
        [{"type": "additional_tools", "role": "developer", "tools": [FOUND_TOOL]}],
        tools=["found"] if HOISTS_TOOLS else (),
    ),
    "a kind of tomorrow": Case([{"type": "some_new_call", "id": "x_1", "payload": {"a": 1}}]),
}


def check_gets(case: Case, before: Sequence[str], exchange: Exchange, *after: str) -> None:
    texts = list(case.texts) if case.starts else [*before, "look", *case.texts]
    assert taken(exchange) == [*texts, "so?", *after]
    assert [(json.loads(arguments), result) for arguments, result in calls_sent(exchange)] == [
        (json.loads(arguments), result) for arguments, result in case.calls
    ]


def tools_sent(exchange: Exchange) -> list[str]:
    assert exchange.request is not None
    tools = [each for tool in exchange.request.body["tools"] for each in tool.get("function_declarations", [tool])]
    return [tool.get("function", tool)["name"] for tool in tools]


def check_are_listed(items: Sequence[Item], first: int, exchange: Exchange, proxy: Proxy) -> None:
    """At their place, each as it was sent; one without an id has one."""
    with openai_client(proxy) as client:
        listed: Any = client.get(f"/responses/{exchange.id}/input_items?order=asc", cast_to=object)
    found = listed["data"][first : first + len(items)]
    assert all(item["id"] for item in found)
    for sent, item in zip(items, found, strict=True):
        said = {"status": "completed", **sent} if sent["type"] == "function_call_output" else sent  # as OpenAI says it
        assert {name: item[name] for name in item if name != "id" or "id" in sent} == said
    assert len({item["id"] for item in listed["data"]}) == len(listed["data"])


@MODELS
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_item_of_a_first_turn(case: Case, model: str, asker: Asker, proxy: Proxy) -> None:
    asker = asker.with_manner(model)
    first = asker.ask([user("look"), *case.items, user("so?")], **TOOLS)
    if case.refused and first.status != 200:
        return
    assert first.status == 200
    check_are_listed(case.items, 1, first, proxy)
    second = asker.ask("and?", first, **TOOLS)
    check_gets(case, [], second, first.reply.text, "and?")
    assert tools_sent(second) == ["look_up", *case.tools]
    check_are_listed(case.items, 1, second, proxy)


@MODELS
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_item_of_a_follow_up(case: Case, model: str, asker: Asker, proxy: Proxy) -> None:
    asker = asker.with_manner(model)
    first = asker.ask("hello", **TOOLS)
    second = asker.ask([user("look"), *case.items, user("so?")], first, **TOOLS)
    check_gets(case, ["hello", first.reply.text], second)
    check_are_listed(case.items, 3, second, proxy)
    third = asker.ask("and?", second, **TOOLS)
    check_gets(case, ["hello", first.reply.text], third, second.reply.text, "and?")
    assert tools_sent(third) == ["look_up", *case.tools]
    check_are_listed(case.items, 3, third, proxy)


@MODELS
def test_a_screenshot_is_a_picture_where_the_model_takes_one(model: str, asker: Asker) -> None:
    items = CASES["computer_call_output"].items
    second = asker.with_manner(model).ask([*items, user("so?")], asker.ask("hello"), **TOOLS)
    taken(second)
    assert second.request is not None
    pictures = [image for message in second.request.conversation for image in message.images]
    takes = SHOWS_SCREENSHOTS and model != "chat-model"  # DeepSeek's
    assert pictures == ([SCREENSHOT["image_url"]] if takes else [])


@STREAMS
@MODELS
@pytest.mark.skipif(not REPLAYS_REASONING, reason="this release makes a message of it")
def test_thoughts_that_a_client_says_again_are_the_models_own(
    model: str, stream: bool, asker: Asker, proxy: Proxy
) -> None:
    """As from a client that keeps its conversation itself, and then goes on by an id."""
    asker = asker.with_manner(model, stream)
    calling = Answer("Let me see.", (ToolCall("look_up", '{"a": 1}'),), thinking="hm")
    own = asker.ask("hello", answer=calling, **TOOLS).reply
    result = {**output("function_call", "42"), "call_id": own.calls[0]["call_id"]}
    items = [*own.output, result]
    first = asker.ask([user("hello"), *items, user("so?")], **TOOLS)
    second = asker.ask("and?", first, **TOOLS)
    assert taken(second) == ["hello", "Let me see.", "42", "so?", first.reply.text, "and?"]
    assert [len(thoughts_sent(each)) for each in (first, second)] == [1, 1]
    assert thoughts_sent(first) == thoughts_sent(second)
    assert thoughts_sent(second)[0].text == "hm"
    assert bool(thoughts_sent(second)[0].signature) is (model == "claude-model")
    check_are_listed(items, 1, second, proxy)


def thoughts_sent(exchange: Exchange) -> list[Thinking]:
    taken(exchange)
    assert exchange.request is not None
    return [each for message in exchange.request.conversation_as(thinking=True) for each in message.thinking]
