"""What each provider refuses, with its own error, as its documents or reports of others show it.

Rules are data: a slug, a source, a check of one request. What no source shows, or sources contradict, is taken. A
request is refused by the first rule that finds a fault, in the order in which the provider looks: schema, emptiness and
cache marks, roles, calls and results, thinking and signatures.
"""

from __future__ import annotations

from .anthropic import MAKER as ANTHROPIC
from .chat import MAKERS as CHAT_MAKERS
from .gemini import MAKER as GEMINI
from .responses import MAKER as RESPONSES
from .rules import Fault, HeldItem, Maker, Refusal, Rule, Sent

MAKERS = {maker.name: maker for maker in (ANTHROPIC, GEMINI, RESPONSES, *CHAT_MAKERS)}
DEFAULT_CHAT_MAKER = "deepseek"  # which the lab's `chat-model` is
RULES = {rule.slug: rule for maker in MAKERS.values() for rule in maker.rules}
# Off until they are turned on: older LiteLLM sends an empty list of tools with every bridged request that has none (its
# issue 30539), so that these providers refuse whatever it asks.
OFF = ("deepseek-no-tools", "openai-no-tools")

__all__ = [
    "DEFAULT_CHAT_MAKER",
    "MAKERS",
    "OFF",
    "RULES",
    "Fault",
    "HeldItem",
    "Maker",
    "Refusal",
    "Rule",
    "Sent",
    "maker_of",
]


def maker_of(path: str, format: str) -> Maker:
    """Whose part is played: of the chat format, the provider that the path begins with."""
    if format != "chat":
        return MAKERS[format]
    name = path.strip("/").partition("/")[0]
    return MAKERS.get(name, MAKERS[DEFAULT_CHAT_MAKER])
