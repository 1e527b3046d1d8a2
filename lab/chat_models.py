"""Further providers of chat completions: LiteLLM's own code for each asks, and the stand-in plays them by their path.

`models=(*stand_in_models(url, release), chat_entry("groq", url))` gives a proxy a `groq-model` beside the usual three.
"""

from __future__ import annotations

# By the names of `lab.refusing.chat`, LiteLLM's names of a model of each. None is a Llama 3: to count the tokens of its
# streams, LiteLLM asks the network for a tokenizer.
CHAT_MODELS = {
    "groq": "groq/moonshotai/kimi-k2-instruct-0905",
    "mistral": "mistral/mistral-large-latest",
    "openai": "openai/gpt-4o",
    "xai": "xai/grok-4",
    "cerebras": "cerebras/gpt-oss-120b",
    "fireworks": "fireworks_ai/accounts/fireworks/models/kimi-k2-instruct",
    "ollama": "openai/qwen3",
}


def model_of(maker: str) -> str:
    """The name by which a client asks for it."""
    return f"{maker}-model"


def chat_entry(maker: str, provider_url: str, model: str | None = None) -> dict:
    """An entry of `model_list`. `model`: another model of the same provider, by LiteLLM's name."""
    params = {
        "model": model or CHAT_MODELS[maker],
        "api_base": f"{provider_url}/{maker}/v1",
        "api_key": "stand-in-key",
        "use_chat_completions_api": True,  # also where the provider has a Responses endpoint of its own
    }
    return {"model_name": model_of(maker), "litellm_params": params}
