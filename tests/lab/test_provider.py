"""The stand-in provider: formats, scripts, records, failures."""

import asyncio
import json
import re

import httpx
import pytest

from lab.answers import Answer, ToolCall, cut_in_pieces
from lab.provider_client import ProviderProcess

BODIES = {
    "/chat/completions": {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 77},
    "/v1/messages": {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 77},
    "/v1beta/models/gemini-x:generateContent": {
        "contents": [{"role": "user", "parts": [{"text": "hello"}]}],
        "generationConfig": {"max_output_tokens": 77},
    },
    "/v1/responses": {"input": "hello", "max_output_tokens": 77},
}
paths = pytest.mark.parametrize("path", BODIES)


def post(provider, path, body=None, stream=False):
    body = dict(body or BODIES[path])
    if stream and "gemini" in path:
        path = path.replace(":generateContent", ":streamGenerateContent")
    elif stream:
        body["stream"] = True
    return httpx.post(provider.url + path, json=body, trust_env=False)


@paths
@pytest.mark.parametrize("stream", [False, True])
def test_every_format_carries_text_calls_and_thinking(provider, path, stream):
    call = ToolCall("look_up", '{"city": "Rome"}', "call_1")
    provider.script(Answer(text="héllo", tool_calls=(call,), thinking="let me think", signature="sig"))
    reply = post(provider, path, stream=stream)
    assert reply.status_code == 200
    pieces = [json.loads(line[5:]) for line in reply.text.splitlines() if line.startswith("data: {")]
    text = json.dumps(pieces or reply.json(), ensure_ascii=False)
    assert "look_up" in text
    assert all(piece in text for piece in cut_in_pieces("héllo", 3 if stream else 1))
    assert all(piece in text for piece in cut_in_pieces("let me think", 3 if stream else 1))


@pytest.mark.parametrize("stream", [False, True])
def test_claude_may_say_a_summary_first(provider, stream):
    provider.script(Answer(text="on", compaction="in short"))
    reply = post(provider, "/v1/messages", stream=stream)
    assert '"type": "compaction"' in json.dumps(reply.json()) if not stream else '"compaction_delta"' in reply.text
    assert "in short" in reply.text


def message_of(reply, stream):
    """A chat answer's message, of a stream what its deltas say."""
    if not stream:
        return reply.json()["choices"][0]["message"]
    pieces = [json.loads(line[5:]) for line in reply.text.splitlines() if line.startswith("data: {")]
    deltas = [piece["choices"][0]["delta"] for piece in pieces if piece["choices"]]
    message = {name: value for delta in reversed(deltas) for name, value in delta.items()}
    texts = [delta["content"] for delta in deltas if delta.get("content") is not None]
    return {**message, "content": "".join(texts) if texts else None}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("finish", ["stop", "content_filter"])
def test_a_chat_answer_may_have_no_content_and_further_fields(provider, stream, finish):
    extra = {"refusal": "I can not.", "annotations": [], "reasoning": "hm"}
    provider.script(Answer(None, finish=finish, extra=extra))
    reply = post(provider, "/chat/completions", stream=stream)
    assert f'"finish_reason": "{finish}"' in reply.text
    assert message_of(reply, stream) == {"role": "assistant", "content": None, **extra}


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_answer_may_have_further_choices(provider, stream):
    provider.script(Answer("one", pieces=1, other_choices=("two",)))
    reply = post(provider, "/chat/completions", stream=stream)
    chunks = [json.loads(line[5:]) for line in reply.text.splitlines() if line.startswith("data: {")]
    choices = [each for body in chunks or [reply.json()] for each in body["choices"]]
    texts = [(each["index"], (each.get("delta") or each.get("message") or {}).get("content")) for each in choices]
    assert [each for each in texts if each[1]] == [(0, "one"), (1, "two")]


@paths
@pytest.mark.parametrize("stream", [False, True])
def test_a_call_s_arguments_may_be_no_json(provider, path, stream):
    provider.script(Answer("", (ToolCall("look_up", '{"city": "Ro'),), finish="length", pieces=1))
    reply = post(provider, path, stream=stream)
    has_text = "chat" in path or "responses" in path or (stream and "messages" in path)
    assert (r"{\"city\": \"Ro" in reply.text) is has_text
    assert has_text or re.search(r'"(args|input)": {}', reply.text)


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_answer_s_call_may_have_no_id(provider, stream):
    provider.script(Answer("", (ToolCall("look_up", id=""),), id="chatcmpl-1"))
    reply = post(provider, "/chat/completions", stream=stream)
    assert '"look_up"' in reply.text
    assert set(re.findall('"id": "([^"]*)"', reply.text)) == {"chatcmpl-1"}


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_may_have_parts_of_its_format_alone(provider, stream):
    provider.script(Answer("4", blocks=({"executableCode": {"language": "PYTHON", "code": "2 + 2"}},)))
    reply = post(provider, "/v1beta/models/gemini-x:generateContent", stream=stream)
    assert reply.text.index('"code": "2 + 2"') < reply.text.index('"text": "4"')


@pytest.mark.parametrize("path", ["/v1/messages", "/v1beta/models/gemini-x:generateContent"])
def test_a_count_grows_with_the_conversation(provider, path):
    def count(text: str) -> int:
        body = json.loads(json.dumps(BODIES[path]).replace("hello", text))
        counting = path.replace(":generateContent", ":countTokens").replace("/messages", "/messages/count_tokens")
        counted = post(provider, counting, body).json()
        return counted["totalTokens"] if "gemini" in path else counted["input_tokens"]

    assert count("hello") == count("howdy") < count("hello, everybody")


@paths
def test_requests_are_found_by_tag_and_by_what_is_asked(provider, path):
    post(provider, path)
    assert len(provider.requests(tag=77)) == len(provider.requests(when="^hello$")) == 1
    assert provider.requests(tag=78) == provider.requests(when="goodbye") == []
    assert provider.requests(since=provider.requests()[-1].sequence) == []


def test_answers_go_to_the_tag_first_then_to_the_pattern_then_to_anyone(provider):
    provider.always(Answer(text="always"))
    provider.script(Answer(text="anyone"))
    provider.script(Answer(text="pattern"), when="hel+o")
    provider.script(Answer(text="tag"), tag=77)
    texts = [post(provider, "/chat/completions").json()["choices"][0]["message"]["content"] for _ in range(5)]
    assert texts == ["tag", "pattern", "anyone", "always", "always"]


def test_ids_are_unique_unless_given(provider):
    provider.script(Answer(text="a", id="same"), Answer(text="b", id="same"), Answer(text="c"), Answer(text="d"))
    ids = [post(provider, "/chat/completions").json()["id"] for _ in range(4)]
    assert ids[0] == ids[1] == "same"
    assert len(set(ids)) == 3


@paths
def test_a_cut_stream_ends_without_its_end(provider, path):
    provider.script(Answer(text="a long text", cut_after=1))
    with pytest.raises(httpx.RemoteProtocolError):
        post(provider, path, stream=True)


@paths
def test_a_stream_may_end_in_good_order_without_its_rest(provider, path):
    provider.script(Answer(text="a long text", end_after=1))
    assert post(provider, path, stream=True).text.count("data:") == 1


def test_a_cut_waits_behind_its_gate(provider):
    provider.script(Answer(text="a long text", cut_after=2, cut_gate="door"))
    path = "/chat/completions"
    body = {**BODIES[path], "stream": True}
    with httpx.Client(trust_env=False) as client, client.stream("POST", provider.url + path, json=body) as reply:
        pieces = reply.iter_text()
        assert "data:" in next(pieces)
        provider.release("door")
        with pytest.raises(httpx.RemoteProtocolError):
            list(pieces)


@paths
@pytest.mark.parametrize("stream", [False, True])
def test_a_lone_surrogate_is_escaped(provider, path, stream):
    provider.script(Answer(text="a\ud800b", pieces=1))
    assert "a\\ud800b" in post(provider, path, stream=stream).text


@paths
def test_a_failure_has_its_status(provider, path):
    provider.script(Answer(status=500))
    assert post(provider, path).status_code == 500


async def test_an_answer_waits_behind_its_gate(provider):
    provider.script(Answer(text="late", gate="door"))
    waiting = asyncio.create_task(asyncio.to_thread(post, provider, "/chat/completions"))
    while not provider.requests():
        await asyncio.sleep(0.01)
    assert not waiting.done()
    provider.release("door")
    assert (await waiting).json()["choices"][0]["message"]["content"] == "late"


def test_without_a_script_it_remembers_only_what_it_was_sent(provider):
    said = {"role": "user", "content": "My favourite number is 4711."}
    asked = {"role": "user", "content": "What is my favourite number?"}
    for history, expected in (([said, asked], "4711"), ([asked], "do not know")):
        reply = post(provider, "/chat/completions", {"messages": history})
        assert expected in reply.json()["choices"][0]["message"]["content"]


def test_as_a_process_it_is_steered_over_http():
    with ProviderProcess() as process:
        process.script(Answer(text="scripted", tool_calls=(ToolCall("f"),)), tag=77)
        message = post(process, "/chat/completions").json()["choices"][0]["message"]
        assert (message["content"], message["tool_calls"][0]["function"]["name"]) == (
            "scripted",
            "f",
        )
        assert [each.asked for each in process.requests(tag=77)] == ["hello"]
        process.clear()
        assert process.requests() == []
    assert not process.is_up()
