"""LiteLLM's own features, together with a conversation in Redis."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from lab.answers import Answer
from lab.asking import Asker, asking
from lab.exchange import Exchange
from lab.provider import Provider
from lab.proxies import ProxyPool
from lab.proxy import Proxy, ProxyOptions

from . import templates
from .raw import openai_client

HOISTS = find_spec("litellm.responses.additional_tools") is not None
LOOK_UP = {"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {}}}
MARK = {"type": "ephemeral"}
TAGS = ("here", "there")
MODELS = pytest.mark.parametrize("model", ["claude-model", "gemini-model", "chat-model"])


@pytest.fixture(scope="module")
def combined_options(plain_options: ProxyOptions) -> ProxyOptions:
    """Models with cache marks that the operator injects, with a prompt template of the operator's, by another name, and
    chosen by tags.
    """
    config = Proxy(plain_options).config()
    (claude,) = [each["litellm_params"] for each in config["model_list"] if each["model_name"] == "claude-model"]
    for name, point in {"role": {"role": "user"}, "index": {"index": 0}}.items():
        points = [{"location": "message", **point}]
        params = {**claude, "cache_control_injection_points": points}
        config["model_list"].append({"model_name": f"claude-by-{name}", "litellm_params": params})
    alias: dict[str, str] = {}
    for each in list(config["model_list"][:3]):
        params = {**each["litellm_params"], "prompt_id": "greeting"}
        config["model_list"].append({"model_name": f"templated-{each['model_name']}", "litellm_params": params})
        alias[f"another-{each['model_name']}"] = each["model_name"]
        for tag in TAGS:
            params = {**each["litellm_params"], "tags": [tag]}
            config["model_list"].append({"model_name": f"tagged-{each['model_name']}", "litellm_params": params})
    config["litellm_settings"] |= {"callbacks": ["templates.templates"]}
    config["router_settings"] |= {"num_retries": 1, "model_group_alias": alias, "enable_tag_filtering": True}
    files = {"config.yaml": json.dumps(config), "templates.py": Path(templates.__file__).read_text()}
    return replace(plain_options, extra_files=files)


@pytest.fixture(scope="module")
def combined_proxy(proxies: ProxyPool, combined_options: ProxyOptions) -> Proxy:
    return proxies.get(combined_options)


@pytest.fixture
def combined(combined_proxy: Proxy, provider: Provider) -> Iterator[Asker]:
    with asking(combined_proxy, provider) as asker:
        yield asker


def marks_in(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(marks_in, value))
    if isinstance(value, dict):
        return ("cache_control" in value) + sum(marks_in(each) for each in value.values())
    return 0


def body_of(exchange: Exchange) -> dict[str, Any]:
    assert exchange.status == 200 and not exchange.was_refused, exchange.reply.body
    assert exchange.request is not None
    return exchange.request.body


@pytest.mark.parametrize("by", ["role", "index"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_injected_cache_marks_go_with_a_history(by: str, stream: bool, combined: Asker) -> None:
    asker = combined.with_manner(f"claude-by-{by}", stream)
    last = asker.ask("turn 0")
    of_a_first_turn = marks_in(body_of(last)) if by == "role" else 0  # Older releases inject none over the bridge.
    for number in range(1, 6):
        last = asker.ask(f"turn {number}", last)
        assert of_a_first_turn <= marks_in(body_of(last)) <= 4


def test_of_a_client_s_cache_marks_claude_gets_the_newest_four(combined: Asker) -> None:
    asker, last = combined.with_manner("claude-model"), None
    for number in range(6):
        part = {"type": "input_text", "text": f"turn {number}", "cache_control": MARK}
        last = asker.ask([{"role": "user", "content": [part]}], last)
        users = [message for message in body_of(last)["messages"] if message["role"] == "user"]
        marked = [index for index, message in enumerate(users) if marks_in(message)]
        if marked:  # Older releases drop a part's mark.
            assert marked == list(range(max(0, number - 3), number + 1))


@MODELS
def test_a_prompt_template_stands_once_and_is_not_the_client_s(
    model: str, combined: Asker, combined_proxy: Proxy
) -> None:
    asker, last, said = combined.with_manner(f"templated-{model}"), None, []
    for number in range(3):
        last = asker.ask(f"turn {number}", last)
        said = [*said, f"turn {number}"]
        body_of(last)
        assert last.said == ["You greet.", *said]
        said.append(last.reply.text)
    assert last is not None
    with openai_client(combined_proxy) as client:
        listed = [item.content[0].text for item in client.responses.input_items.list(last.id, order="asc")]
    assert listed == said[:-1]


@pytest.mark.skipif(not HOISTS, reason="this release drops additional_tools itself")
@MODELS
def test_tools_that_came_as_an_item_are_there_in_later_turns(
    model: str, combined: Asker, combined_proxy: Proxy
) -> None:
    asker = combined.with_manner(model)
    item = {"type": "additional_tools", "tools": [LOOK_UP]}
    first = asker.ask([item, {"role": "user", "content": "hello"}])
    second = asker.ask("and?", first)
    third = asker.ask("so?", second, tools=[{**LOOK_UP, "name": "other"}])
    assert "look_up" in json.dumps(body_of(first)["tools"])
    assert body_of(second)["tools"] == body_of(first)["tools"]
    assert all(name in json.dumps(body_of(third)["tools"]) for name in ("look_up", "other"))
    with openai_client(combined_proxy) as client:
        raw = client.get(f"/responses/{second.id}/input_items?order=asc", cast_to=object)
    assert [each["type"] for each in raw["data"]] == ["additional_tools", "message", "message", "message"]


@MODELS
def test_a_model_and_its_alias_are_one(model: str, combined: Asker) -> None:
    first = combined.with_manner(f"another-{model}").ask("hello")
    second = combined.with_manner(model).ask("and?", first)
    third = combined.with_manner(f"another-{model}").ask("so?", second)
    assert third.said == ["hello", first.reply.text, "and?", second.reply.text, "so?"]


@MODELS
def test_a_conversation_goes_on_at_a_deployment_of_another_tag(model: str, combined: Asker) -> None:
    asker, last, said = combined.with_manner(f"tagged-{model}"), None, []
    for tag in (*TAGS, *TAGS):
        last = asker.ask(f"to {tag}", last, litellm_metadata={"tags": [tag]})
        said.append(f"to {tag}")
        assert last.status == 200 and last.said == said
        said.append(last.reply.text)


@MODELS
def test_a_parameter_that_the_model_does_not_take_is_dropped_as_without_a_history(model: str, combined: Asker) -> None:
    asker, options = combined.with_manner(model), {"service_tier": "flex", "drop_params": True, "top_p": 0.5}
    first = asker.ask("hello", **options)
    second = asker.ask("and?", first, **options)
    assert second.said == ["hello", first.reply.text, "and?"]
    assert body_of(first).keys() == body_of(second).keys()


def test_a_retry_sends_the_same_again(combined: Asker) -> None:
    first = combined.ask("hello")
    failing = Answer(status=503, error="try again")
    second = combined.ask("and?", first, answer=[failing, Answer("now")])
    requests = second.requests
    if second.status == 503:  # Older releases leave that to the client.
        second = combined.ask("and?", first, answer=Answer("now"))
        requests += second.requests
    assert second.status == 200
    sent = [each.body["messages"] for each in requests]
    assert len(sent) == 2 and sent[0] == sent[1]
