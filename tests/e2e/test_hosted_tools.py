"""A tool that a model's maker ran itself: its maker's models get the call with its result, or neither; others the text.

Nobody gets a call that nobody can answer.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lab.answers import Answer, ToolCall
from lab.asking import Asker
from lab.exchange import Exchange
from lab.refusing.anthropic.shapes import SERVER_RESULTS
from lab.refusing.gemini.shapes import snake

from .test_inputs import PIXEL
from .test_what_a_model_gets import LOOK_UP, STREAMS, TOOLS, assistants, calls_sent, result_of, taken

MAKERS = ("claude-model", "gemini-model", "chat-model")
CHATS = ("chat-model", "openai-model", "mistral-model")
HOSTED = "srvtoolu_"

Block = dict[str, Any]


def ran(name: str, given: Block, found: Any, result: str | None = None) -> tuple[Block, Block]:
    """Claude's call of a tool that it runs itself, and what came of it."""
    id = f"{HOSTED}01{name.replace('_', '')}"
    called = {"type": "server_tool_use", "id": id, "name": name, "input": given}
    return called, {"type": f"{result or name}_tool_result", "tool_use_id": id, "content": found}


def text(said: str, **fields: Any) -> Block:
    return {"type": "text", "text": said, **fields}


PAGE = {"url": "https://a.example", "title": "A"}
FOUND = {"type": "web_search_result", **PAGE, "encrypted_content": "RW5jcnlwdGVk", "page_age": "April 30, 2025"}
CITED = {"type": "web_search_result_location", **PAGE, "encrypted_index": "SW5kZXg=", "cited_text": "a"}
DOCUMENT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a"}, "title": "A"}
FETCHED = {"type": "web_fetch_result", "url": PAGE["url"], "retrieved_at": "2026-01-01T00:00:00Z", "content": DOCUMENT}
RAN = {"stdout": "4\n", "stderr": "", "return_code": 0, "content": []}
VIEWED = {"file_type": "text", "content": "a", "numLines": 1, "startLine": 1, "totalLines": 1}
REFERENCE = {"type": "tool_reference", "tool_name": LOOK_UP["name"]}

SEARCH = ran("web_search", {"query": "a"}, [FOUND])
BASH = ran("bash_code_execution", {"command": "expr 2 + 2"}, {"type": "bash_code_execution_result", **RAN})
PAIRS = {
    "a search": SEARCH,
    "a search that failed": ran(
        "web_search", {"query": "a"}, {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}
    ),
    "a fetch": ran("web_fetch", {"url": PAGE["url"]}, FETCHED),
    "bash": BASH,
    "an editor": ran(
        "text_editor_code_execution",
        {"command": "view", "path": "a.txt"},
        {"type": "text_editor_code_execution_view_result", **VIEWED},
    ),
    "code": ran("code_execution", {"code": "2 + 2"}, {"type": "code_execution_result", **RAN}),
    "two": (*SEARCH, *BASH),
}
# Of these LiteLLM keeps the one half, the other, or (in older releases) none.
HALVES = {
    "a search for tools": ran(
        "tool_search_tool_regex",
        {"query": "look"},
        {"type": "tool_search_tool_search_result", "tool_references": [REFERENCE]},
        "tool_search",
    ),
    "a server's tool": (
        {"type": "mcp_tool_use", "id": "mcptoolu_01", "name": "echo", "server_name": "a", "input": {"a": 1}},
        {"type": "mcp_tool_result", "tool_use_id": "mcptoolu_01", "is_error": False, "content": [text("a")]},
    ),
    "no result": SEARCH[:1],
}
CALL = (ToolCall("look_up", '{"a": 1}'),)
# Every two of a text, a call and a stream, with each other and without.
BESIDE = {
    "alone, plain": (Answer(None), False),
    "with text, as a stream": (Answer("Done."), True),
    "with a call, as a stream": (Answer(None, CALL), True),
    "with text and a call, plain": (Answer("Done.", CALL), False),
}
SAYS = pytest.mark.parametrize("beside, stream", BESIDE.values(), ids=BESIDE)


def follow_up(asker: Asker, first: Exchange) -> Exchange:
    """The client answers the calls of its own tools, or says something."""
    numbers = [number for number, call in enumerate(first.reply.calls) if call["name"] == LOOK_UP["name"]]
    return asker.ask([result_of(first, "42", number) for number in numbers] or "and?", first, **TOOLS)


def hosted_sent(exchange: Exchange) -> list[Block]:
    """The blocks of hosted tools that Claude was sent."""
    kinds = ("server_tool_use", "mcp_tool_use", "mcp_tool_result", *SERVER_RESULTS)
    blocks = [block for message in assistants(exchange) for block in message["content"]]
    return [block for block in blocks if block["type"] in kinds]


def check_says(exchange: Exchange, answer: Answer) -> None:
    """The provider took it; it has the texts and the client's calls with their results, and no other call."""
    texts = [said for said in taken(exchange) if not said.startswith("[")]  # That is a block without a text.
    assert texts == ["hello", *filter(None, [answer.text]), "42" if answer.tool_calls else "and?"]
    assert calls_sent(exchange) == [(call.arguments, "42") for call in answer.tool_calls]


def check_have_the_text_alone(first: Exchange, answer: Answer, chats: Asker, *models: str) -> None:
    """Each of the models is sent nothing of the blocks."""
    marks = [block.get("id", block.get("tool_use_id")) for block in answer.blocks]
    for model in models:
        second = follow_up(chats.with_manner(model), first)
        check_says(second, answer)
        assert second.request is not None
        sent = json.dumps(second.request.body)
        assert not any(mark and mark in sent for mark in (*marks, PIXEL, "GOOGLE_SEARCH_WEB"))


@SAYS
@pytest.mark.parametrize("blocks", PAIRS.values(), ids=PAIRS)
def test_claude_gets_its_own_call_with_its_result_and_others_the_text(
    blocks: tuple[Block, ...], beside: Answer, stream: bool, chats: Asker
) -> None:
    asker, answer = chats.with_manner("claude-model", stream), replace(beside, blocks=blocks)
    first = asker.ask("hello", answer=answer, **TOOLS)
    second = follow_up(asker, first)
    check_says(second, answer)
    assert hosted_sent(second) == list(blocks)
    check_have_the_text_alone(first, answer, chats, "gemini-model", "chat-model")


@SAYS
@pytest.mark.parametrize("blocks", HALVES.values(), ids=HALVES)
def test_nobody_gets_half_of_a_pair(blocks: tuple[Block, ...], beside: Answer, stream: bool, chats: Asker) -> None:
    asker, answer = chats.with_manner("claude-model", stream), replace(beside, blocks=blocks)
    first = asker.ask("hello", answer=answer, **TOOLS)
    second = follow_up(asker, first)
    check_says(second, answer)
    whole = [list(blocks)] if len(blocks) == 2 else []
    # While the client's own call is answered, Claude still means to run its own.
    paused = [list(blocks)] if len(blocks) == 1 and answer.tool_calls else []
    assert hosted_sent(second) in ([], *whole, *paused)
    check_have_the_text_alone(first, answer, chats, "gemini-model", "chat-model")


@STREAMS
@pytest.mark.parametrize("after", MAKERS)
def test_what_claude_says_between_its_tools_stays(after: str, stream: bool, chats: Asker) -> None:
    blocks = (text("First."), *SEARCH, text("Then.", citations=[CITED]), *BASH)
    first = chats.with_manner("claude-model", stream).ask("hello", answer=Answer("Last.", blocks=blocks), **TOOLS)
    second = follow_up(chats.with_manner(after), first)
    assert "".join(said for said in taken(second) if not said.startswith("[")) == "helloFirst.Then.Last.and?"
    if after == "claude-model":
        assert hosted_sent(second) == [*SEARCH, *BASH]


@STREAMS
def test_what_claude_thought_before_its_search_goes_with_it(stream: bool, chats: Asker) -> None:
    asker = chats.with_manner("claude-model", stream)
    first = asker.ask("hello", answer=Answer("Done.", CALL, thinking="hm", blocks=SEARCH), **TOOLS)
    second = follow_up(asker, first)
    check_says(second, Answer("Done.", CALL))
    assert second.request is not None
    thoughts = [each.text for message in second.request.conversation_as(thinking=True) for each in message.thinking]
    assert thoughts == ["hm"]
    assert hosted_sent(second) == list(SEARCH)


@STREAMS
def test_a_search_comes_back_to_claude_after_other_models(stream: bool, chats: Asker) -> None:
    claude = chats.with_manner("claude-model", stream)
    last = claude.ask("hello", answer=Answer("Done.", CALL, blocks=SEARCH), **TOOLS)
    last = follow_up(chats.with_manner("gemini-model"), last)
    said = [*taken(last), last.reply.text]
    last = chats.with_manner("chat-model").ask("there?", last, **TOOLS)
    assert taken(last) == [*said, "there?"]
    last = claude.ask("back?", last, **TOOLS)
    assert taken(last)[-1] == "back?"
    assert hosted_sent(last) == list(SEARCH)
    assert calls_sent(last) == [('{"a": 1}', "42")]


@STREAMS
@pytest.mark.parametrize("after", MAKERS)
@pytest.mark.parametrize("found", [SEARCH[1:], ()], ids=["found", "not found"])
def test_a_search_that_a_call_interrupted_does_not_stop_the_conversation(
    found: tuple[Block, ...], after: str, stream: bool, chats: Asker
) -> None:
    """Claude runs its search when the client has answered, and the result stands in the next answer."""
    claude = chats.with_manner("claude-model", stream)
    first = claude.ask("hello", answer=Answer(None, CALL, blocks=SEARCH[:1]), **TOOLS)
    number = [call["name"] for call in first.reply.calls].index("look_up")
    second = claude.ask([result_of(first, "42", number)], first, answer=Answer("Done.", blocks=found), **TOOLS)
    taken(second)
    third = chats.with_manner(after).ask("and?", second, **TOOLS)
    assert [said for said in taken(third) if not said.startswith("[")] == ["hello", "42", "Done.", "and?"]
    assert calls_sent(third) == [('{"a": 1}', "42")]


@STREAMS
@pytest.mark.parametrize("after", MAKERS)
def test_what_a_client_says_to_a_hosted_call_is_said_to_the_model(after: str, stream: bool, chats: Asker) -> None:
    """Older LiteLLM hands such calls out as calls of the client's tools, and a client's loop answers what it gets."""
    first = chats.with_manner("claude-model", stream).ask("hello", answer=Answer("a", blocks=PAIRS["a fetch"]), **TOOLS)
    if not first.reply.calls:
        pytest.skip("this release hands out no such call")
    second = chats.with_manner(after).ask([result_of(first, "No such tool.")], first, **TOOLS)
    assert "No such tool." in taken(second)[-1]


SCRIPT = {"executableCode": {"language": "PYTHON", "code": "print(2 + 2)"}}
OUTPUT = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "4\n"}}
GOOGLED = (
    {"toolCall": {"toolType": "GOOGLE_SEARCH_WEB", "args": {"queries": ["a"]}, "id": "a1"}},
    {"toolResponse": {"toolType": "GOOGLE_SEARCH_WEB", "response": {"found": "a"}, "id": "a1"}},
)
PICTURE = {"inlineData": {"mimeType": "image/png", "data": PIXEL}}
# What the model ran, and what of it comes back: of code LiteLLM keeps nothing.
GEMINIS: dict[str, tuple[tuple[Block, ...], list[str]]] = {
    "code": ((SCRIPT, OUTPUT), []),
    "a search": (GOOGLED, ["tool_call", "tool_response"]),
    "a picture": ((PICTURE,), ["inline_data"]),
}
RUN = pytest.mark.parametrize("blocks, kept", GEMINIS.values(), ids=GEMINIS)


@SAYS
@RUN
def test_gemini_gets_its_own_call_with_its_result_and_others_the_text(
    blocks: tuple[Block, ...], kept: list[str], beside: Answer, stream: bool, chats: Asker
) -> None:
    asker, answer = chats.with_manner("gemini-model", stream), replace(beside, blocks=blocks)
    first = asker.ask("hello", answer=answer, **TOOLS)
    second = follow_up(asker, first)
    check_says(second, answer)
    assert second.request is not None
    parts = [part for each in second.request.body["contents"] if each["role"] == "model" for part in each["parts"]]
    assert [snake(name) for part in parts for name in part if snake(name) not in ("text", "function_call")] == kept
    check_have_the_text_alone(first, answer, chats, "claude-model", *CHATS)


CHOICES = {
    "texts": (Answer("one", other_choices=("two", "three")), "one\n\ntwo\n\nthree"),
    "a first one without a text": (Answer(None, other_choices=("two",)), "two"),
    "a call and a text": (Answer(None, CALL, other_choices=("two",)), "two"),
    "a call in the first one": (Answer("one", CALL, other_choices=("two",)), "one\n\ntwo"),
}


@STREAMS
@pytest.mark.parametrize("before", CHATS)
@pytest.mark.parametrize("answer, said", CHOICES.values(), ids=CHOICES)
def test_several_choices_are_one_answer(answer: Answer, said: str, before: str, stream: bool, chats: Asker) -> None:
    first = chats.with_manner(before, stream).ask("hello", answer=answer, **TOOLS)
    for model in (before, "claude-model"):
        second = follow_up(chats.with_manner(model), first)
        _, got, *_ = taken(second)
        # Of a stream older LiteLLM makes one text without a break, for its client too.
        assert got in ({said, said.replace("\n\n", "")} if stream else {said})
        check_says(second, replace(answer, text=got))
