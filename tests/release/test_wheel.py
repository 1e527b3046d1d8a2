"""LiteLLM with the fork in it as a wheel: built from the pinned one, installed, run, uninstalled."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from compatibility.proof import unlike_record, unpack
from compatibility.registry import find_uv
from lab.provider import Provider
from lab.proxy import Proxy, ProxyOptions
from lab.redis_server import RedisServer
from lab.trees import tree
from patches import look_at, open_target
from release.wheel import ROOT, forked_version, forked_wheel, pinned_wheel
from tests.deploy.traffic import Fleet, Traffic, answer_slowly
from tests.deploy.versions import UPSTREAM


@pytest.fixture(scope="module")
def pinned() -> Path:
    return pinned_wheel(UPSTREAM)


@pytest.fixture(scope="module")
def wheel(pinned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return forked_wheel(pinned, tmp_path_factory.mktemp("dist"))


def test_it_is_built_twice_with_the_same_bytes(wheel: Path, pinned: Path, tmp_path: Path) -> None:
    assert forked_wheel(pinned, tmp_path).read_bytes() == wheel.read_bytes()


def test_its_record_lists_every_file_with_its_hash(wheel: Path, tmp_path: Path) -> None:
    unpack(wheel, tmp_path)
    (record,) = tmp_path.glob("litellm-*.dist-info/RECORD")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert names[-1] == record.relative_to(tmp_path).as_posix()
    assert {row[0] for row in csv.reader(io.StringIO(record.read_text()))} == set(names)
    assert len(names) == len(set(names))
    assert unlike_record(tmp_path, record.read_bytes()) == ()


def test_the_tool_calls_it_patched_and_current(wheel: Path, tmp_path: Path) -> None:
    unpack(wheel, tmp_path)
    found = look_at(open_target(tmp_path))
    assert (found.state, found.is_current) == ("patched", True)
    assert found.tree.target.version == forked_version(UPSTREAM)


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fresh environment with the wheel as `litellm[proxy]`, its dependencies at the pinned versions."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    uv("venv", "--python", sys.executable, folder)
    pins = ROOT / "requirements" / f"{UPSTREAM}.txt"
    constraints = folder / "constraints.txt"
    constraints.write_text("".join(line.rstrip(" \\") + "\n" for line in pins.read_text().splitlines() if "==" in line))
    uv("pip", "install", "--python", folder, "--constraint", constraints, f"litellm[proxy] @ {wheel.as_uri()}")
    yield folder


def uv(*arguments: object) -> None:
    done = subprocess.run([find_uv(), "-q", *map(str, arguments)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


def test_it_comes_and_goes_under_traffic_passes_the_curl_check_and_uninstalls_without_a_trace(
    environment: Path,
) -> None:
    class InstalledProxy(Proxy):
        def command(self) -> list[str]:
            return [str(environment / "bin" / "litellm"), *super().command()[1:]]

    with Provider() as provider, RedisServer() as redis:
        provider.responder = answer_slowly
        options = ProxyOptions(provider.url, None, redis.environment)
        upstreams = partial(Proxy, replace(options, tree=tree("pristine")))
        with Fleet(upstreams) as fleet, Traffic(fleet, provider) as traffic:
            with traffic.phase("in"):
                proxy, _ = fleet.roll(partial(InstalledProxy, options, UPSTREAM))
            with traffic.phase("settled", 40):
                asked = {**os.environ, "BASE_URL": proxy.url, "API_KEY": proxy.key, "NO_PROXY": "*"}
                curl = subprocess.run(
                    [sys.executable, "-m", "demo.ask"], cwd=ROOT, env=asked, capture_output=True, text=True
                )
            with traffic.phase("out"):
                fleet.roll(upstreams)
            for phase in ("in", "settled", "out"):
                assert not traffic.failures(phase), f"{phase}\n{fleet.tracebacks()}"
        assert curl.returncode == 0, curl.stdout + curl.stderr
        # What was said before the fork was in everywhere is nowhere.
        assert not traffic.forgotten("settled", "start", "in")
    packages = next(environment.glob("lib/python*/site-packages"))
    assert (packages / f"litellm-{forked_version(UPSTREAM)}.dist-info").is_dir()
    uv("pip", "uninstall", "--python", environment, "litellm")
    assert [
        path.name for path in packages.glob("litellm*") if not path.name.startswith(("litellm_", "litellm-proxy"))
    ] == []
