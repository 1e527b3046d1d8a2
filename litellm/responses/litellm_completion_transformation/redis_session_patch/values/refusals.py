"""The answers to a request that cannot be served, as OpenAI gives them."""

from typing import Any, TypeGuard

NOT_FOUND = "previous_response_not_found"
CANNOT_ASK = "previous_response_unavailable"
# Codes of our own, because a native model's provider may give OpenAI's.
CONVERSATION = "conversation_of_bridged_model"
CONVERSATION_TOO = "conversation_and_previous_response"

# Clients' own retries then meet a Redis that is back.
RETRY = {"Retry-After": "2"}


def error_of(
    message: str, param: str | None = None, code: str | None = None, kind: str = "invalid_request_error"
) -> dict[str, str | None]:
    return {"message": message, "type": kind, "param": param, "code": code}


_REFUSALS = {
    # The id itself is not repeated: the client knows it wrapped, the bridge only unwrapped.
    NOT_FOUND: error_of(
        "The previous response was not found: it is unknown, has expired, was deleted, or is not yours.",
        "previous_response_id",
        NOT_FOUND,
    ),
    CANNOT_ASK: error_of(
        "The previous response cannot be looked up now: the store of responses does not answer. Try again.",
        "previous_response_id",
        CANNOT_ASK,
        "server_error",
    ),
    CONVERSATION: error_of(
        "'conversation' is not supported with this model. Use 'previous_response_id' to go on after a response.",
        "conversation",
        "unsupported_parameter",
    ),
    CONVERSATION_TOO: error_of(
        "Mutually exclusive parameters. Ensure you are only providing one of: 'previous_response_id' or"
        " 'conversation'.",
        None,
        "mutually_exclusive_parameters",
    ),
}


def refuse(code: str, model: str, provider: str | None) -> None:
    """Raises LiteLLM's error for one of the codes above."""
    import litellm

    refusal = _REFUSALS[code]
    # For the router always a bad request: one of another status would count against the model's deployment.
    error: Any = litellm.BadRequestError(message=str(refusal["message"]), model=model, llm_provider=provider or "")
    error.code, error.param, error.type = code, refusal["param"], refusal["type"]
    raise error


def is_refusal(code: object) -> TypeGuard[str]:
    return isinstance(code, str) and code in _REFUSALS


def answer_of(code: str, message: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Status, headers and body."""
    status, headers = (503, RETRY) if code == CANNOT_ASK else (400, {})
    return status, headers, {"error": {**_REFUSALS[code], "message": message}}


def unavailable_body() -> dict[str, Any]:
    message = "The response cannot be looked up now: the store of responses does not answer. Try again."
    return {"error": error_of(message, None, "response_unavailable", "server_error")}
