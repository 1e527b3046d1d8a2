"""`python -m patches ask`: what runs, and not what is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.processes import free_port
from lab.proxies import ProxyPool
from lab.proxy import Proxy, ProxyOptions
from lab.trees import ROOT, run_patches
from litellm.responses.litellm_completion_transformation.redis_session_patch.version import FORK_VERSION
from patches import read_own_files
from patches.own import build_of


def ask(url: str, key: str = "", *more: str) -> tuple[int, dict[str, Any]]:
    words = ["ask", "--json", "--proxy", url, *(["--key", key] if key else []), *more]
    command = [sys.executable, "-m", "patches", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, env={})
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def test_a_forked_proxy_says_which_fork_and_release_answer(proxy: Proxy, release: str) -> None:
    exit_code, told = ask(f"{proxy.url}/", proxy.key)
    assert (exit_code, told["runs"], told["fork"], told["release"]) == (0, True, FORK_VERSION, release)
    assert (told["active"], told["state"], told["build"]) == (True, "active", build_of(read_own_files()))
    assert ask(f"{proxy.url}/", proxy.key, "--expect", "active")[0] == 0
    assert ask(f"{proxy.url}/", proxy.key, "--expect", "off")[0] == 3


def test_a_proxy_whose_upgrade_dropped_the_fork_is_noticed(
    proxies: ProxyPool, plain_options: ProxyOptions, pristine_tree: Path
) -> None:
    """As after `pip install --upgrade`, which replaces the patched files and says nothing."""
    assert run_patches("status", "--expect", "patched", "--target", str(pristine_tree)).returncode == 3
    upgraded = proxies.get(replace(plain_options, tree=pristine_tree))
    exit_code, told = ask(upgraded.url, upgraded.key)
    assert (exit_code, told["error"]) == (3, None)
    assert (told["runs"], told["fork"], told["release"]) == (False, None, None)


def test_where_nobody_can_tell_it_says_why(proxy: Proxy) -> None:
    for url, key, why in (
        (proxy.url, "", f"{proxy.url}: answers "),
        (proxy.url, "sk-another", f"{proxy.url}: answers "),
        (f"http://127.0.0.1:{free_port()}", "sk-any", "cannot be asked"),
    ):
        exit_code, told = ask(url, key)
        assert (exit_code, why in told["error"]["sentence"]) == (1, True), told
        assert told["error"]["next"]
