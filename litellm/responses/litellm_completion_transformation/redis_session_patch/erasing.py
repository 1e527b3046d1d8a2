"""``POST /session_store/erase``: an administrator takes out all that is stored of one owner, or one conversation, now.

A conversation goes whole, whoever else took part in it: what was erased must not live on in a later turn.
"""

import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from . import runtime as runtimes
from . import scripts
from .owner import PARTS, digest_of
from .response_id import decrypted, inner_id
from .runtime import Runtime, logger
from .store import DELETED, KEY_PREFIX, conversation_keys

PATH = "/session_store/erase"

_NAMES = (*PARTS, "response")
_EXPECTED = f"Expected one of {', '.join(_NAMES)}, with a text; and, if wanted, dry_run, true or false; each once."
_BATCH = 500


@dataclass
class Progress:
    """How many keys were looked at; how many conversations and responses are, or in a dry run would be, erased."""

    dry_run: bool = False
    scanned: int = 0
    conversations: int = 0
    responses: int = 0


async def erase(runtime: Runtime, wanted: Mapping[str, str], dry_run: bool) -> AsyncIterator[Progress]:
    """``wanted``: the value of one of ``user``, ``team``, ``key_hash``, ``end_user``, ``organization`` or ``response``.

    Gives the same Progress again and again, last when done. Raises what redis-py does.
    """
    client = runtime.open_client()
    prefix = f"{runtime.namespace}:{KEY_PREFIX}" if runtime.namespace else KEY_PREFIX
    progress, found = Progress(dry_run), set[str]()
    try:
        if "response" in wanted:
            record = await client.get(f"{prefix}session:{inner_id(decrypted(wanted['response']))}")
            found.update(filter(None, [_conversation_of(record)]))
        else:
            turns = f"{prefix}{{*}}:turns"
            async for keys, replies in _batches(client, turns, lambda pipe, key: pipe.hkeys(key), progress):
                matching = [key for key, fields in zip(keys, replies, strict=True) if _is_owned(fields, wanted)]
                found.update(key[len(prefix) + 1 : -len("}:turns")] for key in matching)
                yield progress
        progress.conversations = len(found)
        for name in () if dry_run else found:
            await client.eval(scripts.ERASE, 3, *conversation_keys(prefix, name))
        sessions = f"{prefix}session:*"
        async for keys, replies in _batches(client, sessions, lambda pipe, key: pipe.get(key), progress):
            ours = [key for key, value in zip(keys, replies, strict=True) if _conversation_of(value) in found]
            progress.responses += len(ours)
            for key in () if dry_run else ours:
                await client.unlink(key)
            yield progress
    finally:
        await client.aclose()
    logger.warning(
        "Redis session patch: %s %d conversations with %d responses, asked for by %s.",
        "would erase" if dry_run else "erased",
        progress.conversations,
        progress.responses,
        ", ".join(wanted),
    )
    yield progress


async def _batches(
    client: Any, pattern: str, ask: Callable[[Any, str], Any], progress: Progress
) -> AsyncIterator[tuple[list[str], list[Any]]]:
    escaped = re.sub(r"([\[\]?\\])", r"\\\1", pattern)
    batch: list[str] = []
    async for key in client.scan_iter(match=escaped, count=1_000):
        batch.append(key.decode())
        if len(batch) == _BATCH:
            yield await _asked(client, batch, ask, progress)
            batch = []
    if batch:
        yield await _asked(client, batch, ask, progress)


async def _asked(
    client: Any, keys: list[str], ask: Callable[[Any, str], Any], progress: Progress
) -> tuple[list[str], list[Any]]:
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        ask(pipeline, key)
    progress.scanned += len(keys)
    return keys, await pipeline.execute(raise_on_error=False)


def _is_owned(fields: Any, wanted: Mapping[str, str]) -> bool:
    """Whether a conversation of which ``fields`` are stored has a turn of the wanted owner."""
    ((part, value),) = wanted.items()
    place, digest = PARTS.index(part), digest_of(value)
    tags = [field[1:].decode().split(".") for field in fields if field[:1] == b"o"] if isinstance(fields, list) else []
    return any(tag[place : place + 1] == [digest] for tag in tags)  # older tags have fewer parts


def _conversation_of(value: Any) -> str | None:
    try:
        return str(json.loads(value.removeprefix(DELETED).partition(b"\n")[0])["c"])
    except (AttributeError, KeyError, TypeError, ValueError):
        return None  # No record, a reservation, or one of another format.


def add_erase_route(app: Any) -> None:
    """Adds the route; its answer is a line of JSON for each step, the last one with ``"done": true``."""
    from fastapi import Depends, HTTPException, Request
    from litellm.proxy._types import LitellmUserRoles
    from litellm.proxy.auth.user_api_key_auth import user_api_key_auth
    from starlette.responses import StreamingResponse

    async def read_asked(request: Request) -> tuple[dict[str, str], bool]:
        try:
            return asked_for(request.headers.get("content-type", ""), await request.body())
        except ValueError as error:
            raise HTTPException(400, detail=str(error)) from None

    async def erase_session_store(
        asked: Annotated[Any, Depends(read_asked)],  # first: LiteLLM's authentication fails at a body that is no object
        caller: Annotated[Any, Depends(user_api_key_auth)],
    ) -> Any:
        if caller.user_role != LitellmUserRoles.PROXY_ADMIN:
            raise HTTPException(403, detail="Only a proxy administrator may erase.")
        runtime = runtimes.current()
        if runtime is None:
            raise HTTPException(409, detail="The session store is not active here, so there is nothing to erase.")
        return StreamingResponse(_lines(runtime, *asked), media_type="application/jsonl")

    app.add_api_route(PATH, erase_session_store, methods=["POST"], tags=["session store"])


def asked_for(content_type: str, body: bytes) -> tuple[dict[str, str], bool]:
    """What a request's body wants erased, and whether only in a dry run. Raises ValueError, which says what is wrong.

    Nothing is guessed, as a dry run that is not understood would erase.
    """
    try:
        pairs = json.loads(body, object_pairs_hook=tuple) if "json" in content_type else None
    except (ValueError, RecursionError):
        pairs = None
    if not isinstance(pairs, tuple):
        raise ValueError(f"The body is no JSON object with content type application/json. {_EXPECTED}")
    fields: dict[str, Any] = {}
    for name, value in pairs:
        is_text = isinstance(value, str) and value.strip() != ""
        if name in fields or not (isinstance(value, bool) if name == "dry_run" else name in _NAMES and is_text):
            raise ValueError(f"{name}: not as it must be. {_EXPECTED}")
        fields[name] = value
    dry_run = fields.pop("dry_run", False)
    if len(fields) != 1:
        raise ValueError(_EXPECTED)
    return fields, dry_run


async def _lines(runtime: Runtime, wanted: Mapping[str, str], dry_run: bool) -> AsyncIterator[str]:
    progress = Progress(dry_run)
    try:
        async for progress in erase(runtime, wanted, dry_run):
            yield json.dumps(vars(progress)) + "\n"
    except Exception as error:
        logger.warning("Redis session patch: an erasure failed (%s).", type(error).__name__)
        yield json.dumps({**vars(progress), "error": type(error).__name__}) + "\n"
        return
    yield json.dumps({**vars(progress), "done": True}) + "\n"
