"""Storing an answer before the client can use its id."""

from typing import Any

from .connection import has_database
from .conversation import NO_TURNS, Turn
from .history import answer_messages
from .request import Request, is_unlogged
from .results import NotStored, StoreError, StoreUnavailable
from .runtime import Runtime
from .store import Reservation, different_id


async def store_answer(
    runtime: Runtime,
    request: Request,
    response_id: str,
    completion: Any,
    *,
    id_is_out: bool = False,
    reservation: Reservation | None = None,
) -> str:
    """Stores the turn of ``request`` with the answer ``completion``; the id that the client is to get.

    Where it cannot or must not be stored, that is counted, and the reply goes out all the same.
    """
    result = why_not(runtime, request)
    if result is None:
        try:
            stored_id = await runtime.write(
                lambda store, budget: store.save(
                    response_id,
                    _turn(request, completion),
                    request.history.chain if request.history is not None else NO_TURNS,
                    budget,
                    owner=request.owner,
                    id_is_out=id_is_out,
                    reservation=reservation,
                )
            )
        except StoreUnavailable:
            result = "failed"
        except StoreError as error:
            runtime.rare_log.warn("skipped", f"A turn is not stored. {error}")
            result = "skipped"
        else:
            runtime.metrics.count_turn("stored")
            return stored_id
    runtime.metrics.count_turn(result)
    return response_id if id_is_out else await unused_id(runtime, response_id)


def why_not(runtime: Runtime, request: Request) -> str | None:
    """Why a turn must not be stored, in the words of the metrics; ``None`` where it is to be."""
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


def _turn(request: Request, completion: Any) -> Turn:
    answer = answer_messages(getattr(completion, "choices", None) or ())
    if not answer:
        raise NotStored("The provider's answer has no message.")
    if request.snapshot is None:
        raise NotStored("The client's input has no form that can be stored.")
    return Turn(request.snapshot, answer, request.instructions, request.maker, request.session_id)
