"""The model that is asked, and what its maker and its provider take: the rules, as data.

Their sources are named in ``docs/what-a-model-gets.md``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

# Calls of tools that Claude runs itself, with their results beside them in ``provider_specific_fields``.
HOSTED = "srvtoolu_"
HOSTED_RESULTS = ("web_search_results", "tool_results")
OPEN_CALLS = "server_tool_calls"

# Of an answer every maker's models may be sent the text and the calls. These fields are input to their own maker's
# models too; of ``provider_specific_fields`` those that are named.
_OWN: Mapping[str, frozenset[str]] = {
    "claude": frozenset({"thinking_blocks"}),
    "gemini": frozenset({"reasoning_content", "images"}),
    "deepseek": frozenset({"reasoning_content"}),
    "fireworks_ai": frozenset({"reasoning_content"}),
    "moonshot": frozenset({"reasoning_content"}),
    "openrouter": frozenset({"reasoning_details"}),
}
_OWN_SPECIFIC: Mapping[str, frozenset[str]] = {
    "claude": frozenset({"compaction_blocks", *HOSTED_RESULTS, OPEN_CALLS}),
    "gemini": frozenset({"thought_signatures", "server_side_tool_invocations"}),
}

# A provider with a chat format of its own refuses what another host of the same model takes.
STRICT = frozenset({"groq", "mistral", "cerebras", "openai", "azure", "xai", "together_ai", "ollama", "ollama_chat"})

# Those of ``provider_specific_fields`` that are an answer by themselves.
SAYING = ("compaction_blocks", OPEN_CALLS, "server_side_tool_invocations")

# LiteLLM carries Gemini's signature of a call in the call's id.
SIGNATURE = re.compile("__thought__.*", re.DOTALL)

LONGEST_ID = 40  # OpenAI's; Mistral wants nine letters or digits
MISTRALS_ID = re.compile("[a-zA-Z0-9]{9}")

# Who reads cache marks, how many it takes in a request, and who refuses them or has no use for them.
MOST_MARKS: Mapping[str, int] = {"claude": 4}
NO_MARKS = STRICT | {"deepseek", "fireworks_ai"}

# Makers and providers that refuse two calls of the same id in a conversation.
_UNIQUE_IDS = frozenset({"claude", "deepseek", "mistral"})


@dataclass(frozen=True)
class Target:
    """The model that is asked. ``maker``: of the model; ``provider``: who hosts it, in LiteLLM's words; ``marks``: how
    many cache marks stand outside the messages; ``compacts``: whether it is asked to summarize by itself.
    """

    maker: str | None
    provider: str | None
    marks: int = 0
    compacts: bool = False

    @property
    def wants_unique_ids(self) -> bool:
        return not _UNIQUE_IDS.isdisjoint((self.maker, self.provider))

    @cached_property
    def own(self) -> frozenset[str]:
        """Fields of a message."""
        return frozenset() if self.provider in STRICT else _OWN.get(self.maker or "", frozenset())

    @cached_property
    def own_specific(self) -> frozenset[str]:
        """Of ``provider_specific_fields``."""
        own = frozenset() if self.provider in STRICT else _OWN_SPECIFIC.get(self.maker or "", frozenset())
        return own if self.compacts else own - {"compaction_blocks"}
