"""Copies of an installed LiteLLM, pristine and patched, made of hard links: seconds and no disk
space.

A tree is a folder that holds `litellm/` and `litellm-<release>.dist-info/`; first on `PYTHONPATH`
it is the LiteLLM that runs. It is named after a digest of what it is made from and is not made
again; `.build/<release>/pristine` and `.build/<release>/patched` lead to the latest ones.
"""

from __future__ import annotations

import base64
import csv
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / ".build"
OURS = ("litellm", "patches")
KEPT_TREES = 6
MOVED_BY_THE_PROXY = "litellm/proxy/_experimental/out/"  # up to 1.9x a proxy rearranges its web pages when it starts


class TreeFailed(RuntimeError):
    """A tree cannot be made; the text says why."""


def installed_site_packages() -> Path:
    """Where this interpreter's own LiteLLM is installed, whatever stands before it on the path."""
    return Path(sysconfig.get_paths()["purelib"])


def installed_release(site_packages: Path | None = None) -> str:
    """The version of the installed LiteLLM. Raises TreeFailed when there is none."""
    folder = site_packages or installed_site_packages()
    for found in metadata.distributions(name="litellm", path=[str(folder)]):
        return found.version
    raise TreeFailed(f"no litellm is installed in {folder}")


def link_or_copy(source: str, target: str) -> None:
    if MOVED_BY_THE_PROXY in source:
        shutil.copy2(source, target)  # a proxy must never write through to the installed files
        return
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def link_tree(site_packages: Path, release: str, target: Path) -> None:
    """`litellm/` and its `.dist-info`, without bytecode. Never write into these files: write beside
    and rename.
    """
    for name in ("litellm", f"litellm-{release}.dist-info"):
        shutil.copytree(
            site_packages / name,
            target / name,
            copy_function=link_or_copy,
            symlinks=True,
            ignore=shutil.ignore_patterns("__pycache__"),
        )


def files_that_differ_from_record(tree: Path, release: str) -> list[str]:
    """Names under `litellm/` whose SHA-256 is not the one in the wheel's RECORD, that are missing,
    or not in it.

    The web pages, which old proxies move about themselves, are left out.
    """
    with (tree / f"litellm-{release}.dist-info" / "RECORD").open(newline="", encoding="utf-8") as rows:
        recorded = {
            name: digest
            for name, digest, _size in csv.reader(rows)
            if name.startswith("litellm/") and not name.startswith(MOVED_BY_THE_PROXY)
        }
    present = {
        path.relative_to(tree).as_posix()
        for path in (tree / "litellm").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and MOVED_BY_THE_PROXY not in path.as_posix()
    }
    wrong = present.symmetric_difference(name for name in recorded if "__pycache__" not in name)
    wrong.update(name for name in present & recorded.keys() if record_digest(tree / name) != recorded[name])
    return sorted(wrong)


def record_digest(path: Path) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).decode().rstrip("=")
    return f"sha256={digest}"


def run_patches(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m patches …` from the repository, with this interpreter."""
    command = [sys.executable, "-m", "patches", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def must_run_patches(*arguments: str) -> None:
    done = run_patches(*arguments)
    if done.returncode:
        raise TreeFailed(
            f"python -m patches {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )


def make_pristine(site_packages: Path, release: str, target: Path) -> None:
    link_tree(site_packages, release, target)
    if is_patched(target):  # the environment itself was patched in place
        must_run_patches("revert", "--target", str(target))
    wrong = files_that_differ_from_record(target, release)
    if wrong:
        raise TreeFailed(
            f"the installed litellm {release} is not the wheel's: {', '.join(wrong[:5])} differ from RECORD"
        )


def is_patched(tree: Path) -> bool:
    """Whether any of the bridge's files carries our marks."""
    bridge = tree / "litellm" / "responses" / "litellm_completion_transformation"
    return any(b"# >>> PATCH " in path.read_bytes() for path in bridge.glob("*.py"))


def make_patched(site_packages: Path, release: str, target: Path) -> None:
    link_tree(site_packages, release, target)
    must_run_patches("apply", "--accept-untried", "--target", str(target))


MAKERS = {"pristine": make_pristine, "patched": make_patched}


def our_sources(root: Path = ROOT) -> list[Path]:
    """The fork's own files and its tool's: what a tree is patched with, and by."""
    return sorted(path for folder in OURS for path in (root / folder).rglob("*") if path.suffix in (".py", ".txt"))


def digest_of_sources(kind: str, site_packages: Path, release: str) -> str:
    """Changes when the installed wheel does, and for a patched tree when our own sources do."""
    digest = hashlib.sha256((site_packages / f"litellm-{release}.dist-info" / "RECORD").read_bytes())
    digest.update(str(site_packages).encode())
    for path in our_sources() if kind == "patched" else ():
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@lru_cache
def tree(kind: str, site_packages: Path | None = None) -> Path:
    """The tree of a kind (pristine, patched) for an installed LiteLLM as the sources are now.

    Safe to call from many processes; one process gets the same tree as long as it lives.
    """
    site_packages = site_packages or installed_site_packages()
    release = installed_release(site_packages)
    folder = BUILD / release
    with locked(folder / "lock"):
        target = folder / f"{kind}-{digest_of_sources(kind, site_packages, release)[:12]}"
        if not target.is_dir():
            make_at(MAKERS[kind], site_packages, release, target)
            prune(folder, kind)
        target.touch()
        point_at(folder / kind, target)
    return target


def make_at(make: Callable[[Path, str, Path], None], site_packages: Path, release: str, target: Path) -> None:
    """Whole or not at all."""
    unfinished = target.with_name(f"unfinished-{target.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        make(site_packages, release, unfinished)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def prune(folder: Path, kind: str) -> None:
    """Remove trees of older sources, but not those that a running test may still use."""
    by_age = sorted(folder.glob(f"{kind}-*"), key=lambda each: each.stat().st_mtime)
    for old in by_age[:-KEPT_TREES]:
        shutil.rmtree(old, ignore_errors=True)


def point_at(link: Path, target: Path) -> None:
    """`.build/<release>/patched` always leads to the latest tree."""
    fresh = link.with_name(f"new-{link.name}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target.name)
    if link.is_dir() and not link.is_symlink():
        shutil.rmtree(link)
    fresh.replace(link)


if __name__ == "__main__":
    for each in sys.argv[1:] or MAKERS:
        print(f"{each}: {tree(each).relative_to(ROOT)}", flush=True)
