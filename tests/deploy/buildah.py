"""buildah with a storage of its own, without an engine."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.trees import ROOT


def why_not() -> str | None:
    """What is missing to build images here, or None."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "building images takes root on Linux"
    missing = [name for name in ("buildah", "busybox") if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)} (apt-get install buildah busybox-static)" if missing else None


class Buildah:
    def __init__(self, storage: Path) -> None:
        places = ["--root", str(storage / "root"), "--runroot", str(storage / "run")]
        self._head = ["buildah", *places, "--storage-driver", "overlay"]
        if self.run("images", check=False).returncode:  # some machines cannot stack file systems: whole copies then
            self._head[-1] = "vfs"

    def command(self, *arguments: str) -> list[str]:
        return [*self._head, *arguments]

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, check=False, cwd=ROOT)
        if check and done.returncode:
            raise RuntimeError(f"buildah {arguments[0]} failed:\n{done.stdout[-2000:]}{done.stderr[-3000:]}")
        return done

    def __call__(self, *arguments: str) -> str:
        return self.run(*arguments).stdout.strip()

    def build(
        self, tag: str, file: str | Path, *options: str, context: str | Path = ".", **build_arguments: str
    ) -> subprocess.CompletedProcess[str]:
        """`--timestamp 0`: the times of a layer say nothing about when it was built."""
        given = [f"--build-arg={name}={value}" for name, value in build_arguments.items()]
        fixed = ("bud", "--isolation", "chroot", "--pull-never", "--timestamp", "0")
        return self.run(*fixed, *options, "-f", str(file), *given, "-t", tag, str(context), check=False)

    def end(self) -> None:
        """What is left mounted would keep its folder."""
        for command in ("rm", "umount"):
            self.run(command, "--all", check=False)

    @contextmanager
    def container(self, image: str) -> Iterator[str]:
        name = self("from", "--pull-never", image)
        try:
            yield name
        finally:
            self.run("rm", name, check=False)

    @contextmanager
    def mounted(self, image: str) -> Iterator[Path]:
        """A container's file system, to be looked at or changed."""
        with self.container(image) as container:
            try:
                yield Path(self("mount", container))
            finally:
                self.run("umount", container, check=False)

    def look(self, image: str) -> dict:
        return json.loads(self("inspect", "--type", "image", image))["OCIv1"]

    def config(self, image: str) -> dict:
        """Environment, user, working directory, entrypoint and the like, without labels."""
        return {name: value for name, value in self.look(image)["config"].items() if name != "Labels"}

    def labels(self, image: str) -> dict[str, str]:
        return self.look(image)["config"].get("Labels") or {}

    def layers(self, image: str) -> list[str]:
        return self.look(image)["rootfs"]["diff_ids"]

    def files_of(self, image: str) -> dict[str, tuple]:
        """Every path with its mode, owner and content."""
        with self.mounted(image) as root:
            return {f"/{path.relative_to(root).as_posix()}": describe(path) for path in root.rglob("*")}


def describe(path: Path) -> tuple:
    info = path.lstat()
    if stat.S_ISLNK(info.st_mode):
        content = str(path.readlink())
    else:
        content = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(info.st_mode) else ""
    return stat.filemode(info.st_mode), info.st_uid, info.st_gid, content
