"""Clients as their users install them: a turn with a tool, and the next one in another process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lab.answers import Answer, ToolCall
from lab.exchange import texts_of
from lab.lines import Manner
from lab.provider import Provider
from lab.proxy import MODELS, Proxy

from .conftest import BUILT

HERE = Path(__file__).parent
PYTHON = BUILT / "venv" / "bin" / "python"
CALL = Answer("", (ToolCall("look_up", '{"x": "a"}'),))
CLIENTS = {
    "OpenAI for JavaScript": ["openai.mjs"],
    "Vercel's AI SDK": ["vercel.mjs"],
    "LangChain": [PYTHON, "langchain_client.py"],
    "pydantic-ai": [PYTHON, "pydantic_ai_client.py"],
    "LiteLLM's own SDK": [sys.executable, "litellm_client.py"],
}
MANNERS = [Manner(model, stream) for model in MODELS for stream in (False, True)]


def command(client: str, node: str) -> list[str]:
    *program, script = CLIENTS[client]
    return [str(program[0]), str(HERE / "py" / script)] if program else [node, str(BUILT / "js" / script)]


@pytest.mark.parametrize("manner", MANNERS, ids=str)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_has_its_instructions_its_tool_and_its_conversation(
    client: str, manner: Manner, proxy: Proxy, provider: Provider, node: str, tmp_path: Path
) -> None:
    provider.script(CALL)
    form, file = ("stream" if manner.stream else "plain"), str(tmp_path / "state")
    told: list[str] = []
    for text in ("Look it up.", "And?"):
        words = [*command(client, node), f"{proxy.url}/v1", proxy.key, manner.model, form, file, text]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        told += [text, *(["found a"] if text == "Look it up." else [])]
        conversation = provider.requests()[-1].conversation
        sent = texts_of(conversation)
        assert [each for each in sent if each != "Be brief."] == told
        assert "Be brief." in str(provider.requests()[-1].body)
        calls = [call for message in conversation for call in message.calls]
        assert [(call.name, call.arguments) for call in calls] == [("look_up", '{"x": "a"}')]
        told.append(done.stdout.strip())
    assert len(provider.requests()) == 3
