"""What the patch knows of one request of a client, from where it comes in to where its reply leaves."""

import json
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from ..redis.store import off_the_loop, text_size
from ..values.ids import Place, decrypted, inner_id, item_id_at, new_conversation, new_turn, place_of
from ..values.owner import Owner
from ..values.shape import SAID_AGAIN
from ..values.turns import NO_TURNS, Chain, JsonText, Tip, Turn, dump_json, take_down
from .history import ADDITIONAL_TOOLS, field_of
from .items import input_items, referred_to

if TYPE_CHECKING:
    from .call import Call
    from .native import NativeCall


class Source(Enum):
    """Where a request's history came from."""

    REDIS = "redis"
    CONNECTION = "connection"
    DATABASE = "database"
    NONE = "none"
    UNAVAILABLE = "unavailable"
    COMPACTION = "compaction"
    PROVIDER = "provider"


@dataclass(frozen=True)
class History:
    """What the provider is sent before the request's own input: found once, and stored with the answer.

    ``chain``: what the turn is stored behind. ``sent``: what stands for that; ``None``: nothing does.
    """

    source: Source
    chain: Chain = NO_TURNS
    sent: tuple[Turn, ...] | None = None

    @property
    def is_ours(self) -> bool:
        """Whether it holds its tool calls already, so that upstream's repairs must stay away."""
        return self.source in (Source.REDIS, Source.COMPACTION)


@dataclass
class Exchange:
    """One request of a client, and its reply.

    ``size_bytes``: of the request. ``followed``: previous response ids in it, as the client sent them. ``said``: the
    client's input, once it ``is_taken``; ``None`` where it has no JSON; ``said_items``: how many it has, but for those
    that give tools; ``people``: owner tags of who took part in items that it refers to;
    ``is_item_unavailable``: one that it refers to could not be looked up;
    ``refers_elsewhere``: one is none of ours. ``previous_as_sent``: the id
    of the response that it follows; ``previous_id``: the same, decrypted. ``looked_up``: what Redis said of that, in
    the words of the metrics; ``asked_at``: when, in seconds of ``time.monotonic``; ``is_counted``: the metrics know
    it. ``history``: ``None`` for a first turn, and while nobody knows it. ``item_ids``: of output items, by upstream's
    ids. ``shown_id``: what a stream's client has seen. ``refusal``: the error of ours that it ended with.
    ``conversation_as_sent``: the id of the conversation object that it is in; ``refused``: why it is not served in it;
    ``hold``: of the object; ``is_kept``: its turn is in it. ``job``: ``api.job.Job`` of a request to run in the
    background. ``became``: what became of its turn, in the words of the metrics. ``model``, ``truncation`` and
    ``context_management``: as its client has them, which upstream does not hand on over a WebSocket.
    ``said_again``: of its parameters, those that its reply says, too.
    ``is_compacting``: its answer is to be a compaction; ``compaction``: what its input begins with, if anything;
    ``made``: one that was made for it, or by it; ``not_compacted``: why that could not be; ``object_tip``: the last
    turn of its conversation object. ``connection``: Starlette's request or WebSocket.
    """

    caller: Owner
    size_bytes: int = 0
    followed: tuple[str, ...] = ()
    is_taken: bool = False
    said: JsonText | None = None
    said_items: int = 0
    instructions: str | None = None
    is_to_be_stored: bool = True
    previous_as_sent: str | None = None
    previous_id: str | None = None
    history: History | None = None
    looked_up: str | None = None
    asked_at: float = 0.0
    is_counted: bool = False
    calls: list["Call | NativeCall"] = field(default_factory=list)
    people: frozenset[str] = frozenset()
    is_item_unavailable: bool = False
    refers_elsewhere: bool = False
    item_ids: dict[str, str] = field(default_factory=dict)
    shown_id: str | None = None
    refusal: Any = None
    conversation_as_sent: str | None = None
    refused: str | None = None
    hold: Any = None
    is_kept: bool = False
    job: Any = None
    became: str | None = None
    model: str | None = None
    truncation: str | None = None
    context_management: Any = None
    said_again: dict[str, Any] = field(default_factory=dict)
    is_compacting: bool = False
    compaction: dict[str, Any] | None = None
    made: dict[str, Any] | None = None
    not_compacted: str | None = None
    object_tip: Tip | None = None
    connection: Any = None
    _place: Place | None = None

    async def take(self, data: Mapping[str, Any]) -> None:
        """``data``: the request's parameters."""
        self.is_taken, self.instructions = True, data.get("instructions")
        self.is_to_be_stored = data.get("store") is not False
        previous = data.get("previous_response_id")
        if isinstance(previous, str) and previous:
            self.previous_as_sent, self.previous_id = self._as_sent(previous)
        self.model, self.truncation = data.get("model"), data.get("truncation")
        self.context_management = data.get("context_management")
        self.said_again = {name: data[name] for name in (*SAID_AGAIN, "store") if data.get(name) is not None}
        if self.previous_as_sent is not None:
            self.said_again["previous_response_id"] = self.previous_as_sent
        await self.take_input(data.get("input"))

    async def take_input(self, client_input: Any) -> None:
        self.refers_elsewhere = isinstance(client_input, list) and any(map(referred_to, client_input))
        self.said_items = len(_without_tools(client_input)) if isinstance(client_input, list) else 1
        try:
            self.said = await off_the_loop(self.size_bytes, take_down, client_input)
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

    def before_what_was_said(self, its_input: Any) -> list[Any]:
        """The items of a call's input that a prompt template of the operator's put before the client's."""
        if self.said is None or not isinstance(its_input, list):
            return []
        given = _without_tools(its_input)
        if len(given) <= self.said_items:
            return []
        said = _without_tools(input_items(json.loads(self.said.text)))
        count = len(given) - len(said)
        return given[:count] if given[count:] == said else []

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
    def by(self) -> tuple[str, ...]:
        """Owner tags of who takes part, those of items that it refers to among them."""
        return (self.caller.tag, *sorted(self.people - {self.caller.tag}))

    def go_on_in(self, conversation: str | None) -> None:
        """In a conversation object. ``None``: in none."""
        self._place = Place(conversation, new_turn()) if conversation is not None else None

    @property
    def conversation_shown(self) -> dict[str, str] | None:
        """As the reply names the conversation object; ``None``: it has none."""
        is_in_one = self.conversation_as_sent is not None and self.refused is None
        return {"id": str(self.conversation_as_sent)} if is_in_one else None

    @property
    def place(self) -> Place:
        """Of its turn: behind the one that it follows; in a conversation of its own where that is not in Redis."""
        if self._place is None:
            tip = self.chain.tip if not self.chain.is_full else None
            self._place = Place(tip.place.conversation if tip is not None else new_conversation(), new_turn())
        return self._place

    def put_place_into(self, item: Any, made: str | None = None) -> None:
        """Gives an output item an id with its place, ``made`` or a new one: the same wherever upstream does."""
        upstreams = field_of(item, "id")
        if not isinstance(upstreams, str) or upstreams in self.item_ids.values():
            return
        if upstreams not in self.item_ids:
            self.item_ids[upstreams] = made or self._item_id(item, len(self.item_ids))
        fields = item if isinstance(item, dict) else vars(item)  # Not by attribute: some of LiteLLM's items are frozen.
        (fields if "id" in fields else item.__pydantic_extra__)["id"] = self.item_ids[upstreams]

    def put_places_into(self, output: Sequence[Any], before: int) -> None:
        """The same for a whole response's output: older releases give an item another id there than in the events.

        ``before``: how many items the client was shown before its model was asked.
        """
        shown = list(self.item_ids.values())[before:]
        for item in output:
            prefix = self._item_id(item, 0)[:-1]
            made = next((each for each in shown if each.startswith(prefix)), None)
            if made is not None:
                shown.remove(made)
            self.put_place_into(item, made)

    def _item_id(self, item: Any, number: int) -> str:
        return item_id_at(str(field_of(item, "type")), self.place, number, is_input=False)

    @property
    def is_in_background(self) -> bool:
        """Whether its client has its answer already."""
        return self.job is not None and bool(self.job.is_taken.is_set())

    @property
    def chain(self) -> Chain:
        return self.history.chain if self.history is not None else NO_TURNS

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What is sent before the request's own input."""
        sent = self.history.sent if self.history is not None else None
        return self.chain.turns if sent is None else sent

    @property
    def history_size(self) -> int:
        """Of the history, in characters, about."""
        if self.history is not None and self.history.sent is not None:
            return text_size(self.history.sent)
        return self.chain.tip.size if self.chain.tip is not None else 0

    @property
    def is_after_ours(self) -> bool:
        """Whether there is a history of ours, though upstream may see no id of a response."""
        is_in_object = self.conversation_shown is not None and bool(self.chain.turns)
        return is_in_object or (self.history is not None and self.history.source is Source.COMPACTION)

    @property
    def said_to_be_stored(self) -> JsonText | None:
        """What the client said, behind the compaction that stands for what was before."""
        if self.compaction is None or self.said is None:
            return self.said
        said = self.said.text
        items = said[1:-1] if said.startswith("[") else dump_json(input_items(json.loads(said)))[1:-1]
        return JsonText(f"[{dump_json(self.compaction)}{',' if items else ''}{items}]")

    @property
    def answered(self) -> "Call | NativeCall | None":
        """The call whose answer is the reply's."""
        return next((call for call in reversed(self.calls) if call.is_answered), None)

    @property
    def streamed_before(self) -> str:
        """What the client was streamed by calls that broke off before another one went on."""
        return "".join(call.streamed for call in self.calls if not call.is_answered)

    @property
    def source(self) -> Source:
        """Where the model that answers has the history from."""
        if self.calls and self.calls[-1].is_held:
            return Source.PROVIDER
        return self.history.source if self.history is not None else Source.NONE


@dataclass
class ClientConnection:
    """A client's WebSocket, or one HTTP request. ``exchange``: the running one, ``None`` between two.

    ``is_on_its_own``: a request of it was not understood, or was not its caller's; the next may be so, too.
    """

    exchange: Exchange | None = None
    is_on_its_own: bool = False


# Of the running request or WebSocket. ``None``: it came by no route of ours.
CONNECTION: ContextVar[ClientConnection | None] = ContextVar("redis_session_patch_connection", default=None)


def running_exchange() -> Exchange | None:
    connection = CONNECTION.get()
    return connection.exchange if connection is not None else None


def _without_tools(items: Sequence[Any]) -> list[Any]:
    """Upstream takes them out on its way to the bridge."""
    return [item for item in items if not isinstance(item, dict) or item.get("type") != ADDITIONAL_TOOLS]
