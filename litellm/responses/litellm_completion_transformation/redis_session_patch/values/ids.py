"""Response ids: what upstream makes of them, and the place in a conversation that the fork puts into them.

Upstream wraps a provider's id as ``resp_`` + base64 of ``litellm:custom_llm_provider:…;model_id:…;response_id:<id>``
(``ResponsesAPIRequestUtils`` in ``litellm/responses/utils.py``), and reads that by splitting at ``;``: it takes part
three and no more. The place is part four. So a database, and a proxy without the fork, still get the provider's id.
"""

import base64
import re
import secrets
from dataclasses import dataclass
from importlib.util import find_spec

_PREFIX = "resp_"
_RESPONSE = ";response_id:"
_PLACE = ";turn:"
_PLACE_FORM = re.compile(r"([\w-]{11})([\w-]{8})", re.ASCII)
_ITEM_FORM = re.compile(r"[a-z]+_([\w-]{11})([\w-]{8})_([io])(\d{1,6})", re.ASCII)
_CONVERSATION = "conv_"
_OBJECT_FORM = re.compile(rf"{_CONVERSATION}([\w-]{{11}})", re.ASCII)
# They begin like OpenAI's.
_ITEM_PREFIXES = {
    "message": "msg_",
    "function_call": "fc_",
    "function_call_output": "fco_",
    "custom_tool_call": "ctc_",
    "custom_tool_call_output": "ctco_",
    "reasoning": "rs_",
    "web_search_call": "ws_",
    "image_generation_call": "ig_",
    "code_interpreter_call": "ci_",
    "compaction": "cmp_",
}
_TURN_BYTES = 6  # Redis keeps a turn as a score too, which is exact up to 53 bits.


@dataclass(frozen=True)
class Place:
    """A turn, a number from 1 to 2**48 - 1 in decimal; and the ``conversation`` it is in, 11 URL-safe characters."""

    conversation: str
    turn: str


@dataclass(frozen=True)
class ItemPlace:
    """An item of a turn: the ``number``-th of its input, or of its output."""

    place: Place
    is_input: bool
    number: int


def new_conversation() -> str:
    return secrets.token_urlsafe(9)[:11]


def new_turn() -> str:
    return str(1 + secrets.randbelow(2 ** (8 * _TURN_BYTES) - 1))


def with_place(response_id: str, place: Place, previous_id: str | None = None) -> str:
    """The provider's id with its place, as upstream is to wrap it.

    From 1.110 on upstream hands out the previous response's id where the provider repeats that.
    """
    own_id = inner_id(response_id)
    if previous_id is not None and own_id == inner_id(previous_id):
        own_id = f"{own_id}-{place.turn}"
    return f"{own_id}{_PLACE}{place.conversation}{turn_text(place.turn)}"


def wrapped_with_place(
    response_id: str, place: Place, previous_id: str | None, provider: str | None, model_id: str | None
) -> str:
    """The same in its wrapper; ``provider`` and ``model_id`` are for an id that has none, as of streams up to 1.99."""
    head = _unwrapped(response_id)[0] or f"litellm:custom_llm_provider:{provider};model_id:{model_id}"
    text = f"{head}{_RESPONSE}{with_place(response_id, place, previous_id)}"
    return _PREFIX + base64.b64encode(text.encode()).decode()


def inner_id(client_id: str) -> str:
    """The provider's id."""
    return _unwrapped(client_id)[1].partition(_PLACE)[0]


def turn_text(turn: str) -> str:
    """A turn's number as it stands in ids: 8 characters."""
    return base64.urlsafe_b64encode(int(turn).to_bytes(_TURN_BYTES, "big")).decode()


def item_id_at(kind: str, place: Place, number: int, *, is_input: bool) -> str:
    """The id of the ``number``-th item of a turn's input, or of its output."""
    prefix, part = _ITEM_PREFIXES.get(kind, "item_"), "i" if is_input else "o"
    return f"{prefix}{place.conversation}{turn_text(place.turn)}_{part}{number}"


def conversation_id(conversation: str) -> str:
    """Of the conversation object."""
    return f"{_CONVERSATION}{conversation}"


def conversation_of(object_id: object) -> str | None:
    """``None``: no id of a conversation object of ours."""
    found = _OBJECT_FORM.fullmatch(object_id) if isinstance(object_id, str) else None
    return found[1] if found else None


def item_place_of(item_id: str) -> ItemPlace | None:
    found = _ITEM_FORM.fullmatch(item_id)
    place = _place(found[1], found[2]) if found else None
    return ItemPlace(place, found[3] == "i", int(found[4])) if found and place else None


def place_of(client_id: str) -> Place | None:
    """The place in a decrypted id; ``None``: it has none."""
    found = _PLACE_FORM.fullmatch(_unwrapped(client_id)[1].partition(_PLACE)[2])
    return _place(found[1], found[2]) if found else None


def _place(conversation: str, turn: str) -> Place | None:
    number = int.from_bytes(base64.urlsafe_b64decode(turn), "big")
    return Place(conversation, str(number)) if number else None


def provider_of(client_id: str) -> str | None:
    """Whose model the wrapper says it is; ``None`` where it says nothing."""
    found = re.match("litellm:custom_llm_provider:([^;]+)", _unwrapped(client_id)[0])
    return found[1] if found else None


def decrypted(client_id: str) -> str:
    """What is inside the proxy's encryption of ids, which is around all other forms; or the id as it is."""
    if find_spec("litellm.proxy.hooks.responses_id_security") is None:  # until 1.79.0: ids are not encrypted
        return client_id
    from litellm.proxy.common_utils.encrypt_decrypt_utils import decrypt_value_helper

    text = decrypt_value_helper(client_id.removeprefix(_PREFIX), "response_id", exception_type="debug")
    found = re.match("litellm_proxy:responses_api:response_id:(.*?);user_id:", text or "", re.DOTALL)
    return found[1] if found else client_id


def _unwrapped(client_id: str) -> tuple[str, str]:
    """What the outer wrapper says before the id, "" where there is none; and the inner id. An MCP round wraps twice."""
    head = ""
    while client_id.startswith(_PREFIX):
        try:
            text = base64.b64decode(client_id[len(_PREFIX) :], validate=True).decode()
        except ValueError:
            break
        said, separator, inner = text.partition(_RESPONSE)
        if not separator:
            break
        head, client_id = head or said, inner
    return head, client_id
