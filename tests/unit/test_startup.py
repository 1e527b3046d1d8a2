"""The proxy's start: a bad setting ends it with one line; else one line says what the patch does."""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from litellm.proxy._types import ProxyException

import litellm
from litellm.responses.litellm_completion_transformation.redis_session_patch.doors import startup
from litellm.responses.litellm_completion_transformation.redis_session_patch.doors.startup import (
    announce,
    announce_at_startup,
    describe,
)
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import runtime as runtimes
from litellm.responses.litellm_completion_transformation.redis_session_patch.redis.connection import Connection
from litellm.responses.litellm_completion_transformation.redis_session_patch.values.settings import Settings

from .support.runtimes import pretend_a_proxy_runs

CONNECTION = Connection("REDIS_URL", {"url": "redis://user:s3cret@cache:6380/1"})


class App(FastAPI):
    """As the proxy's app: with a lifespan, `seen` says how that went, and with upstream's handler for errors."""

    def __init__(self) -> None:
        super().__init__(lifespan=self.own_lifespan)
        self.seen: list[str] = []
        self.add_exception_handler(ProxyException, self.upstreams_handler)

    @asynccontextmanager
    async def own_lifespan(self, app: Any) -> Any:
        self.seen.append("up")
        try:
            yield {"state": "of the app"}
        except BaseException as error:
            self.seen.append(type(error).__name__)
            raise
        finally:
            self.seen.append("down")

    async def upstreams_handler(self, request: Any, error: ProxyException) -> JSONResponse:
        return JSONResponse({"upstream": error.message}, status_code=int(error.code), headers=error.headers)


@pytest.fixture
def started(undecided: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A proxy, no Redis yet, message logging on."""
    pretend_a_proxy_runs(undecided, redis_usage_cache=None)
    undecided.setattr(litellm, "turn_off_message_logging", False)
    return undecided


@pytest.mark.parametrize(
    "name, value",
    [("TTL", "soon"), ("ENABLED", "maybe"), ("ON_MISS", "x"), ("URL", "s3cret"), ("ENCRYPTION_KEY", "s3cret")],
)
def test_a_bad_setting_ends_the_start_with_one_line(started, name, value):
    started.setenv(f"REDIS_SESSION_PATCH_{name}", value)
    app = App()
    lifespan = app.router.lifespan_context
    with pytest.raises(SystemExit) as caught:
        announce_at_startup(app)
    line = caught.value.code
    assert isinstance(line, str) and "\n" not in line and f"REDIS_SESSION_PATCH_{name}" in line
    assert "s3cret" not in line and "expected" in line
    assert app.router.lifespan_context is lifespan


def test_with_good_settings_nothing_is_said_before_the_app_is_up(started, log_lines):
    announce_at_startup(App())
    assert log_lines == []


async def test_the_wrapped_lifespan_keeps_its_state_and_its_order(started, log_lines):
    app = App()
    announce_at_startup(app)
    started.setattr(startup, "_log_like_the_proxy", lambda: None)
    async with app.router.lifespan_context(app) as state:
        assert state == {"state": "of the app"} and app.seen == ["up"]
        assert len(log_lines) == 1 and startup.NAME in log_lines[0]
    assert app.seen == ["up", "down"]


async def test_an_error_of_the_running_app_reaches_its_own_lifespan(started):
    app = App()
    announce_at_startup(app)
    started.setattr(startup, "_log_like_the_proxy", lambda: None)
    with pytest.raises(ZeroDivisionError):
        async with app.router.lifespan_context(app):
            raise ZeroDivisionError
    assert app.seen == ["up", "ZeroDivisionError", "down"]


async def test_an_app_that_does_not_start_says_so_itself(started, log_lines):
    @asynccontextmanager
    async def broken(app: Any) -> Any:
        raise ZeroDivisionError
        yield

    app = App()
    app.router.lifespan_context = broken
    announce_at_startup(app)
    with pytest.raises(ZeroDivisionError):
        async with app.router.lifespan_context(app):
            pass
    assert log_lines == []


async def only_line(log_lines: list[str]) -> str:
    await announce()
    (line,) = log_lines
    assert startup.NAME in line
    return line


async def test_switched_off_it_says_off(started, log_lines):
    started.setenv("REDIS_SESSION_PATCH_ENABLED", "false")
    assert ": off" in await only_line(log_lines)


async def test_without_the_redis_package_it_says_inactive(started, log_lines):
    started.setenv("REDIS_URL", "redis://h")
    started.setitem(sys.modules, "redis", None)
    line = await only_line(log_lines)
    assert line.startswith("WARNING") and "inactive" in line and "redis package" in line


async def test_without_a_redis_it_says_inactive_and_what_to_set(started, log_lines):
    line = await only_line(log_lines)
    assert line.startswith("WARNING") and "inactive" in line and "REDIS_SESSION_PATCH_URL" in line


async def test_with_a_redis_that_answers_it_says_active(started, log_lines, redis_server):
    started.setenv("REDIS_SESSION_PATCH_URL", redis_server.url)
    line = await only_line(log_lines)
    assert line.startswith("INFO") and "active" in line and f":{redis_server.port}" in line


async def test_with_a_redis_that_refuses_a_right_it_says_what_cannot_be_done(
    started, log_lines, redis_server, redis_client
):
    redis_client.execute_command("ACL", "SETUSER", "limited", "on", ">s3cret", "~other:*", "+@all")
    try:
        started.setenv("REDIS_SESSION_PATCH_URL", redis_server.url.replace("://", "://limited:s3cret@"))
        line = await only_line(log_lines)
    finally:
        redis_client.execute_command("ACL", "DELUSER", "limited")
    assert line.startswith("WARNING") and "active" in line and "s3cret" not in line
    assert "it cannot store a turn" in line and "it cannot read a conversation" in line


async def test_a_redis_that_litellm_itself_uses_is_named_as_shared(started, log_lines, redis_server):
    started.setenv("REDIS_URL", redis_server.url)
    await announce()
    active, shared = log_lines
    assert "active" in active and shared.startswith("INFO") and "REDIS_SESSION_PATCH_URL" in shared


async def test_with_a_redis_that_does_not_answer_it_says_so_and_starts(started, log_lines):
    started.setenv("REDIS_SESSION_PATCH_URL", "redis://:s3cret@127.0.0.1:1/0")
    line = await only_line(log_lines)
    assert line.startswith("WARNING") and "active" in line and "does not answer" in line and "s3cret" not in line


@pytest.mark.parametrize("url", ["localhost:6379", "redis://:s3cret/word@h:6379", "redis://h:port"])
async def test_a_redis_url_of_litellm_that_cannot_be_read_does_not_stop_the_proxy(started, log_lines, url):
    started.setenv("REDIS_URL", url)
    await announce()
    assert log_lines and all("s3cret" not in line for line in log_lines)


async def test_an_unknown_variable_of_ours_is_named(started, log_lines):
    started.setenv("REDIS_SESSION_PATCH_TTLS", "1")
    await announce()
    assert "REDIS_SESSION_PATCH_TTLS" in log_lines[0] and log_lines[0].startswith("WARNING")


def test_the_line_names_redis_life_and_encryption_but_no_secret(started):
    line = describe(Settings(ttl_seconds=77), CONNECTION)
    assert "cache:6380" in line and "REDIS_URL" in line and "77 s" in line and "not encrypted" in line
    assert "s3cret" not in line and "user" not in line


def test_with_a_key_the_line_says_encrypted_and_not_with_what(started):
    key = bytes(range(32))
    line = describe(Settings(encryption_keys=(key,)), CONNECTION)
    assert "values encrypted" in line and key.hex() not in line


def test_the_line_says_when_message_logging_is_off_and_nothing_is_stored(started):
    started.setattr(litellm, "turn_off_message_logging", True)
    assert "nothing is stored" in describe(Settings(), CONNECTION)
    assert "nothing is stored" not in describe(Settings(store_unlogged=True), CONNECTION)


def test_our_lines_are_shown_like_the_proxy_s_own(started):
    from litellm._logging import verbose_proxy_logger

    for name in ("handlers", "propagate", "level"):
        started.setattr(runtimes.logger, name, getattr(runtimes.logger, name))
    startup._log_like_the_proxy()
    assert runtimes.logger.isEnabledFor(20) and not runtimes.logger.propagate
    assert runtimes.logger.handlers and (
        runtimes.logger.handlers == verbose_proxy_logger.handlers or not verbose_proxy_logger.handlers
    )


async def reply_to(error: ProxyException) -> httpx.Response:
    """What a client gets of an endpoint that raises the error, after the patch has started."""
    app = App()
    announce_at_startup(app)

    @app.get("/")
    async def fail() -> None:
        raise error

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://proxy") as client:
        return await client.get("/")


@pytest.mark.parametrize(
    "code, status, kind",
    [
        ("previous_response_not_found", 400, "invalid_request_error"),
        ("previous_response_unavailable", 503, "server_error"),
    ],
)
async def test_our_refusals_have_openai_s_status_and_body(started, code, status, kind):
    error = ProxyException("LiteLLM's words.", "x", "y", 400, headers={"x-call": "1"}, openai_code=code)
    reply = await reply_to(error)
    assert reply.status_code == status and reply.headers["x-call"] == "1"
    assert ("retry-after" in reply.headers) is (status == 503)
    said = reply.json()["error"]
    assert said.pop("message").startswith("The previous response ")
    assert said == {"type": kind, "param": "previous_response_id", "code": code}


@pytest.mark.parametrize("openai_code", [None, "invalid_api_key"])
async def test_every_other_error_is_answered_by_upstream(started, openai_code):
    reply = await reply_to(ProxyException("No.", "x", "y", 401, openai_code=openai_code))
    assert reply.status_code == 401 and reply.json() == {"upstream": "No."}
