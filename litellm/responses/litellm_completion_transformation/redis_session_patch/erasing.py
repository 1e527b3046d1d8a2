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
from .store import DELETED, conversation_keys, erased_key, key_prefix, mark_life, parts_of

PATH = "/session_store/erase"

_NAMES = (*PARTS, "response")
_EXPECTED = f"Expected one of {', '.join(_NAMES)}, with a text; and, if wanted, dry_run, true or false; each once."
_BATCH = 500
_MOST_PASSES = 4  # Somebody who goes on writing must not keep an erasure from its end.


@dataclass
class Progress:
    """How often a key was looked at; how many conversations and responses are, or in a dry run would be, erased."""

    dry_run: bool = False
    scanned: int = 0
    conversations: int = 0
    responses: int = 0


async def erase(runtime: Runtime, wanted: Mapping[str, str], dry_run: bool) -> AsyncIterator[Progress]:
    """``wanted``: the value of one of ``user``, ``team``, ``key_hash``, ``end_user``, ``organization`` or ``response``.

    Gives the same Progress again and again, last when done. Raises what redis-py does; may then be run again.
    """
    ((part, value),) = wanted.items()
    client = runtime.open_client()
    prefix = key_prefix(runtime.namespace)
    life = mark_life(runtime.settings)
    mark = None if dry_run or part == "response" else erased_key(prefix, part, digest_of(value) or "")
    progress, found, gone = Progress(dry_run), set[str](), set[str]()
    try:
        # Before the scan: who writes a conversation anew reads the mark after writing, so either we find what was
        # written or the writer finds the mark. If this fails, the mark stays, and nothing is written anew meanwhile.
        if mark is not None:
            await client.set(mark, "running", ex=life)
        for _ in range(_MOST_PASSES):
            new = set[str]()
            async for names in _conversations(client, prefix, part, value, progress):
                new.update(names - found)
                yield progress
            found |= new
            progress.conversations = len(found)
            for name in () if dry_run else new:
                await client.eval(scripts.ERASE, 3, *conversation_keys(prefix, name), life)
            if mark is None or not new:
                break
        sessions = f"{prefix}session:*"
        async for keys, replies in _batches(client, sessions, lambda pipe, key: pipe.get(key), progress):
            ours = {key for key, record in zip(keys, replies, strict=True) if _conversation_of(record) in found}
            for key in () if dry_run else ours:
                await client.unlink(key)
            gone |= ours
            progress.responses = len(gone)
            yield progress
        if mark is not None:
            await client.eval(scripts.ERASED, 1, mark, life)
    finally:
        await client.aclose()
    logger.warning(
        "Redis session patch: %s %d conversations with %d responses, asked for by %s.",
        "would erase" if dry_run else "erased",
        progress.conversations,
        progress.responses,
        part,
    )
    yield progress


async def _conversations(
    client: Any, prefix: str, part: str, value: str, progress: Progress
) -> AsyncIterator[set[str]]:
    """The names of those that are wanted, some at a time."""
    if part == "response":
        name = _conversation_of(await client.get(f"{prefix}session:{inner_id(decrypted(value))}"))
        yield {name} if name else set()
        return
    wanted = (part, digest_of(value) or "")
    async for keys, replies in _batches(client, f"{prefix}{{*}}:turns", lambda pipe, key: pipe.hkeys(key), progress):
        matching = [key for key, fields in zip(keys, replies, strict=True) if _is_owned(fields, wanted)]
        yield {key[len(prefix) + 1 : -len("}:turns")] for key in matching}


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
    replies = await pipeline.execute(raise_on_error=False)
    for reply in replies:  # A key of another type is none of ours; of what could not be read, nobody knows whose it is.
        if isinstance(reply, Exception) and "WRONGTYPE" not in str(reply):
            raise reply
    progress.scanned += len(keys)
    return keys, replies


def _is_owned(fields: Any, wanted: tuple[str, str]) -> bool:
    """Whether a conversation of which ``fields`` are stored has a turn of the wanted owner."""
    tags = [field[1:].decode() for field in fields if field[:1] == b"o"] if isinstance(fields, list) else []
    return any(wanted in parts_of(tag) for tag in tags)


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
