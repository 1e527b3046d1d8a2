"""The four wire formats: each module reads a request (`parse`) and writes an answer (`render`,
`stream`).
"""

from . import anthropic, chat, gemini, responses

FORMATS = {"chat": chat, "anthropic": anthropic, "gemini": gemini, "responses": responses}

__all__ = ["FORMATS", "anthropic", "chat", "gemini", "responses"]
