"""OpenAI's responses, as its own endpoint takes them."""

from __future__ import annotations

from ..chat.openai import error_body
from ..rules import Maker
from . import pairing, schema, state

MAKER = Maker("responses", (*schema.RULES, *state.RULES, *pairing.RULES), error_body)
