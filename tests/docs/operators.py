"""What an operator has who follows the documents: a shell, a `python` with a LiteLLM as pip leaves it, a Redis."""

from __future__ import annotations

import os
import shutil
import subprocess
import venv
from pathlib import Path

from redis import Redis

from lab.redis_server import RedisServer, find_redis_binary
from lab.trees import ROOT, installed_release, installed_site_packages, link_tree, tree

# Beside LiteLLM in every proxy's environment, and named like it; redis is for `purge`.
PROXY_PARTS = ("litellm_enterprise", "litellm_proxy_extras", "redis")
# The last one is an earlier build's.
OUR_KEYS = ("litellm_patch:session:{a}:turns", "litellm_patch:session:erased:user:b", "litellm_patch:{c}:turns")


def run_shell(text: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", text], cwd=ROOT, env=environment, text=True, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
    )  # fmt: skip


def install_litellm(packages: Path) -> None:
    """As `pip install litellm[proxy]` leaves it, as far as a document looks."""
    link_tree(tree("pristine"), installed_release(), packages)
    installed = installed_site_packages()
    beside = [path for name in PROXY_PARTS for path in (installed / name, *installed.glob(f"{name}-*.dist-info"))]
    assert len(beside) == 2 * len(PROXY_PARTS)
    for path in beside:
        shutil.copytree(path, packages / path.name, copy_function=os.link, ignore=shutil.ignore_patterns("__pycache__"))


def shell_environment(folder: Path, redis_url: str) -> dict[str, str]:
    """`python` is the one of `folder`/venv, `redis-cli` is there, and `REDIS_URL` leads to a Redis."""
    programs = (folder / "venv/bin", Path(find_redis_binary("redis-cli")).parent)
    path = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "LC_ALL", "TMPDIR") if name in os.environ}
    return {**kept, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1", "REDIS_URL": redis_url}


def operator_environment(folder: Path, redis: RedisServer) -> dict[str, str]:
    """All of it, and in the Redis keys of ours and of others."""
    venv.create(folder / "venv", symlinks=True)
    install_litellm(next((folder / "venv").glob("lib/python*/site-packages")))
    with Redis.from_url(redis.url) as client:
        client.flushall()
        client.mset(dict.fromkeys((*OUR_KEYS, "other"), "1"))
    return shell_environment(folder, redis.url)
