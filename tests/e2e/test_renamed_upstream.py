"""A release that renames what the fork reads is refused by the tool; and were it not, it is served as without the fork,
which counts that and logs it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from redis import Redis

from lab.asking import Asker, asking, asking_on_socket
from lab.exchange import Exchange
from lab.provider import Provider
from lab.proxy import MODELS, Proxy, ProxyOptions
from lab.trees import link_or_copy, tree
from patches import apply_patches, edits, look_at, open_target

from .checks import marker
from .conftest import with_environment
from .renaming import BRIDGE, Attribute, Parameter, Renaming, rename
from .upstream import COUNTS_TOKENS

pytestmark = pytest.mark.as_upstream_shapes_it

HANDLER = f"{BRIDGE}/handler.py"
LOOKUPS = tuple(f"{BRIDGE}/{name}.py" for name in ("session_handler", "transformation", "handler", "count_request"))
ENDPOINTS = ("litellm/proxy/response_api_endpoints/endpoints.py",)
CACHING = ("litellm/caching/caching_handler.py", "litellm/caching/caching.py", "litellm/utils.py")
SETUP = ("litellm/proxy/litellm_pre_call_utils.py",)
STREAMS = (f"{BRIDGE}/streaming_iterator.py",)
ROUTING = (
    "litellm/proxy/route_llm_request.py",
    "litellm/proxy/common_request_processing.py",
    "litellm/proxy/response_api_endpoints/endpoints.py",
)


Others = tuple[tuple[Renaming, set[str]], ...]

SESSION_STEP = "async_responses_api_session_handler"
STORED_TURNS = "get_stored_turns_for_previous_response_id"


def handler(name: str) -> Others:
    return ((Parameter("async_response_api_handler", name, (HANDLER,)), {"bridge.py"}),)


# By what is renamed, one proxy each: names, none of which hides another, and which modules of the fork have to notice
# (none: this release gives the fork the same by another name, or by position).
OTHERS: dict[str, Others] = {
    "the handler's input": handler("request_input"),
    "the handler's request": handler("litellm_completion_request"),
    "what is routed": ((Parameter("route_request", "data", ROUTING), {"lookup.py", "bridge.py"}),),
    "by which route": ((Parameter("route_request", "route_type", ROUTING), {"bridge.py"}),),
    "the lookup, the cache, the counting of tokens": (
        (Parameter(SESSION_STEP, "litellm_completion_request", LOOKUPS), {"bridge.py"}),
        (Parameter(STORED_TURNS, "previous_response_id", LOOKUPS), set()),
        (Attribute("request_kwargs", CACHING), {"response_cache.py"}),
        (Parameter("chat_count_request", "responses_request", (f"{BRIDGE}/count_request.py",)), {"token_count.py"}),
    ),
    "what a stream holds": (
        (Attribute("litellm_model_response", STREAMS), {"streams.py"}),
        (Attribute("collected_chat_completion_chunks", STREAMS), {"streams.py"}),
    ),
    "what says who asks": ((Attribute("get_sanitized_user_information_from_key", SETUP), {"caller.py"}),),
    "what the routes are given": tuple(
        (Parameter(function, "user_api_key_dict", ENDPOINTS), {"routes.py"})
        for function in ("responses_api", "get_response", "responses_websocket_endpoint")
    ),
    "the WebSocket that a route is given": (
        (Parameter("responses_websocket_endpoint", "websocket", ENDPOINTS), {"routes.py"}),
    ),
}


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """On the same file system as the trees, for links."""
    folder = tree("pristine").parent / f"renamed-{tmp_path_factory.mktemp('renamed').name}-{id(tmp_path_factory)}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@contextmanager
def renamed_proxy(trees: Path, options: ProxyOptions, *others: Others) -> Iterator[tuple[Proxy, set[str]]]:
    """A proxy of this release with other names in it, patched; and the modules that have to notice."""
    target = trees / f"tree{len(list(trees.iterdir()))}"
    shutil.copytree(tree("pristine"), target, copy_function=link_or_copy, symlinks=True)
    renamed = [modules for each in others for what, modules in each if rename(target, what)]
    if not renamed:
        pytest.skip("this release has none of these names")
    with pytest.MonkeyPatch.context() as blind:
        assert look_at(open_target(target)).misfits
        blind.setattr(edits, "unmet_needs", lambda *_: ())
        apply_patches(open_target(target))
    with Proxy(replace(options, tree=target)) as proxy:
        yield proxy, set().union(*renamed)


def check_serves(proxy: Proxy, provider: Provider) -> None:
    """All that a client may ask for is answered as upstream does: with or without a history, but never an error."""
    for model in MODELS:
        for stream in (False, True):
            with asking(proxy, provider) as asker:
                last = check_answers(asker.with_manner(model, stream))
            if model == "claude-model":  # the only bridged one whose tokens LiteLLM counts
                check_counts(proxy, last)
    with asking_on_socket(proxy, provider, "chat-model") as socket:
        first = socket.ask("one")
        second = socket.ask("two", first)
        assert (first.status, second.status) == (200, 200)
        socket.ask("three", "chatcmpl-of-nobody")
        assert socket.ask("four").status == 200
    cached = [post(proxy, "/v1/chat/completions", messages=[{"role": "user", "content": "cache me"}]) for _ in "12"]
    assert cached[0].status_code == 200 and cached[0].json()["choices"] == cached[1].json()["choices"]
    get = httpx.get(f"{proxy.url}/v1/responses/{first.id}", headers=authorization(proxy), trust_env=False, timeout=60)
    assert get.status_code in (200, 400, 404, 500)  # as upstream has it: for a bridged model an error


def check_counts(proxy: Proxy, last: Exchange) -> None:
    model = "claude-model"
    counted = post(proxy, "/v1/responses/input_tokens", model=model, input="How long?", previous_response_id=last.id)
    # Older releases have no such route.
    assert counted.status_code in ((200,) if COUNTS_TOKENS else (200, 404, 405)), counted.text


def check_answers(asker: Asker) -> Exchange:
    said = marker()
    first = asker.ask(said)
    assert first.status == 200 and first.said == [said]
    second = asker.ask("And then?", first)
    assert second.status == 200 and second.said[-1] == "And then?" and second.reply.text
    return second


def post(proxy: Proxy, path: str, **body: object) -> httpx.Response:
    body = {"model": "chat-model", **body}
    return httpx.post(f"{proxy.url}{path}", json=body, headers=authorization(proxy), trust_env=False, timeout=60)


def authorization(proxy: Proxy) -> dict[str, str]:
    return {"authorization": f"Bearer {proxy.key}"}


@pytest.fixture(scope="session")
def cached_options(plain_options: ProxyOptions) -> ProxyOptions:
    """With LiteLLM's own response cache, in the process."""
    return replace(plain_options, litellm_settings={"cache": True, "cache_params": {"type": "local"}})


@pytest.mark.xdist_group("renamed")
@pytest.mark.parametrize("name", OTHERS)
def test_a_release_with_other_names_is_served_as_without_the_fork(
    name: str, trees: Path, cached_options: ProxyOptions, provider: Provider, redis: Redis
) -> None:
    # Only a refusal is sent over a WebSocket by the fork.
    on_miss = "error" if "WebSocket" in name else "continue"
    options = with_environment(cached_options, REDIS_SESSION_PATCH_ON_MISS=on_miss)
    with renamed_proxy(trees, options, OTHERS[name]) as (proxy, seen_in):
        check_serves(proxy, provider)
        noticed = set(re.findall(r"A defect of the fork \(\w+ at (\w+\.py):\d+\)", proxy.log_text()))
        assert noticed == seen_in


@pytest.mark.xdist_group("renamed")
def test_switched_off_it_cannot_fail(trees: Path, cached_options: ProxyOptions, provider: Provider) -> None:
    options = replace(cached_options, environment={"REDIS_SESSION_PATCH_ENABLED": "false"})
    with renamed_proxy(trees, options, *OTHERS.values()) as (proxy, _):
        check_serves(proxy, provider)
        assert "A defect of the fork" not in proxy.log_text()
