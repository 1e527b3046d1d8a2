"""The router goes on with another model, before a stream or in its midst: still one turn, in the client's words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from lab.answers import Answer, cut_in_pieces
from lab.asking import Asker, asking
from lab.client import reply_of_events
from lab.exchange import texts_of
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import FORMAT_OF_MODEL, MODELS, ProxyOptions

from .checks import marker
from .test_streams import WHOLE, events_of
from .upstream import GOES_ON_IN_STREAMS

GOES_ON = Answer(" and on.")
NO_OTHER_MODEL = "this LiteLLM goes on with no other model once a stream has begun"


@pytest.fixture
def falling_back(proxies: ProxyPool, plain_options: ProxyOptions, provider: Provider) -> Iterator[Asker]:
    fallbacks = [{model: [other]} for model, other in zip(MODELS, [*MODELS[1:], MODELS[0]], strict=True)]
    options = replace(plain_options, router_settings={"fallbacks": fallbacks, "num_retries": 0})
    with asking(proxies.get(options), provider) as asker:
        yield asker


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("model", MODELS)
def test_a_fallback_has_the_history_and_is_followed(model: str, stream: bool, falling_back: Asker) -> None:
    if stream and FORMAT_OF_MODEL[model] == "gemini" and not GOES_ON_IN_STREAMS:
        pytest.skip(f"{NO_OTHER_MODEL}; Gemini is asked only then")
    asker, said = falling_back.with_manner(model, stream), marker()
    first = asker.ask(said)
    second = asker.ask("And then?", first, answer=[Answer(status=500), Answer("It goes on.")])
    assert texts_of(second.requests[-1].conversation) == [said, first.reply.text, "And then?"]
    third = asker.ask("And?", second)
    assert third.said == [said, first.reply.text, "And then?", "It goes on.", "And?"]


def broken_in_its_midst(model: str) -> Answer:
    third_piece = cut_in_pieces(WHOLE.text, WHOLE.pieces)[2].encode()
    half = next(number for number, event in enumerate(events_of(model)) if third_piece in event) + 1
    return replace(WHOLE, cut_after=half, cut_gate=model)


@pytest.mark.skipif(not GOES_ON_IN_STREAMS, reason=NO_OTHER_MODEL)
@pytest.mark.parametrize("model", MODELS)
def test_after_a_fallback_in_the_midst_of_a_stream_the_conversation_is_what_the_client_saw(
    model: str, falling_back: Asker
) -> None:
    asker, said = falling_back.with_manner(model, stream=True), marker()
    first = asker.ask(said)
    asker.provider.script(broken_in_its_midst(model), GOES_ON)
    events = []
    for event in asker.client.events(model, "Which number?", previous_response_id=first.id):
        events.append(event)
        if event["type"] == "response.output_text.delta":
            asker.provider.release(model)
    second = reply_of_events(200, events, broken=False)
    streamed = second.streamed_text
    assert streamed.endswith(GOES_ON.text) and streamed != GOES_ON.text
    assert WHOLE.text.startswith(streamed.removesuffix(GOES_ON.text))
    for later in MODELS:
        third = asker.with_manner(later, stream=True).ask("And?", second.id)
        assert third.said == [said, first.reply.text, "Which number?", streamed, "And?"]
    headers = {"authorization": f"Bearer {asker.client.key}"}
    items = asker.client.http.get(f"/v1/responses/{second.id}/input_items?order=asc", headers=headers).json()["data"]
    assert [part["text"] for item in items for part in item["content"]] == [said, first.reply.text, "Which number?"]
    response = asker.client.http.get(f"/v1/responses/{second.id}", headers=headers).json()
    assert "".join(part["text"] for item in response["output"] for part in item.get("content", ())) == streamed
