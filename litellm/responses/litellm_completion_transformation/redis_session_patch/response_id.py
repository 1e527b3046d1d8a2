"""The response ids that a client holds, around the id that the bridge uses inside.

The outer form is ``resp_`` + base64 of ``litellm:custom_llm_provider:…;model_id:…;response_id:<inner id>``
(``ResponsesAPIRequestUtils`` in ``litellm/responses/utils.py``); older streams hand out the inner id as it is.
"""

import base64
import binascii
import re
from importlib.util import find_spec

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


def decrypted(client_id: str) -> str:
    """What is inside the proxy's encryption of ids, which is around all other forms; or the id as it is."""
    if find_spec("litellm.proxy.hooks.responses_id_security") is None:  # until 1.78: ids are not encrypted
        return client_id
    from litellm.proxy.common_utils.encrypt_decrypt_utils import decrypt_value_helper

    text = decrypt_value_helper(client_id.removeprefix(_PREFIX), "response_id", exception_type="debug")
    found = re.match("litellm_proxy:responses_api:response_id:(.*?);user_id:", text or "", re.DOTALL)
    return found[1] if found else client_id


def provider_of(client_id: str) -> str | None:
    """Whose model the outer form says it is; ``None`` where it says nothing."""
    parts = _unwrap(client_id)
    found = re.match("litellm:custom_llm_provider:([^;]+);", parts[0] + ";") if parts else None
    return found[1] if found else None


def _unwrap(client_id: str) -> tuple[str, str] | None:
    if not client_id.startswith(_PREFIX):
        return None
    try:
        text = base64.b64decode(client_id[len(_PREFIX) :], validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    head, separator, last = text.partition(_LAST_PART)
    return (head, last) if separator else None
