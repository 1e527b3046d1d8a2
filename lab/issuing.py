"""What a provider gives out with an answer and wants back unchanged: signatures and encrypted content."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import replace

from .answers import Answer
from .refusing.gemini.shapes import ISSUES_IDS


def signed(answer: Answer, format: str, model: str, account: object = "") -> Answer:
    """With a signature where the model would give one and the script names none: the same for the same answer, so that
    every stand-in knows it. `account`: for which encrypted reasoning is made, that no other one can read.
    """
    is_gemini_call = format == "gemini" and bool(answer.tool_calls) and ISSUES_IDS.match(model) is not None
    is_thought = format in ("anthropic", "responses") and answer.thinking is not None
    if answer.signature is not None or not (is_gemini_call or is_thought):
        return answer
    given = (format, answer.thinking, answer.tool_calls, *([account] if format == "responses" else []))
    digest = hashlib.sha256(repr(given).encode(errors="backslashreplace"))
    return replace(answer, signature=base64.b64encode(digest.digest()).decode())


def issued_with(answer: Answer, format: str) -> Iterator[tuple[str, str]]:
    """Each with the text that it goes with: Claude's thinking, which may not be changed; else ""."""
    if answer.signature:
        yield answer.signature, (answer.thinking or "") if format == "anthropic" else ""
    for block in answer.blocks:
        if "data" in block:
            yield block["data"], ""
        if "encrypted_content" in block:
            yield block["encrypted_content"], ""
        if "signature" in block:
            yield block["signature"], block.get("thinking", "")
        content = block.get("content")
        for result in content if isinstance(content, list) else ():
            if "encrypted_content" in result:
                yield result["encrypted_content"], ""
