"""The real bridge in this process, with the patch's runtime on a real Redis and the stand-in provider behind it."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

from redis import Redis

import litellm
from lab.answers import Answer
from lab.provider import Provider
from lab.proxy import gemini_base
from lab.recording import Recorded
from lab.trees import installed_release
from litellm.responses.litellm_completion_transformation.redis_session_patch.doors.bridge import store_session_in_redis
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import defects
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import runtime as runtimes
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.connection import Connection
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.exchange import (
    CONNECTION,
    ClientConnection,
    Exchange,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.request.lookup import begin
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.owner import owner_of
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.settings import Settings

FORMATS = ("chat", "anthropic", "gemini")

# What the proxy says of the caller, here and in the request's own metadata.
CALLER_KNOWN = {"user_api_key_user_id": "alice", "user_api_key_team_id": "red", "user_api_key_hash": "k1"}


def model_of(format: str, provider_url: str) -> dict[str, str]:
    """The arguments that lead LiteLLM to the stand-in by a wire format."""
    model, base = {
        "chat": ("deepseek/deepseek-chat", provider_url),
        "anthropic": ("anthropic/claude-sonnet-4-5", provider_url),
        "gemini": ("gemini/gemini-2.5-flash", gemini_base(provider_url, "gemini-2.5-flash", installed_release())),
    }[format]
    return {"model": model, "api_base": base, "api_key": "stand-in-key"}


class Refused(Exception):
    """LiteLLM refused the request; the text says why."""


class Bridge:
    """`ask` sends one request through `litellm.aresponses`, as a route of the proxy does for a caller; `sent` is what
    the provider got for it.
    """

    def __init__(self, provider: Provider, redis_url: str, settings: Settings | None = None) -> None:
        self.provider = provider
        self.redis = Redis.from_url(redis_url)
        connection = Connection("REDIS_SESSION_PATCH_URL", {"url": redis_url})
        self.runtime = runtimes.Runtime(settings or Settings(timeout_seconds=10), connection)
        self.sent: Recorded | None = None

    async def ask(
        self,
        format: str,
        client_input: Any,
        answer: Answer,
        *,
        previous: str | None = None,
        stream: bool = False,
        remembered: bool = True,
        **params: Any,
    ) -> dict[str, Any]:
        """The response object as a client gets it. Without `remembered` the patch is out of the way.

        Raises Refused where LiteLLM does not send the request.
        """
        runtimes.use(self.runtime if remembered else None)
        self.provider.clear()
        self.provider.responder = lambda _request: answer
        exchange, known_defects = Exchange(owner_of(CALLER_KNOWN)), defects.counted()
        before = CONNECTION.set(ClientConnection(exchange))
        try:
            await begin(exchange, {"input": client_input, "previous_response_id": previous, **params})
            reply = await litellm.aresponses(
                input=client_input,
                previous_response_id=previous,
                stream=stream,
                **model_of(format, self.provider.url),
                litellm_metadata=dict(CALLER_KNOWN),
                **params,
            )
            body = await self._last_response(reply) if stream else reply
            await store_session_in_redis(exchange, body.model_dump(mode="json"))
        except (litellm.exceptions.BadRequestError, litellm.exceptions.APIConnectionError) as error:
            raise Refused(str(error)) from error
        finally:
            runtimes.use(None)
            CONNECTION.reset(before)
        assert defects.counted() == known_defects, "something of the fork failed"
        (self.sent,) = self.provider.requests()
        return body.model_dump(exclude_none=True, mode="json")

    async def _last_response(self, stream: Any) -> Any:
        self.events = [event async for event in stream]
        return self.events[-1].response

    async def forget_calls(self) -> None:
        """Empties upstream's in-process cache of tool calls, as another worker would find it."""
        from litellm.responses.litellm_completion_transformation.transformation import TOOL_CALLS_CACHE

        TOOL_CALLS_CACHE.flush_cache()

    async def close(self) -> None:
        self.redis.flushdb()
        self.redis.close()
