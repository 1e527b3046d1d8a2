"""The fork's store without a proxy: the same modules, client and options as in one, on a Redis given by its URL."""

from __future__ import annotations

import os
import sys
import time
import uuid
from dataclasses import dataclass
from typing import Any

from lab.conversations import ChatConversation, input_items_of
from lab.trees import tree

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else importing LiteLLM asks the network
sys.path.insert(0, str(tree("patched")))

from litellm.responses.litellm_completion_transformation.redis_session_patch.api.erasing import erase
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.connection import Connection
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.runtime import Runtime
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.store import (
    KEY_PREFIX,
    SessionStore,
    conversation_keys,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.ids import (
    Place,
    new_conversation,
    new_turn,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import Owner, digest_of
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.settings import Settings
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.turns import (
    NO_TURNS,
    Chain,
    Turn,
    take_down,
)

SESSION_ID = "2f1d6c0e-8f4e-4b0c-9d43-5f4f3f0c7a11"
OWNER = Owner(digest_of("a-user"), digest_of("a-team"), digest_of("a-key"))
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class OpenStore:
    """A store, and a client of the kind that it asks, for other questions."""

    store: SessionStore
    client: Any

    async def load(self, place: Place, owner: Owner = OWNER) -> Chain:
        found = await self.store.read(place, owner)
        if not isinstance(found, Chain):
            raise RuntimeError(f"a stored response is not there: {found}")
        return found

    async def save(self, turn: Turn, chain: Chain = NO_TURNS, owner: Owner = OWNER) -> Place:
        """Where the turn is now."""
        place = Place(chain.tip.place.conversation if chain.tip else new_conversation(), new_turn())
        await self.store.append(place, [turn], chain, owner)
        return place


def open_store(url: str, ttl_seconds: int = 86_400) -> OpenStore:
    settings = Settings(ttl_seconds=ttl_seconds, timeout_seconds=PATIENCE_SECONDS)
    runtime = _runtime(url, settings)
    return OpenStore(runtime.store, runtime.open_client(PATIENCE_SECONDS))


def keys_of(place: Place) -> tuple[str, str, str]:
    """Of its conversation: turns, tree, lives."""
    return conversation_keys(KEY_PREFIX, place.conversation)


def erase_user(url: str, user: str) -> int:
    """As an administrator does; how many conversations went."""
    *_, done = erase(_runtime(url, Settings()), {"user": user}, dry_run=False)
    return done.conversations


def _runtime(url: str, settings: Settings) -> Runtime:
    return Runtime(settings, Connection("REDIS_SESSION_PATCH_URL", {"url": url}))


def turn_of(asked: str, answered: str, owner: Owner = OWNER) -> Turn:
    """A turn as the doors hand it over."""
    return _turn(asked, {"role": "assistant", "content": answered}, None, owner)


def turns_of(conversation: ChatConversation) -> list[Turn]:
    """`instructions` go with every turn, as clients send them."""
    return [_turn(asked_of(turn.sent), turn.answered, conversation.instructions) for turn in conversation.turns]


def asked_of(messages: tuple[dict, ...]) -> str | list[dict]:
    """A user's text alone as a string, as most clients send it."""
    (first, *others) = messages
    is_text = not others and first["role"] == "user" and isinstance(first["content"], str)
    return first["content"] if is_text else input_items_of(messages)


def _turn(asked: str | list[dict], answered: dict, instructions: str | None, owner: Owner = OWNER) -> Turn:
    answer = ({name: value for name, value in answered.items() if value},)
    reply = _reply(asked, answered, instructions)
    return Turn(take_down(asked), answer, instructions, "deepseek", SESSION_ID, reply, (owner.tag,))


def _reply(asked: str | list[dict], answered: dict, instructions: str | None) -> dict:
    """What LiteLLM makes of the model's answer for the client, which is kept but for its id."""
    from litellm.responses.litellm_completion_transformation.transformation import LiteLLMCompletionResponsesConfig

    completion = {
        "id": f"chatcmpl-{uuid.uuid4()}",
        "created": int(time.time()),
        "model": "deepseek-chat",
        "choices": [{"index": 0, "finish_reason": "stop", "message": answered}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 100, "total_tokens": 200},
    }
    made = LiteLLMCompletionResponsesConfig.transform_chat_completion_response_to_responses_api_response(
        asked, {"instructions": instructions} if instructions else {}, completion
    )
    return {name: value for name, value in made.model_dump(mode="json").items() if name != "id"}
