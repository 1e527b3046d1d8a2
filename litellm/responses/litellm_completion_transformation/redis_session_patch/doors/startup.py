"""The proxy's start: bad settings stop it, one line says what the patch does."""

import logging
import os
import sys
from contextlib import asynccontextmanager
from typing import Any

from ..api.erasing import add_erase_route
from ..api.health import add_health_route
from ..api.job import drain
from ..redis import runtime as runtimes
from ..redis.connection import Connection
from ..redis.defects import safely, safely_await
from ..redis.runtime import logger
from ..values.refusals import answer_of, is_refusal
from ..values.results import StoreError
from ..values.settings import SettingError, Settings, read_settings, unknown_settings
from ..version import BUILD, FORK_VERSION
from .conversation_routes import add_conversation_routes
from .routes import add_response_routes

NAME = "Redis session patch"
_ROUTES = (add_response_routes, add_conversation_routes)


def announce_at_startup(app: Any) -> None:
    """Called once the proxy's ``app`` exists. Ends the process at a bad setting; logs a line when ``app`` is up."""
    try:
        read_settings(os.environ)
    except SettingError as error:
        sys.exit(f"{NAME}: {error}")
    for step in (_answer_refusals, add_health_route, add_erase_route, *_ROUTES, _announce_when_up):
        safely(step, app, otherwise=None)


def _announce_when_up(app: Any) -> None:
    lifespan = app.router.lifespan_context

    @asynccontextmanager
    async def announcing_lifespan(started_app: Any) -> Any:
        async with lifespan(started_app) as state:
            safely(_log_like_the_proxy, otherwise=None)
            await safely_await(announce, otherwise=None)
            try:
                yield state
            finally:
                await safely_await(drain, otherwise=None)

    app.router.lifespan_context = announcing_lifespan


def _answer_refusals(app: Any) -> None:
    """Makes the error bodies of our refusals OpenAI's: LiteLLM's own have the HTTP status as ``code``."""
    from litellm.proxy._types import ProxyException
    from starlette.responses import JSONResponse

    upstreams_handler = app.exception_handlers[ProxyException]

    async def handle(request: Any, error: Any) -> Any:
        code = getattr(error, "openai_code", None)
        if not is_refusal(code):
            return await upstreams_handler(request, error)
        status, headers, body = answer_of(code, error.message)
        return JSONResponse(body, status_code=status, headers={**(error.headers or {}), **headers})

    app.add_exception_handler(ProxyException, handle)


async def announce() -> None:
    """Logs whether the patch is active, and with what."""
    settings, connection = runtimes.configured()
    for name in unknown_settings(os.environ):
        logger.warning("%s: %s is not a setting of it.", NAME, name)
    state, why = runtimes.state_of(settings, connection)
    if state == "off":
        logger.info("%s: off (%s).", NAME, why)
    elif connection is None or why:
        logger.warning("%s: inactive, %s.", NAME, why)
    else:
        problem = await _problem_with_redis()
        log = logger.warning if problem else logger.info
        log("%s%s", describe(settings, connection), problem)
        if not connection.is_ours_alone:
            logger.info(
                "%s: conversations share the Redis of LiteLLM's own counters; REDIS_SESSION_PATCH_URL parts them.", NAME
            )


async def _problem_with_redis() -> str:
    runtime = runtimes.current()
    if runtime is None:
        return ""
    try:
        await runtime.probe()
    except StoreError as error:
        return f" Redis does not answer now ({error}); until it does, conversations are not stored."
    return f" Redis does not do all that is needed: {'; '.join(runtime.problems)}." if runtime.problems else ""


def describe(settings: Settings, connection: Connection) -> str:
    import litellm

    parts = [
        f"{NAME} {FORK_VERSION} (build {BUILD}): active, Redis {connection.describe()}",
        f"time to live {settings.ttl_seconds} s",
        "values encrypted" if settings.encryption_keys else "values not encrypted",
    ]
    if litellm.turn_off_message_logging is True and not settings.store_unlogged:
        parts.append("message logging is off, so nothing is stored")
    return ", ".join(parts) + "."


def _log_like_the_proxy() -> None:
    """Our lines are shown at the default level, in the form (text or JSON) of the proxy's own."""
    from litellm._logging import verbose_proxy_logger

    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers = verbose_proxy_logger.handlers or [logging.StreamHandler()]
