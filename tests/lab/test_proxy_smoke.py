"""A real proxy in front of the stand-in: whatever is patched, these hold on upstream too."""

from dataclasses import replace

import pytest

from lab.answers import Answer, ToolCall
from lab.asking import asking
from lab.chat_models import CHAT_MODELS, chat_entry, model_of
from lab.conversations import generated_dialogue, generated_trajectory
from lab.lines import Manner
from lab.proxy import FORMAT_OF_MODEL, MODELS
from lab.replay import check_exact, play_all

models = pytest.mark.parametrize("model", MODELS)
streams = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
TOOLS = [{"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {}}}]


@models
@streams
def test_a_text_goes_both_ways(client, provider, next_tag, model, stream):
    tag = next(next_tag)
    provider.script(Answer(text="fine, \u2028 thanks"), tag=tag)
    reply = client.responses(model, "how are \u2028 you?", stream, tag=tag, instructions="Be kind.")
    assert (reply.status, reply.text) == (200, "fine, \u2028 thanks")
    (request,) = provider.requests(tag=tag)
    assert request.format == FORMAT_OF_MODEL[model]
    assert [(each.role, each.text) for each in request.conversation] == [
        ("system", "Be kind."),
        ("user", "how are \u2028 you?"),
    ]
    if stream:
        assert reply.streamed_text == reply.text
        assert reply.ids["completed"] == reply.id


@models
@streams
def test_parallel_calls_arrive_in_order(client, provider, next_tag, model, stream):
    tag = next(next_tag)
    calls = (ToolCall("look_up", '{"city": "Rome"}'), ToolCall("look_up", '{"city": "Oslo"}'))
    provider.script(Answer(tool_calls=calls), tag=tag)
    reply = client.responses(model, "weather?", stream, tag=tag, tools=TOOLS)
    assert [call["arguments"] for call in reply.calls] == [call.arguments for call in calls]


@models
@pytest.mark.parametrize("generate", [generated_dialogue, generated_trajectory])
async def test_a_client_that_sends_everything_itself_is_heard_exactly(proxy, provider, next_tag, model, generate):
    """The oracle of all replays: if this fails, the normal form or the stand-in is wrong."""
    manners = [Manner(model, stream) for stream in (False, True)]
    conversations = [generate(number) for number in (1, 2)]
    played = await play_all(proxy.url, proxy.key, provider, conversations, manners, next_tag, whole=True)
    check_exact(played, conversations)


@pytest.fixture(scope="module")
def proxy_of_chat_models(proxies, plain_options):
    entries = [chat_entry(maker, plain_options.provider_url) for maker in CHAT_MODELS]
    return proxies.get(replace(plain_options, models=tuple(entries)))


@streams
@pytest.mark.parametrize("maker", CHAT_MODELS)
def test_each_further_provider_of_chat_completions_is_asked_in_its_own_part(
    proxy_of_chat_models, provider, maker, stream
):
    call = Answer("", (ToolCall("look_up", '{"x": 1}', "call12345"),))
    with asking(proxy_of_chat_models, provider, Manner(model_of(maker), stream)) as asker:
        first = asker.ask("Look it up.", answer=call, tools=TOOLS)
        result = {"type": "function_call_output", "call_id": "call12345", "output": "found"}
        second = asker.ask([result], first, tools=TOOLS)
    for exchange in (first, second):
        assert (exchange.status, exchange.request.maker.name, exchange.request.refused) == (200, maker, None)
    assert second.said == ["Look it up.", "found"]


def test_a_failure_of_the_provider_is_a_failure_of_the_reply(client, provider, next_tag):
    tag = next(next_tag)
    provider.script(Answer(status=500), tag=tag)
    assert client.responses("chat-model", "hello", tag=tag).status == 500
