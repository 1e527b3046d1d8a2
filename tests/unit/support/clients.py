"""Redis clients that watch, interfere or break."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from litellm.responses.litellm_completion_transformation.redis_session_patch.redis import (
    job_scripts,
    object_scripts,
    scripts,
)


def all_scripts() -> dict[str, scripts.Script]:
    named = {**vars(job_scripts), **vars(object_scripts), **vars(scripts)}
    return {name.lower(): script for name, script in named.items() if isinstance(script, scripts.Script)}


SCRIPTS = all_scripts()

Hook = Callable[[str], None]


def no_redis() -> Redis:
    """A client whose Redis refuses every connection, at once."""
    return Redis(port=1, retry=Retry(NoBackoff(), 0))


def script_name(text_or_sha: str) -> str:
    """In lower case, of the script as it is now: a test may have another in its place."""
    return next(name for name, script in all_scripts().items() if text_or_sha in (script, script.sha))


class Interposed:
    """A client that calls ``before(name)`` and ``after(name)`` around each command.

    ``name``: of the command, or of the script in lower case. A hook that raises is a connection that broke.
    """

    def __init__(self, client: Any, before: Hook = lambda name: None, after: Hook = lambda name: None):
        self._own, self._before, self._after = client, before, after

    def __getattr__(self, name: str) -> Any:
        command = getattr(self._own, name)

        def run(*args: Any, **options: Any) -> Any:
            known = script_name(args[0]) if name in ("eval", "evalsha") else name
            self._before(known)
            result = command(*args, **options)
            self._after(known)
            return self.changed(known, result)

        return run

    def changed(self, name: str, result: Any) -> Any:
        return result


class Garbling(Interposed):
    """A client that gives ``reply`` for the command of this name, whatever Redis said."""

    def __init__(self, client: Any, command: str, reply: Any):
        self._command, self._reply = command, reply
        super().__init__(client)

    def changed(self, name: str, result: Any) -> Any:
        return self._reply if name == self._command else result


class Watching(Interposed):
    """A client that knows what it asked Redis for."""

    def __init__(self, client: Any):
        self.names: list[str] = []
        super().__init__(client, self.names.append)


class Twice(Interposed):
    """A client that runs each script of these ``names`` again, as after an answer that was lost."""

    def __init__(self, client: Any, *names: str):
        self._twice = names
        super().__init__(client)

    def __getattr__(self, name: str) -> Any:
        run = super().__getattr__(name)

        def run_twice(*args: Any, **options: Any) -> Any:
            if name in ("eval", "evalsha") and script_name(args[0]) in self._twice:
                run(*args, **options)
            return run(*args, **options)

        return run_twice
