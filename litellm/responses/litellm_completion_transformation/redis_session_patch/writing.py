"""Storing an answer before the client can use its id."""

import time
from typing import Any

from .conversation import Turn, new_id
from .history import answer_messages
from .request import Request, is_unlogged
from .runtime import Runtime, logger
from .store import Reservation, Skipped, StoreUnavailable


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
    if not is_to_be_stored(runtime, request):
        return response_id if id_is_out else await free_id(runtime, response_id)
    try:
        stored_id = await runtime.write(
            lambda store: store.save(
                response_id,
                _turn(request, completion),
                parent=request.parent,
                owner=request.owner,
                session_id=request.session_id,
                id_is_out=id_is_out,
                reservation=reservation,
            )
        )
    except StoreUnavailable:
        runtime.count("write_failed")
        return response_id
    except Skipped as reason:
        runtime.count("write_skipped")
        logger.warning("A turn is not stored. %s", reason)
        return response_id if id_is_out else await free_id(runtime, response_id)
    runtime.count("written")
    return stored_id


def _turn(request: Request, completion: Any) -> Turn:
    answer = answer_messages(getattr(completion, "choices", None) or ())
    if not answer:
        raise Skipped("The provider's answer has no message.")
    return Turn(
        id=new_id(),
        parent=request.parent.turns[-1].id if request.parent else None,
        input=request.input,
        instructions=request.instructions,
        answer=answer,
        maker=request.maker,
        created=time.time(),
        earlier=request.earlier,
    )


def is_to_be_stored(runtime: Runtime, request: Request) -> bool:
    if request.params.get("store") is False:
        runtime.count("store_false")
        return False
    if not runtime.settings.store_unlogged and is_unlogged(request.call):
        runtime.count("unlogged")
        return False
    if not request.may_store:
        runtime.count("history_unsure")
    return request.may_store


async def free_id(runtime: Runtime, response_id: str) -> str:
    """``response_id``, or another where a stored response has it: nobody may continue that one by mistake."""
    try:
        reservation = await runtime.write(lambda store: store.reserve(response_id))
        await runtime.write(lambda store: store.release(reservation))
    except StoreUnavailable:
        return response_id
    return reservation.response_id
