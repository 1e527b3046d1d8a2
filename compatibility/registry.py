"""The package registry, through its ordinary clients: pip lists and fetches, uv tells the hashes.

Whatever index the two are configured for is used; nothing here names one.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WHEELS = ROOT / ".build" / "wheels"
PACKAGE = "litellm"
_SECONDS = 600


class RegistryFailed(RuntimeError):
    """Something cannot be had; one sentence says why."""


class NoWheel(RegistryFailed):
    """The version is there, but only as a source archive."""


@dataclass(frozen=True)
class Wheel:
    """A wheel file and its SHA-256 (hex), which is one of those that the index lists for the version.

    `is_built`: the index has only a source archive; its hash was checked by pip, and the wheel was
    built here, so its own is on no list. `seconds`: what getting it took; `is_cached`: it was here.
    """

    version: str
    path: Path
    sha256: str
    seconds: float
    is_cached: bool = False
    is_built: bool = False


def list_versions(early: bool = False) -> tuple[str, ...]:
    """Every version for this Python, newest first; with `early`, pre-releases too. One request."""
    text = _run([*_pip(), "index", "versions", PACKAGE, *(["--pre"] if early else [])])
    found = re.search(r"^Available versions: (.*)$", text, re.MULTILINE)
    if not found:
        raise RegistryFailed(f"`pip index versions {PACKAGE}` names no versions")
    return tuple(version.strip() for version in found[1].split(","))


def hashes_of(version: str) -> frozenset[str]:
    """SHA-256 in hex of every file that the index has for a version."""
    asked = f"{PACKAGE}=={version}\n"
    command = [find_uv(), "pip", "compile", "--quiet", "--no-deps", "--generate-hashes", "--no-header"]
    text = _run([*command, "--no-annotate", "--python", sys.executable, "-"], asked)
    hashes = frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", text))
    if not hashes:
        raise RegistryFailed(f"the index gives no hash for {PACKAGE} {version}")
    return hashes


def fetch_wheel(version: str, folder: Path = WHEELS) -> Wheel:
    """From the cache folder, else from the registry; hash checked both ways, by pip and again here."""
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    hashes = hashes_of(version)
    for path in folder.glob(f"{PACKAGE}-{version}-*.whl"):
        if (digest := sha256_of(path)) in hashes:
            return Wheel(version, path, digest, time.monotonic() - started, is_cached=True)
        path.unlink()
    try:
        path = _get("download", version, hashes, folder)
        is_built = False
    except NoWheel:
        path = _get("wheel", version, hashes, folder)
        is_built = True
    digest = sha256_of(path)
    if digest not in hashes and not is_built:
        path.unlink()
        raise RegistryFailed(f"{path.name}: its SHA-256 {digest} is none of those that the index lists")
    return Wheel(version, path, digest, time.monotonic() - started, is_built=is_built)


def _get(verb: str, version: str, hashes: frozenset[str], folder: Path) -> Path:
    """`download` takes wheels alone and raises NoWheel when there is none; `wheel` builds one."""
    with tempfile.TemporaryDirectory(dir=folder) as fresh:
        wanted = Path(fresh) / "wanted.txt"
        wanted.write_text(f"{PACKAGE}=={version} {' '.join(f'--hash=sha256:{each}' for each in sorted(hashes))}\n")
        kind = ["--only-binary", ":all:", "--dest"] if verb == "download" else ["--wheel-dir"]
        command = [*_pip(), verb, "--quiet", "--no-deps", "--no-cache-dir", "--require-hashes", "-r", str(wanted)]
        try:
            _run([*command, *kind, fresh])
        except RegistryFailed as error:
            raise NoWheel(str(error)) if "no matching distribution" in str(error).lower() else error from error
        (got,) = Path(fresh).glob("*.whl")
        return Path(shutil.move(got, folder / got.name))


def sha256_of(path: Path) -> str:
    """In hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def find_uv() -> str:
    """The uv on PATH, else the one that the Makefile keeps in `.build/uv`."""
    own = ROOT / ".build" / "uv" / "bin" / "uv"
    found = shutil.which("uv") or (str(own) if own.exists() else None)
    if found is None:
        raise RegistryFailed("uv is missing: make .build/uv/bin/uv")
    return found


def _pip() -> tuple[str, ...]:
    """uv makes environments without pip: then the pip of the Python that this one is made from."""
    own = importlib.util.find_spec("pip") is not None
    python = sys.executable if own else str(Path(sys.base_prefix) / "bin" / "python3")
    return python, "-m", "pip", "--disable-pip-version-check"


def _run(command: list[str], text: str | None = None) -> str:
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise RegistryFailed(f"`{_short(command)}` did not end within {_SECONDS} s") from error
    if done.returncode:
        raise RegistryFailed(f"`{_short(command)}` failed: {last_error(done.stderr)}")
    return done.stdout


def _short(command: list[str]) -> str:
    words = [Path(command[0]).name, *command[1:]]
    return " ".join(words[:4] if words[1] != "-m" else words[2:5])


def last_error(text: str) -> str:
    """The line of an installer's complaint that says most, without addresses."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() or "no matching" in line.lower()]
    line = (errors or lines or ["no message"])[-1]
    return re.sub(r"\w+://\S+", "(address)", line)
