"""Follow-ups on the newest release of LiteLLM, in an environment of its own: by upstream's database lookup, and by the
fork.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import replace

from compatibility.environments import Environment, make_environment
from compatibility.live_run import ReleaseProxy, fresh_database, with_what_is_missing
from compatibility.registry import list_versions
from compatibility.releases import live_default, older_finals
from lab.database.postgres import postgres
from lab.database.proxy_env import with_database
from lab.provider import Provider
from lab.proxy import ProxyOptions
from lab.redis_server import RedisServer
from lab.trees import make_patched

from . import results
from .conversations import Remembering, follow_ups
from .sides import OFF


def measure(environment: Environment) -> dict:
    with ExitStack() as stack:
        provider, redis = stack.enter_context(Provider()), stack.enter_context(RedisServer())
        databases = stack.enter_context(postgres())
        fork = ProxyOptions(provider.url, environment.patched_tree, {"REDIS_SESSION_PATCH_URL": redis.url})
        fork = replace(fork, general_settings={"store_prompts_in_spend_logs": False})
        sides = []
        for name, options in (("upstream", ProxyOptions(provider.url, fork.tree, OFF)), ("fork", fork)):
            url = stack.enter_context(fresh_database(environment, databases))
            proxy = stack.enter_context(ReleaseProxy(with_database(options, url), environment))
            sides.append(Remembering(name, proxy, url))
        return asyncio.run(follow_ups(sides, provider))


def main() -> None:
    available = list_versions()
    release = live_default(available)[-1]
    results.progress(f"  LiteLLM {release} into an environment of its own")
    environment = make_environment(release, older_finals(release, available))
    try:
        make_patched(environment.site_packages, release, environment.patched_tree)
        environment, figures = with_what_is_missing(environment, measure)
    finally:
        environment.remove()
    results.write("newest", litellm=release, dependencies_of=environment.dependencies_of or release, **figures)
