"""LiteLLM's response cache, which can hold whole response objects.

A cached object has the response id of the caller that it was made for: the next caller could not continue it. For
bridged models the answer is cached once more as a chat completion, whose key is the whole conversation; that cache
is used alone. Answers of native models are not cached where their turns are stored.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ..redis import runtime as runtimes
from ..redis.defects import safely
from .exchange import running_exchange


def is_cached_as_chat(caching_handler: Any, function: Callable[..., Any]) -> bool:
    """Whether ``function`` is the Responses API, called for a model that LiteLLM bridges to chat completions, or for
    one whose turn is to be stored here.

    ``caching_handler``: LiteLLM's ``LLMCachingHandler``.
    """
    return safely(_must_not_be_cached_whole, caching_handler, function, otherwise=False)


def _must_not_be_cached_whole(caching_handler: Any, function: Callable[..., Any]) -> bool:
    runtime = runtimes.current()
    if function.__name__ not in ("aresponses", "responses") or runtime is None:
        return False
    if runtime.settings.native and running_exchange() is not None:
        return True
    call: Mapping[str, Any] = caching_handler.request_kwargs
    from litellm.types.utils import LlmProviders
    from litellm.utils import ProviderConfigManager

    from litellm import get_llm_provider

    if call.get("use_chat_completions_api"):
        return True
    try:
        model, provider, _, _ = get_llm_provider(
            model=call.get("model") or "", custom_llm_provider=call.get("custom_llm_provider")
        )
        native = ProviderConfigManager.get_provider_responses_api_config(model=model, provider=LlmProviders(provider))
    except Exception:  # An unknown model or provider: upstream will say so.
        return False
    return native is None
