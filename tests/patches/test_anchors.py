"""Sources as a future release might have them: the patch lands in the right place or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from patches import PatchError, apply_patches, revert_patches
from patches.catalogue import upstream_files
from patches.needs import read_needs
from tests.patches.trees import (
    HANDLER,
    NEWEST,
    OWN,
    PROXY_SERVER,
    RESPONSE_CACHE,
    ROUTING,
    SESSION,
    SOURCES,
    STREAMING,
    TOKEN_COUNT,
    TRANSFORMATION,
    TRANSPORT,
    make_tree,
    snapshot,
    survey,
)

MOVED_CLASS = "class LiteLLMCompletionTransformationHandler:"
INNER = (
    '():\n            responses_api_response = kwargs["litellm_metadata"]\n            return responses_api_response\n'
)
RETURN = "            return responses_api_response\n        return inner()"


@pytest.mark.parametrize(
    ("path", "old", "new", "message"),
    [
        (
            HANDLER,
            "async def async_response_api_handler(",
            "async def async_api_handler(",
            r"in LiteLLM\w+Handler: expected one definition of async_response_api_handler, .*; found 0 definitions",
        ),
        (
            HANDLER,
            MOVED_CLASS,
            "class Moved:",
            r"in the module: expected one definition of LiteLLM.*found 0 definitions",
        ),
        (
            HANDLER,
            "    async def async_response_api_handler",
            "    def async_response_api_handler",
            r"expected `async def async_response_api_handler`; found `def ",
        ),
        (
            HANDLER,
            RETURN,
            "            return responses_api_response\n        return responses_api_response",
            r"found 2 \(line",
        ),
        (
            HANDLER,
            RETURN,
            "            return None\n        return inner()",
            r"expected one `return .*`; found none in",
        ),
        (
            HANDLER,
            INNER,
            "():\n            return 2\n\n        if request_input: return responses_api_response\n",
            r"found 2 \(line",
        ),
        (
            HANDLER,
            "            responses_api_response = LiteLLMCompletionResponsesConfig()\n"
            "            return responses_api_response\n",
            "            if request_input: return responses_api_response\n",
            r"expected one `return responses_api_response` on a line of its own; found other code on line",
        ),
        (HANDLER, "litellm_completion_response", "completion", r"expected the local name litellm_completion_response"),
        (
            STREAMING,
            "    async def __anext__(self):\n",
            "    def __anext__(self):\n",
            r"expected `async def __anext__`",
        ),
        (
            STREAMING,
            "    async def __anext__",
            "    async def __anext__(self):\n        pass\n\n    async def __anext__",
            r"expected one definition of __anext__, under no condition; found 2 definitions",
        ),
        (
            TRANSFORMATION,
            "TOOL_CALLS_CACHE =",
            "TOOL_CACHE =",
            r"expected the name TOOL_CALLS_CACHE under no condition",
        ),
        (
            TRANSFORMATION,
            "async_responses_api_session_handler",
            "async_session_handler",
            r"expected one definition of async_responses_api_session_handler, .*; found 0",
        ),
        (RESPONSE_CACHE, "(self, original_function)", "(self, function)", r"expected the parameter original_function"),
        (SESSION, "get_chat_completion_message_history_for", "get_history_for", r"found 0 definitions"),
        (ROUTING, "async def route_request", "def route_request", r"expected `async def route_request`"),
        (PROXY_SERVER, "app = make()", "application = make()", r"expected the name app"),
        (PROXY_SERVER, "app = make()", "app = make(", r"this Python cannot parse it"),
    ],
)
def test_a_changed_source_is_a_clear_error_and_nothing_is_written(
    tmp_path: Path, path: str, old: str, new: str, message: str
) -> None:
    assert old in SOURCES[path]
    target = make_tree(tmp_path, {path: SOURCES[path].replace(old, new)})
    before = snapshot(tmp_path)
    with pytest.raises(PatchError, match=message) as caught:
        apply_patches(target, OWN)
    assert caught.value.sentence.startswith(f"{path}: ")
    assert caught.value.next_step
    assert "\n" not in caught.value.sentence
    assert snapshot(tmp_path) == before
    assert survey(target).state == "unsupported"


# Without the package's own file there is no LiteLLM at all, which is another error.
NEEDED = {need.file for need in read_needs() if need.concerns("1.110.2")} - {"litellm/__init__.py"}


@pytest.mark.parametrize("missing", sorted({*upstream_files(), *NEEDED}))
def test_a_missing_file_is_a_clear_error_and_nothing_is_written(tmp_path: Path, missing: str) -> None:
    target = make_tree(tmp_path, {**NEWEST, missing: None}, version="1.110.2")
    before = snapshot(tmp_path)
    with pytest.raises(PatchError, match=rf"^{missing}: "):
        apply_patches(target, OWN)
    assert snapshot(tmp_path) == before


def test_a_release_known_to_have_stored_turns_must_have_them(tmp_path: Path) -> None:
    target = make_tree(tmp_path, {TOKEN_COUNT: NEWEST[TOKEN_COUNT]}, version="1.109.1")
    with pytest.raises(
        PatchError,
        match=r"expected one definition of get_stored_turns_for_previous_response_id, .*; found 0 definitions",
    ):
        apply_patches(target, OWN)


def test_a_release_with_stored_turns_is_patched_there(tmp_path: Path) -> None:
    target = make_tree(tmp_path, NEWEST, version="1.109.1")
    before = snapshot(tmp_path)
    apply_patches(target, OWN)
    text = (tmp_path / SESSION).read_text()
    assert (
        "    @_patch_get_stored_turns_from_redis\n"
        "    # <<< PATCH redis-session-lookup\n    async def get_stored" in text
    )
    assert "get_session_from_redis" not in text
    revert_patches(target, OWN)
    assert snapshot(tmp_path) == before


def test_a_transport_is_marked_before_the_release_that_tells_of_a_broken_connection(tmp_path: Path) -> None:
    target = make_tree(tmp_path, version="1.85.7")
    before = snapshot(tmp_path)
    apply_patches(target, OWN)
    text = (tmp_path / TRANSPORT).read_text()
    assert "# <<< PATCH redis-session-broken-stream\n        self._aiohttp_response = aiohttp_response\n" in text
    revert_patches(target, OWN)
    assert snapshot(tmp_path) == before


def test_a_transport_that_tells_is_left_alone(tmp_path: Path) -> None:
    apply_patches(make_tree(tmp_path, version="1.94.0"), OWN)
    assert (tmp_path / TRANSPORT).read_text() == SOURCES[TRANSPORT]


def test_an_early_build_may_lack_what_its_release_has(tmp_path: Path) -> None:
    apply_patches(make_tree(tmp_path / "rc", version="1.109.0rc1"), OWN)
    with pytest.raises(PatchError):
        apply_patches(make_tree(tmp_path / "final", version="1.109.0"), OWN)
