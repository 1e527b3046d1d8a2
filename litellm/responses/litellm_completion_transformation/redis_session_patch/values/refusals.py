"""The answers to a request that cannot be served, as OpenAI gives them."""

import re
from typing import Any, NoReturn, TypeGuard

NOT_FOUND = "previous_response_not_found"
CANNOT_ASK = "previous_response_unavailable"
# Codes of our own, because a native model's provider may give OpenAI's.
CONVERSATION = "conversation_of_bridged_model"
CONVERSATION_BODY = "conversation_body_that_is_no_object"
CONVERSATION_FORM = "conversation_of_bridged_model_misnamed"
CONVERSATION_LOCKED = "conversation_of_bridged_model_locked"
CONVERSATION_TOO = "conversation_and_previous_response"
CONVERSATION_UNREADABLE = "conversation_of_bridged_model_unreadable"
CANNOT_ASK_CONVERSATION = "conversation_unavailable"
ITEM = "item_of_bridged_model"
ITEM_UNSTORED = "item_of_bridged_model_unstored"
CANNOT_ASK_ITEM = "item_unavailable"
UNFINISHED = "previous_response_not_completed"
COMPACTION = "invalid_compaction"
BACKGROUND_UNSTORED = "background_without_store"
BACKGROUND_UNKEPT = "background_of_what_is_not_kept"
BACKGROUND_ENDED = "background_ended"
BACKGROUND_TOO_LARGE = "background_too_large"
BACKGROUND_UNAVAILABLE = "background_unavailable"
BACKGROUND_FULL = "background_responses_of_this_proxy"
BACKGROUND_OWNER_FULL = "background_responses_of_this_owner"

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
    CONVERSATION: error_of("Conversation with id '{}' not found."),
    CONVERSATION_FORM: error_of(
        "Invalid 'conversation'. Expected an ID that begins with 'conv', or an object with such an 'id'.",
        "conversation",
        "invalid_value",
    ),
    CONVERSATION_LOCKED: error_of(
        "Another process is currently operating on this conversation. Please retry in a few seconds.",
        "conversation",
        "conversation_locked",
    ),
    CONVERSATION_BODY: error_of("Invalid body: expected a JSON object.", None, "invalid_json"),
    CONVERSATION_UNREADABLE: error_of(
        "The conversation has items that cannot be sent to this model.", "conversation", "conversation_unreadable"
    ),
    CANNOT_ASK_CONVERSATION: error_of(
        "The conversation cannot be looked up now: the store of responses does not answer. Try again.",
        "conversation",
        CANNOT_ASK_CONVERSATION,
        "server_error",
    ),
    CONVERSATION_TOO: error_of(
        "Mutually exclusive parameters. Ensure you are only providing one of: 'previous_response_id' or"
        " 'conversation'.",
        None,
        "mutually_exclusive_parameters",
    ),
    ITEM: error_of("Item with id '{}' not found.", "input"),
    ITEM_UNSTORED: error_of(
        "Item with id '{}' not found. Items are not persisted when `store` is set to false. Try again with `store` set"
        " to true, or remove this item from your input.",
        "input",
    ),
    CANNOT_ASK_ITEM: error_of(
        "The item with id '{}' cannot be looked up now: the store of responses does not answer. Try again.",
        "input",
        CANNOT_ASK_ITEM,
        "server_error",
    ),
    COMPACTION: error_of(
        "The compaction in the input cannot be read: it was made for somebody else, or by another installation, or was"
        " altered.",
        "input",
        "invalid_encrypted_content",
    ),
    UNFINISHED: error_of(
        "The previous response cannot be followed: it runs in the background and is not done, or it failed, was"
        " cancelled or could not be stored. Wait until it is done, or follow the response before it.",
        "previous_response_id",
        UNFINISHED,
    ),
    BACKGROUND_UNSTORED: error_of(
        "background can only be used when `store` is true.", "background", "unsupported_parameter"
    ),
    BACKGROUND_UNKEPT: error_of(
        "background cannot be used: what this request says must not be stored (no-log), or it names nobody who could"
        " ask for the response.",
        "background",
        "unsupported_parameter",
    ),
    BACKGROUND_ENDED: error_of("The response in the background was cancelled, or its proxy was stopped."),
    BACKGROUND_TOO_LARGE: error_of(
        "background cannot be used: the input is larger than what this proxy stores of a turn.",
        "background",
        "unsupported_parameter",
    ),
    BACKGROUND_UNAVAILABLE: error_of(
        "background cannot be used now: the store of responses does not answer, so nobody could ask for the response."
        " Try again.",
        "background",
        BACKGROUND_UNAVAILABLE,
        "server_error",
    ),
    BACKGROUND_FULL: error_of(
        "Too many responses run in the background of this proxy. Try again.",
        "background",
        BACKGROUND_FULL,
        "rate_limit_error",
    ),
    BACKGROUND_OWNER_FULL: error_of(
        "Too many of your responses run in the background. Wait for one of them, or cancel one.",
        "background",
        BACKGROUND_OWNER_FULL,
        "rate_limit_error",
    ),
}
_STATUS = {
    **dict.fromkeys((CANNOT_ASK, CANNOT_ASK_ITEM, CANNOT_ASK_CONVERSATION, BACKGROUND_UNAVAILABLE), 503),
    **dict.fromkeys((ITEM, ITEM_UNSTORED, CONVERSATION), 404),
    **dict.fromkeys((BACKGROUND_FULL, BACKGROUND_OWNER_FULL), 429),
}


def refuse(code: str, model: str, provider: str | None, what: str = "") -> NoReturn:
    """Raises LiteLLM's error for one of the codes above. ``what``: whose id the message names."""
    import litellm

    refusal = _REFUSALS[code]
    # For the router always a bad request: one of another status would count against the model's deployment.
    error: Any = litellm.BadRequestError(
        message=str(refusal["message"]).format(what), model=model, llm_provider=provider or ""
    )
    error.code, error.param, error.type = code, refusal["param"], refusal["type"]
    raise error


def is_refusal(code: object) -> TypeGuard[str]:
    return isinstance(code, str) and code in _REFUSALS


def answer_of(code: str, message: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Status, headers and body. ``message``: as LiteLLM has changed it on its way here."""
    refusal = _REFUSALS[code]
    what = re.search("id '(.*?)'", message)
    refusal = refusal | {"message": str(refusal["message"]).format(what[1] if what else "")}
    status = _STATUS.get(code, 400)
    return status, RETRY if status in (429, 503) else {}, {"error": refusal}


def unavailable_body(what: str = "response") -> dict[str, Any]:
    message = f"The {what} cannot be looked up now: the store of responses does not answer. Try again."
    return {"error": error_of(message, None, f"{what}_unavailable", "server_error")}
