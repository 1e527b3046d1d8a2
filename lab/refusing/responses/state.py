"""What a request for a response names of what its account holds, or was given."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..rules import Fault, Rule, Sent
from .shapes import is_reference, items_of, seen_by

NOT_KEPT = (
    " Items are not persisted when `store` is set to false. Try again with `store` set to true, or remove this item "
    "from your input."
)
NO_REASONING = re.compile(r"^(gpt-3|gpt-4|chatgpt-4o)")


def unknown_responses(sent: Sent) -> Iterator[Fault]:
    if sent.before is None:
        yield Fault(
            f"Previous response with id '{sent.body.get('previous_response_id')}' not found.",
            param="previous_response_id",
            code="previous_response_not_found",
        )


def unknown_items(sent: Sent) -> Iterator[Fault]:
    """Items that are only named: references, and reasoning without its content."""
    more = NOT_KEPT if sent.body.get("store") is False else ""
    for _, _, item in items_of(sent):
        if is_reference(item) and item["id"] not in sent.held:
            yield Fault(f"Item with id '{item['id']}' not found.{more}", param="input", status=404)


def doubled_items(sent: Sent) -> Iterator[Fault]:
    """Also of what `previous_response_id` stands for."""
    seen: set[object] = {item.get("id") for item in sent.before or ()} - {None}
    for _, _, item in items_of(sent):
        id = item.get("id")
        if isinstance(id, str):
            if id in seen:
                yield Fault(
                    f"Duplicate item found with id {id}. Remove duplicate items from your input and try again.",
                    param="input",
                )
            seen.add(id)


def encrypted_content(sent: Sent) -> Iterator[Fault]:
    """What another account was given, or nobody."""
    for _, kind, item in items_of(sent):
        content = item.get("encrypted_content")
        if kind in ("reasoning", "compaction") and isinstance(content, str) and content:
            named = f"for item {item['id']}" if item.get("id") else f"{content[:4]}...{content[-4:]}"
            if (content, "") not in sent.issued:
                yield Fault(
                    f"The encrypted content {named} could not be verified. Reason: Encrypted content could not be "
                    "decrypted or parsed.",
                    code="invalid_encrypted_content",
                )


def reasoning_of_others(sent: Sent) -> Iterator[Fault]:
    if NO_REASONING.match(sent.model) and any(item.get("type") == "reasoning" for item in seen_by(sent)):
        yield Fault(
            "Reasoning input items can only be provided to a reasoning or computer use model. Remove reasoning items "
            "from your input and try again.",
            param="input",
        )


GITHUB = "https://github.com"

RULES = (
    Rule("responses-unknown-response", f"{GITHUB}/router-for-me/CLIProxyAPI/issues/2954", unknown_responses),
    Rule("responses-unknown-item", f"{GITHUB}/can1357/oh-my-pi/issues/41", unknown_items),
    Rule("responses-doubled-item", f"{GITHUB}/vercel/ai/pull/15492", doubled_items),
    Rule(
        "responses-encrypted-content",
        f"{GITHUB}/smallmain/vscode-unify-chat-provider/issues/178",
        encrypted_content,
    ),
    Rule("responses-reasoning-model", f"{GITHUB}/openai/openai-agents-python/pull/2602", reasoning_of_others),
)
