"""What the patch knows of one bridged request, from its start to the end of its answer."""

import copy
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from .conversation import Chain
from .history import maker_of
from .owner import Owner, may_continue, owner_of
from .store import Miss


@dataclass
class Request:
    """One call of the bridge's handler.

    ``completion``: the chat completion request, whose messages may still be changed before it is sent.
    ``parent``: the stored chain that this request continues. ``earlier``: chat messages that upstream's own lookup
    gave instead. ``history_is_whole``: the history is the stored one, so upstream's repairs must stay away.
    ``may_store``: ``False`` once storing this turn could later serve a conversation shorter than it is.
    ``found``: what a lookup ahead of upstream's own has found. ``provider_stream``: aiohttp's side of the
    provider's answer, where upstream hides that it broke off.
    """

    owner: Owner
    input: Any
    params: Mapping[str, Any]
    completion: dict[str, Any]
    call: Mapping[str, Any]
    parent: Chain | None = None
    earlier: tuple[Any, ...] = ()
    history_is_whole: bool = False
    may_store: bool = True
    is_early: bool = False
    found: Chain | Miss | None = None
    provider_stream: Any = None

    def may_continue(self, owner: Owner) -> bool:
        return may_continue(self.owner, owner)

    @property
    def instructions(self) -> str | None:
        return self.params.get("instructions")

    @property
    def provider(self) -> str | None:
        return self.completion.get("custom_llm_provider")

    @property
    def maker(self) -> str | None:
        return maker_of(self.completion.get("model"), self.provider)

    @property
    def session_id(self) -> str | None:
        """The id under which upstream writes this turn's row in the spend logs, which groups a conversation's rows."""
        metadata = self.call.get("litellm_metadata") or {}
        return (
            self.call.get("litellm_session_id")
            or self.completion.get("litellm_trace_id")
            or self.call.get("litellm_trace_id")
            or metadata.get("session_id")
        )


CURRENT: ContextVar[Request | None] = ContextVar("redis_session_patch_request", default=None)


def request_from_call(call: Mapping[str, Any], around: Request | None = None) -> Request:
    """The request from the keyword arguments of ``async_response_api_handler``.

    ``around``: an early one has the client's own input, and what was looked up before this call.
    """
    request = Request(
        owner=owner_of(call.get("litellm_metadata")),
        input=None,
        params=call["responses_api_request"],
        completion=call["litellm_completion_request"],
        call=call,
    )
    client_input = call["request_input"]
    if around is not None and around.is_early:
        client_input = around.input
        request.parent, request.history_is_whole, request.may_store = (
            around.parent,
            around.history_is_whole,
            around.may_store,
        )
    try:
        # Providers' transformations change nested values in place.
        request.input = copy.deepcopy(client_input)
    except Exception:  # Nested too deeply, or not a value at all: upstream may know what to do with it, we do not.
        request.may_store = False
    return request


def early_request_from_call(call: Mapping[str, Any]) -> Request:
    """The request from the keyword arguments of ``response_api_handler``, before there is a completion request."""
    completion = {"model": call.get("model"), "custom_llm_provider": call.get("custom_llm_provider")}
    params = call.get("responses_api_request") or {}
    return Request(owner_of(call.get("litellm_metadata")), call.get("input"), params, completion, call, is_early=True)


def is_unlogged(call: Mapping[str, Any]) -> bool:
    """Whether the operator, the key or the request turned message logging off."""
    from litellm.litellm_core_utils.redact_messages import should_redact_message_logging

    if str(call.get("turn_off_message_logging")).lower() == "true":
        return True  # Of a key's own settings; older releases do not ask for it below.
    details = getattr(call.get("litellm_logging_obj"), "model_call_details", None)
    return bool(should_redact_message_logging(details if isinstance(details, dict) else {}))


# The attribute under which a stream carries its request from the handler to the iterator.
_ATTRIBUTE = "redis_session_patch_request"


def attach(stream: Any, request: Request) -> None:
    setattr(stream, _ATTRIBUTE, request)


def attached(stream: Any) -> Request | None:
    return getattr(stream, _ATTRIBUTE, None)
