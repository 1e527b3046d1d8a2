"""A key that has spent its budget: its follow-up is refused by LiteLLM, and the conversation waits."""

from __future__ import annotations

from lab.client import ResponsesClient

from .identities import Management
from .talks import Talk


def test_a_conversation_goes_on_once_its_key_may_spend_again(with_patch: ResponsesClient, conversation: Talk) -> None:
    management = Management(with_patch)
    key = management.new_key()
    talk = conversation.fork(key=key)
    talk.say()
    management.has_spent(key, 2.0, budget=1.0)
    refused = talk.asker.ask("And?", talk.previous)
    assert "Budget has been exceeded" in str(refused.reply.body) and not refused.requests, refused.reply
    management.has_spent(key, 0.0, budget=1.0)
    assert talk.remembers()
