"""The real bridge in this process, with the patch's runtime on a real Redis and the stand-in provider behind it."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

from redis.asyncio import Redis

import litellm
from lab.answers import Answer
from lab.provider import Provider
from lab.proxy import gemini_base
from lab.recording import Recorded
from lab.trees import installed_release
from litellm.responses.litellm_completion_transformation.redis_session_patch import defects
from litellm.responses.litellm_completion_transformation.redis_session_patch import runtime as runtimes
from litellm.responses.litellm_completion_transformation.redis_session_patch.caller import CALLER
from litellm.responses.litellm_completion_transformation.redis_session_patch.owner import owner_of
from litellm.responses.litellm_completion_transformation.redis_session_patch.settings import Settings

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
        self.runtime = runtimes.Runtime(settings or Settings(timeout_seconds=10), lambda: Redis.from_url(redis_url))
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
        before, known_defects = CALLER.set(owner_of(CALLER_KNOWN)), defects.counted()
        try:
            reply = await litellm.aresponses(
                input=client_input,
                previous_response_id=previous,
                stream=stream,
                **model_of(format, self.provider.url),
                litellm_metadata=dict(CALLER_KNOWN),
                **params,
            )
            body = await self._last_response(reply) if stream else reply
        except (litellm.exceptions.BadRequestError, litellm.exceptions.APIConnectionError) as error:
            raise Refused(str(error)) from error
        finally:
            runtimes.use(None)
            CALLER.reset(before)
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
        await self.redis.flushdb()
        await self.redis.aclose()
