"""The answer to an unknown previous response, as OpenAI gives it."""

from typing import Any

CODE = "previous_response_not_found"
PARAM = "previous_response_id"
TYPE = "invalid_request_error"


def error_body(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": TYPE, "param": PARAM, "code": CODE}}


def refuse_unknown_response(model: str, provider: str | None) -> None:
    """Raises LiteLLM's 400 for a response that is found nowhere.

    The id itself is not repeated: the client knows it wrapped, the bridge only unwrapped.
    """
    import litellm

    message = "The previous response was not found: it is unknown, has expired, or is not yours."
    error = litellm.BadRequestError(message=message, model=model, llm_provider=provider or "")
    error.code, error.param, error.type = CODE, PARAM, TYPE
    raise error
