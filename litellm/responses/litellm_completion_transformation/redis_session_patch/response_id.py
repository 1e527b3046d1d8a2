"""The response ids that a client holds, around the id that the bridge uses inside.

The outer form is ``resp_`` + base64 of ``litellm:custom_llm_provider:…;model_id:…;response_id:<inner id>``
(``ResponsesAPIRequestUtils`` in ``litellm/responses/utils.py``); older streams hand out the inner id as it is.
"""

import base64
import binascii

_PREFIX = "resp_"
_LAST_PART = ";response_id:"


def inner_id(client_id: str) -> str:
    """The innermost id of ``client_id``: an MCP round trip wraps it twice, and upstream then unwraps it once."""
    while parts := _unwrap(client_id):
        client_id = parts[1]
    return client_id


def with_inner_id(client_id: str, new_id: str) -> str:
    """``client_id`` with another id inside the same wrapper."""
    parts = _unwrap(client_id)
    if parts is None:
        return new_id
    wrapped = f"{parts[0]}{_LAST_PART}{new_id}".encode()
    return _PREFIX + base64.b64encode(wrapped).decode()


def _unwrap(client_id: str) -> tuple[str, str] | None:
    if not client_id.startswith(_PREFIX):
        return None
    try:
        text = base64.b64decode(client_id[len(_PREFIX) :], validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    head, separator, last = text.partition(_LAST_PART)
    return (head, last) if separator else None
