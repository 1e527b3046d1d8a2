"""A chat completion request with the conversation before it, by upstream's own transformations and the pass."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

from .call import Call
from .fitting import Said, fit
from .history import ADDITIONAL_TOOLS, latest, said_in
from .items import input_items


def said_before(call: Call) -> list[Said]:
    """What was said before the request. Raises what upstream's transformation does."""
    return said_in(call.turns_before, input_to_messages, call.target_with(None), is_summarized=call.summarizes)


def completion_after(call: Call, before: Sequence[Said]) -> tuple[dict[str, Any], list[Any]]:
    """What changes in the chat completion request: instructions, the operator's template, what was said ``before``, and
    what is new (the request's own messages, or the results of an MCP round); and the tools that come to its own, as
    the client gave them.
    """
    turns, own = call.turns_before, list(call.completion.get("messages") or ())
    leading, own = (own[:1], own[1:]) if call.exchange.instructions else ([], own)
    if not leading and (carried := latest(turns, "instructions")):  # OpenAI does not carry them over; LiteLLM does.
        leading = [{"role": "system", "content": carried}]
    template = input_to_messages(call.template) if call.template else []
    new = own[len(template) :] if call.new_items is None else input_to_messages(call.new_items)
    said = [*((message, -1) for message in template), *before, *((message, len(turns)) for message in new)]
    tools = carried_tools(call)
    changed = _options_of(call, tools)
    changed["messages"] = [*leading, *fit(said, call.target_with(changed.get("tools")))]
    changed["litellm_trace_id"] = latest(turns, "session_id")
    return changed, tools


def carried_tools(call: Call) -> list[Any]:
    """Tools of the Responses API that the client gave as items of its earlier inputs, as Codex does: of a name the
    newest, and none that the request itself has.
    """
    items = [item for turn in call.turns_before for item in input_items(turn.items)]
    lists = [item.get("tools") for item in items if item.get("type") == ADDITIONAL_TOOLS]
    if not lists or find_spec("litellm.responses.additional_tools") is None:  # until 1.106: upstream takes none
        return []
    # Upstream takes nothing of a list with something else in it.
    tools = [tool for each in lists if isinstance(each, list) and all(map(_is_tool, each)) for tool in each]
    own = {_name_of(tool) for tool in call.own_tools if _is_tool(tool)}
    return [tool for name, tool in {_name_of(tool): tool for tool in tools}.items() if name not in own]


def _options_of(call: Call, tools: Sequence[Any]) -> dict[str, Any]:
    """What of the chat completion request changes by ``tools``."""
    if not tools:
        return {}
    from litellm.responses.litellm_completion_transformation.transformation import LiteLLMCompletionResponsesConfig

    transform = LiteLLMCompletionResponsesConfig.transform_responses_api_request_to_chat_completion_request
    made = transform(
        model=str(call.completion.get("model") or ""),
        input="",
        responses_api_request={"tools": list(tools)},
        custom_llm_provider=call.provider,
    )
    changed = {name: made[name] for name in ("tools", "web_search_options") if made.get(name)}
    if "tools" in changed:
        changed["tools"] = [*(call.completion.get("tools") or ()), *changed["tools"]]
    return changed


def _is_tool(tool: Any) -> bool:
    return isinstance(tool, Mapping)


def _name_of(tool: Any) -> tuple[str, str]:
    return str(tool.get("type")), str(tool.get("name") or tool)


def input_to_messages(client_input: Any) -> list[Any]:
    """Upstream's transformation of a client's input, with all that a model may be sent of it."""
    from litellm.responses.litellm_completion_transformation.transformation import LiteLLMCompletionResponsesConfig

    transform = LiteLLMCompletionResponsesConfig.transform_responses_api_input_to_messages
    if (with_searches := _tool_search()) is not None:
        client_input = with_searches(client_input, None).input
    messages: list[Any] = transform(input=client_input, responses_api_request={}, **_transform_options(transform))
    return messages


@lru_cache(maxsize=1)
def _transform_options(transform: Callable[..., Any]) -> dict[str, bool]:
    # Since about 1.90 reasoning items are sent back as reasoning only where this is asked for; the others are of 1.109.
    wanted = {"replay_reasoning", "item_cache_control", "tool_call_provider_fields", "only_since_compaction"}
    return dict.fromkeys(wanted & inspect.signature(transform).parameters.keys(), True)


@lru_cache(maxsize=1)
def _tool_search() -> Callable[..., Any] | None:
    """From 1.110 on a client's own searches for tools are calls and results."""
    try:
        from litellm.responses.litellm_completion_transformation.client_tool_search import bridge_client_tool_search
    except ImportError:
        return None
    bridge: Callable[..., Any] = bridge_client_tool_search
    return bridge
