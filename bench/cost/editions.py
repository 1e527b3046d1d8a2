"""Earlier editions of the fork, from the repository's history: their sources, and LiteLLM with their lines in it."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path

from lab.trees import BUILD, ROOT, TreeFailed, installed_release, installed_site_packages, link_tree, locked, make_at

EDITIONS = {"first edition": "6080ee2", "second edition": "1d804cc"}


def sources_of(edition: str) -> Path:
    """The repository as it was then. Raises TreeFailed where the history is not there."""
    target = BUILD / "editions" / EDITIONS[edition]
    with locked(target.with_name(f"{target.name}.lock")):
        if not target.is_dir():
            make_at(_unpack, installed_site_packages(), EDITIONS[edition], target)
    return target


def tree_of(edition: str) -> Path:
    """LiteLLM as installed here, patched by that edition's own tool."""
    sources, release = sources_of(edition), installed_release()
    target = sources / f"litellm-{release}"
    with locked(target.with_name(f"{target.name}.lock")):
        if not target.is_dir():
            make_at(_apply, installed_site_packages(), release, target)
    return target


def _unpack(_: Path, commit: str, target: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(_run(ROOT, "git", "archive", commit))) as archive:
        archive.extractall(target, filter="data")


def _apply(site_packages: Path, release: str, target: Path) -> None:
    link_tree(site_packages, release, target)
    _run(target.parent, sys.executable, "-m", "patches", "apply", "--target", str(target))


def _run(folder: Path, *command: str) -> bytes:
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    if done.returncode:
        raise TreeFailed(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr.decode()}")
    return done.stdout
