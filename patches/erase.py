"""`python -m patches erase`: takes out of Redis all that is stored of one owner, or one conversation, now.

The fork's own code does it, as behind `POST /session_store/erase`; here no proxy needs to run.
"""

from __future__ import annotations

import argparse
import logging
import os
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

from patches.answer import Answer
from patches.errors import PatchError
from patches.reach import NO_DOWNLOAD, add_redis_arguments, fork_module, open_redis

_NAMED = {
    "response": ("ID", "the conversation of this response; its id as a client has it"),
    "user": ("U", "all conversations that this user took part in; so with the others"),
    "team": ("T", "a team's"),
    "key_hash": ("H", "a key's, by its SHA-256 as LiteLLM lists it"),
    "end_user": ("E", "an end user's"),
    "organization": ("O", "an organization's"),
}


def add_erase_arguments(parser: argparse.ArgumentParser) -> None:
    add_redis_arguments(parser)
    one = parser.add_mutually_exclusive_group(required=True)
    for name, (short, what) in _NAMED.items():
        one.add_argument(f"--{name.replace('_', '-')}", metavar=short, help=what)
    parser.add_argument("--dry-run", action="store_true", help="only count")


def run_erase(options: argparse.Namespace) -> Answer:
    """One line with the time, the numbers and nobody's name goes to the error stream. Raises PatchError."""
    ((name, value),) = ((each, getattr(options, each)) for each in _NAMED if getattr(options, each) is not None)
    if not value:
        raise PatchError(f"--{name.replace('_', '-')} is empty", "say whose conversations are to go")
    if name == "response":
        _make_ids_readable()
    erasing = fork_module("api.erasing")
    settings = _settings()
    _log_with_time(erasing.logger)
    with open_redis(options.url) as (title, client):
        prefix = fork_module("redis.store").key_prefix(options.namespace or None)
        runtime = SimpleNamespace(open_client=lambda seconds: client, prefix=prefix, settings=settings)
        *_, progress = erasing.erase(runtime, {name: value}, options.dry_run)
    did = "would be erased" if progress.dry_run else "erased"
    result = f"{progress.conversations} conversations with {progress.responses} responses {did}"
    body: dict[str, Any] = {"redis": title, "by": [name], **vars(progress)}
    return Answer(body, (f"redis     {title}", f"result    {result}"))


def _settings() -> Any:
    """The proxy's, where this runs in its environment: marks of what was erased live as long as its conversations."""
    module = fork_module("values.settings")
    try:
        return module.read_settings(os.environ)
    except module.SettingError as error:
        raise PatchError(str(error), "give the value that the proxy has") from None


def _make_ids_readable() -> None:
    """From 1.79 on LiteLLM encrypts the ids that clients have, with the salt key or else with the master key."""
    os.environ.setdefault(*NO_DOWNLOAD)
    if find_spec("litellm") is None or find_spec("litellm.proxy") is None:
        raise PatchError("only LiteLLM reads a response's id", "run it with the Python that runs LiteLLM")
    if master := os.environ.get("LITELLM_MASTER_KEY"):
        os.environ.setdefault("LITELLM_SALT_KEY", master)


def _log_with_time(logger: logging.Logger) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger.addHandler(handler)
    logger.propagate = False
