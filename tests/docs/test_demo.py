"""The first minutes: `make demo`, `make serve`, `make ask`."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from demo import ask, serve
from lab.redis_server import given_redis_url
from lab.trees import ROOT

SCREEN_LINES = 30


def pins(name: str) -> set[str]:
    return set(re.findall(r"^(\S+==\S+)", (ROOT / "requirements" / name).read_text(encoding="utf-8"), re.MULTILINE))


def test_a_redis_of_the_users_is_used_only_when_it_is_named_for_this(monkeypatch) -> None:
    monkeypatch.delenv("TEST_REDIS_URL", raising=False)
    monkeypatch.setenv("REDIS_URL", "redis://production:6379/0")
    assert given_redis_url() is None
    monkeypatch.setenv("TEST_REDIS_URL", "redis://mine:6379/0")
    assert given_redis_url() == "redis://mine:6379/0"


def test_the_demo_installs_what_a_proxy_needs_in_the_releases_that_are_tested_and_no_test_tools(release: str) -> None:
    demo = pins("demo.txt")
    assert demo < pins(f"{release}.txt")
    assert f"litellm=={release}" in demo
    assert not {pin for pin in demo if pin.startswith(("pytest", "hypothesis", "fakeredis", "pixeltable"))}


def test_the_port_that_was_asked_for_is_the_one_in_every_command() -> None:
    assert serve.ask_command(4000) == "make ask"
    assert serve.ask_command(5123) == "PORT=5123 make ask"
    assert serve.curl_commands("http://127.0.0.1:5123").count("http://127.0.0.1:5123/v1/responses ") == 2


@pytest.mark.parametrize(
    "environment, url",
    [
        ({}, "http://localhost:4000"),
        ({"PORT": "5123"}, "http://localhost:5123"),
        ({"BASE_URL": "http://h"}, "http://h"),
    ],
)
def test_make_ask_goes_where_it_is_told(environment: dict[str, str], url: str, monkeypatch, capsys) -> None:
    for name in ("PORT", "BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    asked = []

    def refuse(base_url: str, *_: object) -> None:
        asked.append(base_url)
        raise ask.CurlFailed("nobody is there")

    monkeypatch.setattr(ask, "ask_twice", refuse)
    with pytest.raises(ask.CurlFailed):
        ask.main()
    assert asked == [url]
    assert capsys.readouterr().out == f"asking {url}\n"


@pytest.mark.slow
def test_the_demo_tells_its_story_on_one_screen() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("TEST_REDIS_URL", "PYTHONPATH")}
    done = subprocess.run(
        ["make", "demo"], cwd=ROOT, env={**environment, "REDIS_URL": "redis://nobody.invalid:6379/0"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert not done.returncode, done.stdout + done.stderr
    said = done.stdout.splitlines()
    assert len(said) <= SCREEN_LINES, done.stdout
    assert sum(line.endswith(".") and " forgotten   remembered " in line for line in said) == 6
    assert not done.stderr
