"""What the tool makes of each lost meaning, and what another edition of it made of that: a table.

    python -m tests.patches.mutation_table --before DIR

`DIR`: a checkout of the other edition. Run it with a Python that has the test requirements.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from .meaning import verdict
from .test_meaning import RELEASE, mutations, sources

# Of an edition without verdicts: what is planned without an error is applied.
_OTHERS = """
import json, sys
from patches.catalogue import upstream_files
from patches.edits import plan_edits
said = json.load(sys.stdin)
sources = {path: text.encode() for path, text in said["sources"].items() if path in upstream_files()}
for path, text in said["changed"]:
    present = {**sources, path: text.encode()} if path in sources else sources
    print("refused" if plan_edits(present, said["version"])[1] else "passed", flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.patches.mutation_table", description=__doc__)
    parser.add_argument("--before", type=Path, required=True, metavar="DIR")
    before = parser.parse_args().before
    broken = [(each, (each.applied_to(sources()[each.file]) or b"").decode()) for each in mutations()]
    texts = {path: data.decode() for path, data in sources().items()}
    asked = {"version": RELEASE, "sources": texts, "changed": [(each.file, text) for each, text in broken]}
    done = subprocess.run(
        [sys.executable, "-c", _OTHERS], input=json.dumps(asked), text=True, capture_output=True, cwd=before, check=True
    )
    kinds: dict[str, Counter[str]] = {}
    for (mutation, text), was in zip(broken, done.stdout.split(), strict=True):
        kind = mutation.what.partition(": ")[2] or mutation.what.partition(" ")[2]
        now = verdict(sources(), RELEASE, {mutation.file: text.encode()})
        kinds.setdefault(kind, Counter()).update([f"before {was}", now, "all"])
    names = ("all", "before refused", "before passed", "refused", "said", "passed")
    print(f"LiteLLM {RELEASE}\n\n| mutation | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for kind, counts in [*kinds.items(), ("all", sum(kinds.values(), Counter()))]:
        print(f"| {kind} | {' | '.join(str(counts[name]) for name in names)} |")


if __name__ == "__main__":
    main()
