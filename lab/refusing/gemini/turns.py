"""Gemini's turns of calls and responses, and the signatures that go with them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from itertools import pairwise

from ..rules import Fault, Rule, Sent
from .shapes import contents_of, count_of, has_ids, inner, parts_in, parts_of

CALL, RESPONSE = "function_call", "function_response"
# Documented, for calls that another model made; the provider also takes them as the bytes they are.
DUMMIES = ("context_engineering_is_the_way_to_go", "skip_thought_signature_validator")
ACCEPTED = {*DUMMIES, *(base64.b64encode(dummy.encode()).decode() for dummy in DUMMIES)}


def single_turn(sent: Sent) -> Iterator[Fault]:
    contents = list(contents_of(sent))
    if len(contents) == 1 and contents[0][1].get("role") == "model":
        yield Fault("Please ensure that single turn requests end with a user role or the role field is empty.")


def kinds_of(sent: Sent) -> list[tuple[str, int]]:
    """Each content as a turn: its kind (call, response, user, model), and how many calls or responses it has."""
    return sent.once(walk_kinds)


def walk_kinds(sent: Sent) -> list[tuple[str, int]]:
    kinds = []
    for _, content in contents_of(sent):
        calls, responses = count_of(content, CALL), count_of(content, RESPONSE)
        role = "model" if content.get("role") == "model" else "user"
        kinds.append((CALL, calls) if calls else (RESPONSE, responses) if responses else (role, 0))
    return kinds


def calls_in_wrong_place(sent: Sent) -> Iterator[Fault]:
    kinds = [("nothing", 0), *kinds_of(sent)]
    for (before, _), (kind, _) in pairwise(kinds):
        if kind == CALL and before not in ("user", RESPONSE):
            yield Fault(
                "Please ensure that function call turn comes immediately after a user turn or after a function "
                "response turn."
            )


def responses_in_wrong_place(sent: Sent) -> Iterator[Fault]:
    kinds = [("nothing", 0), *kinds_of(sent)]
    for (before, _), (kind, _) in pairwise(kinds):
        if kind == RESPONSE and before not in (CALL, RESPONSE):
            yield Fault("Please ensure that function response turn comes immediately after a function call turn.")


def missing_responses(sent: Sent) -> Iterator[Fault]:
    """Of the last turn nothing is asked: nothing is known of calls that nothing follows."""
    kinds = kinds_of(sent)
    for index, (kind, calls) in enumerate(kinds[:-1]):
        if kind != CALL:
            continue
        responses = 0
        for after, count in kinds[index + 1 :]:
            if after != RESPONSE:
                break
            responses += count
        if responses != calls:
            yield Fault(
                "Please ensure that the number of function response parts is equal to the number of function call "
                "parts of the function call turn."
            )


def missing_signatures(sent: Sent) -> Iterator[Fault]:
    """In the turn that runs: behind the user's last words, the first call of each of the model's steps has one."""
    contents = list(contents_of(sent)) if has_ids(sent) else []
    said = [
        number
        for number, content in contents
        if content.get("role") != "model" and count_of(content, RESPONSE) < len(parts_of(content))
    ]
    for number, content in contents:
        call = next((part for part in parts_of(content) if CALL in part), None)
        if call is None or number < max(said, default=0) or call.get("thought_signature"):
            continue
        name = (inner(call, CALL) or {}).get("name")
        yield Fault(
            "Function call is missing a thought_signature in functionCall parts. This is required for tools to work "
            "correctly, and missing thought_signature may lead to degraded model performance. Additional data, "
            f"function call `default_api:{name}` , position {number + 1}. Please refer to "
            "https://ai.google.dev/gemini-api/docs/thought-signatures for more details."
        )


def signatures(sent: Sent) -> Iterator[Fault]:
    for _, part in parts_in(sent):
        signature = part.get("thought_signature")
        if signature and signature not in ACCEPTED and (signature, "") not in sent.issued:
            yield Fault("Corrupted thought signature.")


GITHUB = "https://github.com"

RULES = (
    Rule("gemini-single-turn", f"{GITHUB}/microsoft/semantic-kernel/pull/13288", single_turn),
    Rule("gemini-call-place", f"{GITHUB}/google-gemini/gemini-cli/issues/11814", calls_in_wrong_place),
    Rule("gemini-response-place", f"{GITHUB}/langchain-ai/langchain/issues/27799", responses_in_wrong_place),
    Rule("gemini-response-count", f"{GITHUB}/google-gemini/gemini-cli/issues/7410", missing_responses),
    Rule(
        "gemini-missing-signature",
        "https://ai.google.dev/gemini-api/docs/thought-signatures",
        missing_signatures,
    ),
    Rule("gemini-signature", f"{GITHUB}/google-gemini/gemini-cli/issues/13467", signatures),
)
