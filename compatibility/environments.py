"""An environment of its own for each release: the proxy as `litellm[proxy]==X` installs it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from compatibility.registry import PACKAGE, ROOT, find_uv, last_error

LIVE = ROOT / ".build" / "live"
DATABASE_DRIVER = "asyncpg"  # what the stand-in for Prisma is made of
_SECONDS = 1800
_NEIGHBOURS_TRIED = 40


class NotInstallable(RuntimeError):
    """The release cannot be installed; one line says why."""


@dataclass(frozen=True)
class Environment:
    """`dependencies_of` is another release where the wanted one's own pins cannot be had, and
    `problem` then says which. `added`: what its start asked for besides, of what its own metadata requires."""

    release: str
    folder: Path
    dependencies_of: str
    problem: str
    install_seconds: float
    added: tuple[str, ...] = ()

    @property
    def python(self) -> Path:
        return self.folder / "venv" / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        (found,) = (self.folder / "venv" / "lib").glob("python*/site-packages")
        return found

    @property
    def migrations(self) -> tuple[Path, ...]:
        """The release's own, in the order in which they are applied."""
        found = (self.site_packages / "litellm_proxy_extras" / "migrations").glob("*/migration.sql")
        return tuple(sorted(found, key=lambda path: path.parent.name))

    @property
    def patched_tree(self) -> Path:
        return self.folder / "patched"

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def make_environment(release: str, older: Sequence[str]) -> Environment:
    """`older`: final releases before this one, newest first; the first that installs lends its
    dependencies when the release's own are not on the registry. Raises NotInstallable."""
    started = time.monotonic()
    folder = LIVE / release
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    problem = why_not_installable(release)
    lender = _lender(older) if problem else release
    if lender is None:
        raise NotInstallable(problem)
    environment = Environment(release, folder, "" if lender == release else lender, problem, 0.0)
    try:
        _uv("venv", "--python", sys.executable, str(folder / "venv"))
        _install(environment, f"{PACKAGE}[proxy]=={lender}", DATABASE_DRIVER)
        if lender != release:
            _install(environment, "--no-deps", f"{PACKAGE}=={release}")
    except NotInstallable:
        environment.remove()
        raise
    seconds = round(time.monotonic() - started, 1)
    return Environment(release, folder, environment.dependencies_of, problem, seconds)


def add_missing(environment: Environment, module: str) -> Environment | None:
    """The same with the distribution of that module's name, where the release itself requires one; else None.

    Only for borrowed dependencies: nothing is ever installed by name alone."""
    info = environment.site_packages / f"{PACKAGE}-{environment.release}.dist-info"
    lines = re.findall(r"^Requires-Dist: *([^;\n]+)", (info / "METADATA").read_text(encoding="utf-8"), re.MULTILINE)
    wanted = [line.strip() for line in lines if _plain(re.split(r"[^\w.-]", line.strip())[0]) == _plain(module)]
    if not wanted or not environment.dependencies_of or module in environment.added:
        return None
    _install(environment, wanted[0])
    return replace(environment, added=(*environment.added, module))


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def why_not_installable(release: str) -> str:
    """ "" when all of its dependencies can be had; nothing is installed."""
    try:
        _uv("pip", "compile", "--python", sys.executable, "-", text=f"{PACKAGE}[proxy]=={release}\n")
    except NotInstallable as error:
        return str(error)
    return ""


def _lender(older: Sequence[str]) -> str | None:
    return next((each for each in older[:_NEIGHBOURS_TRIED] if not why_not_installable(each)), None)


def _install(environment: Environment, *arguments: str) -> None:
    _uv("pip", "install", "--python", str(environment.python), *arguments)


def _uv(*arguments: str, text: str | None = None) -> str:
    command = [find_uv(), *arguments, "--quiet"]
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise NotInstallable(f"`uv {' '.join(arguments[:2])}` did not end within {_SECONDS} s") from error
    if done.returncode:
        raise NotInstallable(reason_of(done.stderr))
    return done.stdout


def reason_of(complaint: str) -> str:
    """One line out of uv's explanation: what is missing, for whom."""
    words = " ".join(line.strip(" │╰─▶×\t") for line in complaint.splitlines())
    sentences = [part.strip() for part in words.replace("Because", "\nBecause").splitlines() if part.strip()]
    because = [part for part in sentences if part.startswith("Because")]
    text = because[0].removeprefix("Because ").split(", we can conclude")[0] if because else last_error(complaint)
    return text if len(text) < 300 else f"{text[:297]}..."
