"""The proxies that are compared: with the fork at work, with it switched off, and upstream's own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lab.answers import Answer
from lab.native_models import NATIVE, native_entries
from lab.provider_client import ProviderProcess
from lab.proxy import Proxy, ProxyOptions
from lab.redis_server import RedisServer
from lab.trees import tree

from .editions import EDITIONS, tree_of
from .load import MODEL
from .processor import keep_on, processor_seconds, split_cores

PROXIES_CORES, OTHER_CORES = split_cores()
PROVIDER_DELAY_SECONDS = 0.02
ANSWER = "Some words of a usual length, as models write them, one sentence after the other. " * 12
CHUNKS = 40


@dataclass(frozen=True)
class Side:
    """`remembers`: its clients send `previous_response_id`, those of the others the whole conversation. `model`: what
    they ask for.
    """

    name: str
    proxy: Proxy
    remembers: bool
    model: str = MODEL

    def processor_seconds(self) -> float:
        return processor_seconds(self.proxy.pid)


@dataclass(frozen=True)
class Kind:
    """What a side is made of. `tree` makes the LiteLLM that runs. `metrics`: LiteLLM's own, for Prometheus."""

    tree: Callable[[], Path]
    environment: Mapping[str, str]
    remembers: bool
    metrics: bool = False
    model: str = MODEL


OFF = {"REDIS_SESSION_PATCH_ENABLED": "false"}
PATCHED = partial(tree, "patched")
KINDS = {
    "on": Kind(PATCHED, {}, True),
    "off": Kind(PATCHED, OFF, False),
    "pristine": Kind(partial(tree, "pristine"), {}, False),
    "on, metrics": Kind(PATCHED, {}, True, metrics=True),
    "off, metrics": Kind(PATCHED, OFF, False, metrics=True),
    "native on": Kind(PATCHED, {"REDIS_SESSION_PATCH_NATIVE": "true"}, True, model=NATIVE),
    "native off": Kind(PATCHED, {}, True, model=NATIVE),
    **{name: Kind(partial(tree_of, name), {}, True) for name in EDITIONS},
}


def options_of(kind: Kind, provider_url: str, redis_url: str) -> ProxyOptions:
    # A Redis of the fork's own: given by REDIS_URL, upstream would use it too, for other things.
    environment = {"REDIS_SESSION_PATCH_URL": redis_url, **kind.environment}
    settings = {"callbacks": ["prometheus"]} if kind.metrics else {}
    models = tuple(native_entries(provider_url, NATIVE)) if kind.model == NATIVE else None
    return ProxyOptions(provider_url, kind.tree(), environment, models, litellm_settings=settings)


@contextlib.contextmanager
def running_provider(text: str = ANSWER, chunks: int = CHUNKS) -> Iterator[ProviderProcess]:
    """A model that takes a fixed time to answer, in a process of its own."""
    with ProviderProcess() as provider:
        provider.always(Answer(text=text, pieces=chunks, delay_seconds=PROVIDER_DELAY_SECONDS))
        yield provider


@contextlib.contextmanager
def running_sides(names: tuple[str, ...], provider_url: str, redis: RedisServer) -> Iterator[list[Side]]:
    """The proxies, all started and ready, on a core of their own; only one is asked at a time."""
    with contextlib.ExitStack() as stack:
        sides = []
        for name in names:
            kind = KINDS[name]
            proxy = Proxy(options_of(kind, provider_url, redis.url))
            stack.callback(proxy.stop)
            proxy.start()
            keep_on(proxy.pid, PROXIES_CORES)
            sides.append(Side(name, proxy, kind.remembers, kind.model))
        for side in sides:
            side.proxy.wait_until_ready()
        yield sides
