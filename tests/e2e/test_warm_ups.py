"""Over a WebSocket a client may say what is long before it asks (`generate: false`), as Codex does."""

from __future__ import annotations

from typing import Any

import pytest

from lab.asking import asking_on_socket
from lab.exchange import texts_of
from lab.provider import Provider
from lab.proxy import MODELS, Proxy

from .test_stored_responses import TOOLS
from .upstream import WARMS_UP

pytestmark = pytest.mark.skipif(not WARMS_UP, reason="this release knows no warm-ups")

RULES: Any = [{"type": "message", "role": "developer", "content": "Answer in verse."}]


@pytest.mark.parametrize("model", MODELS)
def test_what_a_client_warmed_up_with_is_sent_with_what_follows(model: str, proxy: Proxy, provider: Provider) -> None:
    with asking_on_socket(proxy, provider, model) as socket:
        warm = socket.ask(RULES, generate=False, store=False, instructions="Be brief.", tools=TOOLS)
        assert warm.requests == () and warm.reply.id.startswith("resp_warmup_")
        first = socket.ask("one", warm, store=False)
        sent = texts_of(first.requests[-1].conversation)
        assert [text for text in sent if text not in ("Answer in verse.", "Be brief.")] == ["one"]
        assert {"Answer in verse.", "Be brief."} <= set(sent)
        assert "look_up" in str(first.requests[-1].body)
        second = texts_of(socket.ask("two", first, store=False).requests[-1].conversation)
        assert "Answer in verse." in second and second[-3:] == ["one", first.reply.text, "two"]


def test_what_is_stored_behind_a_warm_up_has_it(proxy: Proxy, provider: Provider) -> None:
    with asking_on_socket(proxy, provider, "chat-model") as socket:
        first = socket.ask("one", socket.ask(RULES, generate=False))
    with asking_on_socket(proxy, provider, "chat-model") as socket:
        sent = texts_of(socket.ask("two", first).requests[-1].conversation)
    assert sent == ["Answer in verse.", "one", first.reply.text, "two"]


def test_warm_ups_follow_a_response_and_each_other(proxy: Proxy, provider: Provider) -> None:
    with asking_on_socket(proxy, provider, "chat-model") as socket:
        first = socket.ask("one")
        warm = socket.ask(RULES, first, generate=False)
        warmer = socket.ask([{"type": "message", "role": "user", "content": "two"}], warm, generate=False)
        sent = texts_of(socket.ask("three", warmer).requests[-1].conversation)
    assert sent == ["one", first.reply.text, "Answer in verse.", "two", "three"]


def test_a_warm_up_asks_nobody_for_a_compaction(proxy: Proxy, provider: Provider) -> None:
    wish = [{"type": "compaction", "compact_threshold": 100}]
    said = [{"type": "message", "role": role, "content": "word " * 2_000} for role in ("user", "assistant", "user")]
    with asking_on_socket(proxy, provider, "chat-model") as socket:
        assert socket.ask(said, generate=False, store=False, context_management=wish).requests == ()
