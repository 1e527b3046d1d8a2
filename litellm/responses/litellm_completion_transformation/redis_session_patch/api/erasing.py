"""``POST /session_store/erase``: an administrator takes out all that is stored of one owner, or one conversation, now.

A conversation goes whole, whoever else took part in it: what was erased must not live on in a later turn.
"""

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from ..redis import runtime as runtimes
from ..redis import scripts
from ..redis.runtime import Runtime, logger
from ..redis.store import conversation_keys, erased_key, events_key, mark_life, parts_of
from ..values.ids import Place, decrypted, place_of
from ..values.owner import PARTS, digest_of

PATH = "/session_store/erase"

_NAMES = (*PARTS, "response")
_EXPECTED = f"Expected one of {', '.join(_NAMES)}, with a text; and, if wanted, dry_run, true or false; each once."
_BATCH = 500
_SECONDS = 10.0  # for an answer of Redis: nobody's request waits
_MOST_PASSES = 4  # Somebody who goes on writing must not keep an erasure from its end.


@dataclass
class Progress:
    """How often a key was looked at; how many conversations and responses are, or in a dry run would be, erased."""

    dry_run: bool = False
    scanned: int = 0
    conversations: int = 0
    responses: int = 0


def erase(runtime: Runtime, wanted: Mapping[str, str], dry_run: bool) -> Iterator[Progress]:
    """``wanted``: the value of one of ``user``, ``team``, ``key_hash``, ``end_user``, ``organization`` or ``response``.

    Gives the same Progress again and again, last when done; for a thread. Raises what redis-py does; may then be run
    again.
    """
    ((part, value),) = wanted.items()
    client, prefix, life = runtime.open_client(_SECONDS), runtime.prefix, mark_life(runtime.settings)
    mark = None if dry_run or part == "response" else erased_key(prefix, part, digest_of(value) or "")
    progress, found = Progress(dry_run), set[str]()
    try:
        # Before the scan: who writes a conversation anew reads the mark after writing, so either we find what was
        # written or the writer finds the mark. If this fails, the mark stays, and nothing is written anew meanwhile.
        if mark is not None:
            client.set(mark, "running", ex=life)
        for _ in range(_MOST_PASSES):
            new = set[str]()
            for names in _conversations(client, prefix, part, value, progress):
                new |= names - found
                yield progress
            found |= new
            progress.conversations = len(found)
            for name in new:
                keys = conversation_keys(prefix, name)
                progress.responses += client.zcard(keys[2]) - (client.zscore(keys[2], scripts.OBJECT) is not None)
                if not dry_run:
                    events = _events_of(client, prefix, name)
                    client.eval(scripts.ERASE, len(keys) + len(events), *keys, *events, life)
                yield progress
            if mark is None or not new:
                break
        if mark is not None:
            client.eval(scripts.ERASED, 1, mark, life)
    finally:
        client.close()
    did = "would erase" if dry_run else "erased"
    counts = did, progress.conversations, progress.responses, part
    logger.warning("Redis session patch: %s %d conversations with %d responses, asked for by %s.", *counts)
    yield progress


def _conversations(client: Any, prefix: str, part: str, value: str, progress: Progress) -> Iterator[set[str]]:
    """The names of those that are wanted, some at a time."""
    if part == "response":
        place = place_of(decrypted(value))
        if place is not None and client.zcard(conversation_keys(prefix, place.conversation)[1]):
            yield {place.conversation}
        return
    wanted = (part, digest_of(value) or "")
    pattern = re.sub(r"([\[\]?\\])", r"\\\1", f"{prefix}{{*}}:turns")
    keys = (key.decode() for key in client.scan_iter(match=pattern, count=1_000))
    while batch := list(itertools.islice(keys, _BATCH)):
        pipeline = client.pipeline(transaction=False)
        for key in batch:
            pipeline.hget(key, "by")
        names = set[str]()
        for key, tags in zip(batch, pipeline.execute(raise_on_error=False), strict=True):
            # A key of another type is none of ours; what could not be read may be anybody's.
            if isinstance(tags, Exception) and "WRONGTYPE" not in str(tags):
                raise tags
            if isinstance(tags, bytes) and any(wanted in parts_of(tag) for tag in tags.decode().split()):
                names.add(key[len(prefix) + 1 : -len("}:turns")])
        progress.scanned += len(batch)
        yield names


def _events_of(client: Any, prefix: str, name: str) -> list[str]:
    """Keys that background responses of this conversation may have."""
    fields = map(bytes.decode, client.hkeys(conversation_keys(prefix, name)[0]))
    return [events_key(prefix, Place(name, found[1])) for each in fields if (found := re.fullmatch(r"j?(\d+)", each))]


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
        is_text = isinstance(value, str) and value.strip()
        if name in fields or not (isinstance(value, bool) if name == "dry_run" else name in _NAMES and is_text):
            raise ValueError(f"{name}: not as it must be. {_EXPECTED}")
        fields[name] = value
    dry_run = fields.pop("dry_run", False)
    if len(fields) != 1:
        raise ValueError(_EXPECTED)
    return fields, dry_run


def _lines(runtime: Runtime, wanted: Mapping[str, str], dry_run: bool) -> Iterator[str]:
    progress, end = Progress(dry_run), dict[str, object](done=True)
    try:
        for progress in erase(runtime, wanted, dry_run):
            yield json.dumps(vars(progress)) + "\n"
    except Exception as error:
        logger.warning("Redis session patch: an erasure failed (%s).", type(error).__name__)
        end = {"error": type(error).__name__}
    yield json.dumps({**vars(progress), **end}) + "\n"
