"""Puts the fork into every copy of LiteLLM that an image holds, and asserts that whatever starts the image runs one.

deploy/Dockerfile calls it, with the image's own Python:

    patch   as root: applies the fork and leaves in --layer what has changed, below the image's own paths, with its mode
            and owner, and with times and bytecode that are the same in every build
    assert  as the image's user, in its working directory: asks each command that starts LiteLLM which copy it imports

Ends with 1 and two lines, what is wrong and what to do, when the image is not one to run.
"""

from __future__ import annotations

import argparse
import json
import os
import py_compile
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

FORK = Path(__file__).resolve().parents[1]
BRIDGE = Path("litellm/responses/litellm_completion_transformation")
TOOL_FOLDER = Path("opt/litellm-session-fork")
COMMAND = Path("usr/local/bin/litellm-redis-session")
NO_FILES = ("proc", "sys", "dev")
CACHES = {".cache", "node_modules"}
EPOCH_SECONDS = int(os.environ.get("SOURCE_DATE_EPOCH") or 0)
# An image gets no bytecode from this but what is compiled on purpose, and nothing waits for a download of prices.
QUIET = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
# `python -m`, uvicorn and granian look into the working directory first, an installed script does not.
STARTS = (("litellm", "--version"), ("python", "-m", "litellm.proxy.proxy_cli", "--version"))
FROM_HERE = ("python", "-c", "import importlib.util; print(importlib.util.find_spec('litellm').origin)")


def fail(what: str, then: str) -> NoReturn:
    sys.exit(f"error: {what}\nnext:  {then}")


def run(*command: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, text=True, capture_output=True, check=False, env=QUIET, **options)  # type: ignore[call-overload]


def patches(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-m", "patches", *arguments, cwd=FORK)


def find_copies(top: Path) -> list[Path]:
    """Folders that hold a `litellm/` with the proxy and the bridge; installers' caches are no place to run from."""
    found = []
    for folder, names, _ in os.walk(top):
        if Path(folder, BRIDGE, "handler.py").is_file() and Path(folder, "litellm/proxy/proxy_cli.py").is_file():
            found.append(Path(folder))
        left_out = {FORK, *(top / name for name in NO_FILES)}
        names[:] = sorted(name for name in names if name not in CACHES and Path(folder, name) not in left_out)
    return found


@dataclass(frozen=True)
class Seen:
    """Enough to know that a file is another one: the tool writes beside and renames."""

    inode: int
    modified_ns: int


def look_at(copy: Path) -> dict[Path, Seen]:
    """Every file of LiteLLM and of its record."""
    roots = [copy / "litellm", *copy.glob("litellm-[0-9]*.dist-info")]
    files = (path for root in roots for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    return {path: Seen(path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def put_into_layer(source: Path, layer: Path, owner: os.stat_result) -> None:
    """A copy below `layer`, its folders like the image's own."""
    target = layer / source.relative_to("/")
    for folder in reversed(target.relative_to(layer).parents):
        inside, image = layer / folder, Path("/") / folder
        if not inside.is_dir():
            inside.mkdir()
            if image.is_dir():
                shutil.copystat(image, inside)
                os.chown(inside, image.stat().st_uid, image.stat().st_gid)
    shutil.copy2(source, target)
    os.chown(target, owner.st_uid, owner.st_gid)


def bytecode_of(source: Path) -> Iterator[tuple[Path, int]]:
    """The files that Python would run in the place of a source, with their optimization levels."""
    cache = source.parent / "__pycache__"
    for level, suffix in ((0, ""), (1, ".opt-1"), (2, ".opt-2")):
        yield cache / f"{source.stem}.{sys.implementation.cache_tag}{suffix}.pyc", level


def patch_copy(copy: Path, layer: Path, options: tuple[str, ...]) -> int:
    """How many files have changed. `options`: further ones for `apply`."""
    before, owners = look_at(copy), {}
    for path in before:
        owners[path] = path.stat()
    done = patches("apply", "--target", str(copy), *options)
    if done.returncode:
        fail(
            f"the fork does not go into {copy}:\n{done.stdout}{done.stderr}",
            "is LITELLM_RELEASE a release it serves? One that fits but was never tried: ACCEPT_UNTRIED=true",
        )
    after = look_at(copy)
    changed = [path for path, seen in after.items() if before.get(path) != seen]
    for path in changed:
        put_into_layer(path, layer, owners.get(path) or copy.joinpath("litellm").stat())
    for gone in before.keys() - after.keys():
        if gone.suffix != ".pyc":
            fail(f"the fork removed {gone}", "this is a defect of the fork")
    for source in (path for path in changed if path.suffix == ".py"):
        for compiled, level in bytecode_of(source):
            if compiled in before:  # a layer cannot take a stale one away: a fresh one covers it
                py_compile.compile(
                    str(source), str(compiled), doraise=True, optimize=level,
                    invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH,
                )  # fmt: skip
                put_into_layer(compiled, layer, owners[compiled])
    return len(changed)


def release_of(copy: Path) -> str | None:
    """An installed copy has a record; a source tree a project file."""
    for record in copy.glob("litellm-[0-9]*.dist-info"):
        return record.name.removeprefix("litellm-").removesuffix(".dist-info")
    project = copy / "pyproject.toml"
    found = re.search(r'^version = "([^"]+)"', project.read_text(), re.MULTILINE) if project.is_file() else None
    return found[1] if found else None


def put_tool(layer: Path) -> None:
    """The tool, as one folder and one command."""
    folder = layer / TOOL_FOLDER
    for name in ("patches", "litellm"):
        shutil.copytree(FORK / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = layer / COMMAND
    command.parent.mkdir(parents=True, exist_ok=True)
    command.write_text(f'#!/bin/sh\nPYTHONPATH=/{TOOL_FOLDER} exec {sys.executable} -P -m patches "$@"\n')
    command.chmod(0o755)


def level_times(layer: Path) -> None:
    for path in [layer, *layer.rglob("*")]:
        os.utime(path, (EPOCH_SECONDS, EPOCH_SECONDS), follow_symlinks=False)


def patch(layer: Path, release: str, version: str, accept_untried: bool) -> None:
    ours = patches("--version").stdout.split()[-1]
    if ours != version:
        fail(f"this is version {ours} of the fork, FORK_VERSION says {version}", f"build with FORK_VERSION={ours}")
    copies = find_copies(Path("/"))
    if not copies:
        fail("this image holds no LiteLLM proxy", "is BASE_IMAGE one of LiteLLM's images?")
    options = ("--accept-untried",) if accept_untried else ()
    os.umask(0o022)
    layer.mkdir(parents=True)
    for copy in copies:
        found = release_of(copy)
        if found not in (release, None):
            fail(f"{copy} is LiteLLM {found}, LITELLM_RELEASE says {release}", f"build with LITELLM_RELEASE={found}")
        print(f"patched   {copy}, {patch_copy(copy, layer, options)} files", flush=True)
    put_tool(layer)
    level_times(layer)


def imported_by(command: tuple[str, ...]) -> Path | None:
    """The folder that a command imports `litellm` from: it is asked itself, with the image's environment."""
    verbose = {**QUIET, "PYTHONVERBOSE": "1"}
    done = subprocess.run(command, text=True, capture_output=True, check=False, env=verbose)
    said = done.stdout + done.stderr
    if done.returncode:
        tail = "\n".join(line for line in said.splitlines() if not line.startswith(("#", "import ")))[-2000:]
        fail(f"`{' '.join(command)}` fails in this image:\n{tail}", "is BASE_IMAGE one of LiteLLM's images?")
    for found in re.findall(r"^# (?:code object from|.* matches) '?(/.*)/litellm/__init__\.py'?$", said, re.MULTILINE):
        if Path(found, BRIDGE).is_dir():
            return Path(found).resolve()
    return None


def ask_starts() -> Iterator[tuple[str, Path | None]]:
    for command in STARTS:
        if shutil.which(command[0]):
            yield " ".join(command[:-1]), imported_by(command)
    here = run(*FROM_HERE)
    yield (
        f"python, uvicorn and others in {Path.cwd()}",
        Path(here.stdout.strip()).resolve().parents[1] if here.stdout else None,
    )


def is_patched(copy: Path) -> bool:
    done = patches("status", "--json", "--target", str(copy))
    return bool(done.stdout) and json.loads(done.stdout)["state"] == "patched"


def assert_starts(report: Path) -> None:
    lines = []
    for start, copy in ask_starts():
        if copy is None:
            fail(f"{start}: imports no LiteLLM", "is BASE_IMAGE one of LiteLLM's images?")
        if not is_patched(copy):
            fail(f"{start}: imports {copy}, which has no fork", "this is a defect of deploy/patch_image.py")
        lines.append(f"asserted  {start}: imports {copy}, which has the fork")
        print(lines[-1], flush=True)
    report.mkdir()
    (report / "asserted.txt").write_text("".join(f"{line}\n" for line in lines))
    level_times(report)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    patching = commands.add_parser("patch")
    patching.add_argument("--layer", type=Path, required=True)
    patching.add_argument("--release", required=True)
    patching.add_argument("--version", required=True)
    patching.add_argument("--accept-untried", choices=("true", "false"), default="false")
    commands.add_parser("assert").add_argument("--report", type=Path, required=True)
    given = parser.parse_args()
    if given.command == "patch":
        patch(given.layer, given.release, given.version, given.accept_untried == "true")
    else:
        assert_starts(given.report)


if __name__ == "__main__":
    main()
