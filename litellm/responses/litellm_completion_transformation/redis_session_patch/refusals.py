"""The answers to a previous response that is not there, or cannot be asked for, as OpenAI gives them."""

from typing import Any, TypeGuard

NOT_FOUND = "previous_response_not_found"
CANNOT_ASK = "previous_response_unavailable"
RETRY_AFTER_SECONDS = 2

_STATUS = {NOT_FOUND: 400, CANNOT_ASK: 503}
_TYPE = {NOT_FOUND: "invalid_request_error", CANNOT_ASK: "server_error"}
_PARAM = "previous_response_id"


def is_refusal(code: object) -> TypeGuard[str]:
    return code in _STATUS


def status_of(code: str) -> int:
    return _STATUS[code]


def headers_of(code: str) -> dict[str, str]:
    """Clients' own retries then meet a Redis that is back."""
    return {"Retry-After": str(RETRY_AFTER_SECONDS)} if code == CANNOT_ASK else {}


def error_body(code: str, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": _TYPE[code], "param": _PARAM, "code": code}}


def refuse_unknown_response(model: str, provider: str | None) -> None:
    """Raises LiteLLM's error for a response that is found nowhere.

    The id itself is not repeated: the client knows it wrapped, the bridge only unwrapped.
    """
    message = "The previous response was not found: it is unknown, has expired, or is not yours."
    _raise(NOT_FOUND, message, model, provider)


def refuse_for_now(model: str, provider: str | None) -> None:
    """Raises LiteLLM's error where a response can neither be found nor be said not to exist."""
    message = "The previous response cannot be looked up now: the store of responses does not answer. Try again."
    _raise(CANNOT_ASK, message, model, provider)


def _raise(code: str, message: str, model: str, provider: str | None) -> None:
    import litellm

    # For the router always a bad request: one of another status would count against the model's deployment.
    error: Any = litellm.BadRequestError(message=message, model=model, llm_provider=provider or "")
    error.code, error.param, error.type = code, _PARAM, _TYPE[code]
    raise error
