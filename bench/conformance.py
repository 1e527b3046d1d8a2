"""What OpenAI's documents say, and whether bridged models keep to it: LiteLLM as released, and with the fork.

    python -m bench.conformance --releases 1.85.7 1.108.7 1.110.2

Each rule is tried on three wire formats. Writes `bench/results/conformance.json` and `.md`, and `docs/conformance.md`.
"""

from __future__ import annotations

import sys

from .before_after import measure


def table(cells: list[dict]) -> str:
    releases = list(dict.fromkeys(cell["release"] for cell in cells))
    lines = [f"| rule | source | {' | '.join(releases)} |", "|---|---|" + "---|" * len(releases)]
    for rule, source in dict.fromkeys((cell["rule"], cell["source"]) for cell in cells):
        texts = [text_of(cells, release, rule) for release in releases]
        lines.append(f"| {rule} | {source} | {' | '.join(texts)} |")
    sums = (text_of(cells, release, None) for release in releases)
    return "\n".join([*lines, f"| **together** | | {' | '.join(sums)} |"]) + "\n"


def text_of(cells: list[dict], release: str, rule: str | None) -> str:
    """Of one rule, or of all: of how many models it is kept, "as released → with the fork"."""
    kept = dict.fromkeys(("pristine", "patched"), 0)
    for cell in cells:
        if cell["release"] == release and rule in (None, cell["rule"]):
            kept[cell["tree"]] += cell["kept"]
    return f"{kept['pristine']} → {kept['patched']}"


if __name__ == "__main__":
    sys.exit(measure("conformance_cells", "conformance", table, "docs/conformance.md"))
