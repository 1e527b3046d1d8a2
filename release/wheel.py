"""`make wheel`: upstream's pinned wheel with the fork in it, as a version of its own of the same distribution.

Its version is upstream's with a local part, so that everything that asks for this release of LiteLLM takes it.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import zipfile
from pathlib import Path

from compatibility.proof import unpack
from compatibility.registry import RegistryFailed, fetch_wheel, sha256_of
from patches import apply_patches, open_target, read_fork_version
from patches.record import line_of, parse_record, rewrite_record
from release.zips import zip_bytes

ROOT = Path(__file__).resolve().parents[1]


def forked_version(release: str) -> str:
    """As PEP 440 wants it: `1.106.2+redis.session.0.2.0`."""
    return f"{release}+redis.session.{read_fork_version()}"


def forked_wheel(pinned: Path, folder: Path) -> Path:
    """Writes the wheel; the same bytes for the same wheel and the same fork. Raises PatchError where it does not
    fit."""
    _, release, tags = pinned.stem.split("-", 2)
    version = forked_version(release)
    with zipfile.ZipFile(pinned) as archive:
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
    with tempfile.TemporaryDirectory(prefix="wheel-") as made:
        root = Path(made)
        unpack(pinned, root)
        _rename_version(root, release, version)
        apply_patches(open_target(root))
        data = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    order = {path: number for number, path in enumerate(modes)}  # upstream's, then what is new; RECORD last
    paths = sorted(data, key=lambda path: (path.endswith(".dist-info/RECORD"), order.get(path, len(order)), path))
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"litellm-{version}-{tags}.whl"
    target.write_bytes(zip_bytes((path, data[path], modes.get(path, 0)) for path in paths))
    return target


def pinned_wheel(release: str) -> Path:
    """From the registry, with one of the hashes that `requirements/<release>.txt` pins. Raises RegistryFailed."""
    pins = (ROOT / "requirements" / f"{release}.txt").read_text(encoding="utf-8")
    block = re.search(rf"^litellm(?:\[[\w,]+\])?=={re.escape(release)} .*?(?=^\w|\Z)", pins, re.MULTILINE | re.DOTALL)
    wheel = fetch_wheel(release)
    if block is None or f"sha256:{sha256_of(wheel.path)}" not in block[0]:
        raise RegistryFailed(f"{wheel.path.name} is not the wheel that requirements/{release}.txt pins")
    return wheel.path


def _rename_version(root: Path, old: str, new: str) -> None:
    """In METADATA, in the name of the dist-info folder, and in RECORD."""
    info = root / f"litellm-{old}.dist-info"
    metadata = (info / "METADATA").read_bytes()
    (info / "METADATA").write_bytes(metadata.replace(f"\nVersion: {old}\n".encode(), f"\nVersion: {new}\n".encode(), 1))
    renamed = info.rename(root / f"litellm-{new}.dist-info")
    record = (renamed / "RECORD").read_bytes().replace(f"{info.name}/".encode(), f"{renamed.name}/".encode())
    path = f"{renamed.name}/METADATA"
    assert path in parse_record(record)
    (renamed / "RECORD").write_bytes(rewrite_record(record, {path: line_of(path, (renamed / "METADATA").read_bytes())}))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m release.wheel", description=__doc__.splitlines()[0])
    parser.add_argument("release", help="the release of LiteLLM to take")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="DIR", help="default: dist")
    options = parser.parse_args()
    try:
        path = forked_wheel(pinned_wheel(options.release), options.out)
    except RegistryFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{path}: {path.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
