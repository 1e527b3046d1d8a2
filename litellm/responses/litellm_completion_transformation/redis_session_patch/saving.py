"""Storing an answer before the client can use its id."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from .connection import has_database
from .conversation import Turn
from .history import answer_messages
from .request import Request, is_unlogged
from .results import Miss, NotStored, StoreError, StoreUnavailable
from .runtime import Runtime
from .store import Budget, Reservation, SessionStore, different_id

Reply = dict[str, Any]


async def store_answer(
    runtime: Runtime,
    request: Request,
    response_id: str,
    completion: Any,
    reply_of: Callable[[], Reply | None] = lambda: None,
    *,
    id_is_out: bool = False,
    reservation: Reservation | None = None,
) -> str:
    """Stores the turn of ``request`` with the answer ``completion``; the id that the client is to get.

    ``reply_of`` gives the reply as it will probably leave; without it the turn can be continued, but its response not
    got. Where the turn cannot or must not be stored, that is counted, and the reply goes out all the same.
    """
    result = why_not(runtime, request)
    if result is None:
        reply = reply_of()
        try:
            save = _saving(request, completion, reply, id_is_out=id_is_out, reservation=reservation)
            stored_id = await runtime.write(lambda store, budget: save(store, budget, response_id))
        except StoreUnavailable:
            result = "failed"
        except StoreError as error:
            runtime.rare_log.warn("skipped", f"A turn is not stored. {error}")
            result = "skipped"
        else:
            runtime.metrics.count_turn("stored")
            if request.outgoing is not None:
                stored = _Stored(runtime, request, stored_id, completion)
                request.outgoing.keep(stored_id, reply, stored)
                if request.outgoing.is_over:
                    await request.outgoing.end()
            return stored_id
    runtime.metrics.count_turn(result)
    return response_id if id_is_out else await unused_id(runtime, response_id)


def why_not(runtime: Runtime, request: Request) -> str | None:
    """Why a turn must not be stored, in the words of the metrics; ``None`` where it is to be."""
    if request.owner.identity is None:
        return "unidentified"
    if request.history_unknown:
        return "skipped"
    if request.outgoing is not None and request.outgoing.is_over:
        return "refused"
    if request.params.get("store") is False:
        return "store_false"
    if not runtime.settings.store_unlogged and is_unlogged(request.call):
        return "unlogged"
    return None


async def unused_id(runtime: Runtime, response_id: str) -> str:
    """An id that no stored response has, for one that is not stored: nobody may continue that one by mistake.

    The provider's own, where the database needs it to find the response.
    """
    if not has_database():
        return different_id(response_id)
    try:
        is_taken = await runtime.write(lambda store, _: store.is_taken(response_id))
    except StoreError:
        return response_id
    return different_id(response_id) if is_taken else response_id


@dataclass(frozen=True)
class _Stored:
    """See ``outgoing.Stored``."""

    runtime: Runtime
    request: Request
    response_id: str
    completion: Any

    async def store_again(self, reply: Reply) -> None:
        """Before a client can follow it."""

        async def replace(store: SessionStore, budget: Budget) -> None:
            mark = await store.delete(self.response_id, self.request.may_continue)
            if not isinstance(mark, Miss):
                held = Reservation(self.response_id, mark)
                save = _saving(self.request, self.completion, reply, id_is_out=True, reservation=held)
                await save(store, budget, self.response_id)

        await self.runtime.write(replace)

    async def take_out(self) -> None:
        await self.runtime.write(lambda store, _: store.delete(self.response_id, self.request.may_continue))
        self.runtime.metrics.count_turn("refused")


def _saving(
    request: Request, completion: Any, reply: Reply | None, **how: Any
) -> Callable[[SessionStore, Budget, str], Awaitable[str]]:
    async def save(store: SessionStore, budget: Budget, response_id: str) -> str:
        turn = _turn(request, completion, reply)
        return await store.save(response_id, turn, request.chain, budget, owner=request.owner, **how)

    return save


def _turn(request: Request, completion: Any, reply: Reply | None) -> Turn:
    answer = answer_messages(getattr(completion, "choices", None) or ())
    if not answer:
        raise NotStored("The provider's answer has no message.")
    if request.snapshot is None:
        raise NotStored("The client's input has no form that can be stored.")
    return Turn(request.snapshot, answer, request.instructions, request.maker, request.session_id, reply)
