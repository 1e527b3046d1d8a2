"""How often a follow-up has its history, before and after the patch: releases × database × mode × delay.

    python -m bench.before_after --conversations 20 --releases 1.85.7 1.106.2

Writes `bench/results/before_after.json`, `.md` (a table) and `.svg` (a plot). Each release runs in its own environment,
`.build/<release>/venv`, which `make` makes where it is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from .documents import put_table
from .plot import plot
from .table import table

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"


def interpreter_of(release: str) -> Path:
    """That of the release's environment. Raises CalledProcessError when it cannot be made."""
    ready = f".build/{release}/venv/ready"
    subprocess.run(["make", "--silent", ready], cwd=ROOT, check=True, stdout=sys.stderr)
    return ROOT / ".build" / release / "venv" / "bin" / "python"


def cells_of(release: str, module: str, *options: str) -> list[dict]:
    """What `module` prints in the release's environment."""
    command = [interpreter_of(release), "-m", module, *options]
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def measure(module: str, name: str, as_table: Callable[[list[dict]], str], document: str) -> int:
    """A program: measures the releases of its command line by what `bench.<module>` prints, and puts the table into a
    document and, with its data, into `bench/results`, after each of them.
    """
    parser = argparse.ArgumentParser(prog=f"python -m bench.{name}")
    parser.add_argument("--releases", nargs="+", required=True, metavar="RELEASE")
    cells: list[dict] = []
    for release in parser.parse_args().releases:
        cells += cells_of(release, f"bench.{module}")
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(cells, indent=1) + "\n")
        (RESULTS / f"{name}.md").write_text(as_table(cells))
        put_table(document, name.replace("_", "-"), as_table(cells))
    print(as_table(cells), end="")
    return 0


def write(cells: list[dict], folder: Path = RESULTS) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "before_after.json").write_text(json.dumps(cells, indent=1) + "\n")
    (folder / "before_after.md").write_text(table(cells))
    if folder == RESULTS:
        put_table("README.md", "before-after", table(cells))
    (folder / "before_after.svg").write_text(plot(cells))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.before_after", description=__doc__.splitlines()[0])
    parser.add_argument("--conversations", type=int, default=20, metavar="N", help="conversations a cell (20)")
    parser.add_argument("--releases", nargs="+", required=True, metavar="RELEASE")
    parser.add_argument("--json", action="store_true", help="print the data instead of the table")
    arguments = parser.parse_args()
    cells: list[dict] = []
    for release in arguments.releases:
        cells += cells_of(release, "bench.cells", "--conversations", str(arguments.conversations))
        write(cells)  # what there is, should a later release fail
    print(json.dumps(cells, indent=1) if arguments.json else table(cells), end="")
    lost = [cell for cell in cells if cell["patch"] and cell["remembered"] < cell["conversations"]]
    return 1 if lost or any(cell["failed"] for cell in cells) else 0


if __name__ == "__main__":
    sys.exit(main())
