"""Conversation objects in which models with a Responses endpoint of their own take part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lab.answers import Answer
from lab.asking import Asker, asking
from lab.native_models import NATIVE, NATIVE_OTHER
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import MODELS, ProxyOptions

from .checks import marker

STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


@pytest.fixture
def natives(proxies: ProxyPool, native_options: ProxyOptions, provider: Provider) -> Iterator[Asker]:
    with asking(proxies.get(native_options), provider) as asker:
        yield asker


def of_conversations(asker: Asker, method: str, path: str = "", **options: Any) -> Any:
    headers = {"authorization": f"Bearer {asker.client.key}"}
    reply = asker.client.http.request(method, f"/v1/conversations{path}", headers=headers, **options)
    assert reply.status_code == 200, reply.text
    return reply.json()


def made(asker: Asker, text: str) -> str:
    return str(of_conversations(asker, "POST", json={"items": [{"role": "user", "content": text}]})["id"])


@STREAMS
@pytest.mark.parametrize("other", [*MODELS, NATIVE_OTHER])
def test_a_conversation_goes_along_to_and_from_a_native_model(other: str, stream: bool, natives: Asker) -> None:
    said = marker()
    talk, texts = made(natives, said), [said]
    for number, model in enumerate((NATIVE, other, NATIVE, NATIVE)):
        turn = natives.with_manner(model, stream).ask(f"Turn {number}?", conversation=talk)
        assert turn.status == 200, turn.reply.body
        assert turn.reply.body["conversation"] == {"id": talk}
        assert turn.said == [*texts, f"Turn {number}?"]
        texts += [f"Turn {number}?", turn.reply.text]
    assert turn.request.body["previous_response_id"], "the provider holds it"
    items = of_conversations(natives, "GET", f"/{talk}/items", params={"order": "asc"})["data"]
    shown = [item["content"][0]["text"] for item in items if item["type"] == "message"]
    assert shown == texts
    after = natives.with_manner(other, stream).ask("And then?", turn)
    assert after.said == [*texts, "And then?"]


def test_a_provider_that_holds_a_deleted_item_is_sent_the_rest(natives: Asker) -> None:
    asker = natives.with_manner(NATIVE)
    secret = marker()
    talk = made(natives, "Hello.")
    first = asker.ask(secret, conversation=talk)
    items = of_conversations(natives, "GET", f"/{talk}/items")["data"]
    (item,) = [each["id"] for each in items if secret in str(each.get("content"))]
    of_conversations(natives, "DELETE", f"/{talk}/items/{item}")
    second = asker.ask("What was it?", conversation=talk)
    assert second.said == ["Hello.", first.reply.text, "What was it?"]
    third = asker.ask("And?", conversation=talk)
    assert third.request.body["input"] == "And?" and third.request.body["previous_response_id"]


def test_a_conversation_that_nobody_has_is_refused_before_the_provider_is_asked(natives: Asker) -> None:
    talk = made(natives, "Hello.")
    of_conversations(natives, "DELETE", f"/{talk}")
    for unknown in (talk, "conv_68a1f0c2e3d48190b5"):
        turn = natives.with_manner(NATIVE).ask("Hello?", conversation=unknown)
        assert (turn.status, turn.requests) == (404, ())


def test_it_is_in_the_conversation_though_it_is_not_to_be_stored(natives: Asker) -> None:
    talk = made(natives, "Hello.")
    first = natives.with_manner(NATIVE).ask("Not to be stored.", conversation=talk, store=False)
    second = natives.with_manner(MODELS[0]).ask("What was that?", conversation=talk)
    assert second.said == ["Hello.", "Not to be stored.", first.reply.text, "What was that?"]


@STREAMS
def test_what_a_native_model_answered_is_paged_got_and_deleted(stream: bool, natives: Asker) -> None:
    """Its items have ids of the provider's, which say nothing of where they are."""
    asker = natives.with_manner(NATIVE, stream)
    talk = made(natives, "Hello.")
    first = asker.ask("One.", conversation=talk, answer=Answer("First.", thinking="hm"))
    asker.ask("Two.", conversation=talk)
    whole = of_conversations(natives, "GET", f"/{talk}/items", params={"order": "asc", "limit": 100})["data"]
    paged, after = list[Any](), None
    while after != "":
        page = {"order": "asc", "limit": 1} | ({"after": after} if after else {})
        found = of_conversations(natives, "GET", f"/{talk}/items", params=page)
        paged += found["data"]
        after = found["last_id"] if found["has_more"] else ""
    assert paged == whole and len({item["id"] for item in whole}) == len(whole)
    for item in whole:
        assert of_conversations(natives, "GET", f"/{talk}/items/{item['id']}") == item
    answered = first.reply.output[-1]
    item = of_conversations(natives, "GET", f"/{talk}/items/{answered['id']}")
    assert item["content"][0]["text"] == "First."
    page = of_conversations(natives, "GET", f"/{talk}/items", params={"order": "asc", "after": answered["id"]})["data"]
    assert page == whole[whole.index(item) + 1 :]
    of_conversations(natives, "DELETE", f"/{talk}/items/{answered['id']}")
    for model in (NATIVE, MODELS[2]):
        assert "First." not in natives.with_manner(model).ask("Three.", conversation=talk).said
