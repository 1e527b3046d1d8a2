"""A call of a provider's own Responses endpoint, and what it is sent of a conversation that it does not hold."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..values.owner import digest_of
from ..values.turns import Turn
from .exchange import Exchange
from .history import field_of
from .items import Item, fit_items, input_items

# What of a deployment's parameters says whose account it is at the provider.
_ACCOUNT = ("api_base", "api_key", "organization", "region_name", "aws_region_name", "vertex_project", "extra_headers")

_KEPT = ("completed", "incomplete")


@dataclass
class NativeCall:
    """One call of a provider's own Responses endpoint within an exchange.

    ``kwargs``: what LiteLLM knows of the request. ``account``: who holds what that endpoint stores. ``is_held``: the
    provider goes on from what it holds itself. ``is_served``: it does, or was sent the history. ``own_id``: of its
    response; ``None``: it does not keep that. ``takes_reasoning``: the model has refused none. ``output``: of its
    response, items of LiteLLM's. ``streamed``: what the client was streamed of a text. ``rounds``: turns of this
    exchange that come before it, where the proxy runs tools by itself; ``new_items``: what is new then.
    """

    exchange: Exchange
    kwargs: Mapping[str, Any]
    provider: str
    account: str
    is_held: bool = False
    is_served: bool = False
    is_answered: bool = False
    own_id: str | None = None
    takes_reasoning: bool = True
    output: Sequence[Any] = ()
    streamed: str = ""
    rounds: tuple[Turn, ...] = ()
    new_items: list[Item] | None = None

    @property
    def has_place(self) -> bool:
        """Whether its response can be found here: all is known that it goes on from, and it is somebody's."""
        exchange = self.exchange
        is_whole = (exchange.previous_id is None or exchange.history is not None) and not exchange.refers_elsewhere
        is_to_be_found = exchange.is_to_be_stored or exchange.conversation_shown is not None
        return is_whole and is_to_be_found and exchange.caller.identity is not None

    @property
    def turn(self) -> Turn:
        """As yet without its reply."""
        exchange = self.exchange
        said = exchange.said_to_be_stored if self.new_items is None else self.new_items
        turn = Turn(said, (), exchange.instructions, self.provider, by=exchange.by)
        return replace(turn, account=self.account, held_id=self.own_id)

    @property
    def new_turns(self) -> tuple[Turn, ...]:
        """What is to be stored behind the history."""
        return (*self.rounds, self.turn)

    def go_on_after_tools(self, its_input: Any) -> None:
        """``its_input``: may hold what tools that the proxy ran gave to the call before it."""
        self.is_served = any(call.is_served for call in self.exchange.calls)
        answered = [call for call in self.exchange.calls if isinstance(call, NativeCall) and call.is_answered]
        if not answered:
            return
        before = answered[-1]
        self.is_held = before.is_held
        output = [item if isinstance(item, dict) else item.model_dump(exclude_none=True) for item in before.output]
        called = [item["call_id"] for item in output if item.get("type") == "function_call"]
        results = [item for item in input_items(its_input) if item.get("type") == "function_call_output"]
        if found := [item for item in results if item.get("call_id") in called]:
            self.rounds = (*before.rounds, replace(before.turn, reply={"output": output}))
            self.new_items = found

    def take_answer(self, reply: Any, own_id: str) -> None:
        """``reply``: LiteLLM's response; ``own_id``: its id at the provider."""
        self.output = field_of(reply, "output") or ()
        self.is_answered = (reply.status or _KEPT[0]) in _KEPT
        is_kept = field_of(reply, "store") is not False and self.exchange.is_to_be_stored
        # After a stream that broke it was asked to go on with a text, in words of LiteLLM's.
        self.own_id = own_id if is_kept and not self.exchange.streamed_before else None

    def forget_answer(self) -> None:
        self.is_answered = False

    def goes_on_from(self) -> tuple[str | None, int]:
        """The newest response of the conversation that this account holds, by its id there; and the number of turns
        that this stands for. It knows nothing of items that were deleted since.
        """
        turns = self.exchange.turns
        for number in range(len(turns), 0, -1):
            turn = turns[number - 1]
            if turn.gone:
                break
            if turn.account == self.account and turn.held_id:
                return turn.held_id, number
        return None, 0

    def items_after(self, start: int, its_input: Any) -> list[Item]:
        """The conversation from its ``start``-th turn on, with the request's own input.

        What an operator's template put before the client's input stays in front.
        """
        template: Sequence[Any] = self.exchange.before_what_was_said(its_input)
        new = input_items(its_input)[len(template) :]
        account = self.account if self.takes_reasoning else None
        return [*template, *fit_items(self.exchange.turns, new, account, start)]


def account_of(provider: str, params: Any) -> str:
    """A digest of whose account at a provider a deployment uses. ``params``: the deployment's, by field or name."""
    known = [provider, *(str(field_of(params, name) or "") for name in _ACCOUNT)]
    return str(digest_of(json.dumps(known)))
