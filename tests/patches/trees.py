"""Tiny trees that look like LiteLLM to the tool: the names it anchors on, and nothing of upstream's
text."""

from __future__ import annotations

import atexit
import base64
import hashlib
import itertools
import json
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from patches import Survey, Target, look_at, open_target
from patches.catalogue import PATCHES
from patches.errors import AnchorError
from patches.manifest import FOLDER as RUNTIME
from patches.tried import TRIED, digest_at, functions_of

REPOSITORY = Path(__file__).resolve().parents[2]
EDITS = [edit for patch in PATCHES for edit in patch.edits]

BRIDGE_FOLDER = "litellm/responses/litellm_completion_transformation"
TRANSFORMATION = f"{BRIDGE_FOLDER}/transformation.py"
HANDLER = f"{BRIDGE_FOLDER}/handler.py"
STREAMING = f"{BRIDGE_FOLDER}/streaming_iterator.py"
SESSION = f"{BRIDGE_FOLDER}/session_handler.py"
TOKEN_COUNT = f"{BRIDGE_FOLDER}/count_request.py"
WEBSOCKET = "litellm/responses/streaming_iterator.py"
RESPONSE_CACHE = "litellm/caching/caching_handler.py"
TRANSPORT = "litellm/llms/custom_httpx/aiohttp_transport.py"
PROVIDERS_OWN = "litellm/llms/custom_httpx/llm_http_handler.py"
PROXY_SERVER = "litellm/proxy/proxy_server.py"
ROUTING = "litellm/proxy/route_llm_request.py"

RECORD = "litellm-1.106.2.dist-info/RECORD"
OWN = {
    f"{RUNTIME}/bridge.py": b"def without_known_calls(cache):\n    return None\n",
    f"{RUNTIME}/deep/startup.py": b"def announce_at_startup(app):\n    pass\n",
}

# What the fork uses and does not change.
USED = {
    "litellm/main.py": "def stream_chunk_builder(chunks):\n    return chunks\n",
    "litellm/responses/main.py": """from litellm import Handler

litellm_completion_transformation_handler = Handler()


def responses(**kwargs):
    return litellm_completion_transformation_handler.response_api_handler(**kwargs)
""",
    "litellm/responses/utils.py": "class ResponsesAPIRequestUtils:\n    pass\n",
    "litellm/litellm_core_utils/streaming_handler.py": """class CustomStreamWrapper:
    def __init__(self):
        self.received_finish_reason = self.intermittent_finish_reason = None
""",
    "litellm/proxy/common_request_processing.py": """from litellm.proxy.route_llm_request import route_request


class ProxyBaseLLMRequestProcessing:
    async def process(self, route_type):
        return await route_request(data=self.data, route_type=route_type)
""",
    "litellm/proxy/response_api_endpoints/endpoints.py": """from fastapi import APIRouter

router = APIRouter()


async def responses_api(request, fastapi_response, user_api_key_dict):
    return request, "aresponses"


async def get_response(response_id, request, user_api_key_dict):
    return request


async def delete_response(response_id, request, user_api_key_dict):
    return request


async def get_response_input_items(response_id, request, user_api_key_dict):
    return request


async def responses_websocket_endpoint(websocket, user_api_key_dict):
    return websocket
""",
    "litellm/proxy/litellm_pre_call_utils.py": """class LiteLLMProxyRequestSetup:
    @staticmethod
    def get_sanitized_user_information_from_key(user_api_key_dict):
        return StandardLoggingUserAPIKeyMetadata(
            user_api_key_hash=1,
            user_api_key_user_id=1,
            user_api_key_team_id=1,
            user_api_key_org_id=1,
            user_api_key_end_user_id=1,
        )


class KeyAndTeamLoggingSettings:
    @staticmethod
    def get_key_dynamic_logging_settings(user_api_key_dict):
        return None

    @staticmethod
    def get_team_dynamic_logging_settings(user_api_key_dict):
        return None
""",
    "litellm/proxy/auth/auth_utils.py": """def get_end_user_id_from_request_body(request_body):
    return None


def get_request_route(request):
    return request
""",
    "litellm/proxy/utils.py": """class ProxyLogging:
    def get_proxy_hook(self, hook):
        return hook
""",
    "litellm/proxy/hooks/responses_id_security.py": """class ResponsesIDSecurity:
    async def async_post_call_success_hook(self, data, user_api_key_dict, response):
        return response
""",
    "litellm/proxy/auth/user_api_key_auth.py": "def user_api_key_auth():\n    return None\n",
    "litellm/proxy/_types.py": """class LitellmUserRoles:
    PROXY_ADMIN = "proxy_admin"


class ProxyException(Exception):
    def __init__(self, message, type, param, code, openai_code=None):
        self.message, self.headers, self.openai_code = message, {}, openai_code
""",
    "litellm/proxy/common_utils/encrypt_decrypt_utils.py": """def decrypt_value_helper(value, key, exception_type):
    return value
""",
    "litellm/litellm_core_utils/redact_messages.py": """def should_redact_message_logging(model_call_details):
    return False
""",
    "litellm/litellm_core_utils/get_llm_provider_logic.py": """def get_llm_provider(
    model, custom_llm_provider=None, api_base=None
):
    return model
""",
    "litellm/router.py": """class Router:
    def get_model_list(self, model_name=None):
        return []
""",
    "litellm/utils.py": """def token_counter(model, messages=None, tools=None):
    return 0


def get_model_info(model, custom_llm_provider=None):
    return {}


class ProviderConfigManager:
    @staticmethod
    def get_provider_responses_api_config(provider, model):
        return None
""",
    "litellm/types/utils.py": "class LlmProviders:\n    OPENAI = 1\n",
    "litellm/types/llms/openai.py": """class ResponsesAPIResponse:
    id: str
    output: list
    previous_response_id: str
""",
    "litellm/_redis.py": "def get_redis_client():\n    return None\n",
    "litellm/_logging.py": "verbose_proxy_logger = object()\n",
}

SOURCES = {
    **USED,
    "litellm/__init__.py": '"""A stand-in package."""\n\nturn_off_message_logging = False\n',
    TRANSFORMATION: '''"""Turns one shape into another."""

from litellm.caching import InMemoryCache

TOOL_CALLS_CACHE = InMemoryCache()


class LiteLLMCompletionResponsesConfig:
    @staticmethod
    async def async_responses_api_session_handler(previous_response_id, litellm_completion_request):
        find = ResponsesSessionHandler.get_chat_completion_message_history_for_previous_response_id
        return find, litellm_completion_request

    @staticmethod
    def transform_responses_api_input_to_messages(input, responses_api_request):
        return TOOL_CALLS_CACHE.get_cache(key=input)

    @staticmethod
    def transform_responses_api_request_to_chat_completion_request(
        model, input, responses_api_request, custom_llm_provider=None
    ):
        TOOL_CALLS_CACHE.set_cache(key=model)
''',
    SESSION: """import json

from litellm.responses.utils import ResponsesAPIRequestUtils


class ResponsesSessionHandler:
    @staticmethod
    async def get_chat_completion_message_history_for_previous_response_id(
        previous_response_id: str,
    ):
        await ResponsesSessionHandler.get_all_spend_logs_for_previous_response_id(previous_response_id)
        return json.loads("[]")

    @staticmethod
    async def get_all_spend_logs_for_previous_response_id(previous_response_id):
        return []
""",
    HANDLER: """from litellm.responses.litellm_completion_transformation.transformation import (
    LiteLLMCompletionResponsesConfig,
)


class LiteLLMCompletionTransformationHandler:
    def response_api_handler(self, **kwargs):
        return self.async_response_api_handler(
            litellm_completion_request=1, request_input=2, responses_api_request=3, **kwargs
        )

    async def async_response_api_handler(
        self, litellm_completion_request, request_input, responses_api_request, **kwargs
    ):
        def inner():
            responses_api_response = kwargs["litellm_metadata"]
            return responses_api_response

        litellm_completion_response = await LiteLLMCompletionResponsesConfig.async_responses_api_session_handler(
            previous_response_id=responses_api_request["previous_response_id"],
            litellm_completion_request=litellm_completion_request,
        )
        if litellm_completion_response:
            responses_api_response = LiteLLMCompletionResponsesConfig()
            return responses_api_response
        return inner()
""",
    STREAMING: """from litellm.caching import LiteLLMCompletionResponsesConfig


class LiteLLMCompletionStreamingIterator:
    def __init__(self, litellm_custom_stream_wrapper):
        self.litellm_custom_stream_wrapper = litellm_custom_stream_wrapper
        self.litellm_model_response = None
        self.collected_chat_completion_chunks = []

    async def __anext__(self):
        raise StopAsyncIteration
""",
    WEBSOCKET: """class ManagedResponsesWebSocketHandler:
    def _apply_history(self, call_kwargs, previous_response_id, prior_history):
        call_kwargs["input"] = prior_history

    def create(self):
        self._apply_history({}, None, [])


class ResponsesAPIStreamingIterator:
    async def __anext__(self):
        raise StopAsyncIteration


class MockResponsesAPIStreamingIterator:
    async def __anext__(self):
        raise StopAsyncIteration
""",
    RESPONSE_CACHE: '''class LLMCachingHandler:
    def _is_call_type_supported_by_cache(self, original_function):
        """What is kept.

        \u00fcber zwei Zeilen.
        """
        return True

    def get(self, request_kwargs):
        self.request_kwargs = request_kwargs
        return self._is_call_type_supported_by_cache(original_function=self)
''',
    TRANSPORT: """class AiohttpResponseStream:
    def __init__(self, aiohttp_response):
        self._aiohttp_response = aiohttp_response
""",
    PROVIDERS_OWN: """class BaseLLMHTTPHandler:
    def response_api_handler(self, **known):
        return self.async_response_api_handler(
            model=1,
            input=1,
            response_api_optional_request_params=1,
            custom_llm_provider=1,
            litellm_params=1,
            logging_obj=1,
            litellm_metadata=1,
        )

    async def async_response_api_handler(
        self,
        model,
        input,
        response_api_optional_request_params,
        custom_llm_provider,
        litellm_params,
        logging_obj,
        litellm_metadata,
    ):
        return None
""",
    ROUTING: """async def route_request(data, llm_router, user_model, route_type):
    return getattr(llm_router, route_type)(**data)
""",
    PROXY_SERVER: """def make():
    return object()


general_settings = {}
master_key = user_custom_auth = None
app = make()
""",
}

# What the newest releases have besides.
NEWEST = {
    TRANSFORMATION: SOURCES[TRANSFORMATION].replace(
        "(previous_response_id, litellm_completion_request)",
        "(previous_response_id, litellm_completion_request, input_replaces_history=False)",
    ),
    SESSION: SOURCES[SESSION]
    + """
    @staticmethod
    async def get_stored_turns_for_previous_response_id(previous_response_id):
        return ()


class StoredTurns:
    spend_logs: tuple
    proxy_server_requests: tuple
""",
    TOKEN_COUNT: """from litellm.caching import LiteLLMCompletionResponsesConfig


async def chat_count_request(model, responses_request):
    return await LiteLLMCompletionResponsesConfig.async_responses_api_session_handler()
""",
    PROXY_SERVER: SOURCES[PROXY_SERVER].replace("return object()", "return chat_count_request()"),
    f"{BRIDGE_FOLDER}/client_tool_search.py": "def bridge_client_tool_search():\n    return None\n",
    f"{BRIDGE_FOLDER}/compaction_items.py": """def provider_takes_compaction_blocks(model, custom_llm_provider):
    return False
""",
    "litellm/router_rust/core.py": """class RustCore:
    def get_model_list(self, model_name=None):
        return []
""",
}


@lru_cache(maxsize=1)
def tool() -> Path:
    """The repository's tool, to which the stand-ins are releases that were tried: the folder to run it in."""
    folder = Path(tempfile.mkdtemp(prefix="tool-"))
    atexit.register(shutil.rmtree, folder)
    folder.chmod(0o755)
    shutil.copytree(REPOSITORY / "patches", folder / "patches", ignore=shutil.ignore_patterns("*.pyc"))
    (folder / "litellm").symlink_to(REPOSITORY / "litellm")
    take_for_tried(folder / "patches")
    return folder


def take_for_tried(patches: Path) -> None:
    """Notes the functions of the stand-ins in the tried.json of a copy of the tool."""
    table = json.loads((patches / TRIED).read_bytes())
    for sources, (file, name) in itertools.product(({**SOURCES, **NEWEST}, SOURCES), functions_of(EDITS)):
        with suppress(AnchorError, KeyError):
            digest = digest_at(sources[file].encode(), file, name)
            table.setdefault(file, {}).setdefault(name, {})[digest] = "1.106.2"
    (patches / TRIED).write_text(json.dumps(table))


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
    """Content and mode of every file, and every folder and link."""
    return {
        path.relative_to(root).as_posix(): (
            path.read_bytes() if path.is_file() else b"",
            path.lstat().st_mode,
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
