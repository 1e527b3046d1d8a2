"""Notes which releases a proxy was tried on, in patches/tried.json: the digests of their patched functions.

    python -m compatibility.tried 1.106.2 1.110.2

adds these releases. `python -m compatibility.live` does so for every release on which all scenes held.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from compatibility.proof import unpack
from compatibility.registry import RegistryFailed, fetch_wheel
from compatibility.releases import sort_key
from patches import look_at, open_target
from patches.tried import TRIED, digest_at, functions_of

FILE = Path(__file__).parents[1] / "patches" / TRIED


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 1 where a release cannot be had or does not fit, which is named."""
    parser = argparse.ArgumentParser(prog="python -m compatibility.tried", description=__doc__.splitlines()[0])
    parser.add_argument("releases", nargs="+", metavar="RELEASE")
    try:
        note(parser.parse_args(arguments).releases)
    except (RegistryFailed, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def note(releases: Iterable[str], file: Path = FILE) -> None:
    """Adds the releases. Raises RegistryFailed, and ValueError for one that the fork does not fit; the file is then as
    it was."""
    table: dict[str, Any] = json.loads(file.read_bytes())
    for release in releases:
        for (path, function), digest in digests_of(release).items():
            known = table.setdefault(path, {}).setdefault(function, {})
            known[digest] = " ".join(sorted({*known.get(digest, "").split(), release}, key=sort_key))
    file.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n")


def digests_of(release: str) -> dict[tuple[str, str], str]:
    """By file and function, of the wheel on the registry. Raises as `note`."""
    with tempfile.TemporaryDirectory(prefix=f"tried-{release}-") as folder:
        unpack(fetch_wheel(release).path, Path(folder))
        survey = look_at(open_target(Path(folder)))
        if survey.misfits:
            raise ValueError(f"{release}: {survey.misfits[0].sentence}")
        edits = [edit for _, edit in survey.edits.edits]
        return {(file, name): digest_at(survey.tree.files[file], file, name) for file, name in functions_of(edits)}


if __name__ == "__main__":
    sys.exit(main())
