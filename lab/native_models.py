"""Models with a Responses endpoint of their own, which the stand-in plays on two accounts, `one` and `two`.

`models=(*stand_in_models(url, release), *native_entries(url))` gives a proxy these beside the usual three: a model that
reasons on each account; `native-plain`, which takes no reasoning; and `native-pair`, a group of two deployments, one on
each account.
"""

from __future__ import annotations

NATIVE, NATIVE_OTHER, NATIVE_PLAIN, NATIVE_PAIR = "native-model", "native-other", "native-plain", "native-pair"
# By the name that a client asks for, LiteLLM's name of a model and the account that it is on, once a deployment.
NATIVE_MODELS = {
    NATIVE: (("openai/gpt-5", "one"),),
    NATIVE_OTHER: (("openai/gpt-5-mini", "two"),),
    NATIVE_PLAIN: (("openai/gpt-4.1", "two"),),
    NATIVE_PAIR: (("openai/gpt-5", "one"), ("openai/gpt-5", "two")),
}
KEYS = {"one": "native-key-1", "two": "native-key-2"}


def deployment_of(model: str, account: str) -> str:
    """The id under which LiteLLM knows this deployment."""
    return f"{model}-on-{account}"


def native_entries(provider_url: str, *models: str) -> list[dict]:
    """Entries of `model_list` for these models, or all."""
    return [
        {
            "model_name": model,
            "litellm_params": {
                "model": name,
                "api_base": f"{provider_url}/{account}/v1",
                "api_key": KEYS[account],
            },
            "model_info": {"id": deployment_of(model, account)},
        }
        for model in models or NATIVE_MODELS
        for name, account in NATIVE_MODELS[model]
    ]
