"""One release: its environment, two real proxies (the patch off and on), and all scenes on both."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

from compatibility.defects import DEFECTS, Watch, watch_all
from compatibility.environments import Environment, NotInstallable, add_missing, make_environment
from compatibility.registry import PACKAGE
from compatibility.scenes import SCENES, scenes_for
from compatibility.talk import SceneFailed, Talk
from lab.asking import Asker
from lab.client import AsyncResponsesClient, ResponsesClient
from lab.database.additions import add_what_is_missing
from lab.database.postgres import Databases
from lab.database.proxy_env import with_database
from lab.database.queries import MigrationFailed
from lab.lines import HttpLine, Manner
from lab.native_models import NATIVE, native_entries
from lab.player import Player
from lab.processes import ProcessFailed
from lab.provider import Provider
from lab.proxy import MODELS, Proxy, ProxyOptions, stand_in_models
from lab.redis_server import RedisServer
from lab.trees import TreeFailed, files_that_differ_from_record, make_patched, run_patches
from patches.ask import ask_proxy
from patches.errors import PatchError

START_SECONDS = 900
SCENE_SECONDS = 300
AT_ONCE = 4
WATCHED_FROM = 1_000_000  # numbers of requests: threads share them, and no scene uses them
HELD = ""
CACHED = {"cache": True, "cache_params": {"type": "local"}}
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Cell:
    """One scene in one format. `before` and `after`: "" when it held, else what went wrong.

    `control`: "" unless `after` failed and so does the same scene, the patch off, with the client
    sending everything itself; such a cell says nothing about the fork and is not counted.
    """

    scene: str
    model: str
    stream: bool
    before: str
    after: str
    control: str = ""


@dataclass(frozen=True)
class LiveRow:
    """`dependencies_of`: see Environment. `problem`: why there are no cells. `reverted`: "" when the
    tree, after it ran, went back to the wheel's RECORD; None when that was not tried. `added`: see Environment.
    `defects`: by the catalogue's names, what was seen with the patch off and a database: see defects.py. `health`: what
    the fork said of itself after all scenes: counts, breakers, the last errors."""

    release: str
    dependencies_of: str = ""
    install_problem: str = ""
    install_seconds: float | None = None
    problem: str = ""
    cells: tuple[Cell, ...] = ()
    reverted: str | None = None
    added: tuple[str, ...] = ()
    defects: dict[str, str] = field(default_factory=dict)
    health: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> LiveRow:
        cells = tuple(Cell(**cell) for cell in row["cells"])
        return cls(**{**row, "cells": cells, "added": tuple(row.get("added", ()))})


@dataclass
class Stage:
    """What the releases share: the provider, Redis, PostgreSQL, request numbers."""

    provider: Provider
    redis: RedisServer
    databases: Databases
    tags: Iterator[int]
    keep: bool = field(default=False)


class ReleaseProxy(Proxy):
    """The proxy of another environment than this one's."""

    def __init__(self, options: ProxyOptions, environment: Environment) -> None:
        super().__init__(options, environment.release)
        self._script = environment.python.with_name("litellm")

    def command(self) -> list[str]:
        return [str(self._script), *super().command()[1:]]


def run_release(release: str, older: Sequence[str], stage: Stage) -> LiveRow:
    """Never raises for what a release does: the row tells."""
    try:
        environment = make_environment(release, older)
    except NotInstallable as error:
        return LiveRow(release, problem=f"does not install: {error}")
    about = (release, environment.dependencies_of, environment.problem, environment.install_seconds)
    try:
        make_patched(environment.site_packages, release, environment.patched_tree)
        environment, seen = with_what_is_missing(environment, lambda each: _play(each, stage))
        return LiveRow(*about, reverted=_revert(environment), added=environment.added, **seen)
    except TreeFailed as error:
        return LiveRow(*about, problem=f"is not patched: {' '.join(str(error).split())[-300:]}")
    except ProcessFailed as error:
        return LiveRow(*about, problem=str(error))
    finally:
        if not stage.keep:
            environment.remove()


def with_what_is_missing(
    environment: Environment, play: Callable[[Environment], _Result]
) -> tuple[Environment, _Result]:
    """Plays; where borrowed dependencies lack a module that the release requires, adds it and plays again."""
    while True:
        try:
            return environment, play(environment)
        except ProcessFailed as error:
            missing = re.search(r"No module named '([\w.]+)'", str(error))
            try:
                more = add_missing(environment, missing[1].partition(".")[0]) if missing else None
            except NotInstallable as refused:
                raise ProcessFailed(f"{error} ({refused})") from refused
            if more is None:
                raise
            environment = more


def _play(environment: Environment, stage: Stage) -> dict[str, Any]:
    """Every scene with the patch off and on, then every watch on a proxy with a database and the patch off.

    Gives cells, health and defects of a LiveRow."""
    on = {**stage.redis.environment, "REDIS_SESSION_PATCH_NATIVE": "true"}
    off = {**on, "REDIS_SESSION_PATCH_ENABLED": "false"}

    def proxies_of(*options: ProxyOptions) -> AbstractContextManager[list[ReleaseProxy]]:
        return running([ReleaseProxy(each, environment) for each in options])

    url = stage.provider.url
    models = (*stand_in_models(url, environment.release), *native_entries(url, NATIVE))
    options = [ProxyOptions(url, environment.patched_tree, each, models) for each in (off, on)]
    try:
        with proxies_of(*options) as proxies:
            seen: dict[str, Any] = {
                "cells": asyncio.run(_play_all(*proxies, scenes_for(environment.patched_tree), stage))
            }
            seen["health"] = _health(proxies[1])
        try:
            with (
                fresh_database(environment, stage.databases) as database,
                proxies_of(with_database(replace(options[0], litellm_settings=CACHED), database)) as (proxy,),
                ResponsesClient(proxy.url, proxy.key) as client,
            ):
                asker = Asker(client, stage.provider, tags=itertools.count(WATCHED_FROM))
                return {**seen, "defects": watch_all(Watch(asker, database))}
        except (ProcessFailed, MigrationFailed) as error:
            return {**seen, "defects": dict.fromkeys(DEFECTS, f"no proxy with a database: {error}"[:200])}
    finally:
        stage.provider.clear()


@contextmanager
def fresh_database(environment: Environment, databases: Databases) -> Iterator[str]:
    """With the release's own tables, where those of borrowed migrations are an older release's."""
    with databases.fresh(environment.migrations) as url:
        if environment.dependencies_of:
            add_what_is_missing(url, environment.site_packages / PACKAGE / "proxy" / "schema.prisma")
        yield url


def _health(proxy: Proxy) -> dict[str, Any]:
    try:
        told = ask_proxy(proxy.url, proxy.key) or {}
    except PatchError as error:
        return {"error": str(error)}
    return {name: told.get(name) for name in ("active", "breaker_open", "last_error", "counts")}


@contextmanager
def running(proxies: list[ReleaseProxy]) -> Iterator[list[ReleaseProxy]]:
    try:
        for proxy in proxies:
            proxy.start()
        for proxy in proxies:
            try:
                proxy.wait_until_ready(START_SECONDS)
            except ProcessFailed as error:
                cause = cause_of(proxy.log_text() or str(error))
                raise ProcessFailed(f"the proxy does not start: {cause}") from error
        yield proxies
        for proxy in proxies:
            if not proxy.is_running():  # what it did not answer says nothing about what it remembers
                raise ProcessFailed(f"the proxy ended by itself, with exit code {proxy.exit_code}")
    finally:
        for proxy in proxies:
            proxy.stop()


async def _play_all(off: Proxy, on: Proxy, scenes: Sequence[str], stage: Stage) -> tuple[Cell, ...]:
    places = asyncio.Semaphore(AT_ONCE)
    async with AsyncResponsesClient(off.url, off.key) as before, AsyncResponsesClient(on.url, on.key) as after:

        async def play(client: AsyncResponsesClient, scene: str, model: str, stream: bool, whole: bool = False) -> str:
            line = HttpLine(client, Manner(model, stream))
            talk = Talk(Player(line, stage.provider, stage.tags, whole))
            try:
                await asyncio.wait_for(SCENES[scene](talk), SCENE_SECONDS)
            except SceneFailed as error:
                return str(error)
            except Exception as error:  # a broken connection, a late answer: the cell tells
                return f"{type(error).__name__}: {error}"
            return HELD

        async def cell(scene: str, model: str, stream: bool) -> Cell:
            async with places:
                results = [await play(client, scene, model, stream) for client in (before, after)]
                control = HELD if results[1] == HELD else await play(before, scene, model, stream, whole=True)
                return Cell(scene, model, stream, *results, control)

        wanted = [(scene, model, stream) for scene in scenes for model in MODELS for stream in (False, True)]
        return tuple(await asyncio.gather(*(cell(*each) for each in wanted)))


def _revert(environment: Environment) -> str:
    done = run_patches("revert", "--target", str(environment.patched_tree))
    if done.returncode:
        return done.stderr.strip().splitlines()[0]
    wrong = files_that_differ_from_record(environment.patched_tree, environment.release)
    return f"{', '.join(wrong[:3])} differ from RECORD" if wrong else ""


def cause_of(log: str) -> str:
    """The line that names the error a proxy died of: of a chain of errors the first, which the
    others only followed."""
    first = log.split("During handling of the above exception", 1)[0]
    errors = [line.strip() for line in first.splitlines() if re.match(r"\s*(\w+\.)*\w*(Error|Exception)\b", line)]
    found = (errors or first.strip().splitlines() or ["no message"])[-1]
    return re.sub(r" \(/[^)]*\)$", "", found)[:300]  # the file is one of this machine
