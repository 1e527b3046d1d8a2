"""One call of LiteLLM's bridge: a conversation, a model, and what it answered.

A request of a client may come by several: for another model after a failure, and for each round of MCP tools that the
proxy runs itself.
"""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ClassVar

from ..values.turns import Turn
from .exchange import Exchange, Source
from .history import answer_messages, calls_put_back, results_of
from .target import Target

# Upstream's session handler is asked with it, which has rounds of a request, and its conversation object's turns.
NO_RESPONSE = "no id of a response"


@dataclass
class Call:
    """One call of the bridge's handler within an exchange.

    ``kwargs``: what it was called with. ``completion``: the chat completion request, whose messages may still be
    changed before it is sent. ``rounds``: turns of this exchange that come before it, an MCP round each;
    ``new_items``: what is new then. ``items_before``: how many output items the client was shown before. ``put_back``:
    calls, as items, that upstream put before their results from a memory of its own. ``template``: items of the
    operator's before the client's. ``is_served``: a history of ours went in. ``answer``: the provider's, as chat
    messages. ``streamed``: what the client was streamed of a text. ``provider_stream``: aiohttp's side of the
    provider's answer, where upstream hides that it broke off. ``after``: the id whose history is wanted;
    ``summarizes``: the input holds a summary of it. ``rows``: of the spend logs, which upstream read; ``found``: the
    session that it made of them.
    """

    is_held: ClassVar[bool] = False

    exchange: Exchange
    kwargs: Mapping[str, Any]
    completion: dict[str, Any]
    rounds: tuple[Turn, ...] = ()
    new_items: list[dict[str, Any]] | None = None
    items_before: int = 0
    put_back: tuple[Any, ...] = ()
    template: Sequence[Any] = ()
    is_served: bool = False
    answer: tuple[dict[str, Any], ...] = ()
    streamed: str = ""
    provider_stream: Any = None
    after: str = ""
    summarizes: bool = False
    rows: Sequence[Mapping[str, Any]] = ()
    found: Mapping[str, Any] | None = None

    @property
    def turns_before(self) -> tuple[Turn, ...]:
        """What the model sees before the input."""
        return (*self.exchange.turns, *self.rounds)

    @property
    def provider(self) -> str | None:
        return self.completion.get("custom_llm_provider")

    @property
    def maker(self) -> str | None:
        """Whose model it is: signatures and provider fields mean something to its models alone, wherever hosted."""
        model = str(self.completion.get("model")).lower()
        return next((maker for maker in ("claude", "gemini") if maker in model), self.provider)

    @property
    def own_tools(self) -> Sequence[Any]:
        """As the client gave them with this request."""
        return (self.kwargs.get("responses_api_request") or {}).get("tools") or ()

    def target_with(self, tools: Sequence[Any] | None) -> Target:
        """``tools``: of the chat completion request; ``None``: its own."""
        given = self.completion.get("tools") or () if tools is None else tools
        marked = [tool for tool in given if isinstance(tool, Mapping)]
        marks = sum(
            bool(tool.get("cache_control") or (tool.get("function") or {}).get("cache_control")) for tool in marked
        )
        marks += bool(self.completion.get("cache_control"))
        return Target(self.maker, self.provider, marks, bool(self.completion.get("context_management")))

    @property
    def session_id(self) -> str | None:
        """The id under which upstream writes this turn's row in the spend logs, which groups a conversation's rows."""
        metadata = self.kwargs.get("litellm_metadata") or {}
        return (
            self.kwargs.get("litellm_session_id")
            # Where upstream has found no history, it says ``None`` here, and the call's own id is not used.
            or self.completion.get("litellm_trace_id", self.kwargs.get("litellm_trace_id"))
            or metadata.get("session_id")
            or getattr(self.kwargs.get("litellm_logging_obj"), "litellm_trace_id", None)
        )

    @property
    def is_answered(self) -> bool:
        return bool(self.answer)

    def forget_answer(self) -> None:
        self.answer = ()

    def take_answer(self, completion: Any) -> None:
        """``completion``: LiteLLM's chat completion."""
        self.answer = answer_messages(getattr(completion, "choices", None) or ())

    @property
    def turn(self) -> Turn:
        """This call's own turn, without its reply."""
        exchange = self.exchange
        said = exchange.said_to_be_stored if self.new_items is None else self.new_items
        return Turn(said, self.answer, exchange.instructions, self.maker, self.session_id, by=exchange.by)

    @property
    def new_turns(self) -> tuple[Turn, ...]:
        """What is to be stored behind the history."""
        own = (*self.rounds, self.turn)
        if not self.put_back or self.exchange.turns:  # A history has the calls already.
            return own
        return (Turn(list(self.put_back), by=own[0].by), *own)


CALL: ContextVar[Call | None] = ContextVar("redis_session_patch_call", default=None)


def call_of(kwargs: Mapping[str, Any], completion: dict[str, Any], its_input: Any, exchange: Exchange) -> Call:
    """A call of the bridge's handler with ``kwargs``; one of a further MCP round follows the calls before it."""
    call = Call(exchange, kwargs, completion, items_before=len(exchange.item_ids))
    for earlier in reversed(exchange.calls):
        if isinstance(earlier, Call) and (results := results_of(earlier.answer, its_input)) is not None:
            call.new_items, call.rounds, call.template = results, (*earlier.rounds, earlier.turn), earlier.template
            return call
    call.put_back = calls_put_back(completion.get("messages") or (), its_input)
    if exchange.history is None or exchange.history.source is not Source.CONNECTION:  # What stands there is the memory.
        call.template = exchange.before_what_was_said(its_input)
    return call
