"""What the patch knows of one request of a client, from where it comes in to where its reply leaves.

On its way LiteLLM may call the bridge several times: for another model after a failure, and for each round of MCP tools
that the proxy runs itself.
"""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from ..redis.store import off_the_loop
from ..values.ids import Place, decrypted, inner_id, new_conversation, new_turn, place_of
from ..values.owner import Owner
from ..values.turns import NO_TURNS, Chain, JsonText, Turn, take_down
from .history import answer_messages, calls_put_back, results_of


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
        return self.source is Source.REDIS


@dataclass
class Exchange:
    """One request of a client, and its reply.

    ``size_bytes``: of the request. ``followed``: previous response ids in it, as the client sent them. ``said``: the
    client's input, once it ``is_taken``; ``None`` where it has no JSON. ``previous_as_sent``: the id of the response
    that it follows; ``previous_id``: the same, decrypted. ``looked_up``: what Redis said of that, in the words of the
    metrics; ``asked_at``: when, in seconds of ``time.monotonic``; ``is_counted``: the metrics know it. ``history``:
    ``None`` for a first turn, and while nobody knows it. ``shown_id``: what a stream's client has seen. ``refusal``:
    the error of ours that it ended with.
    """

    caller: Owner
    size_bytes: int = 0
    followed: tuple[str, ...] = ()
    is_taken: bool = False
    said: JsonText | None = None
    instructions: str | None = None
    is_to_be_stored: bool = True
    previous_as_sent: str | None = None
    previous_id: str | None = None
    history: History | None = None
    looked_up: str | None = None
    asked_at: float = 0.0
    is_counted: bool = False
    calls: list["Call"] = field(default_factory=list)
    shown_id: str | None = None
    refusal: Any = None
    _place: Place | None = None

    async def take(self, data: Mapping[str, Any]) -> None:
        """``data``: the request's parameters."""
        self.is_taken, self.instructions = True, data.get("instructions")
        self.is_to_be_stored = data.get("store") is not False
        previous = data.get("previous_response_id")
        if isinstance(previous, str) and previous:
            self.previous_as_sent, self.previous_id = self._as_sent(previous)
        try:
            self.said = await off_the_loop(self.size_bytes, take_down, data.get("input"))
        except (TypeError, ValueError, RecursionError):  # Upstream may know what to do with it.
            self.said = None

    def _as_sent(self, response_id: str) -> tuple[str, str]:
        """``response_id`` in the client's own wrapper, with its place, which some releases forget; and decrypted."""
        wanted = decrypted(response_id)
        if response_id in self.followed:
            return response_id, wanted
        known = [(each, decrypted(each)) for each in self.followed]
        same = [each for each in known if inner_id(each[1]) == inner_id(wanted)]
        # Some providers repeat their ids.
        return max(same, key=lambda each: place_of(each[1]) == place_of(wanted), default=(response_id, wanted))

    def follows(self, response_id: str) -> bool:
        """Whether a call of the bridge after ``response_id``, in whatever wrapper, is one after the client's."""
        wanted = inner_id(self.previous_id) if self.previous_id is not None else None
        if wanted is None:
            return False
        return wanted == inner_id(response_id) or wanted == inner_id(decrypted(response_id))

    @property
    def previous_place(self) -> Place | None:
        return place_of(self.previous_id) if self.previous_id is not None else None

    @property
    def place(self) -> Place:
        """Of its turn: behind the one that it follows; in a conversation of its own where that is not in Redis."""
        if self._place is None:
            tip = self.chain.tip if not self.chain.is_full else None
            self._place = Place(tip.place.conversation if tip is not None else new_conversation(), new_turn())
        return self._place

    @property
    def chain(self) -> Chain:
        return self.history.chain if self.history is not None else NO_TURNS

    @property
    def answered(self) -> "Call | None":
        """The call of the bridge whose answer is the reply's."""
        return next((call for call in reversed(self.calls) if call.answer), None)


@dataclass
class Call:
    """One call of the bridge's handler within an exchange.

    ``kwargs``: what it was called with. ``completion``: the chat completion request, whose messages may still be
    changed before it is sent. ``rounds``: turns of this exchange that come before it, an MCP round each; ``new_items``:
    what is new then. ``put_back``: calls, as items, that upstream put before their results from a memory of its own.
    ``is_served``: a history of ours went in. ``answer``: the provider's, as chat messages. ``streamed``: what the
    client was streamed of a text. ``provider_stream``: aiohttp's side of the provider's answer, where upstream hides
    that it broke off. ``rows``: of the spend logs, which upstream read for the history.
    """

    exchange: Exchange
    kwargs: Mapping[str, Any]
    completion: dict[str, Any]
    rounds: tuple[Turn, ...] = ()
    new_items: list[dict[str, Any]] | None = None
    put_back: tuple[Any, ...] = ()
    is_served: bool = False
    answer: tuple[dict[str, Any], ...] = ()
    streamed: str = ""
    provider_stream: Any = None
    rows: Sequence[Mapping[str, Any]] = ()

    @property
    def turns_before(self) -> tuple[Turn, ...]:
        """What the model sees before the input."""
        return (*self.exchange.chain.turns, *self.rounds)

    @property
    def provider(self) -> str | None:
        return self.completion.get("custom_llm_provider")

    @property
    def maker(self) -> str | None:
        """Whose model it is: signatures and provider fields mean something to its models alone, wherever hosted."""
        model = str(self.completion.get("model")).lower()
        return next((maker for maker in ("claude", "gemini") if maker in model), self.provider)

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
    def streamed_before(self) -> str:
        """What the client was streamed by calls that broke off before this one went on."""
        return "".join(call.streamed for call in self.exchange.calls if call is not self and not call.answer)

    def take_answer(self, completion: Any) -> None:
        """``completion``: LiteLLM's chat completion."""
        self.answer = answer_messages(getattr(completion, "choices", None) or ())

    @property
    def turn(self) -> Turn:
        """This call's own turn, without its reply."""
        exchange = self.exchange
        said, by = exchange.said if self.new_items is None else self.new_items, (exchange.caller.tag,)
        return Turn(said, self.answer, exchange.instructions, self.maker, self.session_id, by=by)

    @property
    def new_turns(self) -> tuple[Turn, ...]:
        """What is to be stored behind the history."""
        own = (*self.rounds, self.turn)
        if not self.put_back or self.exchange.chain.turns:  # A history has the calls already.
            return own
        return (Turn(list(self.put_back), by=own[0].by), *own)


@dataclass
class ClientConnection:
    """A client's WebSocket, or one HTTP request. ``exchange``: the running one, ``None`` between two.

    ``is_on_its_own``: a request of it was not understood, or was not its caller's; the next may be so, too.
    """

    exchange: Exchange | None = None
    is_on_its_own: bool = False


# Of the running request or WebSocket. ``None``: it came by no route of ours.
CONNECTION: ContextVar[ClientConnection | None] = ContextVar("redis_session_patch_connection", default=None)

CALL: ContextVar[Call | None] = ContextVar("redis_session_patch_call", default=None)


def running_exchange() -> Exchange | None:
    connection = CONNECTION.get()
    return connection.exchange if connection is not None else None


def call_of(kwargs: Mapping[str, Any], completion: dict[str, Any], its_input: Any, exchange: Exchange) -> Call:
    """A call of the bridge's handler with ``kwargs``; one of a further MCP round follows the calls before it."""
    call = Call(exchange, kwargs, completion)
    if exchange.history is not None and exchange.history.source is Source.DATABASE:
        exchange.history = _for_model(exchange.history, call.maker)
    for earlier in reversed(exchange.calls):
        if (results := results_of(earlier.answer, its_input)) is not None:
            call.new_items, call.rounds = results, (*earlier.rounds, earlier.turn)
            return call
    call.put_back = calls_put_back(completion.get("messages") or (), its_input)
    return call


def _for_model(history: History, maker: str | None) -> History:
    """From 1.109 on turns may come out of the database before it is known for whose model."""
    turns = tuple(replace(turn, maker=turn.maker or maker) for turn in history.chain.turns)
    return replace(history, chain=replace(history.chain, turns=turns))
