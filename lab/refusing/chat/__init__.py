"""Providers of chat completions, each with what it refuses and how it says so."""

from __future__ import annotations

from . import deepseek, groq, mistral, openai, others, xai

MAKERS = (
    deepseek.MAKER,
    groq.MAKER,
    mistral.MAKER,
    openai.MAKER,
    xai.MAKER,
    others.CEREBRAS,
    others.FIREWORKS,
    others.OLLAMA,
)
