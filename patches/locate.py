"""Which LiteLLM to work on: the folder that holds it, its version, its dist-info."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from patches.errors import PatchError

_FOLDER = "the folder that holds `litellm/`"


@dataclass(frozen=True)
class Target:
    """`root` holds the `litellm/` package; `version` is None when nothing beside the package tells it."""

    root: Path
    version: str | None
    version_source: str
    dist_info: str | None  # folder name inside root

    @property
    def title(self) -> str:
        """For people: version and where it was read."""
        return f"LiteLLM {self.version or 'of unknown version'} ({self.version_source})"

    @property
    def reinstall(self) -> str:
        """What installs the same release again: with the installer that did, for the Python that it did it for."""
        release = f"litellm=={self.version}" if self.version else "litellm"
        note = self.root / (self.dist_info or "") / "INSTALLER"
        said = note.read_text(errors="replace").split() if note.is_file() else []
        installer = said[0] if said else "pip"
        python = _interpreter_of(self.root)
        where = f"--python {shlex.quote(python)}" if python else f"--target {shlex.quote(str(self.root))}"
        if installer == "uv":
            return f"uv pip install {where} --reinstall --no-deps {release}"
        if installer != "pip":
            return f"install {release} again with {installer} ({where})"
        if not python:
            return f"python -m pip install {where} --upgrade --no-deps {release}"
        return f"{shlex.quote(python)} -m pip install --force-reinstall --no-deps {release}"


def find_target(explicit: str | None = None) -> Target:
    """The folder given, or else the one that the running interpreter would import LiteLLM from."""
    if explicit == "":
        raise PatchError("--target is empty", f"give {_FOLDER}, or leave the option out")
    return open_target(Path(explicit) if explicit is not None else _imported_root())


def open_target(root: Path) -> Target:
    """Raises PatchError unless `root` is a folder that holds one LiteLLM."""
    if not root.is_dir():
        raise PatchError(f"{root}: not a folder", f"give --target {_FOLDER}")
    root = root.resolve()
    if not (root / "litellm" / "__init__.py").is_file():
        is_package = root.name == "litellm" and (root / "__init__.py").is_file()
        hint = f"python -m patches status --target {root.parent}" if is_package else f"give --target {_FOLDER}"
        raise PatchError(f"{root}: holds no LiteLLM (expected litellm/__init__.py)", hint)
    infos = sorted(path for path in root.glob("litellm-[0-9]*.dist-info") if path.is_dir())
    if len(infos) > 1:
        names = ", ".join(path.name for path in infos)
        again = Target(root, None, "", infos[-1].name).reinstall
        raise PatchError(f"{root}: expected one litellm dist-info, found {len(infos)}: {names}", again)
    if infos:
        name = infos[0].name
        return Target(root, name.removeprefix("litellm-").removesuffix(".dist-info"), f"from {name}", name)
    version = _project_version(root / "pyproject.toml")
    source = "from pyproject.toml" if version else "no dist-info and no pyproject.toml beside it"
    return Target(root, version, source, None)


def other_copies(target: Target) -> tuple[Path, ...]:
    """Further folders on this interpreter's path that hold a LiteLLM; only one of them is the one that runs."""
    folders = (Path(entry or ".") for entry in sys.path)
    roots = (folder.resolve() for folder in folders if (folder / "litellm" / "__init__.py").is_file())
    return tuple(dict.fromkeys(root for root in roots if root != target.root))


def _interpreter_of(root: Path) -> str | None:
    """The Python whose packages are in this folder: `<prefix>/lib/python3.11/site-packages`, or one on our own path."""
    if root.name in ("site-packages", "dist-packages") and len(root.parents) > 2:
        prefix = root.parents[2]
        python = prefix / "bin" / ("python" if (prefix / "pyvenv.cfg").is_file() else root.parent.name)
        if python.is_file():
            return str(python)
    return sys.executable if root in (Path(entry or ".").resolve() for entry in sys.path) else None


def _imported_root() -> Path:
    """Finds without importing, as an import would, but passes over folders named `litellm` that are no package: an
    editable install is found by a finder that comes after those."""
    for finder in sys.meta_path:
        spec = finder.find_spec("litellm", None) if hasattr(finder, "find_spec") else None
        if spec is not None and spec.origin is not None and spec.has_location:
            return Path(spec.origin).parent.parent
    hint = f"pip install litellm, or give --target {_FOLDER}"
    raise PatchError(f"{sys.executable} has no LiteLLM to import", hint)


def _project_version(pyproject: Path) -> str | None:
    if not pyproject.is_file():
        return None
    text = pyproject.read_text(encoding="utf-8", errors="replace")
    for section in re.split(r"^(?=\[)", text, flags=re.MULTILINE):
        if section.startswith(("[project]", "[tool.poetry]")):
            name = re.search(r"^name\s*=\s*[\"']([^\"']+)", section, re.MULTILINE)
            version = re.search(r"^version\s*=\s*[\"']([^\"']+)", section, re.MULTILINE)
            if name and name[1].lower() == "litellm" and version:
                return version[1]
    return None
