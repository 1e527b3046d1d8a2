"""Tiny trees that look like LiteLLM to the tool: the names it anchors on, and nothing of upstream's
text."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path

from patches import Survey, Target, look_at, open_target
from patches.manifest import FOLDER as RUNTIME
from patches.places import (
    HANDLER,
    PROXY_SERVER,
    RESPONSE_CACHE,
    ROUTING,
    SESSION,
    STREAMING,
    TOKEN_COUNT,
    TRANSFORMATION,
    TRANSPORT,
    WEBSOCKET,
)

RECORD = "litellm-1.106.2.dist-info/RECORD"
OWN = {
    f"{RUNTIME}/bridge.py": b"def without_known_calls(cache):\n    return None\n",
    f"{RUNTIME}/deep/startup.py": b"def announce_at_startup(app):\n    pass\n",
}

SOURCES = {
    "litellm/__init__.py": '"""A stand-in package."""\n',
    TRANSFORMATION: '''"""Turns one shape into another."""

from litellm.caching import InMemoryCache

TOOL_CALLS_CACHE = InMemoryCache()


class LiteLLMCompletionResponsesConfig:
    @staticmethod
    async def async_responses_api_session_handler(previous_response_id, litellm_completion_request):
        return litellm_completion_request
''',
    SESSION: """import json

from litellm.responses.utils import ResponsesAPIRequestUtils


class ResponsesSessionHandler:
    @staticmethod
    async def get_chat_completion_message_history_for_previous_response_id(
        previous_response_id: str,
    ):
        return json.loads("[]")

    @staticmethod
    async def get_all_spend_logs_for_previous_response_id(previous_response_id):
        return []
""",
    HANDLER: """from litellm.responses.litellm_completion_transformation.transformation import (
    LiteLLMCompletionResponsesConfig,
)


class LiteLLMCompletionTransformationHandler:
    def response_api_handler(self):
        responses_api_response = 1
        return responses_api_response

    async def async_response_api_handler(self, request, **kwargs):
        def inner():
            responses_api_response = 2
            return responses_api_response

        litellm_completion_response = await request
        if litellm_completion_response:
            responses_api_response = LiteLLMCompletionResponsesConfig()
            return responses_api_response
        return inner()
""",
    STREAMING: """from litellm.caching import LiteLLMCompletionResponsesConfig


class LiteLLMCompletionStreamingIterator:
    async def __anext__(self):
        raise StopAsyncIteration
""",
    WEBSOCKET: """class ManagedResponsesWebSocketHandler:
    def _apply_history(self, call_kwargs, previous_response_id, prior_history):
        call_kwargs["input"] = prior_history
""",
    RESPONSE_CACHE: '''class LLMCachingHandler:
    def _is_call_type_supported_by_cache(self, original_function):
        """What is kept.

        \u00fcber zwei Zeilen.
        """
        return True
''',
    ROUTING: """async def route_request(data, llm_router, user_model, route_type):
    return getattr(llm_router, route_type)(**data)
""",
    PROXY_SERVER: """def make():
    return object()


app = make()
""",
}

# What the newest releases have besides.
NEWEST = {
    SESSION: SOURCES[SESSION]
    + """
    @staticmethod
    async def get_stored_turns_for_previous_response_id(previous_response_id):
        return ()
""",
    TOKEN_COUNT: """from litellm.caching import LiteLLMCompletionResponsesConfig


async def chat_count_request(model, responses_request):
    return LiteLLMCompletionResponsesConfig()
""",
}

# What some older releases have: a connection that breaks looks like the end of the reply.
SILENT_TRANSPORT = {
    TRANSPORT: """class AiohttpResponseStream:
    def __init__(self, aiohttp_response):
        self._aiohttp_response = aiohttp_response

    async def __aiter__(self):
        try:
            yield b""
        except OSError:
            return
"""
}


def make_tree(
    root: Path,
    changes: Mapping[str, str | bytes | None] | None = None,
    version: str = "1.106.2",
    with_record: bool = True,
) -> Target:
    """Writes the sources, with `changes` (None leaves a file out), a METADATA and a RECORD with
    true hashes."""
    texts = {**SOURCES, **(changes or {})}
    for path, text in texts.items():
        if text is not None:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(text if isinstance(text, bytes) else text.encode())
    info = root / f"litellm-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: litellm\nVersion: {version}\n")
    if with_record:
        write_record(root, info)
    return open_target(root)


def write_record(root: Path, info: Path) -> None:
    lines = []
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        data = path.read_bytes()
        lines.append(f"{path.relative_to(root).as_posix()},{record_hash(data)},{len(data)}\n")
    lines.append(f"{info.name}/RECORD,,\n")
    (info / "RECORD").write_text("".join(lines))


def record_hash(data: bytes) -> str:
    """Written here again, so that the tests do not prove the tool's hashes with the tool's own
    code."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def snapshot(root: Path) -> dict[str, tuple[bytes, int]]:
    """Content and mode of every file, and every folder."""
    return {
        path.relative_to(root).as_posix(): (
            path.read_bytes() if path.is_file() else b"",
            path.stat().st_mode,
        )
        for path in sorted(root.rglob("*"))
    }


def wrong_hashes(root: Path) -> list[str]:
    """The files whose content is not what RECORD says, and files that RECORD does not list."""
    (record,) = root.glob("litellm-*.dist-info/RECORD")
    entries = dict(line.rsplit(",", 2)[:2] for line in record.read_text().splitlines())
    wrong = [
        path
        for path, digest in entries.items()
        if digest and (not (root / path).is_file() or record_hash((root / path).read_bytes()) != digest)
    ]
    listed = {root / path for path in entries}
    return wrong + [str(path) for path in root.rglob("*") if path.is_file() and path not in listed]


def survey(target: Target, own: Mapping[str, bytes] | None = None) -> Survey:
    return look_at(target, OWN if own is None else own)
