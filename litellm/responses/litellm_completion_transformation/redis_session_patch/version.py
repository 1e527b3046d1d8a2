"""The fork's version, for the proxy's start line, the tool, the image and the changelog; its build; and LiteLLM's."""

import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

FORK_VERSION = "0.2.0"


def _build() -> str:
    """A name for the modules of this folder. The tool calculates the same (``build_of`` in patches/own.py)."""
    folder, digest = Path(__file__).parent, hashlib.sha256()
    modules = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.py") if path.stem.isidentifier()}
    try:
        for name, path in sorted(modules.items()):
            data = path.read_bytes()
            digest.update(b"%b %d\n%b" % (name.encode(), len(data), data))
    except OSError:
        return "unknown"
    return digest.hexdigest()[:12]


BUILD = _build()  # of what runs: later the files may be another build's


def litellm_release() -> str:
    try:
        return version("litellm")
    except PackageNotFoundError:  # a checkout
        return "unknown"
