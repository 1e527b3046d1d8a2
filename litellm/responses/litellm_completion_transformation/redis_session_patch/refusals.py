"""The answers to a request that cannot be served, as OpenAI gives them."""

from dataclasses import dataclass
from typing import Any, TypeGuard

NOT_FOUND = "previous_response_not_found"
CANNOT_ASK = "previous_response_unavailable"
RETRY_AFTER_SECONDS = 2

# Codes of our own, because a native model's provider may give OpenAI's.
_CONVERSATION = "conversation_of_bridged_model"
_CONVERSATION_TOO = "conversation_and_previous_response"


@dataclass(frozen=True)
class _Refusal:
    status: int
    code: str
    param: str | None
    type: str = "invalid_request_error"


_REFUSALS = {
    NOT_FOUND: _Refusal(400, NOT_FOUND, "previous_response_id"),
    CANNOT_ASK: _Refusal(503, CANNOT_ASK, "previous_response_id", "server_error"),
    _CONVERSATION: _Refusal(400, "unsupported_parameter", "conversation"),
    _CONVERSATION_TOO: _Refusal(400, "mutually_exclusive_parameters", None),
}


def is_refusal(code: object) -> TypeGuard[str]:
    return isinstance(code, str) and code in _REFUSALS


def status_of(code: str) -> int:
    return _REFUSALS[code].status


def headers_of(code: str) -> dict[str, str]:
    """Clients' own retries then meet a Redis that is back."""
    return {"Retry-After": str(RETRY_AFTER_SECONDS)} if code == CANNOT_ASK else {}


def error_body(code: str, message: str) -> dict[str, Any]:
    refusal = _REFUSALS[code]
    return _body(message, refusal.type, refusal.param, refusal.code)


def invalid_request_body(message: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    return _body(message, "invalid_request_error", param, code)


def unavailable_body() -> dict[str, Any]:
    message = "The response cannot be looked up now: the store of responses does not answer. Try again."
    return _body(message, "server_error", None, "response_unavailable")


def _body(message: str, kind: str, param: str | None, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def refuse_unknown_response(model: str, provider: str | None) -> None:
    """Raises LiteLLM's error for a response that is found nowhere.

    The id itself is not repeated: the client knows it wrapped, the bridge only unwrapped.
    """
    message = "The previous response was not found: it is unknown, has expired, was deleted, or is not yours."
    _raise(NOT_FOUND, message, model, provider)


def refuse_for_now(model: str, provider: str | None) -> None:
    """Raises LiteLLM's error where a response can neither be found nor be said not to exist."""
    message = "The previous response cannot be looked up now: the store of responses does not answer. Try again."
    _raise(CANNOT_ASK, message, model, provider)


def refuse_conversation(model: str, provider: str | None, has_previous_response: bool) -> None:
    """Raises LiteLLM's error for the parameter ``conversation``."""
    if has_previous_response:
        message = "Ensure you are only providing one of: 'previous_response_id' or 'conversation'."
        _raise(_CONVERSATION_TOO, f"Mutually exclusive parameters. {message}", model, provider)
    message = "'conversation' is not supported with this model. Use 'previous_response_id' to go on after a response."
    _raise(_CONVERSATION, message, model, provider)


def _raise(code: str, message: str, model: str, provider: str | None) -> None:
    import litellm

    # For the router always a bad request: one of another status would count against the model's deployment.
    error: Any = litellm.BadRequestError(message=message, model=model, llm_provider=provider or "")
    error.code, error.param, error.type = code, _REFUSALS[code].param, _REFUSALS[code].type
    raise error
