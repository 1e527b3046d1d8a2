"""`make demo`: the same consecutive requests on the forked proxy with the patch switched off and on, as a table.

What counts as remembered is not what the model says but what it was sent: the stand-in's record of
the second request must hold the first turn's text and answer. Ends with 0 only when "after" is all
remembered.
"""

from __future__ import annotations

import itertools
from contextlib import ExitStack

from lab.provider import Provider
from lab.proxy import MODELS, Proxy, ProxyOptions
from lab.redis_server import GivenRedis, RedisServer
from lab.trees import installed_release

from .ask import ask_twice
from .running import a_redis, progress, run, say

CASES = tuple(itertools.product(MODELS, (False, True)))
HEAD = f"{'model':<14} {'mode':<7} {'before':<11} {'after':<11} the model's answer after"


def is_remembered(proxy: Proxy, provider: Provider, model: str, stream: bool) -> tuple[bool, str]:
    """Whether the provider got the first turn with the second one, and the answer to the second."""
    seen = max((each.sequence for each in provider.requests()), default=0)
    outcome = ask_twice(proxy.url, proxy.key, model, stream)
    conversation = provider.requests(since=seen)[-1].conversation
    sent = [text for message in conversation for text in message.texts]
    return outcome.statement in sent and outcome.first.text in sent, outcome.second.text


def start_proxies(stack: ExitStack, provider: Provider, redis: RedisServer | GivenRedis) -> list[Proxy]:
    """The proxy with the patch off, and with it on; they start side by side."""
    proxies = []
    for enabled in ("false", "true"):
        environment = {**redis.environment, "REDIS_SESSION_PATCH_ENABLED": enabled}
        proxy = Proxy(ProxyOptions(provider.url, environment=environment))
        stack.callback(proxy.stop)
        proxies.append(proxy.start())
    for proxy, state in zip(proxies, ("off", "on"), strict=True):
        proxy.wait_until_ready(on_wait=progress("the proxies are starting"))
        say(f"proxy with the patch {state}: {proxy.url}")
    return proxies


def word(remembered: bool) -> str:
    return "remembered" if remembered else "forgotten"


def main() -> int:
    with ExitStack() as stack:
        provider = stack.enter_context(Provider())
        say(f"stand-in for Gemini, Claude and OpenAI chat: {provider.url}")
        redis = a_redis(stack)
        say(f"two LiteLLM {installed_release()} proxies, some 25 s of work each …")
        before, after = start_proxies(stack, provider, redis)
        say(f"\nturn 2 right after turn 1, with previous_response_id, by curl:\n\n{HEAD}")
        kept = []
        for model, stream in CASES:
            was, _ = is_remembered(before, provider, model, stream)
            now, answer = is_remembered(after, provider, model, stream)
            kept.append(now)
            mode = "stream" if stream else "plain"
            say(f"{model:<14} {mode:<7} {word(was):<11} {word(now):<11} {answer}")
    say(f"\nafter: {sum(kept)} of {len(kept)} remembered; all that was started has been stopped")
    return 0 if all(kept) else 1


if __name__ == "__main__":
    run(main)
