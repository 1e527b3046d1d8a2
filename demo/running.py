"""What the demo and the server start, and that all of it ends with them."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import FrameType

from lab.redis_server import GivenRedis, RedisServer, given_redis_url

PROGRESS_SECONDS = 15


def end_on_signals() -> None:
    """Turn an end from outside into SystemExit, so that everything started is stopped on the way
    out.
    """

    def on_signal(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)


def say(text: str) -> None:
    print(text, flush=True)


def progress(what: str) -> Callable[[], None]:
    """A function to call while waiting: it says every few seconds that `what` still goes on."""
    started = time.monotonic()
    said = started

    def on_wait() -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= PROGRESS_SECONDS:
            said = now
            say(f"   … {what}, {now - started:.0f} s")

    return on_wait


def a_redis(stack: ExitStack) -> RedisServer | GivenRedis:
    if url := given_redis_url():
        say(f"Redis: the given one at {url.rpartition('@')[2]}")
        return GivenRedis(url)
    server = stack.enter_context(RedisServer())
    say(f"Redis: a server of its own on port {server.port}")
    return server


def run(main: Callable[[], int]) -> None:
    """Run a program's `main` and end the process with one line for a failure, not a traceback."""
    end_on_signals()
    try:
        code = main()
    except KeyboardInterrupt:
        say("\nstopped")
        code = 130
    except (RuntimeError, OSError) as error:
        say(f"error: {error}")
        code = 1
    sys.exit(code)
