"""`make pyz`: the tool, with the fork's own files inside, as one file that any Python from 3.10 on runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from patches import read_own_files
from release.zips import zip_bytes

ROOT = Path(__file__).resolve().parents[1]
NAME = "litellm-redis-session.pyz"
_SHEBANG = b"#!/usr/bin/env python3\n"


def pyz_bytes(root: Path = ROOT) -> bytes:
    paths = (path for path in (root / "patches").iterdir() if path.suffix in (".py", ".txt", ".json"))
    tool = {f"patches/{path.name}": path.read_bytes() for path in paths}
    own = read_own_files(root)
    files = {"__main__.py": tool["patches/__main__.py"], **tool, **own, **_folders_of(own)}
    return _SHEBANG + zip_bytes((path, data, 0) for path, data in sorted(files.items()))


def _folders_of(paths: Iterable[str]) -> dict[str, bytes]:
    """Entries of their own: up to Python 3.12 a folder without `__init__.py` is imported from a zip file by these."""
    return {f"{path.rpartition('/')[0]}/": b"" for path in paths}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m release.pyz", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="DIR", help="default: dist")
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    path.write_bytes(pyz_bytes())
    path.chmod(0o755)
    print(f"{path}: {path.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
