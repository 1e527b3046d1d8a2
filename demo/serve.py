"""`make serve`: the forked proxy on `PORT` (4000) until Ctrl-C, with stand-ins, or with real models
where keys are set.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import ExitStack

from lab.provider import Provider
from lab.proxy import MASTER_KEY, Proxy, ProxyOptions, stand_in_models
from lab.trees import installed_release

from .running import a_redis, progress, run, say

KEYS = {
    "gemini-model": "GEMINI_API_KEY",
    "claude-model": "ANTHROPIC_API_KEY",
    "chat-model": "DEEPSEEK_API_KEY",
}
FOR_REAL_MODELS = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")


def models_for(provider_url: str) -> tuple[dict, ...]:
    """`model_list`: the real provider where its key is set, else the stand-in."""
    models = []
    for model in stand_in_models(provider_url, installed_release()):
        variable = KEYS[model["model_name"]]
        if os.environ.get(variable):
            real = {"model": model["litellm_params"]["model"], "api_key": f"os.environ/{variable}"}
            model = {**model, "litellm_params": real}
        models.append(model)
    return tuple(models)


def passed_on() -> dict[str, str]:
    """The keys that are set, the fork's own settings, and how to reach real providers."""
    own = [name for name in os.environ if name.startswith("REDIS_SESSION_PATCH_")]
    names = [*KEYS.values(), *FOR_REAL_MODELS, *own]
    return {
        "NO_PROXY": "localhost,127.0.0.1",
        **{name: os.environ[name] for name in names if os.environ.get(name)},
    }


def is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def curl_commands(base_url: str) -> str:
    """Two commands to paste; the second asks for what the first said."""
    headers = f"-H 'Authorization: Bearer {MASTER_KEY}' -H 'Content-Type: application/json'"
    head = f"curl -s {base_url}/v1/responses {headers}"
    first = '{"model": "gemini-model", "input": "My favourite number is 4711."}'
    second = '{"model": "gemini-model", "input": "What is my favourite number?"'
    read_id = """python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])'"""
    return (
        f"ID=$({head} -d '{first}' | {read_id})\n"
        f"""{head} -d '{second}, "previous_response_id": "'$ID'"}}'"""
    )


def ask_command(port: int) -> str:
    return "make ask" if port == 4000 else f"PORT={port} make ask"


def main() -> int:
    port = int(os.environ.get("PORT") or 4000)
    if is_taken(port):
        say(f"error: port {port} is taken; choose another with PORT=…")
        return 1
    with ExitStack() as stack:
        provider = stack.enter_context(Provider())
        environment = {**passed_on(), **a_redis(stack).environment}
        models = models_for(provider.url)
        for model in models:
            kind = "stand-in" if "api_base" in model["litellm_params"] else "real"
            say(f"{model['model_name']}: {kind} {model['litellm_params']['model']}")
        proxy = Proxy(ProxyOptions(provider.url, environment=environment, models=models, port=port))
        stack.callback(proxy.stop)
        proxy.start().wait_until_ready(on_wait=progress("the proxy is starting"))
        say(f"\nforked LiteLLM {proxy.release} on {proxy.url}, key {proxy.key}; paste:\n")
        say(f"{curl_commands(proxy.url)}\n")
        say(f"or, from another shell, `{ask_command(port)}`; Ctrl-C ends it")
        while proxy.is_running():
            time.sleep(0.5)
        say(f"error: the proxy ended with exit code {proxy.exit_code}\n{proxy.log_text()[-3000:]}")
    return 1


if __name__ == "__main__":
    run(main)
