"""A response in the background is its owner's alone, also where LiteLLM's own polling serves it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import openai
import pytest

from lab.answers import Answer
from lab.custom_auth import bearer
from lab.processes import wait_until
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import Proxy, ProxyOptions
from lab.redis_server import GivenRedis, RedisServer
from lab.ways import cache

from .raw import openai_client
from .sizes import IDENTITIES
from .test_background import begin, poll
from .test_stored_responses import check_is_not_found, refused
from .upstream import GIVES_BACK_WHAT_A_STREAM_HELD

pytestmark = IDENTITIES

POLLING = {"responses": {"background_mode": {"polling_via_cache": "all", "ttl": 600}}}
ALICE, BOB = bearer(user="alice", team="red"), bearer(key="k2", user="bob", team="red")


@pytest.fixture(scope="module")
def guarded(proxies: ProxyPool, identity_options: ProxyOptions) -> Proxy:
    return proxies.get(identity_options)


@pytest.fixture
def alice(guarded: Proxy, provider: Provider) -> Iterator[openai.OpenAI]:
    with openai_client(guarded, ALICE) as client:
        yield client


@pytest.fixture
def bob(guarded: Proxy) -> Iterator[openai.OpenAI]:
    with openai_client(guarded, BOB) as client:
        yield client


def check_is_nobody_elses(stranger: openai.OpenAI, response_id: str) -> None:
    check_is_not_found(stranger, response_id)
    assert refused(lambda: list(stranger.responses.retrieve(response_id, stream=True)))[0] == 404


def test_one_that_runs_or_is_done_is_its_owners_alone(
    alice: openai.OpenAI, bob: openai.OpenAI, provider: Provider
) -> None:
    provider.script(Answer("Mine.", gate="done"))
    with begin(alice, "chat-model", stream=True) as events:
        response_id = next(events).response.id
        check_is_nobody_elses(bob, response_id)
        provider.release("done")
        list(events)
    assert poll(alice, response_id).output_text == "Mine."
    check_is_nobody_elses(bob, response_id)
    assert alice.responses.retrieve(response_id).status == "completed"


def test_an_id_of_litellms_own_polling_is_for_whom_it_was_made(
    identity_options: ProxyOptions, redis_server: RedisServer | GivenRedis, provider: Provider
) -> None:
    # Older releases (1.85) poll by the proxy's own cache alone, and do not find its address in the environment.
    address = urlsplit(redis_server.url)
    settings = POLLING | cache(host=address.hostname, port=address.port, password=address.password)
    with (
        Proxy(replace(identity_options, litellm_settings=settings)) as proxy,
        openai_client(proxy, ALICE) as alice,
        openai_client(proxy, BOB) as bob,
    ):
        provider.script(Answer("Mine."))
        response = begin(alice, "chat-model")
        assert response.id.startswith("litellm_poll_")
        for act in (bob.responses.retrieve, bob.responses.cancel, bob.responses.delete):
            assert refused(lambda: act(response.id))[0] == 404  # noqa: B023
        assert poll(alice, response.id).status == "completed"
        alice.responses.delete(response.id)
        with openai_client(proxy, bearer(key=None)) as nobody:  # whom the proxy does not know, as without the fork
            response = begin(nobody, "chat-model")
            assert response.id.startswith("litellm_poll_") and poll(nobody, response.id).status == "completed"
        assert alice.responses.retrieve(begin(alice, "chat-model").id)


HELD = {
    "plain": Answer("Never.", gate="never"),
    "stream": Answer("Never.", gate="never"),
    "begun stream": Answer("One two three four.", pieces=8, cut_after=4, cut_gate="never"),
}


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("end", ["cancel", "delete"])
def test_one_that_is_ended_is_no_parallel_request_of_its_key_any_more(
    held: str, end: str, guarded: Proxy, provider: Provider
) -> None:
    if held == "begun stream" and not GIVES_BACK_WHAT_A_STREAM_HELD:
        pytest.skip("this release gives nothing back that a stream held whose client has left")
    with openai_client(guarded, bearer(key=f"{end} {held}", user="alice", parallel=1)) as client:
        provider.script(HELD[held])
        if held == "plain":
            response_id = begin(client, "chat-model").id
        else:
            with begin(client, "chat-model", stream=True) as events:
                response_id = next(events).response.id
                if held == "begun stream":
                    next(event for event in events if event.type == "response.output_text.delta")
        wait_until(lambda: len(provider.requests()) == 1, 10, "its request")
        assert refused(lambda: client.responses.create(model="chat-model", input="Meanwhile."))[0] == 429
        (client.responses.cancel if end == "cancel" else client.responses.delete)(response_id)
        wait_until(lambda: _is_answered(client), 10, "room for another request")
        provider.release("never")


def _is_answered(client: openai.OpenAI) -> bool:
    try:
        return client.responses.create(model="chat-model", input="And now?").status == "completed"
    except openai.RateLimitError:
        return False
