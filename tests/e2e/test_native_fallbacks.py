"""The router goes on elsewhere, from a model with a Responses endpoint of its own to a bridged one or back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from lab.answers import Answer, cut_in_pieces
from lab.asking import Asker, asking
from lab.client import AsyncResponsesClient, reply_of_events
from lab.exchange import Exchange, texts_of
from lab.formats import FORMATS
from lab.lines import HttpLine, Manner
from lab.native_models import NATIVE, NATIVE_PAIR
from lab.player import Player, Turn
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import Proxy, ProxyOptions

from .checks import marker
from .upstream import GOES_ON_IN_STREAMS

BRIDGED = "claude-model"
WAYS = pytest.mark.parametrize(("model", "other"), [(NATIVE, BRIDGED), ("chat-model", NATIVE)])
STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
WHOLE = Answer("It was a dark and stormy night; the rain fell in torrents.", pieces=6)
GOES_ON = Answer(" and on.")
AT_ONCE, TURNS = 12, 4


@pytest.fixture(scope="module")
def falling_options(native_options: ProxyOptions) -> ProxyOptions:
    fallbacks = [{NATIVE: [BRIDGED]}, {"chat-model": [NATIVE]}]
    return replace(native_options, router_settings={"fallbacks": fallbacks, "num_retries": 0})


@pytest.fixture
def falling(proxies: ProxyPool, falling_options: ProxyOptions, provider: Provider) -> Iterator[Asker]:
    with asking(proxies.get(falling_options), provider) as asker:
        yield asker


@STREAMS
@WAYS
def test_a_fallback_has_the_history_and_is_followed(model: str, other: str, stream: bool, falling: Asker) -> None:
    asker, said = falling.with_manner(model, stream), marker()
    first = asker.ask(said)
    second = asker.ask("And then?", first, answer=[Answer(status=500), Answer("It goes on.")])
    assert second.status == 200, second.reply.body
    assert texts_of(second.requests[-1].conversation) == [said, first.reply.text, "And then?"]
    for later in (model, other):
        third = asker.with_manner(later).ask("And?", second)
        assert third.said == [said, first.reply.text, "And then?", "It goes on.", "And?"]


def test_a_provider_that_is_up_again_gets_what_was_said_meanwhile(falling: Asker) -> None:
    asker = falling.with_manner(NATIVE)
    first = asker.ask("One.")
    with falling.provider.down("one"):
        second = asker.ask("Two.", first)
    third = asker.ask("Three.", second)
    fourth = asker.ask("Four.", third)
    assert third.said == ["One.", first.reply.text, "Two.", second.reply.text, "Three."]
    assert len(third.request.body["input"]) == 3
    assert fourth.request.body["input"] == "Four."


@pytest.mark.skipif(not GOES_ON_IN_STREAMS, reason="this LiteLLM goes on with no other model once a stream has begun")
@WAYS
def test_after_a_fallback_in_a_stream_the_conversation_is_what_the_client_saw(
    model: str, other: str, falling: Asker
) -> None:
    asker, said = falling.with_manner(model, stream=True), marker()
    first = asker.ask(said)
    format = "responses" if model == NATIVE else "chat"
    third_piece = cut_in_pieces(WHOLE.text, WHOLE.pieces)[2].encode()
    events = FORMATS[format].stream({"model": "any", "stream": True}, replace(WHOLE, id="resp_" + "0" * 50))
    half = next(number for number, event in enumerate(events) if third_piece in event) + 1
    # A connection that breaks once a text has begun LiteLLM takes for the end where the provider's endpoint is native.
    ending = {"fail_after": half} if model == NATIVE else {"cut_after": half, "cut_gate": model}
    asker.provider.script(replace(WHOLE, **ending), GOES_ON)
    seen = []
    for event in asker.client.events(model, "Which number?", previous_response_id=first.id):
        seen.append(event)
        if event["type"] == "response.output_text.delta":
            asker.provider.release(model)
    second = reply_of_events(200, seen, broken=False)
    streamed = second.streamed_text
    assert streamed.endswith(GOES_ON.text) and streamed != GOES_ON.text
    assert len(set(second.ids.values())) == 1
    for later in (model, other):
        third = asker.with_manner(later).ask("And?", second.id)
        assert third.said == [said, first.reply.text, "Which number?", streamed, "And?"]


@pytest.fixture(scope="module")
def pair_options(native_options: ProxyOptions) -> ProxyOptions:
    """Two deployments of one group, and a bridged model for when neither answers."""
    settings = {"num_retries": 3, "fallbacks": [{NATIVE_PAIR: [BRIDGED]}]}
    return replace(native_options, router_settings=settings)


@pytest.fixture
def pinning(proxies: ProxyPool, native_options: ProxyOptions, provider: Provider) -> Iterator[Asker]:
    """LiteLLM keeps a follow-up on the deployment that made the response."""
    settings = {
        "optional_pre_call_checks": ["responses_api_deployment_check"],
        "num_retries": 3,
        "disable_cooldowns": False,
        "allowed_fails": 0,
        "cooldown_time": 30,
    }
    with asking(proxies.get(replace(native_options, router_settings=settings)), provider) as asker:
        yield asker


def account_asked(exchange: Exchange) -> str:
    return exchange.requests[-1].path.split("/")[1]


def test_a_pin_gives_way_to_another_model_and_where_its_deployment_is_down(pinning: Asker) -> None:
    asker = pinning.with_manner(NATIVE_PAIR)
    first = asker.ask("One.")
    home = account_asked(first)
    for _ in range(4):
        again = asker.ask("Two.", first)
        assert (account_asked(again), again.request.body["input"]) == (home, "Two.")
    elsewhere = pinning.with_manner(BRIDGED).ask("Two.", first)
    assert elsewhere.said == ["One.", first.reply.text, "Two."]
    with pinning.provider.down(home):
        second = asker.ask("Two.", first)
        while second.status != 200:  # LiteLLM notes a failure beside the request: its retries may come before that.
            second = asker.ask("Two.", first)
        assert account_asked(second) != home
        assert second.said == ["One.", first.reply.text, "Two."]


async def test_conversations_go_on_while_deployments_come_and_go(
    proxies: ProxyPool, pair_options: ProxyOptions, provider: Provider, next_tag: Iterator[int]
) -> None:
    proxy: Proxy = proxies.get(pair_options)
    done = asyncio.Event()

    async def converse(client: AsyncResponsesClient, number: int) -> list[Turn]:
        player = Player(HttpLine(client, Manner(NATIVE_PAIR, stream=number % 2 == 1)), provider, next_tag)
        turns: list[Turn] = []
        for turn in range(TURNS):
            said = {"role": "user", "content": f"conversation {number}, turn {turn}"}
            turns.append(await player.say(said, after=turns[-1] if turns else None))
            assert turns[-1].is_whole, turns[-1].report
        return turns

    async def disturb() -> None:
        for account in ["one", "two"] * 50:
            with provider.down(account):
                await asyncio.sleep(0.3)
            if done.is_set():
                return

    async with AsyncResponsesClient(proxy.url, proxy.key) as client:
        disturbing = asyncio.create_task(disturb())
        try:
            played = await asyncio.gather(*(converse(client, number) for number in range(AT_ONCE)))
        finally:
            done.set()
            await disturbing
    assert provider.turned_away("one") + provider.turned_away("two") > 0
    assert sum(map(len, played)) == AT_ONCE * TURNS
