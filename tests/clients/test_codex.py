"""The Codex CLI over HTTP and over a WebSocket: its instructions, a tool, a session that is resumed, its compaction."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.answers import Answer, ToolCall
from lab.exchange import texts_of
from lab.provider import Provider
from lab.proxy import MODELS, Proxy

from .conftest import BUILT

INSTRUCTIONS = "You are a coding agent"
SUMMARY = "Write a summary of this conversation"
CALL = Answer("I look.", (ToolCall("exec_command", json.dumps({"cmd": "echo found it"})),))
LIMIT = 9_000  # tokens, from which Codex compacts; its instructions take some 5,000

Run = Callable[[str], None]


@pytest.fixture(params=["http", "websocket"])
def codex(request: pytest.FixtureRequest, model: str, proxy: Proxy, node: str, tmp_path: Path) -> Run:
    """Says something to it: the first time in a new session, then in that one, each time as a new process."""
    home, folder = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    folder.mkdir()
    # It asks for compactions with the name of OpenAI alone.
    (home / "config.toml").write_text(f"""
model = "{model}"
model_provider = "proxy"
model_auto_compact_token_limit = {LIMIT}
model_context_window = 40000
approval_policy = "never"
sandbox_mode = "danger-full-access"
[model_providers.proxy]
name = "OpenAI"
base_url = "{proxy.url}/v1"
env_key = "PROXY_KEY"
wire_api = "responses"
supports_websockets = {str(request.param == "websocket").lower()}
request_max_retries = 0
stream_max_retries = 0
""")
    environment = {**os.environ, "CODEX_HOME": str(home), "PROXY_KEY": proxy.key}
    program = [node, str(BUILT / "js" / "node_modules" / "@openai" / "codex" / "bin" / "codex.js")]

    def run(text: str) -> None:
        resumed = ["resume", "--last"] if (home / "sessions").exists() else []
        words = [*program, "exec", "--skip-git-repo-check", "--json", *resumed, text]
        done = subprocess.run(
            words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert '"turn.completed"' in done.stdout, done.stdout

    return run


@pytest.mark.parametrize("model", MODELS)
def test_it_has_its_instructions_its_tool_and_its_session(model: str, codex: Run, provider: Provider) -> None:
    provider.script(CALL, Answer("It is there."))
    codex("Look it up.")
    codex("And?")
    requests = provider.requests()
    assert len(requests) == 3
    for request in requests:
        assert INSTRUCTIONS in str(request.body) and "exec_command" in str(request.body)
    sent = texts_of(requests[-1].conversation)
    start = sent.index("Look it up.")
    assert sent[start + 1] == "I look." and "found it" in sent[start + 2]
    assert sent[start + 3 :] == ["It is there.", "And?"]


@pytest.mark.parametrize("model", MODELS)
def test_it_goes_on_past_its_limit_three_times(model: str, codex: Run, provider: Provider) -> None:
    provider.always(Answer("It asked much."), when=SUMMARY)
    turns = 0
    while sum(SUMMARY in texts_of(each.conversation)[-1] for each in provider.requests()) < 3:
        codex(f"turn {turns} {'word ' * 1_500}")
        turns += 1
        assert turns < 12
    requests = [texts_of(request.conversation) for request in provider.requests()]
    for before, now in itertools.pairwise(requests):
        if SUMMARY not in before[-1]:
            continue
        assert any(text.endswith("It asked much.") for text in now)
        assert now[-1].startswith("turn ") and any(text.startswith(INSTRUCTIONS) for text in now)
        assert now[-1].split()[1] == str(int(before[-3].split()[1]) + 1) and before[-3] in now
