"""Asks Redis for what the store asks, on a conversation of nobody: at start, and while it is left alone.

Redis may refuse one thing and not the other: it is full, a replica, or its user lacks a right.
"""

import contextlib
import secrets
from typing import Any

from ..values.ids import Place
from ..values.results import StoreUnavailable
from . import job_scripts, object_scripts, scripts
from .scripts import OBJECT, Script
from .store import conversation_keys, erased_key, events_key, owner_keys, run_script

_SECONDS = 10

# A few names, so that all nodes of a Cluster are asked, and little stays where a user may not EXPIRE.
_NAMES = 16

_OWNER, _TURN, _TEXT = "nobody", "1", b"1 1 1 1 \nP"
_APPEND = ("0", _OWNER, _SECONDS, 0, 0, "", _TURN, _TEXT)
_CLAIM = ("start", 1, _SECONDS, 1 << 30)
_MADE = ("new", "", _OWNER, _SECONDS, 0, "", "", "", OBJECT, b"P{}", _TURN, _TEXT)
_READ = (_TURN, _OWNER, _SECONDS + 1, 0, 1, 1, 1)  # a second more, so that there is a life to renew


def probe_reading(prefix: str, client: Any) -> None:
    """Raises what redis-py does, or StoreUnavailable, while nobody could read."""
    from redis.exceptions import RedisError

    keys = _keys(prefix)
    with contextlib.suppress(RedisError):  # Then there is only less to read.
        run_script(client, scripts.APPEND, keys, *_APPEND)
    run_script(client, scripts.READ, keys, *_READ)


def probe_storing(prefix: str, client: Any) -> None:
    """Raises what redis-py does, or StoreUnavailable, while nobody could store."""
    if run_script(client, scripts.APPEND, _keys(prefix), *_APPEND) not in (1, -1):
        raise StoreUnavailable("Redis did not keep what was stored")


def probe_all(prefix: str, client: Any) -> tuple[str, ...]:
    """What Redis does not do of all that the store may ask, a line each, with Redis' reason.

    That may be Redis' words: what was asked is nobody's, so they hold no message.
    """
    from redis.exceptions import ResponseError

    # A name of its own: what another start has erased, no script would go through.
    name = f"start-{secrets.token_hex(4)}"
    keys = conversation_keys(prefix, name)
    with_events, nobodys = (*keys, events_key(prefix, Place(name, "2"))), (f"{prefix}{{start}}:jobs",)
    response = ("2", _OWNER, _SECONDS, 0)
    mark = (erased_key(prefix, "user", "start"),)
    wanted: dict[str, tuple[Script, tuple[str, ...], tuple[Any, ...]]] = {
        "store a turn": (scripts.APPEND, keys, _APPEND),
        "read a conversation": (scripts.READ, keys, _READ),
        "make a conversation": (object_scripts.ADD, keys, _MADE),
        "begin in a conversation": (object_scripts.TALK, keys, (_OWNER, _SECONDS + 1, 0, 1, 1, 1, _TURN, _SECONDS)),
        "note a compaction": (scripts.COMPACTED, keys, (_TURN, _OWNER, "P")),
        "hold a conversation": (object_scripts.HOLD, keys, (_TURN, _SECONDS)),
        "list a conversation": (object_scripts.LIST, keys, (_OWNER, _SECONDS + 2, 0, "asc", "", 1, 1, 100)),
        "begin a background response": (job_scripts.KEEP, with_events, (*response, 1, "queued", "", "P", _SECONDS)),
        "keep its events": (job_scripts.LOG, with_events, ("2", _SECONDS, 1, "0 \nP", "1 \nP")),
        "read its events": (job_scripts.EVENTS, with_events, ("2", _OWNER, 0, 1)),
        "cancel a background response": (job_scripts.JOB, with_events, (*response, "cancelled")),
        "count background responses": (job_scripts.COUNT, nobodys, ("start", 1, 1)),
        "note whose an answer is": (job_scripts.NOTE_OWNER, (f"{prefix}of:start",), ("start", 1)),
        "look whose an answer is": (job_scripts.OWNER, (f"{prefix}of:start",), ()),
        "delete a response": (scripts.END, with_events, (_TURN, _OWNER, _SECONDS)),
        "erase a conversation": (scripts.ERASE, keys, (_SECONDS,)),
        "claim an owner's room": (scripts.CLAIM, owner_keys(prefix, "start"), _CLAIM),
        "mark an erasure": (scripts.ERASED, mark, (_SECONDS,)),
        "look for an erasure": (scripts.ERASED_AGO, mark, ()),
    }
    problems = []
    for what, (script, its_keys, arguments) in wanted.items():
        try:
            run_script(client, script, its_keys, *arguments)
        except ResponseError as error:
            problems.append(f"it cannot {what} ({error})")
    return tuple(problems)


def _keys(prefix: str) -> tuple[str, str, str]:
    return conversation_keys(prefix, f"probe-{secrets.randbelow(_NAMES)}")
