"""Counting the tokens of a request before it is sent: what it follows is counted too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest

from lab.provider import Provider
from lab.proxy import Proxy

from .raw import openai_client
from .test_conversations import MISSING, message
from .upstream import COUNTS_TOKENS

pytestmark = pytest.mark.skipif(not COUNTS_TOKENS, reason="this release counts no tokens of responses")

MODEL = "claude-model"  # the only bridged one whose provider LiteLLM has count

Count = Callable[..., int]


@pytest.fixture
def sdk(proxy: Proxy, provider: Provider) -> Iterator[openai.OpenAI]:
    with openai_client(proxy) as client:
        yield client


@pytest.fixture
def count(proxy: Proxy) -> Iterator[Count]:
    def counted(*said: Any, **params: Any) -> int:
        body = {"model": MODEL, "input": [*said, message("How long?")], **params}
        reply = http.post("/responses/input_tokens", json=body)
        assert reply.status_code == 200, reply.text
        return int(reply.json()["input_tokens"])

    headers = {"authorization": f"Bearer {proxy.key}"}
    with httpx.Client(base_url=f"{proxy.url}/v1", headers=headers, timeout=60, trust_env=False) as http:
        yield counted


def test_what_a_request_follows_is_counted(sdk: openai.OpenAI, count: Count) -> None:
    first = sdk.responses.create(model=MODEL, input="one")
    whole = count(message("one"), message(first.output_text, "assistant"))
    assert count(previous_response_id=first.id) == whole > count()


def test_the_conversation_that_it_is_in_is_counted_and_left_alone(sdk: openai.OpenAI, count: Count) -> None:
    conversation = sdk.conversations.create(items=[message("one")]).id
    whole = count(message("one"))
    assert count(conversation=conversation) == count(conversation={"id": conversation}) == whole > count()
    assert len(sdk.conversations.items.list(conversation).data) == 1
    # Nobody holds it.
    assert sdk.responses.create(model=MODEL, input="two", conversation=conversation).status == "completed"


def test_a_conversation_that_is_not_there_is_not_counted(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as error:
        sdk.responses.input_tokens.count(model=MODEL, input="one", conversation=MISSING)
    assert f"Conversation with id '{MISSING}' not found." in error.value.message
