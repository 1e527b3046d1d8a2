"""What the deployments of a model have in common, before one of them is chosen."""

from collections.abc import Callable
from importlib.util import find_spec

from ..redis.connection import proxy_module


def among_deployments(model: str, holds: Callable[[str, str], bool]) -> frozenset[bool]:
    """Of a model's deployments (each by its name at its provider, and that): whether it holds, of some or of all."""
    import litellm

    router = getattr(proxy_module(), "llm_router", None)
    deployments = router.get_model_list(model_name=model) if router is not None else None
    found = set()
    for params in [each["litellm_params"] for each in deployments or ()] or [{"model": model}]:
        try:
            name, provider, *_ = litellm.get_llm_provider(
                params["model"], custom_llm_provider=params.get("custom_llm_provider"), api_base=params.get("api_base")
            )
            found.add(holds(name, provider))
        except Exception:  # A provider that this release does not know.
            found.add(False)
    return frozenset(found)


def is_native(model: str, provider: str) -> bool:
    from litellm.types.utils import LlmProviders
    from litellm.utils import ProviderConfigManager

    given = {"model": model, "provider": LlmProviders(provider)}
    return ProviderConfigManager.get_provider_responses_api_config(**given) is not None


def compacts_itself(model: str, provider: str) -> bool:
    """From 1.109 on LiteLLM has Claude do it."""
    if is_native(model, provider):
        return True
    if find_spec("litellm.responses.litellm_completion_transformation.compaction_items") is None:
        return False
    from litellm.responses.litellm_completion_transformation.compaction_items import provider_takes_compaction_blocks

    return bool(provider_takes_compaction_blocks(model, provider))
