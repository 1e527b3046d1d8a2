"""What the patch knows of one bridged request, from its start to the end of its answer."""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .conversation import NO_TURNS, Chain, JsonText, Turn, take_down
from .history import calls_put_back, maker_of
from .outgoing import OUTGOING, Outgoing
from .owner import Owner, may_continue


class Source(Enum):
    """Where a request's history came from."""

    REDIS = "redis"
    CONNECTION = "connection"
    DATABASE = "database"
    NONE = "none"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True)
class History:
    """What the provider is sent before the request's own input: found once, and stored with the answer."""

    source: Source
    chain: Chain = NO_TURNS

    @property
    def is_ours(self) -> bool:
        """Whether it holds its tool calls already, so that upstream's repairs must stay away."""
        return self.source in (Source.REDIS, Source.CONNECTION)


@dataclass
class Request:
    """One call of the bridge's handler.

    ``completion``: the chat completion request, whose messages may still be changed before it is sent. ``snapshot``:
    the input as JSON before anybody could change it; ``None``: it has a form that is not stored. ``history``: ``None``
    before it was looked up, and for a first turn. ``connection_turns``: Responses items that a WebSocket connection
    remembers of the conversation. ``put_back``: calls, as items, that upstream put before their results from a memory
    of its own. ``history_unknown``: a defect ended the lookup. ``outgoing``: the reply to the client. ``followed_id``:
    the previous response's id as the client sent it, where only the connection knows it. ``provider_stream``: aiohttp's
    side of the provider's answer, where upstream hides that it broke off. ``rows``: of the spend logs, which upstream
    read for the history.
    """

    owner: Owner
    input: Any
    params: Mapping[str, Any]
    completion: dict[str, Any]
    call: Mapping[str, Any]
    snapshot: JsonText | None = None
    history: History | None = None
    connection_turns: tuple[Any, ...] = ()
    put_back: tuple[Any, ...] = ()
    is_early: bool = False
    history_unknown: bool = False
    outgoing: Outgoing | None = None
    followed_id: str | None = None
    provider_stream: Any = None
    rows: Sequence[Mapping[str, Any]] = ()

    def may_continue(self, owner: Owner) -> bool:
        return may_continue(self.owner, owner)

    def take_input(self, client_input: Any) -> None:
        """Providers' transformations change nested values in place, so what is stored is taken down at once."""
        self.input = client_input
        try:
            self.snapshot = take_down(client_input)
        except (TypeError, ValueError, RecursionError):  # Upstream may know what to do with it.
            self.snapshot = None

    @property
    def chain(self) -> Chain:
        """What the model saw before the input."""
        known = self.history.chain if self.history is not None else NO_TURNS
        return known if known.turns or not self.put_back else Chain((Turn(list(self.put_back)),))

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
    def asked_model(self) -> str | None:
        """The model as the client named it."""
        return self._body.get("model")

    @property
    def previous_response_id(self) -> str | None:
        """As the client sent it, in whatever wrapper."""
        if addressed := self.followed_id or self.call.get("_litellm_addressed_response_id"):
            return str(addressed)
        known = self._body.get("previous_response_id") or self.params.get("previous_response_id")
        return self.outgoing.as_sent(known) if isinstance(known, str) and self.outgoing is not None else known

    def expected_reply(self, response: Any, *, is_stream: bool) -> dict[str, Any] | None:
        """LiteLLM's ``response`` without its id, as it will probably leave the proxy; ``None``: it has no JSON.

        In the JSON of a stream nothing is null.
        """
        try:
            dump: dict[str, Any] = response.model_dump(mode="json", exclude_none=is_stream, exclude_unset=is_stream)
        except ValueError:
            return None
        dump.pop("id", None)
        return dump if self.outgoing is None else self.outgoing.expected(dump, self.asked_model, is_stream)

    @property
    def _body(self) -> Mapping[str, Any]:
        body = (self.call.get("proxy_server_request") or {}).get("body")
        return body if isinstance(body, dict) else {}

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


def request_from_call(
    call: Mapping[str, Any],
    caller: Owner,
    around: Request | None = None,
    connection_turns: tuple[Any, ...] = (),
    followed_id: str | None = None,
) -> Request:
    """The request from the keyword arguments of ``async_response_api_handler``.

    ``around``: an early one has the client's own input, and what was looked up before this call.
    """
    request = Request(
        owner=caller,
        input=None,
        params=call["responses_api_request"],
        completion=call["litellm_completion_request"],
        call=call,
        connection_turns=connection_turns,
        outgoing=OUTGOING.get(),
        followed_id=followed_id,
    )
    if around is not None and around.is_early:
        request.input, request.snapshot, request.history = around.input, around.snapshot, around.history
    else:
        request.take_input(call["request_input"])
    request.put_back = calls_put_back(request.completion.get("messages") or (), request.input)
    return request


def early_request_from_call(call: Mapping[str, Any], caller: Owner, connection_turns: tuple[Any, ...] = ()) -> Request:
    """The request from the keyword arguments of ``response_api_handler``, before there is a completion request."""
    completion = {"model": call.get("model"), "custom_llm_provider": call.get("custom_llm_provider")}
    request = Request(
        owner=caller,
        input=None,
        params=call.get("responses_api_request") or {},
        completion=completion,
        call=call,
        connection_turns=connection_turns,
        outgoing=OUTGOING.get(),
        is_early=True,
    )
    request.take_input(call.get("input"))
    return request


def is_unlogged(call: Mapping[str, Any]) -> bool:
    """Whether the operator, the key or the request turned message logging off."""
    from litellm.litellm_core_utils.redact_messages import should_redact_message_logging

    # A key's own setting comes this way; older releases do not ask for it below.
    if str(call.get("turn_off_message_logging")).lower() == "true" or _says_no_log(call):
        return True
    details = getattr(call.get("litellm_logging_obj"), "model_call_details", None)
    return bool(should_redact_message_logging(details if isinstance(details, dict) else {}))


def _says_no_log(call: Mapping[str, Any]) -> bool:
    """Whether the request has LiteLLM's parameter ``no-log``, which an operator may disable."""
    import litellm

    body = (call.get("proxy_server_request") or {}).get("body")
    asked = call.get("no-log") or (body.get("no-log") if isinstance(body, Mapping) else None)
    return bool(asked) and not getattr(litellm, "global_disable_no_log_param", False)
