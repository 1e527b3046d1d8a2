"""The three wire formats: each module reads a request (`parse`) and writes an answer (`render`,
`stream`).
"""

from . import anthropic, chat, gemini

FORMATS = {"chat": chat, "anthropic": anthropic, "gemini": gemini}

__all__ = ["FORMATS", "anthropic", "chat", "gemini"]
