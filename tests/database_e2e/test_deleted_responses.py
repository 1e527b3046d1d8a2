"""A response that its owner deleted is not found again in the database, whose rows are LiteLLM's to keep."""

from __future__ import annotations

import httpx

from lab.client import ResponsesClient

from .talks import Talk


def test_a_deleted_response_is_not_continued_from_the_database(conversation: Talk, with_patch: ResponsesClient) -> None:
    conversation.say()
    conversation.rows()
    address = f"{with_patch.http.base_url}/v1/responses/{conversation.previous}"
    headers = {"authorization": f"Bearer {with_patch.key}"}
    assert httpx.delete(address, headers=headers).json()["deleted"] is True
    assert httpx.get(address, headers=headers).status_code == 404
    refused = with_patch.responses("chat-model", "And now?", previous_response_id=conversation.previous)
    assert (refused.status, refused.body["error"]["code"]) == (400, "previous_response_not_found")
