"""An image's proxy, started as the image starts it."""

from __future__ import annotations

import json
import os
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lab.processes import Child, free_port, wait_until
from lab.provider import Provider
from lab.proxy import Proxy, ProxyOptions
from lab.redis_server import RedisServer
from tests.deploy.buildah import Buildah

START_SECONDS = 300
CONFIG = "/etc/litellm-config.yaml"
CLI = ("--config", CONFIG, "--host", "127.0.0.1", "--port", "{port}")
APP = ("--host", "127.0.0.1", "--port", "{port}")
# What deploy/kubernetes sets for a root file system that is read-only.
WRITTEN_BELOW_TMP = {"LITELLM_UI_PATH": "/tmp/litellm-ui", "LITELLM_ASSETS_PATH": "/tmp/litellm-assets"}
# A pod of deploy/kubernetes: this user, nothing to write to but /tmp.
CONFINED = """
cd "$1"
mount --bind . .
cd "$1"
mount -t tmpfs none tmp
mount -t proc none proc
mount --rbind /dev dev
mount -o remount,bind,ro .
exec chroot --userspec=65534:65534 . /bin/sh -c "$2"
"""


@dataclass(frozen=True)
class Start:
    """`words` follow the image's name, `{port}` is a free one. `read_only`: as deploy/kubernetes confines a pod."""

    image: str
    words: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    read_only: bool = False

    def __str__(self) -> str:
        given = [f"{name}={value}" for name, value in self.environment if name == "SEPARATE_HEALTH_APP"]
        return " ".join([*given, self.image, *(["on a read-only root"] if self.read_only else [])])


@contextmanager
def running(buildah: Buildah, start: Start, provider: Provider, redis: RedisServer, folder: Path) -> Iterator[str]:
    """The proxy, once it answers; gives its address."""
    proxy = Proxy(ProxyOptions(provider.url, environment=redis.environment, port=free_port()))
    settings = {**redis.environment, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "*", **dict(start.environment)}
    with buildah.container(start.image) as container:
        config = folder / "config.yaml"
        config.write_text(json.dumps(proxy.config()))
        config.chmod(0o644)
        buildah("copy", container, str(config), CONFIG)
        image = buildah.config(start.image)
        words = [*image["Entrypoint"], *(word.format(port=proxy.port) for word in start.words)]
        if start.read_only:
            command = confined(buildah, container, image, words, settings)
        else:
            given = [f"--env={name}={value}" for name, value in settings.items()]
            command = buildah.command("run", "--isolation", "chroot", *given, container, "--", *words)
        child = Child(command, folder / f"{start.image}.log", env=dict(os.environ))
        try:
            wait_until(proxy.is_up, START_SECONDS, f"the proxy of {start}", 0.5, child)
            yield proxy.url
        finally:
            child.stop()
            end_listener(proxy.port)


def end_listener(port: int) -> None:
    """Ends what was started for a port: supervisord's children are in no group of ours."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"--port\0{port}\0" in (folder / "cmdline").read_text():
                os.kill(int(folder.name), signal.SIGKILL)


def confined(buildah: Buildah, container: str, image: dict, words: list[str], settings: dict[str, str]) -> list[str]:
    """A command; what it mounts goes with it."""
    rootfs = buildah("mount", container)
    environment = [*image["Env"], *(f"{name}={value}" for name, value in {**settings, **WRITTEN_BELOW_TMP}.items())]
    started = f"cd {shlex.quote(image['WorkingDir'])} && exec env -i {shlex.join(environment)} {shlex.join(words)}"
    return ["unshare", "--mount", "--propagation", "private", "sh", "-euc", CONFINED, "sh", rootfs, started]
