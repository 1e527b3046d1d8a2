"""An image's proxy, started as the image starts it."""

from __future__ import annotations

import os
import shlex
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lab.proxy import Proxy, ProxyOptions
from lab.redis_server import RedisServer
from tests.deploy.buildah import Buildah

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


class ImageProxy(Proxy):
    """The proxy of a container of its own."""

    def __init__(self, buildah: Buildah, start: Start, provider_url: str, redis: RedisServer) -> None:
        super().__init__(ProxyOptions(provider_url, environment=redis.environment))
        self._buildah, self._start = buildah, start
        self._container: str | None = None

    def environment(self) -> dict[str, str]:
        return dict(os.environ)  # buildah's; the proxy's own is in the command

    def command(self) -> list[str]:
        buildah, image = self._buildah, self._buildah.config(self._start.image)
        self._container = buildah("from", "--pull-never", self._start.image)
        buildah("copy", "--chmod", "0644", self._container, str(self._folder / "config.yaml"), CONFIG)
        given = {**self.options.environment, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "*"}
        given |= dict(self._start.environment)
        words = [*image["Entrypoint"], *(word.format(port=self.port) for word in self._start.words)]
        if self._start.read_only:
            return self._confined(image, words, given)
        set_ = [f"--env={name}={value}" for name, value in given.items()]
        return buildah.command("run", "--isolation", "chroot", *set_, self._container, "--", *words)

    def _confined(self, image: dict, words: list[str], given: dict[str, str]) -> list[str]:
        """What it mounts goes with it."""
        rootfs = self._buildah("mount", self._container)
        environment = [*image["Env"], *(f"{name}={value}" for name, value in {**given, **WRITTEN_BELOW_TMP}.items())]
        started = f"cd {shlex.quote(image['WorkingDir'])} && exec env -i {shlex.join(environment)} {shlex.join(words)}"
        return ["unshare", "--mount", "--propagation", "private", "sh", "-euc", CONFINED, "sh", rootfs, started]

    def stop(self) -> None:
        super().stop()
        end_listener(self.port)
        if self._container is not None:
            self._buildah.run("rm", self._container, check=False)


def end_listener(port: int) -> None:
    """Ends what was started for a port: supervisord's children are in no group of ours."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"--port\0{port}\0" in (folder / "cmdline").read_text():
                os.kill(int(folder.name), signal.SIGKILL)
