"""Where a turn's processor time goes: samples of a proxy at work, and whose code each was in.

A sample belongs to the innermost function of the fork or of LiteLLM on its stack: what they call in libraries counts
for them, redis-py in the fork's threads too. What hands work to these threads and back has neither, and is `other`.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from lab.redis_server import RedisServer

from . import results
from .load import Client, Talk, play_turn
from .processor import keep_on
from .sides import OTHER_CORES, Side, running_provider, running_sides
from .turns import ASKED, TURNS

PY_SPY = Path(".build/profile/venv/bin/py-spy")
SAMPLES_A_SECOND = 400
CLIENTS, CONVERSATIONS = 16, 300
SHOWN = 25

_FRAME = re.compile(r"(?P<function>.+) \((?P<file>.+?)(?::\d+)?\)")
_FORK, _LITELLM = "/redis_session_patch/", "/litellm/"


def owner_of(stack: Iterable[str]) -> str:
    """The fork's function, `litellm` or `other`. Frames are `function (file:line)`, the outermost first."""
    for frame in reversed(list(stack)):
        match = _FRAME.fullmatch(frame)
        file = match["file"] if match else ""
        if _FORK in file:
            return f"{Path(file).stem}.{match['function']}" if match else frame
        if _LITELLM in file:
            return "litellm"
    return "other"


def samples_of(folded: str) -> Counter[str]:
    """Samples by owner, from lines `frame;frame;… count`."""
    found: Counter[str] = Counter()
    for line in folded.splitlines():
        stack, _, count = line.rpartition(" ")
        found[owner_of(stack.split(";"))] += int(count)
    return found


def shares(found: Counter[str]) -> dict:
    """Parts of all samples. `functions`: the fork's own, the largest first."""
    total = sum(found.values())
    functions = {name: count for name, count in found.most_common() if name not in ("litellm", "other")}
    return {
        "samples": total,
        "fork": round(sum(functions.values()) / total, 4),
        "functions": {name: round(count / total, 4) for name, count in itertools.islice(functions.items(), SHOWN)},
    }


async def play(side: Side, stream: bool, numbers: Iterator[int]) -> None:
    talks = [Talk()] * CONVERSATIONS
    async with Client(side.proxy.url, side.proxy.key, CLIENTS) as client:
        for _ in TURNS:
            asked = [f"{next(numbers)} {ASKED}" for _ in talks]
            talks, _ = await play_turn(client, talks, asked, stream=stream, remembers=side.remembers)


async def profiled(side: Side, stream: bool, numbers: Iterator[int], folder: Path) -> dict:
    """`CONVERSATIONS` of two turns while the proxy is watched."""
    file = folder / "folded"
    command = [PY_SPY, "record", "--pid", side.proxy.pid, "--rate", SAMPLES_A_SECOND, "--output", file]
    command += ["--gil", "--nonblocking", "--full-filenames", "--format", "raw"]
    watcher = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    keep_on(watcher.pid, OTHER_CORES)
    try:
        await play(side, stream, numbers)
    finally:
        watcher.send_signal(2)
        _, said = watcher.communicate(timeout=60)
    if not file.exists():
        raise RuntimeError(f"py-spy gave nothing: {said.strip()}")
    return {"stream": stream, "requests": CONVERSATIONS * len(TURNS), **shares(samples_of(file.read_text()))}


async def measure(side: Side) -> list[dict]:
    numbers, rows = itertools.count(500_000), []
    with tempfile.TemporaryDirectory() as folder:
        for stream in (False, True):
            await play(side, stream, numbers)  # warm
            rows.append(row := await profiled(side, stream, numbers, Path(folder)))
            results.progress(
                f"  {'stream' if stream else 'plain'}: the fork {row['fork']:.1%} of {row['samples']} samples"
            )
    return rows


def main() -> None:
    keep_on(os.getpid(), OTHER_CORES)
    with RedisServer() as redis, running_provider() as provider:
        for each in (redis, provider):
            keep_on(each.pid, OTHER_CORES)
        with running_sides(("on",), provider.url, redis) as (side,):
            results.write("shares", rows=asyncio.run(measure(side)))
